/* Who may pass a waiting head, what is promised, and what takes a promise back. */
#include "core_fixture.h"

/* 4 cores; 1 runs on 3 of them for an hour, 2 waits for all of them. */
static void crowd(struct fixture *f, enum core_policy policy)
{
    set_policy(f, policy);
    node_up(f, 1, 4, 0, GIB);
    submit(f, for_minutes(1, 3, 60));
    submit(f, for_minutes(2, 4, 60));
}

static enum core_void voided(const struct fixture *f, uint64_t id)
{
    const struct core_decision *d;
    for (uint32_t n = 0; (d = decided(f, CORE_DECISION_VOID, n)); n++) {
        if (d->as.plan.job.v == id)
            return d->as.plan.why;
    }
    return CORE_VOID_END;
}

static void fcfs_lets_nobody_pass(void **state)
{
    struct fixture *f = *state;
    crowd(f, CORE_POLICY_FCFS);
    submit(f, for_minutes(3, 1, 1));
    assert_false(runs(f, 3));
    assert_int_equal(job_view(f, 2).promised_ms, 0);
}

static void easy_lets_pass_what_ends_before_the_head_starts(void **state)
{
    struct fixture *f = *state;
    crowd(f, CORE_POLICY_EASY);
    submit(f, for_minutes(3, 1, 61));
    submit(f, for_minutes(4, 1, 60));
    assert_false(runs(f, 3));
    assert_true(runs(f, 4));
}

static void easy_lets_pass_what_the_head_has_no_use_for(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, GIB);
    submit(f, for_minutes(1, 3, 60));
    submit(f, for_minutes(2, 3, 60));
    submit(f, wanting(3, 1, 0, 0)); /* without a limit, on the core that neither needs */
    assert_true(runs(f, 3));
    assert_int_equal(job_view(f, 2).promised_ms, f->now_ms + 60 * MINUTE);
}

static void the_head_is_promised_its_start_and_a_better_one_when_something_ends_early(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, GIB);
    submit(f, for_minutes(1, 2, 60));
    submit(f, for_minutes(2, 2, 30));
    submit(f, for_minutes(3, 3, 60));
    uint64_t began = f->now_ms;
    assert_int_equal(job_view(f, 3).promised_ms, began + 60 * MINUTE);
    f->now_ms += MINUTE;
    lives(f, 1, 1, 1);
    assert_int_equal(job_view(f, 3).promised_ms, began + 30 * MINUTE);
    assert_int_equal(core_promises_voided(f->core), 0);
}

static void nothing_is_promised_that_rests_on_undeclared_times(void **state)
{
    struct fixture *f = *state;
    struct core_why why;
    set_policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, GIB);
    submit(f, wanting(1, 3, 0, 0));
    submit(f, for_minutes(2, 4, 60));
    assert_int_equal(job_view(f, 2).promised_ms, 0);
    assert_true(core_why(f->core, (struct job_id){2}, &why));
    assert_true(why.expected_ms == 0 && why.promised_ms == 0); /* nor expected: the first may run for days */
}

static void those_that_come_before_a_promised_job_do_not_keep_it_waiting(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, GIB);
    for (uint64_t id = 1; id <= 2; id++) {
        struct core_submit early = for_minutes(id, 4, 120);
        early.held = true;
        submit(f, early);
    }
    submit(f, for_minutes(3, 4, 60));
    submit(f, for_minutes(4, 4, 120));
    assert_true(job_view(f, 4).promised_ms != 0);
    for (uint64_t id = 1; id <= 2; id++) { /* they are before it now, but the promise binds them */
        struct core_event release = {.kind = CORE_EVENT_JOB_UPDATE};
        release.as.update = (struct core_update){.job = {id}, .set_held = true};
        fed(f, &release);
    }
    lives(f, 3, 1, 1);
    assert_int_equal(job_view(f, 4).state, JOB_PREPARING);
    assert_int_equal(job_view(f, 1).state, JOB_QUEUED);
    lives(f, 4, 1, 1);
    assert_int_equal(job_view(f, 1).state, JOB_PREPARING);
}

static void sjbf_takes_the_shortest_of_those_that_may_pass(void **state)
{
    static const struct {
        enum core_policy policy;
        uint64_t passes;
    } cases[] = {{CORE_POLICY_EASY, 3}, {CORE_POLICY_EASY_SJBF, 4}};
    for (int i = 0; i < 2; i++) {
        fixture_teardown(state);
        fixture_setup(state);
        struct fixture *f = *state;
        set_policy(f, cases[i].policy);
        node_up(f, 1, 4, 0, GIB);
        submit(f, for_minutes(1, 3, 60));
        submit(f, wanting(9, 1, 0, 0)); /* keeps the last core busy while the others come */
        submit(f, for_minutes(2, 4, 60));
        submit(f, for_minutes(3, 1, 50));
        submit(f, for_minutes(4, 1, 10));
        lives(f, 9, 1, 1);
        assert_int_equal(runs(f, 3), cases[i].passes == 3);
        assert_int_equal(runs(f, 4), cases[i].passes == 4);
    }
}

static void conservative_delays_none_of_those_that_came_before(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_CONSERVATIVE);
    node_up(f, 1, 4, 0, GIB);
    submit(f, for_minutes(1, 3, 60));
    submit(f, for_minutes(2, 4, 60));
    submit(f, for_minutes(3, 2, 60));
    uint64_t second = job_view(f, 2).promised_ms, third = job_view(f, 3).promised_ms;
    assert_int_equal(second, f->now_ms + 60 * MINUTE);
    assert_true(third >= second + 60 * MINUTE);
    submit(f, for_minutes(4, 1, 90)); /* would be in the second one's way */
    submit(f, for_minutes(5, 1, 30));
    assert_false(runs(f, 4));
    assert_true(runs(f, 5));
    assert_int_equal(job_view(f, 2).promised_ms, second);
    assert_int_equal(job_view(f, 3).promised_ms, third);
}

static void a_higher_class_takes_the_place_and_the_promise_is_voided_by_name(void **state)
{
    struct fixture *f = *state;
    crowd(f, CORE_POLICY_EASY);
    assert_true(job_view(f, 2).promised_ms != 0);
    struct core_submit high = for_minutes(3, 4, 600);
    high.priority_class = PRIORITY_HIGH;
    submit(f, high);
    assert_int_equal(voided(f, 2), CORE_VOID_HIGHER);
    assert_true(job_view(f, 3).promised_ms != 0);
    assert_int_equal(core_promises_voided(f->core), 1);
}

static void a_lost_or_drained_node_voids_what_rested_on_it(void **state)
{
    static const enum core_event_kind goes[] = {CORE_EVENT_NODE_DOWN, CORE_EVENT_NODE_DRAIN,
                                                CORE_EVENT_NODE_LOST};
    for (int i = 0; i < 3; i++) {
        fixture_teardown(state);
        fixture_setup(state);
        struct fixture *f = *state;
        crowd(f, CORE_POLICY_EASY);
        node_event(f, goes[i], 1);
        assert_int_equal(voided(f, 2), CORE_VOID_NODE);
    }
}

static void new_rules_void_promises_and_an_overrun_does_in_time(void **state)
{
    struct fixture *f = *state;
    crowd(f, CORE_POLICY_EASY);
    set_policy(f, CORE_POLICY_EASY);
    assert_int_equal(voided(f, 2), CORE_VOID_ADMIN);
    uint64_t promised = job_view(f, 2).promised_ms;
    assert_true(promised != 0); /* made anew */
    f->now_ms = promised + 59000;
    submit(f, for_minutes(3, 1, 1));
    assert_int_equal(voided(f, 2), CORE_VOID_END);
    f->now_ms = promised + 61000; /* 1 has outlived its time */
    submit(f, for_minutes(4, 1, 1));
    assert_int_equal(voided(f, 2), CORE_VOID_OVERRUN);
}

static void the_timer_names_the_time_of_a_promise(void **state)
{
    struct fixture *f = *state;
    crowd(f, CORE_POLICY_EASY);
    assert_int_equal(core_timer_at(f->core), job_view(f, 2).promised_ms);
    lives(f, 1, 1, 1);
    assert_true(runs(f, 2));
    assert_int_equal(core_timer_at(f->core), 0);
}

static void berth_puts_short_jobs_first_and_forgets_no_long_one(void **state)
{
    struct fixture *f = *state;
    set_policy(f, CORE_POLICY_BERTH);
    node_up(f, 1, 4, 0, GIB);
    submit(f, for_minutes(1, 4, 60));
    submit(f, for_minutes(2, 4, 600));
    submit(f, for_minutes(3, 4, 1));
    lives(f, 1, 1, 1);
    assert_true(runs(f, 3));
    uint64_t id = 4;
    lives(f, 3, 1, 1);
    assert_true(runs(f, 2));
    submit(f, for_minutes(id, 4, 600));
    for (uint64_t hours = 0; hours < 400 && !runs(f, 4); hours++) { /* short ones come without end */
        f->now_ms += 60 * MINUTE;
        submit(f, for_minutes(++id, 4, 1));
        for (uint64_t j = 2; j <= id; j++) {
            if (j != 4 && job_known(f, j) && runs(f, j))
                lives(f, j, 1, 1);
        }
    }
    assert_true(runs(f, 4));
}

/* 8 cores; many short jobs came and went; 101 has 6 of the cores for five hours, and an amount of memory that
 * no plan counts in. */
static void short_ones_come(struct fixture *f)
{
    set_policy(f, CORE_POLICY_BERTH);
    node_up(f, 1, 8, 0, GIB);
    f->no_check = true;
    for (uint64_t id = 1; id <= 100; id++) {
        submit(f, for_minutes(id, 1, 1));
        lives(f, id, 1, 1);
        f->now_ms += MINUTE;
    }
    f->no_check = false;
    struct core_submit lengthy = for_minutes(101, 6, 300);
    lengthy.request.memory_bytes = 1000;
    submit(f, lengthy);
    assert_true(runs(f, 101));
}

static void berth_keeps_the_last_room_for_short_jobs_a_while_and_then_gives_it(void **state)
{
    struct fixture *f = *state;
    short_ones_come(f);
    submit(f, for_minutes(102, 2, 300));
    assert_false(runs(f, 102));
    uint64_t until = core_timer_at(f->core);
    assert_in_range(until, f->now_ms + MINUTE, f->now_ms + 30 * MINUTE);
    struct core_why why;
    assert_true(core_why(f->core, (struct job_id){102}, &why));
    assert_int_equal(why.kept_until_ms, until);
    f->now_ms += MINUTE;
    submit(f, for_minutes(103, 1, 1));
    assert_true(runs(f, 103));
    lives(f, 103, 1, 1);
    assert_false(runs(f, 102));
    f->now_ms = until;
    struct core_event tick = {.kind = CORE_EVENT_TICK};
    fed(f, &tick);
    assert_true(runs(f, 102));
    assert_int_equal(core_timer_at(f->core), 0);
}

static void berth_keeps_back_no_urgent_job(void **state)
{
    struct fixture *f = *state;
    short_ones_come(f);
    struct core_submit urgent = for_minutes(102, 2, 300);
    urgent.priority_class = PRIORITY_HIGH;
    submit(f, urgent);
    assert_true(runs(f, 102));
}

static void a_job_that_is_kept_back_goes_when_more_is_free(void **state)
{
    struct fixture *f = *state;
    short_ones_come(f);
    submit(f, for_minutes(102, 2, 300));
    assert_false(runs(f, 102));
    lives(f, 101, 1, 1);
    assert_true(runs(f, 102));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fcfs_lets_nobody_pass),
        TEST(easy_lets_pass_what_ends_before_the_head_starts),
        TEST(easy_lets_pass_what_the_head_has_no_use_for),
        TEST(the_head_is_promised_its_start_and_a_better_one_when_something_ends_early),
        TEST(nothing_is_promised_that_rests_on_undeclared_times),
        TEST(those_that_come_before_a_promised_job_do_not_keep_it_waiting),
        TEST(sjbf_takes_the_shortest_of_those_that_may_pass),
        TEST(conservative_delays_none_of_those_that_came_before),
        TEST(a_higher_class_takes_the_place_and_the_promise_is_voided_by_name),
        TEST(a_lost_or_drained_node_voids_what_rested_on_it),
        TEST(new_rules_void_promises_and_an_overrun_does_in_time),
        TEST(the_timer_names_the_time_of_a_promise),
        TEST(berth_puts_short_jobs_first_and_forgets_no_long_one),
        TEST(berth_keeps_the_last_room_for_short_jobs_a_while_and_then_gives_it),
        TEST(berth_keeps_back_no_urgent_job),
        TEST(a_job_that_is_kept_back_goes_when_more_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
