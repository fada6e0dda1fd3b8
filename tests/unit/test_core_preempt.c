/* Who gives way to a higher class, when, and without any event. */
#include "tests/unit/core_fixture.h"

#define MIN_RUN_MS 300000

static void let_preempt(struct fixture *f)
{
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    event.as.config =
        (struct core_config){.policy = CORE_POLICY_EASY, .preempt = true, .preempt_min_run_ms = MIN_RUN_MS};
    fed(f, &event);
}

static struct core_submit spot(uint64_t id, uint32_t cores, uint32_t gpus)
{
    struct core_submit s = wanting(id, cores, gpus, 0);
    s.priority_class = PRIORITY_LOW;
    s.preemptible = true;
    return s;
}

/* As the daemon does: the time that was asked for comes. */
static void ticks(struct fixture *f)
{
    struct core_event tick = {.kind = CORE_EVENT_TICK};
    assert_true(core_timer_at(f->core) > f->now_ms);
    f->now_ms = core_timer_at(f->core);
    fed(f, &tick);
}

static bool told_to_stop(const struct fixture *f, uint64_t job)
{
    const struct core_decision *d;
    for (uint32_t n = 0; (d = decided(f, CORE_DECISION_STOP_TASK, n)); n++) {
        if (d->as.stop.task.job.v == job)
            return true;
    }
    return false;
}

static void a_higher_class_takes_its_place_when_the_least_time_is_over_without_any_event(void **state)
{
    struct fixture *f = *state;
    let_preempt(f);
    node_up(f, 1, 4, 0, GIB);
    submit(f, spot(1, 2, 0));
    f->now_ms += 100000;
    submit(f, spot(2, 2, 0));
    f->now_ms += 1000;
    submit(f, wanting(3, 4, 0, 0));
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
    assert_int_equal(core_timer_at(f->core), 1000 + 100000 + MIN_RUN_MS); /* both are needed */
    ticks(f);
    assert_true(told_to_stop(f, 1) && told_to_stop(f, 2));
}

static void what_passed_the_head_in_the_same_step_is_counted_on(void **state)
{
    struct fixture *f = *state;
    let_preempt(f);
    node_up(f, 1, 2, 0, GIB);
    submit(f, spot(1, 1, 0));
    f->now_ms += MIN_RUN_MS / 2;
    submit(f, wanting(2, 2, 0, 0));
    assert_int_equal(core_timer_at(f->core), 1000 + MIN_RUN_MS);
    struct core_submit small = spot(3, 1, 0);
    small.time_limit_ms = 60000;
    submit(f, small);
    assert_non_null(started(f, 3)); /* it passes, and is in the way from now on */
    assert_int_equal(core_timer_at(f->core), 1000 + MIN_RUN_MS / 2 + MIN_RUN_MS);
    ticks(f);
    assert_true(told_to_stop(f, 1) && told_to_stop(f, 3));
}

static void nobody_is_stopped_who_is_not_in_the_way(void **state)
{
    struct fixture *f = *state;
    let_preempt(f);
    node_up(f, 1, 8, 2, GIB);
    submit(f, spot(1, 1, 2)); /* has run longest: the most would be lost */
    f->now_ms += 1000000;
    submit(f, spot(2, 1, 0));
    submit(f, spot(3, 1, 0));
    f->now_ms += MIN_RUN_MS;
    submit(f, wanting(4, 1, 1, 0));
    assert_true(told_to_stop(f, 1));
    assert_false(told_to_stop(f, 2) || told_to_stop(f, 3));
}

static void a_gang_that_is_stopped_is_lost_once(void **state)
{
    struct fixture *f = *state;
    let_preempt(f);
    for (uint32_t node = 1; node <= 4; node++)
        node_up(f, node, 2, 0, GIB);
    submit(f, spot(1, 2, 0));
    submit(f, spot(2, 2, 0));
    f->now_ms += 100000;
    struct core_submit gang = spot(3, 2, 0); /* on the other two */
    gang.instance_count = 2;
    submit(f, gang);
    assert_non_null(started(f, 3));
    f->now_ms += MIN_RUN_MS;
    struct core_submit winner = wanting(4, 2, 0, 0);
    winner.instance_count = 3;
    submit(f, winner);
    /* 400 s x 2 cores each alone, 300 s x 4 of the gang: whoever counts it twice stops both others and half
     * of it */
    assert_true(told_to_stop(f, 3));
    assert_true(told_to_stop(f, 1) != told_to_stop(f, 2));
}

static void a_gang_on_many_nodes_clears_them_all_for_one_price(void **state)
{
    struct fixture *f = *state;
    let_preempt(f);
    for (uint32_t node = 1; node <= 6; node++)
        node_up(f, node, 2, 0, GIB);
    struct core_submit gang = spot(1, 2, 0);
    gang.instance_count = 4;
    submit(f, gang);
    submit(f, spot(2, 2, 0));
    submit(f, spot(3, 2, 0));
    f->now_ms += MIN_RUN_MS;
    struct core_submit winner = wanting(4, 2, 0, 0);
    winner.instance_count = 5;
    submit(f, winner);
    assert_true(told_to_stop(f, 1)); /* a sum that goes below nothing would be the dearest */
    assert_true(told_to_stop(f, 2) != told_to_stop(f, 3));
}

static void nothing_is_stopped_for_a_job_that_waits_for_a_licence(void **state)
{
    struct fixture *f = *state;
    struct core_event have = {.kind = CORE_EVENT_LICENCES, .as.licences = {1, 1}};
    let_preempt(f);
    fed(f, &have);
    node_up(f, 1, 2, 0, GIB);
    struct core_submit s = wanting(1, 1, 0, 0);
    s.licences = (struct resource_licences){{1}, {1}};
    submit(f, s);
    submit(f, spot(2, 1, 0));
    f->now_ms += MIN_RUN_MS;
    s.job.v = s.seq = 3;
    submit(f, s);
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
    assert_int_equal(core_timer_at(f->core), 0);
}

static void a_large_pool_is_looked_at_in_parts_to_its_end(void **state)
{
    struct fixture *f = *state;
    uint32_t nodes = 2 * CORE_PREEMPT_NODES + 100, last = nodes - 50;
    int looks = 0;
    f->no_check = true;
    let_preempt(f);
    for (uint32_t node = 1; node <= nodes; node++)
        node_up(f, node, node == last ? 2 : 1, 0, GIB);
    submit(f, spot(1, 2, 0)); /* only there is room for it */
    for (uint32_t job = 2; job <= nodes; job++)
        submit(f, wanting(job, 1, 0, 0));
    assert_int_equal(job_view(f, nodes).state, JOB_PREPARING);
    f->now_ms += MIN_RUN_MS;
    struct core_submit high = wanting(nodes + 1, 1, 0, 0);
    high.priority_class = PRIORITY_HIGH;
    submit(f, high);
    for (; !told_to_stop(f, 1) && looks < 3; looks++)
        ticks(f);
    assert_true(told_to_stop(f, 1));
    assert_true(looks > 0); /* not all of it at once */
    assert_null(core_check(f->core));
}

static void the_first_nodes_of_a_pool_are_not_always_those_that_are_cleared(void **state)
{
    struct fixture *f = *state;
    uint32_t nodes = 600, cleared[3];
    f->no_check = true;
    let_preempt(f);
    for (uint32_t node = 1; node <= nodes; node++)
        node_up(f, node, 1, 0, GIB);
    for (uint32_t job = 1; job <= nodes; job++)
        submit(f, spot(job, 1, 0));
    f->now_ms += MIN_RUN_MS;
    for (uint32_t i = 0; i < 3; i++) {
        submit(f, wanting(nodes + 1 + i, 1, 0, 0));
        const struct core_decision *stop = decided(f, CORE_DECISION_STOP_TASK, 0);
        assert_non_null(stop);
        cleared[i] = stop->as.stop.node.v;
        uint64_t job = stop->as.stop.task.job.v;
        exits(f, job, 1, cleared[i], END_PREEMPTED, 143, true);
        released(f, job, 1, cleared[i]);
        assert_non_null(started(f, nodes + 1 + i));
    }
    assert_true(cleared[1] > cleared[0] + 200 && cleared[2] > cleared[1]);
    assert_null(core_check(f->core));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_higher_class_takes_its_place_when_the_least_time_is_over_without_any_event),
        TEST(what_passed_the_head_in_the_same_step_is_counted_on),
        TEST(nobody_is_stopped_who_is_not_in_the_way),
        TEST(a_gang_that_is_stopped_is_lost_once),
        TEST(a_gang_on_many_nodes_clears_them_all_for_one_price),
        TEST(nothing_is_stopped_for_a_job_that_waits_for_a_licence),
        TEST(the_first_nodes_of_a_pool_are_not_always_those_that_are_cleared),
        TEST(a_large_pool_is_looked_at_in_parts_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
