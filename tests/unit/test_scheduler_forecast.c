/* When waiting jobs start, by a run of the core's copy. */
#include "core_fixture.h"

#include "scheduler/forecast.h"

static struct core_submit lasting(uint64_t id, uint32_t cores, uint64_t minutes)
{
    struct core_submit s = wanting(id, cores, 0, 0);
    s.time_limit_ms = minutes * MINUTE;
    return s;
}

static uint64_t start_of(const struct fixture *f, uint64_t id)
{
    struct forecast_job job = {.job = {id}};
    uint64_t hash = core_hash(f->core);
    struct forecast *forecast = forecast_begin(f->core, f->now_ms);
    assert_non_null(forecast);
    forecast_run(forecast, &job, 1);
    forecast_end(forecast);
    assert_int_equal(core_hash(f->core), hash);
    return job.start_ms;
}

static void a_job_starts_after_those_ahead_of_it(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_FCFS);
    node_up(f, 1, 4, 0, GIB);
    for (uint64_t id = 1; id <= 4; id++)
        submit(f, lasting(id, 4, 10));
    uint64_t second = start_of(f, 2);
    assert_true(second >= f->now_ms + 10 * MINUTE && second <= f->now_ms + 11 * MINUTE + 30000);
    /* Two more whole jobs go before the fourth; a plan that looks at room alone would say the same for all.
     */
    assert_true(start_of(f, 3) >= second + 10 * MINUTE);
    assert_true(start_of(f, 4) >= start_of(f, 3) + 10 * MINUTE);
}

static void what_may_pass_the_head_is_foreseen_to(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, GIB);
    submit(f, lasting(1, 3, 60));
    submit(f, lasting(2, 1, 10));
    submit(f, lasting(3, 4, 60)); /* the head: after the first */
    submit(f, lasting(4, 1, 30)); /* fits before it, once the second has ended */
    assert_true(start_of(f, 4) < start_of(f, 3));
    assert_true(start_of(f, 4) >= f->now_ms + 10 * MINUTE);
    assert_true(start_of(f, 3) >= f->now_ms + 60 * MINUTE);
}

static void what_rests_on_a_length_that_nobody_knows_has_no_start(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_FCFS);
    node_up(f, 1, 4, 0, GIB);
    submit(f, wanting(1, 4, 0, 0));
    submit(f, lasting(2, 4, 10));
    assert_int_equal(start_of(f, 2), 0);
}

static void begin_times_and_dependencies_have_their_effect(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_FCFS);
    node_up(f, 1, 4, 0, GIB);
    struct core_submit later = lasting(1, 1, 10), after = lasting(2, 1, 10);
    later.begin_ms = f->now_ms + 120 * MINUTE;
    after.dependency_count = 1;
    after.dependencies[0].job.v = 1;
    after.dependencies[0].kind = CORE_AFTER_SUCCESS;
    after.dependencies[0].ended = JOB_COMPLETED;
    submit(f, later);
    submit(f, after);
    assert_int_equal(start_of(f, 1), f->now_ms + 120 * MINUTE);
    assert_true(start_of(f, 2) >= f->now_ms + 130 * MINUTE);
}

static void a_held_job_has_no_start(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    struct core_submit held = lasting(1, 1, 10);
    held.held = true;
    submit(f, held);
    assert_int_equal(start_of(f, 1), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_job_starts_after_those_ahead_of_it),
        TEST(what_may_pass_the_head_is_foreseen_to),
        TEST(what_rests_on_a_length_that_nobody_knows_has_no_start),
        TEST(begin_times_and_dependencies_have_their_effect),
        TEST(a_held_job_has_no_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
