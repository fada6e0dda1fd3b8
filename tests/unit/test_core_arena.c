/* The arena: growth, copies, checkpoints, the full pass on bytes that are anybody's guess, and work that is
 * left over. */
#include "core_fixture.h"

/* 3 nodes, running, waiting and aside jobs, a silent node with a fence. */
static void busy(struct fixture *f)
{
    node_up(f, 1, 8, 2, 16 * GIB);
    node_up(f, 2, 8, 0, 16 * GIB);
    node_up(f, 3, 8, 4, 16 * GIB);
    for (uint64_t id = 1; id <= 60; id++) {
        struct core_submit s = wanting(id, 1 + (uint32_t)(id % 4), id % 5 == 0 ? 3 : 0, GIB);
        s.priority = (int32_t)(id % 3);
        s.on_node_loss = id % 2 ? CORE_LOSS_REQUEUE : CORE_LOSS_WAIT;
        s.fence_after_ms = id * 1000;
        submit(f, s);
    }
    node_event(f, CORE_EVENT_NODE_DOWN, 3);
    assert_int_not_equal(core_timer_at(f->core), 0);
}

static void growth_changes_nothing_but_the_size(void **state)
{
    struct fixture *f = *state;
    static const struct core_capacity large = {5000, 500, 5000};
    struct core *other = core_create(&large), *core = f->core;
    struct core_counts counts;
    busy(f);
    uint64_t hash = core_hash(core);
    f->core = other;
    core_destroy(f->applied);
    f->applied = core_create(&large);
    f->now_ms = 1000;
    busy(f);
    assert_int_equal(core_hash(other), hash);
    core_count(core, &counts);
    assert_int_equal(counts.jobs, 60);
    core_destroy(core);
}

static void capacities_end_at_their_limits(void **state)
{
    (void)state;
    static const struct core_capacity past[] = {
        {CORE_JOBS_MAX + 1, 1, 1}, {1, CORE_NODES_MAX + 1, 1}, {1, 1, CORE_TASKS_MAX + 1}};
    for (int i = 0; i < 3; i++)
        assert_null(core_create(&past[i]));
    static const struct core_capacity at = {1, 1, CORE_TASKS_MAX};
    struct core *core = core_create(&at);
    assert_non_null(core);
    core_destroy(core);
}

static void a_copy_goes_its_own_way(void **state)
{
    struct fixture *f = *state;
    static const struct core_capacity small = {1, 1, 1};
    struct core *copy = core_create(&small);
    busy(f);
    assert_true(core_copy(copy, f->core));
    uint64_t hash = core_hash(f->core);
    assert_int_equal(core_hash(copy), hash);
    struct core *core = f->core;
    f->core = copy;
    cancel(f, 60, false);
    f->core = core;
    assert_int_not_equal(core_hash(copy), hash);
    assert_int_equal(core_hash(core), hash);
    assert_null(core_check(copy));
    core_destroy(copy);
}

static void a_checkpoint_comes_back_and_goes_on_alike(void **state)
{
    struct fixture *f = *state;
    const void *bytes;
    const char *why;
    size_t length;
    busy(f);
    core_checkpoint(f->core, &bytes, &length);
    struct core *back = core_restore(bytes, length, &why);
    assert_non_null(back);
    assert_null(why);
    assert_int_equal(core_hash(back), core_hash(f->core));
    core_destroy(f->core);
    f->core = back;
    node_up(f, 3, 8, 4, 16 * GIB); /* fixture: the other core must end in the same state */
}

static void a_damaged_cut_or_newer_checkpoint_is_refused(void **state)
{
    struct fixture *f = *state;
    const void *bytes;
    const char *why;
    size_t length;
    busy(f);
    core_checkpoint(f->core, &bytes, &length);
    unsigned char *copy = malloc(length);
    memcpy(copy, bytes, length);
    static const size_t cuts[] = {0, 7, 8, 64, 4096};
    for (int i = 0; i < 5; i++) {
        assert_null(core_restore(copy, cuts[i], &why));
        assert_non_null(why);
    }
    assert_null(core_restore(copy, length - 8, &why));
    for (size_t at = 0; at < length; at += at < 512 ? 1 : 4099) {
        copy[at] ^= 0x40;
        assert_null(core_restore(copy, length, &why));
        copy[at] ^= 0x40;
    }
    copy[8]++; /* the arena's version */
    assert_null(core_restore(copy, length, &why));
    assert_string_equal(why, "the checkpoint is of a newer version");
    copy[8]--;
    struct core *back = core_restore(copy, length, &why);
    assert_non_null(back);
    core_destroy(back);
    free(copy);
}

static void the_full_pass_survives_any_bytes(void **state)
{
    struct fixture *f = *state;
    const void *bytes;
    size_t length, seen = 0;
    uint64_t random = 42;
    busy(f);
    core_checkpoint(f->core, &bytes, &length);
    unsigned char *arena = (unsigned char *)(uintptr_t)bytes;
    for (int i = 0; i < 3000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        /* Behind the sizes, which core_restore checks before anything else. */
        size_t at = 80 + (size_t)(random >> 33) % (i % 2 ? 4096 : length - 80);
        unsigned char was = arena[at];
        arena[at] = (unsigned char)(random >> 20);
        seen += core_check(f->core) != NULL;
        arena[at] = was;
    }
    assert_true(seen > 0);
    assert_null(core_check(f->core));
}

static void work_that_is_left_goes_on_in_steps_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct core_event go_on = {.kind = CORE_EVENT_CONTINUE};
    struct core_counts counts;
    uint32_t steps = 0;
    f->no_check = true;
    for (uint64_t id = 1; id <= 20000; id++)
        submit(f, wanting(id, 1, 0, 0));
    core_count(f->core, &counts);
    assert_int_equal(counts.queued, 20000);
    assert_int_equal(counts.classes, 1); /* they differ in arrival alone */
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_NO_NODE);
    for (uint32_t node = 1; node <= 3; node++) {
        struct core_event event = {.kind = CORE_EVENT_NODE_UP, .defer = node < 3};
        event.as.node.node.v = node;
        event.as.node.inventory = inventory_of((struct shape){RESOURCE_CORES_MAX, 1, 0, 1, 64 * GIB});
        fed(f, &event);
        assert_true(core_continue_due(f->core));
        assert_non_null(decided(f, CORE_DECISION_CONTINUE, 0));
        assert_int_equal(started(f, 1) != NULL, node == 3); /* what is deferred starts nothing */
    }
    for (; core_continue_due(f->core); steps++) {
        if (steps == 1) { /* others come between, and are served */
            submit(f, wanting(30000, 1, 0, 0));
            cancel(f, 20000, false);
            assert_int_equal(last_state(f, 20000), JOB_CANCELED);
        }
        fed(f, &go_on);
        assert_true(f->out->count <= CORE_STEP_WORK + 16);
    }
    assert_true(steps > 1);
    core_count(f->core, &counts);
    assert_int_equal(counts.queued, 20000 - 3 * RESOURCE_CORES_MAX);
    for (uint64_t id = 3 * RESOURCE_CORES_MAX; id <= 3 * RESOURCE_CORES_MAX + 1; id++)
        assert_int_equal(job_view(f, id).state, id <= 3 * RESOURCE_CORES_MAX ? JOB_PREPARING : JOB_QUEUED);
    fed(f, &go_on); /* one too many does no harm */
    assert_int_equal(f->out->count, 0);
    assert_null(core_check(f->core));
}

static void records_of_ended_jobs_are_used_again(void **state)
{
    struct fixture *f = *state;
    struct core_counts first, last;
    node_up(f, 1, 4, 0, 64 * GIB);
    for (uint64_t id = 1; id <= 2000; id++) {
        submit(f, wanting(id, 1, 0, GIB));
        lives(f, id, 1, 1);
        core_count(f->core, id == 10 ? &first : &last);
        f->no_check = id > 10;
    }
    assert_int_equal(first.arena_bytes, last.arena_bytes);
    assert_int_equal(last.jobs, 0);
    assert_null(core_check(f->core));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(growth_changes_nothing_but_the_size),
        TEST(capacities_end_at_their_limits),
        TEST(a_copy_goes_its_own_way),
        TEST(a_checkpoint_comes_back_and_goes_on_alike),
        TEST(a_damaged_cut_or_newer_checkpoint_is_refused),
        TEST(the_full_pass_survives_any_bytes),
        TEST(work_that_is_left_goes_on_in_steps_of_its_own),
        TEST(records_of_ended_jobs_are_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
