/* What rules are in force, when jobs end and start, and what smaller request would start now. */
#include "core_fixture.h"

static void set_quota(struct fixture *f, struct core_quota quota)
{
    struct core_event event = {.kind = CORE_EVENT_QUOTA};
    event.as.quota = quota;
    fed(f, &event);
}

static struct core_submit lasting(struct core_submit s, uint64_t limit_ms)
{
    s.time_limit_ms = limit_ms;
    return s;
}

static bool would_start(const struct fixture *f, uint64_t id, uint32_t cores, uint64_t limit_ms)
{
    struct core_job_view view = job_view(f, id);
    struct core_wish wish = {.job = {id},
                             .request = view.request,
                             .time_limit_ms = limit_ms,
                             .instance_count = view.instance_count};
    wish.request.cores = cores;
    return core_fits_now(f->core, &wish);
}

static void quotas_in_force_are_listed_with_what_is_held_of_them(void **state)
{
    struct fixture *f = *state;
    struct core_quota_view view;
    uint32_t cursor = 0;
    node_up(f, 1, 8, 0, 16 * GIB);
    assert_false(core_quota_next(f->core, &cursor, &view));
    submit(f, wanting(1, 3, 0, GIB));
    set_quota(f, (struct core_quota){.scope = CORE_QUOTA_PRINCIPAL, .running = 9});
    set_quota(f, (struct core_quota){.scope = CORE_QUOTA_PRINCIPAL, .id = 1, .cores = 4});
    set_quota(f, (struct core_quota){.scope = CORE_QUOTA_WORKSPACE, .id = 0, .queued = 7});
    submit(f, wanting(2, 2, 0, GIB));
    cursor = 0;
    assert_true(core_quota_next(f->core, &cursor, &view));
    assert_int_equal(view.quota.running, 9);
    assert_int_equal(view.quota.id, 0);
    uint32_t seen = 0;
    while (core_quota_next(f->core, &cursor, &view)) {
        seen++;
        assert_int_equal(view.cores, 3);
        assert_int_equal(view.running, 1);
        assert_int_equal(view.queued, 1);
        assert_int_equal(view.quota.scope == CORE_QUOTA_WORKSPACE ? view.quota.queued : view.quota.cores,
                         view.quota.scope == CORE_QUOTA_WORKSPACE ? 7 : 4);
    }
    assert_int_equal(seen, 2);
    core_quota_get(f->core, CORE_QUOTA_PRINCIPAL, 99, 0, &view);
    assert_int_equal(view.quota.cores + view.quota.running + view.cores, 0);
    core_quota_get(f->core, CORE_QUOTA_PRINCIPAL, 0, 0, &view);
    assert_int_equal(view.quota.running, 9);
    set_quota(f, (struct core_quota){.scope = CORE_QUOTA_PRINCIPAL, .id = 1});
    set_quota(f, (struct core_quota){.scope = CORE_QUOTA_PRINCIPAL});
    set_quota(f, (struct core_quota){.scope = CORE_QUOTA_WORKSPACE});
    cursor = 0;
    assert_false(core_quota_next(f->core, &cursor, &view));
}

static void licences_are_counted(void **state)
{
    struct fixture *f = *state;
    uint32_t total, used;
    struct core_event event = {.kind = CORE_EVENT_LICENCES, .as.licences = {.id = 3, .total = 5}};
    fed(f, &event);
    node_up(f, 1, 8, 0, 16 * GIB);
    struct core_submit s = wanting(1, 1, 0, GIB);
    s.licences = (struct resource_licences){.id = {3}, .amount = {2}};
    submit(f, s);
    core_licence_get(f->core, 3, &total, &used);
    assert_int_equal(total, 5);
    assert_int_equal(used, 2);
    core_licence_get(f->core, RESOURCE_LICENCES_MAX - 1, &total, &used);
    assert_int_equal(total + used, 0);
}

static void ends_are_declared_or_unknown(void **state)
{
    struct fixture *f = *state;
    uint64_t declared, expected;
    node_up(f, 1, 8, 0, 16 * GIB);
    submit(f, lasting(wanting(1, 1, 0, GIB), 10 * MINUTE));
    submit(f, wanting(2, 1, 0, GIB));
    core_job_ends(f->core, (struct job_id){1}, &declared, &expected);
    assert_int_equal(declared, 1000 + 10 * MINUTE + 30000);
    assert_true(expected && expected <= declared);
    core_job_ends(f->core, (struct job_id){2}, &declared, &expected);
    assert_int_equal(declared, 0);
    core_job_ends(f->core, (struct job_id){3}, &declared, &expected);
    assert_int_equal(declared + expected, 0);
}

static void expected_starts_are_those_that_why_gives(void **state)
{
    struct fixture *f = *state;
    struct core_why why;
    set_policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, 16 * GIB);
    submit(f, lasting(wanting(1, 3, 0, GIB), 10 * MINUTE));
    for (uint64_t id = 2; id < 6; id++) {
        submit(f, lasting(wanting(id, 2 + (uint32_t)id % 3, 0, GIB), id * MINUTE));
        assert_true(core_why(f->core, (struct job_id){id}, &why));
        assert_int_equal(core_expected_start(f->core, (struct job_id){id}), why.expected_ms);
    }
    assert_int_equal(core_expected_start(f->core, (struct job_id){1}), 0);
    assert_int_equal(core_expected_start(f->core, (struct job_id){99}), 0);
}

static void an_end_that_is_only_assumed_is_not_told(void **state)
{
    struct fixture *f = *state;
    uint64_t declared, expected;
    node_up(f, 1, 4, 0, 16 * GIB);
    submit(f, wanting(1, 1, 0, GIB)); /* nobody knows how long */
    submit(f, lasting(wanting(2, 3, 0, GIB), MINUTE));
    submit(f, lasting(wanting(3, 4, 0, GIB), MINUTE));
    core_job_ends(f->core, (struct job_id){1}, &declared, &expected);
    assert_int_equal(declared + expected, 0);
    assert_int_equal(core_expected_start(f->core, (struct job_id){3}), 0);
    submit(f, lasting(wanting(4, 3, 0, GIB), MINUTE));
    assert_true(core_expected_start(f->core, (struct job_id){4}) > f->now_ms);
}

static void a_smaller_or_shorter_request_would_pass_the_head_and_a_longer_one_not(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, 16 * GIB);
    submit(f, lasting(wanting(1, 2, 0, GIB), 60 * MINUTE));
    submit(f, lasting(wanting(2, 3, 0, GIB), 60 * MINUTE)); /* the head: promised when 1 ends */
    submit(f, wanting(3, 2, 0, GIB));
    assert_int_equal(job_view(f, 3).state, JOB_QUEUED);
    assert_false(would_start(f, 3, 2, 0));
    assert_true(would_start(f, 3, 1, 0)); /* beside the head */
    assert_true(would_start(f, 3, 2, 30 * MINUTE));
    assert_false(would_start(f, 3, 2, 90 * MINUTE));
    assert_false(would_start(f, 3, 3, MINUTE));
    assert_false(would_start(f, 2, 3, 60 * MINUTE));
    assert_true(would_start(f, 2, 2, 60 * MINUTE)); /* the head itself */
    set_policy(f, CORE_POLICY_FCFS);
    assert_false(would_start(f, 3, 1, MINUTE)); /* nothing passes */
    assert_true(would_start(f, 2, 2, 60 * MINUTE));
    assert_false(would_start(f, 1, 1, MINUTE)); /* it runs */
    struct core_wish unknown = {.job = {77}, .request = {.cores = 1}, .instance_count = 1};
    assert_false(core_fits_now(f->core, &unknown));
}

static void quotas_count_for_wishes(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, 16 * GIB);
    set_quota(f, (struct core_quota){.scope = CORE_QUOTA_PRINCIPAL, .cores = 4});
    submit(f, wanting(1, 2, 0, GIB));
    submit(f, wanting(2, 3, 0, GIB));
    assert_int_equal(job_view(f, 2).state, JOB_QUEUED);
    assert_false(would_start(f, 2, 3, 0));
    assert_true(would_start(f, 2, 2, 0));
}

/* ---- what is said comes true, in worlds by chance ---- */

static uint32_t draw(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33) % below;
}

static struct core_submit by_chance(uint64_t *seed, uint64_t id)
{
    struct core_submit s = wanting(id, 1 + draw(seed, 4), draw(seed, 3) ? 0 : 1, (1 + draw(seed, 6)) * GIB);
    s.principal.v = 1 + draw(seed, 2);
    s.priority_class = (enum priority_class)draw(seed, PRIORITY_CLASS_COUNT);
    s.instance_count = draw(seed, 4) ? 1 : 2;
    if (draw(seed, 4))
        s.time_limit_ms = (1 + draw(seed, 90)) * MINUTE;
    return s;
}

static bool starts(const struct core_decisions *out, uint64_t id)
{
    for (uint32_t i = 0; i < out->count; i++) {
        if (out->v[i].kind == CORE_DECISION_START_TASK && out->v[i].as.start.task.job.v == id)
            return true;
    }
    return false;
}

static bool moves_others(const struct core_decisions *out)
{
    for (uint32_t i = 0; i < out->count; i++) {
        if (out->v[i].kind == CORE_DECISION_START_TASK || out->v[i].kind == CORE_DECISION_PROMISE)
            return true;
    }
    return false;
}

/* In a copy: the waiting job is taken back, and one like it that asks for that is submitted in its place. -1:
 * by that another one starts or is promised its place, so that nothing can be said. */
static int try_it(struct fixture *f, struct core *copy, const struct core_job_view *view,
                  const struct core_wish *wish)
{
    struct core_event back = {.kind = CORE_EVENT_JOB_CANCEL, .as.cancel = {.job = view->job}};
    struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT};
    assert_true(core_copy(copy, f->core));
    assert_true(core_make_room(copy, &back));
    core_step(copy, f->now_ms, &back, f->out);
    if (moves_others(f->out))
        return -1;
    event.as.submit = (struct core_submit){.job.v = 1000,
                                           .principal = view->principal,
                                           .seq = view->seq,
                                           .priority_class = view->priority_class,
                                           .request = wish->request,
                                           .time_limit_ms = wish->time_limit_ms,
                                           .grace_ms = view->grace_ms,
                                           .instance_count = wish->instance_count};
    assert_true(core_make_room(copy, &event));
    core_step(copy, f->now_ms, &event, f->out);
    return starts(f->out, 1000);
}

static void play_world(struct fixture *f, struct core *copy, uint64_t seed, uint32_t said[2])
{
    set_policy(f, (enum core_policy)draw(&seed, CORE_POLICY_COUNT));
    for (uint32_t node = 1; node <= 3; node++)
        node_up(f, node, 2 + draw(&seed, 5), draw(&seed, 3), 8 * GIB);
    for (uint64_t id = 1; id < 32; id++) {
        f->now_ms += draw(&seed, 5) * MINUTE;
        submit(f, by_chance(&seed, id));
    }
    for (uint64_t id = 1; id < 32; id++) {
        struct core_job_view view;
        if (!core_job_get(f->core, (struct job_id){id}, &view) || view.state != JOB_QUEUED)
            continue;
        struct core_wish wish = {.job = {id},
                                 .request = view.request,
                                 .time_limit_ms = (1 + draw(&seed, 40)) * MINUTE,
                                 .instance_count = view.instance_count};
        wish.request.cores = 1;
        wish.request.memory_bytes = GIB;
        bool fits = core_fits_now(f->core, &wish);
        int truth = try_it(f, copy, &view, &wish);
        if (truth < 0)
            continue;
        said[fits]++;
        if (fits && !truth)
            fail_msg("job %d was said to start, and didn't", (int)id);
    }
}

static void what_is_said_to_start_starts(void **state)
{
    uint32_t said[2] = {0, 0};
    struct core *copy = core_create(&(struct core_capacity){0});
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        void *world = NULL;
        fixture_setup(&world);
        ((struct fixture *)world)->no_check = true;
        play_world(world, copy, seed, said);
        fixture_teardown(&world);
    }
    core_destroy(copy);
    assert_true(said[true] > 50 && said[false] > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(quotas_in_force_are_listed_with_what_is_held_of_them),
        TEST(licences_are_counted),
        TEST(ends_are_declared_or_unknown),
        TEST(expected_starts_are_those_that_why_gives),
        TEST(an_end_that_is_only_assumed_is_not_told),
        TEST(a_smaller_or_shorter_request_would_pass_the_head_and_a_longer_one_not),
        TEST(quotas_count_for_wishes),
        cmocka_unit_test(what_is_said_to_start_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
