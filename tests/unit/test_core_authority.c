/* What owners may do with their own jobs, and what administrators alone. */
#include "core_fixture.h"

static void cap(struct fixture *f, enum core_quota_scope scope, uint32_t id, int highest, uint64_t limit_ms)
{
    struct core_event event = {.kind = CORE_EVENT_CAPS};
    event.as.caps = (struct core_caps){scope, id, highest >= 0,
                                       highest >= 0 ? (enum priority_class)highest : PRIORITY_LOW, limit_ms};
    fed(f, &event);
}

static enum core_update_refusal update(struct fixture *f, bool operator, struct core_update u)
{
    struct core_event event = {.kind = CORE_EVENT_JOB_UPDATE};
    struct core_update_answer answer;
    u.job.v = 1;
    u.by_operator = operator;
    event.as.update = u;
    core_update_refuses(f->core, &u, &answer);
    fed(f, &event); /* what is refused does nothing, whoever asked before */
    return answer.refusal;
}

#define HOLD(yes) ((struct core_update){.set_held = true, .held = (yes)})
#define CLASS(c) ((struct core_update){.set_priority = true, .priority_class = (c)})
#define LEVEL(n)                                                                                             \
    ((struct core_update){.set_priority = true, .priority_class = PRIORITY_MEDIUM, .priority = (n)})
#define LIMIT(minutes) ((struct core_update){.set_time_limit = true, .time_limit_ms = (minutes)*60000ull})

static void an_administrators_hold_is_his_to_release(void **state)
{
    struct fixture *f = *state;
    submit(f, wanting(1, 1, 0, 0));
    assert_int_equal(update(f, true, HOLD(true)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, HOLD(true)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, HOLD(false)), CORE_UPDATE_HELD);
    assert_true(job_view(f, 1).held_by_operator);
    node_up(f, 1, 4, 0, GIB);
    assert_false(runs(f, 1));
    assert_int_equal(update(f, true, HOLD(false)), CORE_UPDATE_TAKEN);
    assert_true(runs(f, 1));
}

static void an_owners_hold_is_theirs(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    struct core_submit s = wanting(1, 1, 0, 0);
    s.held = true;
    submit(f, s);
    assert_int_equal(update(f, false, HOLD(false)), CORE_UPDATE_TAKEN);
    assert_true(runs(f, 1));
}

static void classes_and_limits_rise_to_their_caps_alone(void **state)
{
    struct fixture *f = *state;
    cap(f, CORE_QUOTA_PRINCIPAL, 0, PRIORITY_MEDIUM, 60 * 60000);
    struct core_submit s = for_minutes(1, 1, 10);
    s.priority_class = PRIORITY_LOW;
    submit(f, s);
    assert_int_equal(update(f, false, CLASS(PRIORITY_MEDIUM)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, CLASS(PRIORITY_HIGH)), CORE_UPDATE_PRIORITY_CAP);
    assert_int_equal(job_view(f, 1).priority_class, PRIORITY_MEDIUM);
    assert_int_equal(update(f, false, LEVEL(1)), CORE_UPDATE_LEVEL);
    assert_int_equal(update(f, false, LEVEL(-5)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, LIMIT(60)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, LIMIT(61)), CORE_UPDATE_TIME_CAP);
    assert_int_equal(update(f, false, LIMIT(0)), CORE_UPDATE_TIME_CAP);
    assert_int_equal(update(f, false, LIMIT(5)), CORE_UPDATE_TAKEN);
    cap(f, CORE_QUOTA_PRINCIPAL, 1, PRIORITY_HIGH, 0); /* his own stands in place of everyone's, each alone */
    assert_int_equal(update(f, false, CLASS(PRIORITY_HIGH)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, LIMIT(61)), CORE_UPDATE_TIME_CAP);
    cap(f, CORE_QUOTA_PRINCIPAL, 1, PRIORITY_HIGH, 90 * 60000);
    assert_int_equal(update(f, false, LIMIT(90)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, LIMIT(0)), CORE_UPDATE_TIME_CAP);
    cap(f, CORE_QUOTA_WORKSPACE, 0, PRIORITY_LOW, 0); /* and a workspace's holds beside it */
    assert_int_equal(update(f, false, CLASS(PRIORITY_MEDIUM)), CORE_UPDATE_PRIORITY_CAP);
    assert_int_equal(update(f, false, CLASS(PRIORITY_HIGH)), CORE_UPDATE_PRIORITY_CAP);
    assert_int_equal(update(f, true, CLASS(PRIORITY_HIGH)), CORE_UPDATE_TAKEN);
}

static void a_number_above_0_comes_by_no_way_round(void **state)
{
    struct fixture *f = *state;
    struct core_update low = CLASS(PRIORITY_LOW), raised = LEVEL(7);
    low.priority = 1000000;
    submit(f, wanting(1, 1, 0, 0));
    assert_int_equal(update(f, false, low), CORE_UPDATE_LEVEL);
    assert_int_equal(job_view(f, 1).priority, 0);
    assert_int_equal(update(f, false, CLASS(PRIORITY_LOW)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, raised), CORE_UPDATE_LEVEL);
    assert_int_equal(job_view(f, 1).priority_class, PRIORITY_LOW);
}

static void what_an_administrator_set_goes_only_further(void **state)
{
    struct fixture *f = *state;
    submit(f, for_minutes(1, 1, 10));
    assert_int_equal(update(f, true, LIMIT(5)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, true, CLASS(PRIORITY_LOW)), CORE_UPDATE_TAKEN);
    uint64_t later = f->now_ms + 100000;
    assert_int_equal(update(f, true, (struct core_update){.set_begin = true, .begin_ms = later}),
                     CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, LIMIT(6)), CORE_UPDATE_TIME_SET);
    assert_int_equal(update(f, false, CLASS(PRIORITY_MEDIUM)), CORE_UPDATE_PRIORITY_SET);
    assert_int_equal(update(f, false, (struct core_update){.set_begin = true}), CORE_UPDATE_BEGIN_SET);
    assert_int_equal(update(f, false, LIMIT(4)), CORE_UPDATE_TAKEN);
    assert_int_equal(update(f, false, (struct core_update){.set_begin = true, .begin_ms = later + 1}),
                     CORE_UPDATE_TAKEN);
    assert_int_equal(job_view(f, 1).time_limit_ms, 4 * 60000);
}

static void no_owner_runs_into_a_reservation(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    submit(f, for_minutes(1, 2, 10));
    assert_true(runs(f, 1));
    struct core_event event = {.kind = CORE_EVENT_RESERVE};
    event.as.reserve = (struct core_reserve){.reservation = 1,
                                             .begin_ms = f->now_ms + 30 * 60000,
                                             .end_ms = f->now_ms + 90 * 60000,
                                             .request = {.cores = 2},
                                             .count = 1,
                                             .user_count = 1,
                                             .users = {{7}}};
    fed(f, &event);
    assert_int_equal(update(f, false, LIMIT(120)), CORE_UPDATE_TAKEN); /* beside two of four cores */
    assert_int_equal(update(f, false, LIMIT(10)), CORE_UPDATE_TAKEN);
    event.as.reserve.reservation = 2;
    event.as.reserve.begin_ms += 1;
    fed(f, &event);
    assert_int_equal(update(f, false, LIMIT(29)), CORE_UPDATE_TAKEN);
    struct core_update_answer answer;
    struct core_update u = LIMIT(31);
    u.job.v = 1;
    assert_true(core_update_refuses(f->core, &u, &answer));
    assert_int_equal(answer.refusal, CORE_UPDATE_TIME_RESERVED);
    assert_int_equal(answer.reservation, 2);
    assert_int_equal(update(f, false, LIMIT(0)), CORE_UPDATE_TIME_RESERVED);
    assert_int_equal(update(f, true, LIMIT(0)), CORE_UPDATE_TAKEN);
}

static void a_submit_past_a_cap_is_refused(void **state)
{
    struct fixture *f = *state;
    cap(f, CORE_QUOTA_PRINCIPAL, 0, PRIORITY_MEDIUM, 60000);
    struct core_submit s = for_minutes(1, 1, 1);
    s.priority_class = PRIORITY_HIGH;
    submit(f, s);
    assert_false(job_known(f, 1));
    s.by_operator = true;
    submit(f, s);
    assert_true(job_known(f, 1));
    submit(f, for_minutes(2, 1, 2));
    submit(f, wanting(3, 1, 0, 0)); /* without a limit */
    assert_false(job_known(f, 2) || job_known(f, 3));
    submit(f, for_minutes(5, 1, 1));
    assert_true(job_known(f, 5));
}

static void a_class_above_a_cap_that_is_set_later_is_the_caps(void **state)
{
    struct fixture *f = *state;
    for (uint64_t id = 1; id <= 4; id++) {
        struct core_submit s = wanting(id, 4, 0, 0);
        s.priority_class = PRIORITY_HIGH;
        s.by_operator = id == 3;
        s.held = id == 4;
        submit(f, s);
    }
    node_up(f, 1, 4, 0, GIB);
    assert_true(runs(f, 1));
    cap(f, CORE_QUOTA_PRINCIPAL, 0, PRIORITY_MEDIUM, 0);
    assert_int_equal(job_view(f, 1).priority_class, PRIORITY_HIGH); /* what runs is left */
    assert_int_equal(job_view(f, 2).priority_class, PRIORITY_MEDIUM);
    assert_int_equal(job_view(f, 2).asked_class, PRIORITY_HIGH);
    assert_int_equal(job_view(f, 3).priority_class, PRIORITY_HIGH); /* an administrator's */
    assert_int_equal(job_view(f, 4).priority_class, PRIORITY_MEDIUM);
    cap(f, CORE_QUOTA_PRINCIPAL, 1, PRIORITY_LOW, 0);
    assert_int_equal(job_view(f, 2).priority_class, PRIORITY_LOW);
    cap(f, CORE_QUOTA_PRINCIPAL, 1, PRIORITY_HIGH, 0); /* and back */
    assert_int_equal(job_view(f, 2).priority_class, PRIORITY_HIGH);
    cap(f, CORE_QUOTA_PRINCIPAL, 1, PRIORITY_MEDIUM, 0);
    lives(f, 1, 1, 1);
    assert_true(runs(f, 3)); /* before 2, which came earlier */
    lives(f, 3, 1, 1);
    assert_true(runs(f, 2));
    cap(f, CORE_QUOTA_PRINCIPAL, 1, PRIORITY_HIGH, 0);
    assert_int_equal(job_view(f, 2).asked_class, PRIORITY_MEDIUM); /* what it began as */
}

static void a_job_that_is_queued_again_is_under_the_caps_of_that_time(void **state)
{
    struct fixture *f = *state;
    struct core_submit s = for_minutes(1, 1, 60);
    s.priority_class = PRIORITY_HIGH;
    s.retries = 1;
    s.retry_kinds = 1u << END_EXIT;
    node_up(f, 1, 4, 0, GIB);
    submit(f, s);
    cap(f, CORE_QUOTA_PRINCIPAL, 0, PRIORITY_LOW, 30 * MINUTE);
    assert_true(runs(f, 1));
    says(f, 1, 1, 1, TASK_RUNNING);
    exits(f, 1, 1, 1, END_EXIT, 3, true);
    released(f, 1, 1, 1);
    collected(f, 1, 1, 1);
    assert_int_equal(job_view(f, 1).state, JOB_QUEUED);
    assert_int_equal(job_view(f, 1).priority_class, PRIORITY_LOW);
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_CAP);
}

static void a_time_limit_above_a_cap_that_is_set_later_keeps_it_waiting(void **state)
{
    struct fixture *f = *state;
    struct core_why why;
    submit(f, for_minutes(1, 1, 60));
    submit(f, for_minutes(2, 1, 30));
    submit(f, wanting(3, 1, 0, 0)); /* without a limit */
    struct core_submit s = for_minutes(4, 1, 60);
    s.by_operator = true;
    submit(f, s);
    s = for_minutes(5, 1, 60);
    s.array_count = 3;
    submit(f, s);
    cap(f, CORE_QUOTA_PRINCIPAL, 0, -1, 30 * MINUTE);
    node_up(f, 1, 16, 0, GIB);
    assert_true(runs(f, 2) && runs(f, 4));
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_CAP);
    assert_int_equal(job_view(f, 3).reason, CORE_REASON_CAP);
    assert_int_equal(job_view(f, 5).reason, CORE_REASON_CAP);
    assert_true(core_why(f->core, (struct job_id){1}, &why) && !why.fits_now && !why.expected_ms);
    struct core_wish wish = {{1}, {.cores = 1}, 31 * MINUTE, 1};
    assert_false(core_fits_now(f->core, &wish));
    wish.time_limit_ms = 30 * MINUTE;
    assert_true(core_fits_now(f->core, &wish));
    assert_int_equal(update(f, false, LIMIT(30)), CORE_UPDATE_TAKEN);
    assert_true(runs(f, 1));
    cap(f, CORE_QUOTA_PRINCIPAL, 1, -1, 60 * MINUTE);
    assert_true(job_known(f, 6)); /* the array's first element */
    assert_int_equal(job_view(f, 3).reason, CORE_REASON_CAP);
    cap(f, CORE_QUOTA_PRINCIPAL, 1, -1, 0);
    cap(f, CORE_QUOTA_PRINCIPAL, 0, -1, 0);
    assert_true(runs(f, 3));
}

static void an_own_cap_of_one_kind_leaves_everyones_of_the_other(void **state)
{
    struct fixture *f = *state;
    struct core_caps caps;
    cap(f, CORE_QUOTA_PRINCIPAL, 0, PRIORITY_MEDIUM, 60 * MINUTE);
    cap(f, CORE_QUOTA_PRINCIPAL, 1, -1, 90 * MINUTE);
    submit(f, for_minutes(1, 1, 90));
    assert_int_equal(update(f, false, CLASS(PRIORITY_HIGH)), CORE_UPDATE_PRIORITY_CAP);
    core_caps_in_force(f->core, 1, 0, &caps);
    assert_true(caps.set_class && caps.priority_class == PRIORITY_MEDIUM);
    assert_int_equal(caps.time_limit_ms, 90 * MINUTE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_administrators_hold_is_his_to_release),
        TEST(an_owners_hold_is_theirs),
        TEST(classes_and_limits_rise_to_their_caps_alone),
        TEST(a_number_above_0_comes_by_no_way_round),
        TEST(what_an_administrator_set_goes_only_further),
        TEST(no_owner_runs_into_a_reservation),
        TEST(a_submit_past_a_cap_is_refused),
        TEST(a_class_above_a_cap_that_is_set_later_is_the_caps),
        TEST(a_job_that_is_queued_again_is_under_the_caps_of_that_time),
        TEST(a_time_limit_above_a_cap_that_is_set_later_keeps_it_waiting),
        TEST(an_own_cap_of_one_kind_leaves_everyones_of_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
