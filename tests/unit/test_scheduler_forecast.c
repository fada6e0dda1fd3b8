/* When waiting jobs start, by a run of the core's copy. */
#include "core_fixture.h"

#include "scheduler/forecast.h"

static struct core_submit lasting(uint64_t id, uint32_t cores, uint64_t minutes)
{
    struct core_submit s = wanting(id, cores, 0, 0);
    s.time_limit_ms = minutes * MINUTE;
    return s;
}

/* `mean_ms` of the elements of `array`; 0: nothing is known. */
static uint64_t start_behind(const struct fixture *f, uint64_t id, uint64_t array, uint64_t mean_ms)
{
    struct forecast_job job = {.job = {id}};
    uint64_t hash = core_hash(f->core);
    struct forecast *forecast = forecast_begin(f->core, f->now_ms);
    assert_non_null(forecast);
    if (mean_ms)
        forecast_array(forecast, (struct job_id){array}, mean_ms);
    forecast_run(forecast, &job, 1);
    forecast_end(forecast);
    assert_int_equal(core_hash(f->core), hash);
    return job.start_ms;
}

static uint64_t start_of(const struct fixture *f, uint64_t id)
{
    return start_behind(f, id, 0, 0);
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

/* Elements of 7 to 13 minutes without a time limit, one at a time: once four have ended, and at each later
 * end, what waits behind the array is foreseen within a factor of two. */
static void foresee_array(struct fixture *f, enum core_policy policy)
{
    static const uint32_t count = 24;
    uint64_t length[25], left = 0, ran = 0;
    struct core_submit array = wanting(100, 4, 0, 0);
    array.array_count = count;
    set_policy(f, policy);
    node_up(f, 1, 4, 0, GIB);
    submit(f, array);
    submit(f, wanting(1000, 4, 0, 0));
    for (uint32_t n = 1; n <= count; n++)
        left += length[n] = (7 + (n * 5) % 7) * MINUTE;
    assert_int_equal(start_of(f, 1000), 0);
    for (uint32_t n = 1; n < count; n++) {
        says(f, 100 + n, 1, 1, TASK_PREPARING);
        says(f, 100 + n, 1, 1, TASK_STARTING);
        says(f, 100 + n, 1, 1, TASK_RUNNING);
        f->now_ms += length[n];
        left -= length[n];
        exits(f, 100 + n, 1, 1, END_NONE, 0, true);
        released(f, 100 + n, 1, 1);
        collected(f, 100 + n, 1, 1);
        assert_true(runs(f, 100 + n + 1));
        ran += length[n];
        if (n < 4)
            continue;
        uint64_t foreseen = start_behind(f, 1000, 100, ran / n);
        print_message("%u ended: %.0f minutes are foreseen, %.0f were left\n", n,
                      ((double)foreseen - (double)f->now_ms) / MINUTE, (double)left / MINUTE);
        assert_true(foreseen >= f->now_ms + left / 2 && foreseen <= f->now_ms + left * 2);
    }
}

static void after_four_elements_an_array_is_foreseen_within_a_factor_of_two(void **state)
{
    foresee_array(*state, CORE_POLICY_FCFS);
}

static void under_the_own_policy_too(void **state)
{
    foresee_array(*state, CORE_POLICY_BERTH);
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
        TEST(after_four_elements_an_array_is_foreseen_within_a_factor_of_two),
        TEST(under_the_own_policy_too),
        TEST(begin_times_and_dependencies_have_their_effect),
        TEST(a_held_job_has_no_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
