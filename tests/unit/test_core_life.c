/* A job's way from its lease to its end: reports, exits, cancels, silent and lost nodes. */
#include "core_fixture.h"

static void one_running(struct fixture *f, uint64_t id)
{
    submit(f, wanting(id, 1, 0, GIB));
    says(f, id, 1, 1, TASK_PREPARING);
    says(f, id, 1, 1, TASK_STARTING);
    says(f, id, 1, 1, TASK_RUNNING);
    assert_int_equal(job_view(f, id).state, JOB_RUNNING);
}

static void expect_end(struct fixture *f, uint64_t id, enum job_state state, enum end_kind kind, int32_t code)
{
    static const struct core_decision none;
    const struct core_decision *last = &none, *d;
    for (uint32_t n = 0; (d = decided(f, CORE_DECISION_JOB_STATE, n)); n++) {
        if (d->as.job.job.v == id)
            last = d;
    }
    assert_int_equal(last->kind, CORE_DECISION_JOB_STATE);
    assert_int_equal(last->as.job.state, state);
    assert_int_equal(last->as.job.end.kind, kind);
    assert_int_equal(last->as.job.end.code, code);
}

static void a_job_goes_through_its_states_and_is_forgotten(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 8 * GIB);
    one_running(f, 1);
    exits(f, 1, 1, 1, END_NONE, 0, true);
    assert_int_equal(job_view(f, 1).state, JOB_FINALIZING);
    released(f, 1, 1, 1);
    assert_non_null(decided(f, CORE_DECISION_LEASE_FREED, 0));
    assert_int_equal(job_view(f, 1).state, JOB_FINALIZING);
    collected(f, 1, 1, 1);
    expect_end(f, 1, JOB_COMPLETED, END_NONE, 0);
    assert_non_null(decided(f, CORE_DECISION_RELEASE_TASK, 0));
    assert_false(job_known(f, 1));
}

static void an_exit_before_any_report_passes_through_the_states_between(void **state)
{
    struct fixture *f = *state;
    static const enum job_state way[] = {JOB_STARTING, JOB_RUNNING, JOB_FINALIZING};
    node_up(f, 1, 4, 0, 8 * GIB);
    submit(f, wanting(1, 1, 0, GIB));
    exits(f, 1, 1, 1, END_EXIT, 3, true);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(decided(f, CORE_DECISION_JOB_STATE, i)->as.job.state, way[i]);
    collected(f, 1, 1, 1);
    expect_end(f, 1, JOB_FAILED, END_EXIT, 3);
    released(f, 1, 1, 1);
    assert_false(job_known(f, 1));
}

static void what_never_ran_fails_at_once_and_keeps_its_lease_until_released(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 1, 0, 8 * GIB);
    submit(f, wanting(1, 1, 0, GIB));
    submit(f, wanting(2, 1, 0, GIB));
    says(f, 1, 1, 1, TASK_PREPARING);
    exits(f, 1, 1, 1, END_IMAGE_ERROR, 125, false);
    expect_end(f, 1, JOB_FAILED, END_IMAGE_ERROR, 125);
    assert_int_equal(job_view(f, 2).state, JOB_QUEUED);
    collected(f, 1, 1, 1);
    assert_int_equal(job_view(f, 2).state, JOB_QUEUED);
    released(f, 1, 1, 1);
    assert_int_equal(job_view(f, 2).state, JOB_PREPARING);
    assert_false(job_known(f, 1));
}

static void late_and_doubled_messages_do_nothing(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 8 * GIB);
    one_running(f, 1);
    says(f, 1, 1, 1, TASK_PREPARING);
    assert_int_equal(f->out->count, 0);
    exits(f, 1, 1, 1, END_NONE, 0, true);
    exits(f, 1, 1, 1, END_EXIT, 9, true); /* the first exit stands */
    assert_int_equal(f->out->count, 0);
    says(f, 1, 1, 1, TASK_RUNNING);
    assert_int_equal(f->out->count, 0);
    released(f, 1, 1, 1);
    released(f, 1, 1, 1);
    assert_int_equal(f->out->count, 0);
    collected(f, 1, 1, 1);
    expect_end(f, 1, JOB_COMPLETED, END_NONE, 0);
    collected(f, 1, 1, 1);
    exits(f, 1, 1, 1, END_EXIT, 9, true);
    cancel(f, 1, false);
    assert_int_equal(f->out->count, 0);
}

static void another_node_s_word_about_a_task_does_nothing(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 8 * GIB);
    node_up(f, 2, 4, 0, 8 * GIB);
    one_running(f, 1);
    uint64_t hash = core_hash(f->core);
    exits(f, 1, 1, 2, END_NONE, 0, true);
    released(f, 1, 1, 2);
    collected(f, 1, 1, 2);
    assert_int_equal(f->out->count, 0);
    assert_int_equal(core_hash(f->core), hash);
}

static void pausing_goes_there_and_back(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 8 * GIB);
    one_running(f, 1);
    says(f, 1, 1, 1, TASK_PAUSED);
    assert_int_equal(job_view(f, 1).state, JOB_PAUSED);
    says(f, 1, 1, 1, TASK_RUNNING);
    assert_int_equal(job_view(f, 1).state, JOB_RUNNING);
    says(f, 1, 1, 1, TASK_PAUSED);
    exits(f, 1, 1, 1, END_OOM, 137, true);
    assert_int_equal(job_view(f, 1).state, JOB_FINALIZING);
}

static void a_waiting_job_is_canceled_at_once(void **state)
{
    struct fixture *f = *state;
    submit(f, wanting(1, 1, 0, GIB));
    cancel(f, 1, false);
    expect_end(f, 1, JOB_CANCELED, END_CANCELED, 0);
    assert_false(job_known(f, 1));
}

static void a_running_job_is_stopped_with_its_grace_then_canceled(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 8 * GIB);
    one_running(f, 1);
    cancel(f, 1, false);
    assert_int_equal(job_view(f, 1).state, JOB_CANCEL_REQUESTED);
    assert_int_equal(decided(f, CORE_DECISION_STOP_TASK, 0)->as.stop.grace_ms, 30000);
    cancel(f, 1, false);
    assert_int_equal(f->out->count, 0);
    cancel(f, 1, true);
    assert_true(decided(f, CORE_DECISION_STOP_TASK, 0)->as.stop.force);
    assert_int_equal(decided(f, CORE_DECISION_STOP_TASK, 0)->as.stop.grace_ms, 0);
    cancel(f, 1, true);
    assert_int_equal(f->out->count, 0);
    exits(f, 1, 1, 1, END_CANCELED, 137, true);
    released(f, 1, 1, 1);
    assert_int_equal(job_view(f, 1).state, JOB_CANCEL_REQUESTED);
    collected(f, 1, 1, 1);
    expect_end(f, 1, JOB_CANCELED, END_CANCELED, 137);
}

static void an_exit_that_came_first_wins_over_a_cancel(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 8 * GIB);
    one_running(f, 1);
    one_running(f, 2);
    cancel(f, 1, false);
    exits(f, 1, 1, 1, END_NONE, 0, true); /* it had ended before the stop reached it */
    collected(f, 1, 1, 1);
    expect_end(f, 1, JOB_COMPLETED, END_NONE, 0);
    exits(f, 2, 1, 1, END_EXIT, 4, true);
    cancel(f, 2, false);
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
    collected(f, 2, 1, 1);
    expect_end(f, 2, JOB_FAILED, END_EXIT, 4);
}

static void a_silent_node_s_jobs_wait_for_it(void **state)
{
    struct fixture *f = *state;
    struct core_node_view view;
    node_up(f, 1, 4, 0, 8 * GIB);
    one_running(f, 1);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    assert_int_equal(job_view(f, 1).state, JOB_NOT_RESPONDING);
    f->now_ms += UINT64_C(1000) * 86400 * 365;
    struct core_event tick = {.kind = CORE_EVENT_TICK};
    fed(f, &tick);
    assert_int_equal(f->out->count, 0);
    node_up(f, 1, 4, 0, 8 * GIB);
    assert_int_equal(job_view(f, 1).state, JOB_NOT_RESPONDING);
    assert_true(core_node_get(f->core, (struct node_id){1}, &view));
    assert_int_equal(view.free.cores, 3);
    says(f, 1, 1, 1, TASK_RUNNING);
    assert_int_equal(job_view(f, 1).state, JOB_RUNNING);
}

static void a_job_that_ended_in_the_silence_ends_when_the_node_reports(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 8 * GIB);
    one_running(f, 1);
    one_running(f, 2);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    node_up(f, 1, 4, 0, 8 * GIB);
    exits(f, 1, 1, 1, END_NONE, 0, true);
    released(f, 1, 1, 1);
    collected(f, 1, 1, 1);
    expect_end(f, 1, JOB_COMPLETED, END_NONE, 0);
    exits(f, 2, 1, 1, END_SHIM_LOST, 0, false);
    expect_end(f, 2, JOB_FAILED, END_SHIM_LOST, 0);
}

static void a_lost_node_fails_its_jobs_and_its_leases_stay_suspect(void **state)
{
    struct fixture *f = *state;
    struct core_task_view task;
    struct core_node_view node;
    node_up(f, 1, 4, 0, 8 * GIB);
    one_running(f, 1);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    node_event(f, CORE_EVENT_NODE_LOST, 1);
    expect_end(f, 1, JOB_FAILED, END_NODE_LOST, 0);
    assert_true(core_task_get(f->core, (struct task_id){{1}, 1, 0}, &task));
    assert_true(task.abandoned && !task.released);
    node_up(f, 1, 4, 0, 8 * GIB);
    assert_true(core_node_get(f->core, (struct node_id){1}, &node));
    assert_int_equal(node.free.cores, 3);
    exits(f, 1, 1, 1, END_CANCELED, 137, true);
    collected(f, 1, 1, 1);
    assert_null(decided(f, CORE_DECISION_JOB_STATE, 0));
    released(f, 1, 1, 1);
    assert_true(core_node_get(f->core, (struct node_id){1}, &node));
    assert_int_equal(node.free.cores, 4);
    assert_false(job_known(f, 1));
}

static void a_job_that_may_is_queued_again_after_fence_grace_and_margin(void **state)
{
    struct fixture *f = *state;
    struct core_submit s = wanting(1, 1, 0, GIB);
    struct core_event tick = {.kind = CORE_EVENT_TICK};
    s.on_node_loss = CORE_LOSS_REQUEUE;
    s.fence_after_ms = 60000;
    node_up(f, 1, 1, 0, 8 * GIB);
    submit(f, s);
    says(f, 1, 1, 1, TASK_RUNNING);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    uint64_t due = f->now_ms + 60000 + 30000 + CORE_FENCE_MARGIN_MS;
    assert_int_equal(decided(f, CORE_DECISION_TIMER_AT, 0)->as.timer.at_ms, due);
    assert_int_equal(core_timer_at(f->core), due);
    f->now_ms = due - 1;
    fed(f, &tick);
    assert_int_equal(job_view(f, 1).state, JOB_NOT_RESPONDING);
    f->now_ms = due;
    fed(f, &tick);
    assert_int_equal(job_view(f, 1).state, JOB_QUEUED);
    assert_int_equal(core_timer_at(f->core), 0);
    node_up(f, 2, 1, 0, 8 * GIB);
    assert_int_equal(started(f, 1)->as.start.task.attempt, 2);
    node_up(f, 1, 1, 0, 8 * GIB); /* the first attempt's end is the first attempt's */
    exits(f, 1, 1, 1, END_NODE_LOST, 0, true);
    released(f, 1, 1, 1);
    collected(f, 1, 1, 1);
    assert_int_equal(job_view(f, 1).state, JOB_PREPARING);
    lives(f, 1, 2, 2);
    expect_end(f, 1, JOB_COMPLETED, END_NONE, 0);
}

static void contact_stops_the_fence(void **state)
{
    struct fixture *f = *state;
    struct core_submit s = wanting(1, 1, 0, GIB);
    s.on_node_loss = CORE_LOSS_REQUEUE;
    node_up(f, 1, 1, 0, 8 * GIB);
    submit(f, s);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    assert_int_not_equal(core_timer_at(f->core), 0);
    node_up(f, 1, 1, 0, 8 * GIB);
    assert_int_equal(core_timer_at(f->core), 0);
    assert_int_equal(decided(f, CORE_DECISION_TIMER_AT, 0)->as.timer.at_ms, 0);
}

static void a_fence_that_ran_out_on_the_node_queues_the_job_again(void **state)
{
    struct fixture *f = *state;
    struct core_submit s = wanting(1, 1, 0, GIB);
    s.on_node_loss = CORE_LOSS_REQUEUE;
    node_up(f, 1, 1, 0, 8 * GIB);
    submit(f, s);
    says(f, 1, 1, 1, TASK_RUNNING);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    node_up(f, 1, 1, 0, 8 * GIB);
    exits(f, 1, 1, 1, END_NODE_LOST, 0, true);
    assert_int_equal(job_view(f, 1).state, JOB_QUEUED);
    released(f, 1, 1, 1);
    assert_int_equal(started(f, 1)->as.start.task.attempt, 2);
}

static void a_forced_cancel_gives_up_on_a_silent_node(void **state)
{
    struct fixture *f = *state;
    struct core_task_view task;
    node_up(f, 1, 4, 0, 8 * GIB);
    one_running(f, 1);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    cancel(f, 1, false);
    assert_int_equal(job_view(f, 1).state, JOB_CANCEL_REQUESTED);
    assert_true(core_task_get(f->core, (struct task_id){{1}, 1, 0}, &task));
    assert_true(task.stopping); /* a hello's answer brings it */
    cancel(f, 1, true);
    expect_end(f, 1, JOB_CANCELED, END_CANCELED, 0);
    assert_true(core_task_get(f->core, (struct task_id){{1}, 1, 0}, &task));
    assert_true(task.abandoned && !task.released);
}

static void an_order_that_was_never_accepted_can_be_told_apart(void **state)
{
    struct fixture *f = *state;
    struct core_task_view task;
    struct task_id held[4];
    node_up(f, 1, 4, 0, 8 * GIB);
    submit(f, wanting(1, 1, 0, GIB));
    assert_int_equal(core_node_tasks(f->core, (struct node_id){1}, held, 4), 1);
    assert_true(core_task_get(f->core, held[0], &task));
    assert_int_equal(task.state, TASK_ASSIGNED);
    says(f, 1, 1, 1, TASK_PREPARING);
    assert_true(core_task_get(f->core, held[0], &task));
    assert_int_equal(task.state, TASK_PREPARING);
}

static void a_clock_that_steps_back_is_not_followed(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, 8 * GIB);
    f->now_ms = 500;
    submit(f, wanting(1, 1, 0, GIB));
    assert_int_equal(core_now(f->core), 1000);
    assert_int_equal(job_view(f, 1).submitted_ms, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_goes_through_its_states_and_is_forgotten),
        TEST(an_exit_before_any_report_passes_through_the_states_between),
        TEST(what_never_ran_fails_at_once_and_keeps_its_lease_until_released),
        TEST(late_and_doubled_messages_do_nothing),
        TEST(another_node_s_word_about_a_task_does_nothing),
        TEST(pausing_goes_there_and_back),
        TEST(a_waiting_job_is_canceled_at_once),
        TEST(a_running_job_is_stopped_with_its_grace_then_canceled),
        TEST(an_exit_that_came_first_wins_over_a_cancel),
        TEST(a_silent_node_s_jobs_wait_for_it),
        TEST(a_job_that_ended_in_the_silence_ends_when_the_node_reports),
        TEST(a_lost_node_fails_its_jobs_and_its_leases_stay_suspect),
        TEST(a_job_that_may_is_queued_again_after_fence_grace_and_margin),
        TEST(contact_stops_the_fence),
        TEST(a_fence_that_ran_out_on_the_node_queues_the_job_again),
        TEST(a_forced_cancel_gives_up_on_a_silent_node),
        TEST(an_order_that_was_never_accepted_can_be_told_apart),
        TEST(a_clock_that_steps_back_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
