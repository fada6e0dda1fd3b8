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
    assert_int_equal(update(f, false, CLASS(PRIORITY_MEDIUM)), CORE_UPDATE_TAKEN);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
