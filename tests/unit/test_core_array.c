/*
 * Arrays in the core: one record for many jobs, which begin one by one, end as they like, and are counted.
 */
#include "core_fixture.h"

static struct core_submit array_of(uint64_t id, uint32_t count, uint32_t limit)
{
    struct core_submit s = wanting(id, 1, 0, 0);
    s.array_count = count;
    s.array_limit = limit;
    return s;
}

static void cancel_element(struct fixture *f, uint64_t array, uint64_t id)
{
    struct core_event event = {.kind = CORE_EVENT_JOB_CANCEL};
    event.as.cancel.job.v = id;
    event.as.cancel.array.v = array;
    fed(f, &event);
}

static void update(struct fixture *f, struct core_update u)
{
    struct core_event event = {.kind = CORE_EVENT_JOB_UPDATE};
    event.as.update = u;
    fed(f, &event);
}

static void fails(struct fixture *f, uint64_t job, int32_t code)
{
    says(f, job, 1, 1, TASK_RUNNING);
    exits(f, job, 1, 1, END_EXIT, code, true);
    released(f, job, 1, 1);
    collected(f, job, 1, 1);
}

static uint32_t starts(const struct fixture *f)
{
    uint32_t n = 0;
    while (decided(f, CORE_DECISION_START_TASK, n))
        n++;
    return n;
}

static void elements_begin_in_order_and_no_more_at_once_than_the_limit(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    submit(f, array_of(10, 5, 2));
    assert_int_equal(starts(f), 2);
    assert_non_null(started(f, 11));
    assert_non_null(started(f, 12));
    struct core_job_view v = job_view(f, 10);
    assert_int_equal(v.state, JOB_RUNNING);
    assert_int_equal(v.reason, CORE_REASON_ARRAY);
    assert_int_equal(v.array_waiting, 3);
    assert_int_equal(v.array_live, 2);
    assert_int_equal(job_view(f, 11).array.v, 10);
    lives(f, 12, 1, 1);
    assert_true(job_known(f, 13));
    assert_false(job_known(f, 14));
    assert_int_equal(job_view(f, 10).array_completed, 1);
}

static void an_array_is_completed_with_its_last_element(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 2, 0, GIB);
    submit(f, array_of(10, 3, 0));
    lives(f, 11, 1, 1);
    lives(f, 12, 1, 1);
    assert_true(job_known(f, 10));
    says(f, 13, 1, 1, TASK_RUNNING);
    exits(f, 13, 1, 1, END_NONE, 0, true);
    collected(f, 13, 1, 1);
    assert_int_equal(last_state(f, 10), JOB_COMPLETED);
    released(f, 13, 1, 1);
    struct core_counts counts;
    core_count(f->core, &counts);
    assert_int_equal(counts.jobs, 0);
}

static void an_array_with_a_failed_element_fails_at_its_end_as_the_first_one_did(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 1, 0, GIB);
    submit(f, array_of(10, 3, 0));
    fails(f, 11, 7);
    fails(f, 12, 9);
    assert_int_equal(job_view(f, 10).state, JOB_RUNNING);
    says(f, 13, 1, 1, TASK_RUNNING);
    exits(f, 13, 1, 1, END_NONE, 0, true);
    collected(f, 13, 1, 1);
    assert_int_equal(last_state(f, 10), JOB_FAILED);
    const struct core_decision *last = NULL, *d;
    for (uint32_t n = 0; (d = decided(f, CORE_DECISION_JOB_STATE, n)); n++)
        last = d;
    assert_non_null(last);
    assert_int_equal(last ? last->as.job.end.code : 0, 7);
}

static void a_canceled_array_begins_nothing_more_and_ends_with_what_ran(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 2, 0, GIB);
    submit(f, array_of(10, 100, 0));
    cancel(f, 10, false);
    assert_int_equal(last_state(f, 10), JOB_CANCEL_REQUESTED);
    assert_int_equal(last_state(f, 11), JOB_CANCEL_REQUESTED);
    assert_non_null(decided(f, CORE_DECISION_STOP_TASK, 1));
    for (uint64_t id = 11; id <= 12; id++) {
        exits(f, id, 1, 1, END_CANCELED, 143, true);
        released(f, id, 1, 1);
        collected(f, id, 1, 1);
        assert_int_equal(starts(f), 0);
    }
    assert_int_equal(last_state(f, 10), JOB_CANCELED);
    assert_false(job_known(f, 10));
}

static void a_forced_cancel_after_a_mild_one_reaches_every_element(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 2, 0, GIB);
    submit(f, array_of(10, 4, 0));
    cancel(f, 10, false);
    cancel(f, 10, true);
    assert_true(decided(f, CORE_DECISION_STOP_TASK, 0)->as.stop.force);
    assert_true(decided(f, CORE_DECISION_STOP_TASK, 1)->as.stop.force);
}

static void an_element_is_canceled_before_its_turn_and_passed_over(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 1, 0, GIB);
    submit(f, array_of(10, 4, 0));
    cancel_element(f, 10, 13);
    assert_int_equal(last_state(f, 13), JOB_CANCELED);
    cancel_element(f, 10, 13); /* again: nothing */
    assert_int_equal(f->out->count, 0);
    cancel_element(f, 10, 12);
    assert_int_equal(job_view(f, 10).array_canceled, 2);
    assert_int_equal(job_view(f, 10).array_waiting, 1);
    lives(f, 11, 1, 1);
    assert_true(job_known(f, 14));
    says(f, 14, 1, 1, TASK_RUNNING);
    exits(f, 14, 1, 1, END_NONE, 0, true);
    collected(f, 14, 1, 1);
    assert_int_equal(last_state(f, 10), JOB_FAILED); /* not all of it was done */
}

static void an_array_all_of_whose_elements_are_canceled_one_by_one_is_canceled(void **state)
{
    struct fixture *f = *state;
    submit(f, array_of(10, 2, 0));
    cancel_element(f, 10, 12);
    cancel_element(f, 10, 11);
    assert_int_equal(last_state(f, 10), JOB_CANCELED);
    assert_false(job_known(f, 12));
}

static void an_update_acts_on_what_waits(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    submit(f, array_of(10, 8, 1));
    update(f, (struct core_update){.job.v = 10, .set_array_limit = true, .array_limit = 3});
    assert_int_equal(starts(f), 2);
    update(f, (struct core_update){.job.v = 10, .set_held = true, .held = true});
    lives(f, 11, 1, 1);
    assert_int_equal(job_view(f, 10).array_live, 2);
    assert_int_equal(job_view(f, 10).reason, CORE_REASON_HELD);
    update(f,
           (struct core_update){
               .job.v = 10, .set_held = true, .held = false, .set_time_limit = true, .time_limit_ms = 5000});
    assert_int_equal(starts(f), 1);
    assert_int_equal(job_view(f, 14).time_limit_ms, 5000);
    assert_int_equal(job_view(f, 12).time_limit_ms, 0);
    update(f, (struct core_update){.job.v = 10, .set_array_limit = true});
    assert_int_equal(job_view(f, 10).array_waiting, 0);
}

static void an_element_has_waited_since_its_arrays_limit_let_it_in(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    submit(f, array_of(10, 3, 1));
    uint64_t begin = f->now_ms;
    f->now_ms += 50000;
    lives(f, 11, 1, 1);
    assert_int_equal(job_view(f, 12).submitted_ms, f->now_ms);
    assert_int_equal(job_view(f, 10).submitted_ms, begin);
}

static void elements_may_be_gangs_and_start_whole(void **state)
{
    struct fixture *f = *state;
    for (uint32_t n = 1; n <= 5; n++)
        node_up(f, n, 1, 0, GIB);
    struct core_submit s = array_of(10, 3, 0);
    s.instance_count = 2;
    submit(f, s);
    assert_int_equal(starts(f), 4);
    assert_int_equal(job_view(f, 10).array_live, 2);
    assert_int_equal(job_view(f, 12).task_count, 2);
}

static void what_waits_for_an_array_waits_for_all_of_it(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 1, 0, GIB);
    submit(f, array_of(10, 2, 0));
    struct core_submit s = wanting(20, 1, 0, 0), t = wanting(21, 1, 0, 0);
    s.dependency_count = t.dependency_count = 1;
    s.dependencies[0].job.v = t.dependencies[0].job.v = 10;
    s.dependencies[0].kind = CORE_AFTER_SUCCESS;
    t.dependencies[0].kind = CORE_AFTER_FAILURE;
    s.dependencies[0].ended = t.dependencies[0].ended = JOB_COMPLETED;
    submit(f, s);
    submit(f, t);
    lives(f, 11, 1, 1);
    assert_int_equal(job_view(f, 20).reason, CORE_REASON_DEPENDENCY);
    says(f, 12, 1, 1, TASK_RUNNING);
    exits(f, 12, 1, 1, END_NONE, 0, true);
    released(f, 12, 1, 1);
    collected(f, 12, 1, 1);
    assert_non_null(started(f, 20));
    assert_int_equal(last_state(f, 21), JOB_CANCELED);
}

static void quotas_count_elements_that_run_and_an_array_as_one_that_waits(void **state)
{
    struct fixture *f = *state;
    struct core_event event = {.kind = CORE_EVENT_QUOTA};
    event.as.quota = (struct core_quota){.running = 2, .queued = 1};
    fed(f, &event);
    node_up(f, 1, 8, 0, GIB);
    submit(f, array_of(10, 50, 0));
    assert_int_equal(starts(f), 2);
    assert_int_equal(job_view(f, 10).reason, CORE_REASON_QUOTA);
    submit(f, wanting(100, 1, 0, 0));
    assert_int_equal(decided(f, CORE_DECISION_JOB_REFUSED, 0)->as.refused.refusal, CORE_REFUSED_QUOTA);
}

static void an_element_that_gives_way_is_tried_again_within_the_limit(void **state)
{
    struct fixture *f = *state;
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    event.as.config = (struct core_config){.policy = CORE_POLICY_EASY, .preempt = true};
    fed(f, &event);
    node_up(f, 1, 1, 0, GIB);
    struct core_submit s = array_of(10, 3, 1);
    s.preemptible = true;
    s.priority_class = PRIORITY_LOW;
    submit(f, s);
    says(f, 11, 1, 1, TASK_RUNNING);
    submit(f, wanting(20, 1, 0, 0));
    exits(f, 11, 1, 1, END_PREEMPTED, 143, true);
    released(f, 11, 1, 1);
    collected(f, 11, 1, 1);
    assert_int_equal(job_view(f, 20).state, JOB_PREPARING);
    assert_int_equal(job_view(f, 11).reason, CORE_REASON_PREEMPTED);
    lives(f, 20, 1, 1);
    assert_int_equal(job_view(f, 11).attempt, 2);
    assert_false(job_known(f, 12)); /* it is live: the limit counts it */
}

static void fifty_thousand_elements_cost_one_row_and_one_record(void **state)
{
    struct fixture *f = *state;
    struct core_counts few, many;
    submit(f, array_of(10, 2, 0));
    size_t row = f->row_length;
    core_count(f->core, &few);
    cancel(f, 10, false);
    submit(f, array_of(100, 50000, 0));
    core_count(f->core, &many);
    assert_int_equal(many.jobs, 1);
    assert_int_equal(many.arena_bytes, few.arena_bytes);
    assert_true(f->row_length <= row + 8); /* longer numbers, and nothing else */
    node_up(f, 1, 2, 0, GIB);
    f->no_check = true;
    for (uint64_t id = 101; id <= 2100; id++)
        lives(f, id, 1, 1);
    core_count(f->core, &many);
    assert_int_equal(many.jobs, 3);
    assert_int_equal(many.arena_bytes, few.arena_bytes);
    assert_null(core_check(f->core));
}

static void limits_hold_at_the_limit_and_not_past_it(void **state)
{
    (void)state;
    struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT};
    event.as.submit = array_of(1, CORE_ARRAY_MAX, CORE_ARRAY_MAX);
    assert_null(core_event_check(&event));
    event.as.submit.array_count++;
    assert_non_null(core_event_check(&event));
    event.as.submit = array_of(1, 5, 6);
    assert_non_null(core_event_check(&event));
    event.as.submit = array_of(JOB_ID_MAX - 5, 5, 0);
    assert_null(core_event_check(&event));
    event.as.submit = array_of(JOB_ID_MAX - 4, 5, 0);
    assert_non_null(core_event_check(&event));
}

static void a_row_whose_element_does_not_follow_is_refused(void **state)
{
    struct fixture *f = *state;
    submit(f, array_of(10, 3, 0));
    struct core_event event = {.kind = CORE_EVENT_TICK};
    f->out->count = 1;
    f->out->v[0] = (struct core_decision){.kind = CORE_DECISION_ELEMENT};
    f->out->v[0].as.element.array.v = 10;
    const uint64_t wrong[] = {10, 12, 14, 9};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        f->out->v[0].as.element.job.v = wrong[i];
        assert_non_null(core_apply(f->applied, f->now_ms, &event, f->out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(elements_begin_in_order_and_no_more_at_once_than_the_limit),
        TEST(an_array_is_completed_with_its_last_element),
        TEST(an_array_with_a_failed_element_fails_at_its_end_as_the_first_one_did),
        TEST(a_canceled_array_begins_nothing_more_and_ends_with_what_ran),
        TEST(a_forced_cancel_after_a_mild_one_reaches_every_element),
        TEST(an_element_is_canceled_before_its_turn_and_passed_over),
        TEST(an_array_all_of_whose_elements_are_canceled_one_by_one_is_canceled),
        TEST(an_update_acts_on_what_waits),
        TEST(an_element_has_waited_since_its_arrays_limit_let_it_in),
        TEST(elements_may_be_gangs_and_start_whole),
        TEST(what_waits_for_an_array_waits_for_all_of_it),
        TEST(quotas_count_elements_that_run_and_an_array_as_one_that_waits),
        TEST(an_element_that_gives_way_is_tried_again_within_the_limit),
        TEST(fifty_thousand_elements_cost_one_row_and_one_record),
        TEST(limits_hold_at_the_limit_and_not_past_it),
        TEST(a_row_whose_element_does_not_follow_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
