/* The queue planned as a whole: when that is done, what it does and tells, and when the pass by score takes
 * over. */
#include "core_fixture.h"

#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define MIDNIGHT (20000 * DAY)
#define SHORT 200 /* jobs that come and go before the test begins */

static void over(struct fixture *f, uint64_t id)
{
    struct core_event event = about_task(CORE_EVENT_TASK_OVER, id, 1, 1);
    event.as.task.as.exit.ran = true;
    fed(f, &event);
}

static void ticks(struct fixture *f, uint64_t now_ms)
{
    struct core_event event = {.kind = CORE_EVENT_TICK};
    f->now_ms = now_ms;
    fed(f, &event);
}

/* Ten days on 8 cores: at eight each morning twenty jobs come, one every other minute, that run for a
 * minute, as they declare. Then it is six in the morning. */
static void mornings_of(struct fixture *f, struct core_submit usual)
{
    f->now_ms = MIDNIGHT;
    set_policy(f, CORE_POLICY_BERTH);
    node_up(f, 1, 8, 0, GIB);
    f->no_check = true;
    for (uint64_t id = 1; id <= SHORT; id++) {
        f->now_ms = MIDNIGHT + (id - 1) / 20 * DAY + 8 * HOUR + (id - 1) % 20 * 2 * MINUTE;
        usual.job.v = usual.seq = id;
        submit(f, usual);
        f->now_ms += MINUTE;
        over(f, id);
    }
    f->no_check = false;
    f->now_ms = MIDNIGHT + 10 * DAY + 6 * HOUR;
}

/* Each of them wants half of the cores. */
static void mornings(struct fixture *f)
{
    mornings_of(f, for_minutes(1, 4, 1));
}

static struct core_why why(const struct fixture *f, uint64_t id)
{
    struct core_why out;
    assert_true(core_why(f->core, (struct job_id){id}, &out));
    return out;
}

static void a_long_job_that_fills_the_pool_waits_for_the_end_of_the_morning(void **state)
{
    struct fixture *f = *state;
    mornings(f);
    uint64_t now = f->now_ms;
    submit(f, for_minutes(1001, 8, 6 * 60));
    assert_non_null(decided(f, CORE_DECISION_QUEUE_PLAN, 0));
    assert_null(decided(f, CORE_DECISION_PATIENCE, 0));
    assert_false(runs(f, 1001));
    struct core_why told = why(f, 1001);
    assert_true(told.planned && told.fits_now);
    assert_in_range(told.kept_until_ms, now + 2 * HOUR, now + 18 * HOUR);
    assert_int_equal(told.reason, CORE_REASON_PLANNED);
    assert_int_equal(told.expected_ms, told.kept_until_ms);
    assert_int_equal(core_timer_at(f->core), told.kept_until_ms);
    f->now_ms = now + HOUR;
    submit(f, for_minutes(1002, 8, 1));
    assert_true(runs(f, 1002)); /* the room is not lost to others */
    f->now_ms += MINUTE;
    over(f, 1002);
    for (int looks = 0; !runs(f, 1001) && looks < 100; looks++)
        ticks(f, core_timer_at(f->core));
    assert_true(runs(f, 1001));
    assert_true(f->now_ms < now + DAY);
    assert_int_equal(core_timer_at(f->core), 0);
}

static void a_smaller_request_that_the_plan_would_start_is_offered(void **state)
{
    struct fixture *f = *state;
    mornings(f);
    submit(f, for_minutes(1001, 8, 6 * 60));
    assert_false(runs(f, 1001));
    struct core_wish wish = {
        .job = {1001}, .request = {.cores = 8}, .time_limit_ms = 6 * HOUR, .instance_count = 1};
    assert_false(core_fits_now(f->core, &wish)); /* it has room, and is kept back */
    wish.request.cores = 7;
    assert_false(core_fits_now(f->core, &wish));
    wish.request.cores = 1;
    wish.time_limit_ms = MINUTE;
    assert_true(core_fits_now(f->core, &wish));
}

static void a_changed_limit_is_what_the_plan_goes_by(void **state)
{
    struct fixture *f = *state;
    mornings(f);
    submit(f, for_minutes(1001, 8, 6 * 60));
    assert_false(runs(f, 1001));
    struct core_event event = {.kind = CORE_EVENT_JOB_UPDATE};
    event.as.update.job.v = 1001;
    event.as.update.set_time_limit = true;
    event.as.update.time_limit_ms = MINUTE;
    fed(f, &event);
    assert_true(runs(f, 1001));
}

/* Not the timer alone brings the look at its time: a node's word that comes first must not swallow it. */
static void a_start_whose_time_has_come_is_not_lost_to_another_event(void **state)
{
    struct fixture *f = *state;
    mornings(f);
    submit(f, for_minutes(1001, 8, 6 * 60));
    for (int looks = 0; !runs(f, 1001) && looks < 100; looks++) {
        uint64_t at = core_timer_at(f->core);
        assert_true(at > f->now_ms);
        f->now_ms = at;
        node_event(f, CORE_EVENT_CONTINUE, 0);
    }
    assert_true(runs(f, 1001));
}

/* The same, with something that a plan knows nothing of. */
static void rules_are_for_the_pass_by_score(void **state)
{
    struct fixture *f = *state;
    mornings(f);
    struct core_submit urgent = for_minutes(1001, 8, 6 * 60);
    urgent.priority_class = PRIORITY_HIGH;
    submit(f, urgent);
    assert_null(decided(f, CORE_DECISION_QUEUE_PLAN, 0));
    assert_true(runs(f, 1001)); /* what is urgent waits for nobody's sake */
    f->now_ms += 6 * HOUR;
    over(f, 1001);
    struct core_submit unlimited = for_minutes(1002, 8, 0);
    submit(f, unlimited);
    assert_null(decided(f, CORE_DECISION_QUEUE_PLAN, 0));
    cancel(f, 1002, true);
    node_up(f, 2, 8, 0, GIB);
    submit(f, for_minutes(1003, 8, 6 * 60));
    assert_null(decided(f, CORE_DECISION_QUEUE_PLAN, 0));
}

static void who_waits_too_long_is_promised_a_start(void **state)
{
    struct fixture *f = *state;
    mornings(f);
    submit(f, for_minutes(1001, 4, 6 * 60));
    for (int looks = 0; !runs(f, 1001) && looks < 100; looks++)
        ticks(f, core_timer_at(f->core));
    submit(f, for_minutes(1002, 8, 6 * 60));
    uint64_t id = 1002, end = f->now_ms + 30 * DAY;
    /* Short ones come without end, two at a time. */
    while (!runs(f, 1002) && !job_view(f, 1002).promised_ms && f->now_ms < end) {
        f->now_ms += 30 * 1000;
        submit(f, for_minutes(++id, 4, 1));
        if (id > 1004 && job_known(f, id - 2) && runs(f, id - 2))
            over(f, id - 2);
    }
    assert_true(runs(f, 1002) || job_view(f, 1002).promised_ms);
}

/* Jobs take a hundredth of what they declare: the plan goes by that. */
static void poor_times_are_planned_by_what_is_likely(void **state)
{
    struct fixture *f = *state;
    mornings(f);
    f->no_check = true;
    for (uint64_t id = 2001; id < 2200; id++) {
        f->now_ms += MINUTE;
        submit(f, for_minutes(id, 1, 100));
        f->now_ms += MINUTE;
        over(f, id);
    }
    f->no_check = false;
    submit(f, for_minutes(1001, 7, 100));
    assert_true(runs(f, 1001));
    f->now_ms += 1000;
    submit(f, for_minutes(1002, 8, 6 * 60));
    submit(f, for_minutes(1003, 1, 100));
    assert_non_null(decided(f, CORE_DECISION_QUEUE_PLAN, 0));
    assert_true(runs(f, 1003)); /* beside 1001, as it is likely to be done by then */
    assert_true(why(f, 1002).planned);
    assert_in_range(why(f, 1002).expected_ms, f->now_ms + 1000, f->now_ms + 20 * MINUTE);
}

static void a_job_that_a_quota_holds_is_in_no_plan(void **state)
{
    struct fixture *f = *state;
    mornings(f);
    submit(f, for_minutes(1001, 8, 6 * 60));
    assert_true(why(f, 1001).planned);
    struct core_event event = {.kind = CORE_EVENT_QUOTA};
    event.as.quota = (struct core_quota){.scope = CORE_QUOTA_PRINCIPAL, .id = 1, .cores = 7};
    fed(f, &event);
    struct core_submit other = for_minutes(1002, 8, 1);
    other.principal.v = 2;
    submit(f, other);
    assert_true(runs(f, 1002));
    assert_false(why(f, 1001).planned);
    assert_true(why(f, 1001).quota_reached);
}

static void a_plan_delays_no_preemptible_job_for_those_who_come_later(void **state)
{
    struct fixture *f = *state;
    mornings(f);
    struct core_submit spot = for_minutes(1001, 8, 6 * 60);
    spot.preemptible = true;
    submit(f, spot);
    assert_non_null(decided(f, CORE_DECISION_QUEUE_PLAN, 0));
    assert_true(runs(f, 1001));
}

/* Half of the cores are free at six, and those who come at eight want one core and nearly all of the memory.
 */
static bool starts_beside(struct fixture *f, uint64_t memory_taken)
{
    struct core_submit usual = for_minutes(1, 1, 1), urgent = for_minutes(1001, 4, 130);
    usual.request.memory_bytes = GIB / 8 * 7;
    mornings_of(f, usual);
    urgent.priority_class = PRIORITY_HIGH;
    urgent.request.memory_bytes = memory_taken;
    submit(f, urgent);
    assert_true(runs(f, 1001));
    submit(f, for_minutes(1002, 4, 6 * 60));
    assert_non_null(decided(f, CORE_DECISION_QUEUE_PLAN, 0));
    return runs(f, 1002);
}

static void a_plan_delays_no_job_for_those_who_could_not_use_what_is_free(void **state)
{
    assert_true(starts_beside(*state, GIB / 2));
}

static void a_plan_delays_a_job_for_those_who_could_use_what_is_free(void **state)
{
    assert_false(starts_beside(*state, GIB / 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_long_job_that_fills_the_pool_waits_for_the_end_of_the_morning),
        TEST(a_smaller_request_that_the_plan_would_start_is_offered),
        TEST(a_changed_limit_is_what_the_plan_goes_by),
        TEST(a_start_whose_time_has_come_is_not_lost_to_another_event),
        TEST(rules_are_for_the_pass_by_score),
        TEST(who_waits_too_long_is_promised_a_start),
        TEST(poor_times_are_planned_by_what_is_likely),
        TEST(a_job_that_a_quota_holds_is_in_no_plan),
        TEST(a_plan_delays_no_preemptible_job_for_those_who_come_later),
        TEST(a_plan_delays_no_job_for_those_who_could_not_use_what_is_free),
        TEST(a_plan_delays_a_job_for_those_who_could_use_what_is_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
