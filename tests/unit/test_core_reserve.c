/* Reservations: who may start where and when, what is refused, and what becomes of their nodes. */
#include "core_fixture.h"

#define HOUR (60 * MINUTE)

static struct core_submit lasting(uint64_t id, uint32_t user, uint32_t cores, uint64_t limit_ms)
{
    struct core_submit s = wanting(id, cores, 0, 0);
    s.principal.v = user;
    s.time_limit_ms = limit_ms;
    s.grace_ms = 0;
    return s;
}

static struct core_reserve reserving(uint32_t id, uint32_t user, uint32_t cores, uint64_t begin_ms,
                                     uint64_t end_ms)
{
    return (struct core_reserve){.reservation = id,
                                 .begin_ms = begin_ms,
                                 .end_ms = end_ms,
                                 .request = {.cores = cores},
                                 .count = 1,
                                 .user_count = 1,
                                 .users = {{user}}};
}

static void reserve(struct fixture *f, struct core_reserve r)
{
    struct core_event event = {.kind = CORE_EVENT_RESERVE, .as.reserve = r};
    fed(f, &event);
}

static void unreserve(struct fixture *f, uint32_t id)
{
    reserve(f, (struct core_reserve){.reservation = id, .remove = true});
}

static void ticks(struct fixture *f, uint64_t now_ms)
{
    struct core_event event = {.kind = CORE_EVENT_TICK};
    f->now_ms = now_ms;
    fed(f, &event);
}

static void policy(struct fixture *f, enum core_policy policy)
{
    struct core_event event = {.kind = CORE_EVENT_CONFIG, .as.config = {.policy = policy}};
    fed(f, &event);
}

static enum core_reserve_refusal refused(const struct fixture *f, struct core_reserve r)
{
    struct core_reserve_answer answer;
    core_reserve_refuses(f->core, &r, &answer);
    return answer.refusal;
}

static uint32_t seat_of(const struct fixture *f, uint32_t id)
{
    struct node_id node = {0};
    assert_int_equal(core_reservation_nodes(f->core, id, &node, 1), 1);
    return node.v;
}

static struct core_why why(const struct fixture *f, uint64_t job)
{
    struct core_why out;
    assert_true(core_why(f->core, (struct job_id){job}, &out));
    return out;
}

/* ---- who may start ---- */

static void only_its_users_start_on_what_is_reserved(void **state)
{
    for (int p = 0; p < CORE_POLICY_COUNT; p++) {
        struct fixture *f = *state;
        if (p) {
            fixture_teardown(state);
            fixture_setup(state);
            f = *state;
        }
        policy(f, (enum core_policy)p);
        node_up(f, 1, 8, 0, GIB);
        reserve(f, reserving(1, 2, 6, f->now_ms, f->now_ms + HOUR));
        submit(f, lasting(1, 1, 4, 10 * MINUTE));
        assert_null(started(f, 1));
        submit(f, lasting(2, 2, 6, 10 * MINUTE));
        assert_non_null(started(f, 2)); /* past the head, under every policy: it takes nothing from it */
        assert_int_equal(started(f, 2)->as.start.reservation, 1);
        submit(f, lasting(3, 1, 2, 10 * MINUTE));
        if (p != CORE_POLICY_FCFS)
            assert_non_null(started(f, 3)); /* two cores are nobody's */
    }
}

static void others_run_before_it_where_they_end_in_time(void **state)
{
    struct fixture *f = *state;
    policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, GIB);
    reserve(f, reserving(1, 2, 4, f->now_ms + HOUR, f->now_ms + 2 * HOUR));
    submit(f, lasting(1, 1, 1, 0));
    assert_null(started(f, 1)); /* nobody knows when it ends */
    submit(f, lasting(2, 1, 1, 2 * HOUR));
    assert_null(started(f, 2));
    submit(f, lasting(3, 1, 1, HOUR));
    assert_non_null(started(f, 3)); /* to the moment */
    submit(f, lasting(4, 2, 1, 3 * HOUR));
    assert_non_null(started(f, 4)); /* one of its users may stay into it */
    assert_int_equal(started(f, 4)->as.start.reservation, 1);
    struct core_why w = why(f, 1);
    assert_int_equal(w.reserved.kind, CORE_WHY_RESERVATION_KEPT);
    assert_int_equal(w.reserved.reservation, 1);
    assert_int_equal(w.reserved.begin_ms, 1000 + HOUR);
    assert_int_equal(w.reserved.end_ms, 1000 + 2 * HOUR);
    assert_false(w.fits_now);
}

static void its_end_lets_others_start_and_its_begin_is_told_by_the_timer(void **state)
{
    struct fixture *f = *state;
    policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, GIB);
    reserve(f, reserving(1, 2, 4, f->now_ms + HOUR, f->now_ms + 2 * HOUR));
    submit(f, lasting(1, 1, 4, 2 * HOUR));
    assert_int_equal(job_view(f, 1).promised_ms, 1000 + 2 * HOUR); /* behind it */
    assert_int_equal(core_timer_at(f->core), 1000 + HOUR);
    ticks(f, 1000 + HOUR);
    assert_null(started(f, 1));
    assert_int_equal(core_timer_at(f->core), 1000 + 2 * HOUR);
    ticks(f, 1000 + 2 * HOUR);
    assert_non_null(started(f, 1));
    struct core_reservation_view view;
    assert_false(core_reservation_get(f->core, 1, &view));
}

static void taking_it_away_lets_others_start(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    reserve(f, reserving(1, 2, 0, f->now_ms, f->now_ms + HOUR)); /* all of the node */
    submit(f, lasting(1, 1, 1, MINUTE));
    assert_null(started(f, 1));
    unreserve(f, 1);
    assert_non_null(started(f, 1));
}

/* ---- jobs that name it ---- */

static void a_job_that_names_it_waits_for_its_begin_and_runs_inside(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    node_up(f, 2, 4, 0, GIB);
    struct core_reserve r = reserving(7, 2, 2, f->now_ms + HOUR, f->now_ms + 2 * HOUR);
    struct node_id second = {2};
    r.nodes = &second;
    reserve(f, r);
    struct core_submit s = lasting(1, 2, 2, HOUR);
    s.reservation = 7;
    submit(f, s);
    assert_null(started(f, 1)); /* both nodes are empty */
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_RESERVATION);
    assert_int_equal(why(f, 1).reserved.kind, CORE_WHY_RESERVATION_LATER);
    assert_int_equal(core_expected_start(f->core, (struct job_id){1}), 1000 + HOUR);
    ticks(f, 1000 + HOUR);
    assert_non_null(started(f, 1));
    assert_int_equal(started(f, 1)->as.start.node.v, 2);
    s.job.v = s.seq = 2;
    s.time_limit_ms = MINUTE;
    submit(f, s);
    assert_null(started(f, 2)); /* there is room, but not inside */
    assert_int_equal(why(f, 2).reserved.kind, CORE_WHY_RESERVATION_FULL);
    submit(f, lasting(3, 1, 1, MINUTE));
    assert_non_null(started(f, 3)); /* and it blocks nobody */
}

static void a_job_that_can_t_run_inside_is_refused_and_says_why(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    reserve(f, reserving(7, 2, 2, f->now_ms, f->now_ms + HOUR));
    static const struct {
        uint64_t limit_ms;
        uint32_t reservation, user, cores;
        enum core_reserved_refusal why;
    } cases[] = {{MINUTE, 8, 2, 1, CORE_RESERVED_UNKNOWN},
                 {MINUTE, 7, 1, 1, CORE_RESERVED_USER},
                 {0, 7, 2, 1, CORE_RESERVED_TIME},
                 {2 * HOUR, 7, 2, 1, CORE_RESERVED_TIME},
                 {MINUTE, 7, 2, 3, CORE_RESERVED_AMOUNTS}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct core_submit s = lasting(i + 1, cases[i].user, cases[i].cores, cases[i].limit_ms);
        s.reservation = cases[i].reservation;
        submit(f, s);
        const struct core_decision *d = decided(f, CORE_DECISION_JOB_REFUSED, 0);
        assert_non_null(d);
        assert_int_equal(d->as.refused.refusal, CORE_REFUSED_RESERVATION);
        assert_int_equal(d->as.refused.resource, cases[i].why);
    }
}

static void a_job_whose_reservation_is_gone_says_so_and_runs_in_a_new_one(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    reserve(f, reserving(7, 2, 2, f->now_ms + HOUR, f->now_ms + 2 * HOUR));
    struct core_submit s = lasting(1, 2, 2, MINUTE);
    s.reservation = 7;
    submit(f, s);
    unreserve(f, 7);
    assert_null(started(f, 1));
    assert_int_equal(job_view(f, 1).state, JOB_QUEUED);
    assert_int_equal(job_view(f, 1).reason, CORE_REASON_RESERVATION);
    assert_int_equal(why(f, 1).reserved.kind, CORE_WHY_RESERVATION_GONE);
    reserve(f, reserving(7, 2, 2, f->now_ms, f->now_ms + HOUR));
    assert_non_null(started(f, 1));
}

/* ---- making one ---- */

static void what_could_never_be_held_is_refused_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    node_up(f, 2, 4, 0, GIB);
    f->now_ms += HOUR;
    node_up(f, 3, 2, 0, GIB);
    uint64_t now = f->now_ms;
    struct node_id third = {3}, ninth = {9};
    struct core_reserve named = reserving(1, 2, 4, now, now + HOUR), many = named, past = named,
                        unknown = named;
    named.nodes = &third;
    unknown.nodes = &ninth;
    many.count = 3;
    past.begin_ms = 1;
    past.end_ms = 2;
    assert_int_equal(refused(f, named), CORE_RESERVE_SMALL);
    assert_int_equal(refused(f, unknown), CORE_RESERVE_NO_NODE);
    assert_int_equal(refused(f, many), CORE_RESERVE_FEW_NODES);
    assert_int_equal(refused(f, past), CORE_RESERVE_PAST);
    uint64_t hash = core_hash(f->core);
    reserve(f, many);
    assert_int_equal(core_hash(f->core), hash);
    many.count = 2;
    reserve(f, many);
    struct core_reserve more = reserving(2, 3, 1, now + HOUR - 1, now + 2 * HOUR);
    struct node_id first = {1};
    more.nodes = &first;
    assert_int_equal(refused(f, more), CORE_RESERVE_OVERLAPS);
    more.begin_ms = now + HOUR;
    assert_int_equal(refused(f, more), CORE_RESERVE_TAKEN);
    assert_int_equal(refused(f, many), CORE_RESERVE_EXISTS);
}

static void there_are_as_many_as_the_limit_and_no_more(void **state)
{
    struct fixture *f = *state;
    f->no_check = true;
    node_up(f, 1, 4, 0, GIB);
    for (uint32_t i = 1; i <= CORE_RESERVATIONS_MAX; i++)
        reserve(f, reserving(i, 2, 4, f->now_ms + i * HOUR, f->now_ms + (i + 1) * HOUR));
    assert_null(core_check(f->core));
    assert_int_equal(core_reservation_nodes(f->core, CORE_RESERVATIONS_MAX, NULL, 0), 1);
    assert_int_equal(refused(f, reserving(999, 2, 4, f->now_ms + 999 * HOUR, f->now_ms + 1000 * HOUR)),
                     CORE_RESERVE_FULL);
}

static void running_jobs_stay_are_told_of_and_are_avoided(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    submit(f, lasting(1, 1, 4, 2 * HOUR));
    assert_non_null(started(f, 1));
    struct core_reserve r = reserving(1, 2, 4, f->now_ms + HOUR, f->now_ms + 3 * HOUR);
    struct node_id first = {1};
    r.nodes = &first;
    reserve(f, r);
    struct core_reservation_obstacle in_the_way;
    assert_int_equal(core_reservation_obstacles(f->core, 1, &in_the_way, 1), 1);
    assert_int_equal(in_the_way.job.v, 1);
    assert_int_equal(in_the_way.node.v, 1);
    assert_int_equal(in_the_way.until_ms, 1000 + 2 * HOUR);
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
    unreserve(f, 1);
    node_up(f, 2, 4, 0, GIB);
    reserve(f, reserving(1, 2, 4, f->now_ms + HOUR, f->now_ms + 3 * HOUR));
    assert_int_equal(seat_of(f, 1), 2);
    assert_int_equal(core_reservation_obstacles(f->core, 1, &in_the_way, 1), 0);
}

static void jobs_of_its_users_that_run_already_count_for_it(void **state)
{
    struct fixture *f = *state;
    policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 8, 0, GIB);
    submit(f, lasting(1, 2, 4, 3 * HOUR));
    reserve(f, reserving(1, 2, 4, f->now_ms, f->now_ms + HOUR));
    submit(f, lasting(2, 1, 4, MINUTE));
    assert_non_null(started(f, 2)); /* the reservation is in use by job 1 */
    struct core_reservation_obstacle none;
    assert_int_equal(core_reservation_obstacles(f->core, 1, &none, 1), 0);
}

static void a_promise_that_it_breaks_is_taken_back_by_name(void **state)
{
    struct fixture *f = *state;
    policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 4, 0, GIB);
    submit(f, lasting(1, 1, 4, HOUR));
    submit(f, lasting(2, 1, 4, HOUR));
    assert_int_equal(job_view(f, 2).promised_ms, 1000 + HOUR);
    reserve(f, reserving(1, 2, 4, f->now_ms + HOUR, f->now_ms + 3 * HOUR));
    const struct core_decision *d = decided(f, CORE_DECISION_VOID, 0);
    assert_non_null(d);
    assert_int_equal(d->as.plan.why, CORE_VOID_RESERVATION);
    assert_int_equal(job_view(f, 2).promised_ms, 1000 + 3 * HOUR);
}

static void what_passes_a_promised_job_leaves_room_for_both(void **state)
{
    struct fixture *f = *state;
    policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 16, 0, GIB);
    submit(f, lasting(1, 1, 8, HOUR / 2));
    reserve(f, reserving(1, 2, 6, f->now_ms + HOUR, f->now_ms + 3 * HOUR));
    submit(f, lasting(2, 1, 10, 2 * HOUR));
    assert_int_equal(job_view(f, 2).promised_ms, 1000 + HOUR / 2); /* beside what is reserved */
    submit(f, lasting(3, 1, 4, 2 * HOUR));                         /* fits beside either, not beside both */
    assert_null(started(f, 3));
    submit(f, lasting(4, 1, 4, HOUR / 2));
    assert_non_null(started(f, 4));
    f->now_ms += HOUR / 2;
    struct core_event over = about_task(CORE_EVENT_TASK_OVER, 1, 1, 1);
    over.as.task.as.exit.ran = true;
    fed(f, &over);
    over = about_task(CORE_EVENT_TASK_OVER, 4, 1, 1);
    over.as.task.as.exit.ran = true;
    fed(f, &over);
    assert_int_equal(job_view(f, 2).state, JOB_PREPARING); /* as promised */
}

/* What such a task gives back is the reservation's again, and nothing that others can be promised. */
static void what_outlives_its_limit_inside_promises_nobody_its_place(void **state)
{
    struct fixture *f = *state;
    policy(f, CORE_POLICY_EASY);
    node_up(f, 1, 8, 0, GIB);
    reserve(f, reserving(1, 2, 6, f->now_ms, f->now_ms + 3 * HOUR));
    submit(f, lasting(1, 2, 4, 10 * MINUTE));
    assert_int_equal(started(f, 1)->as.start.reservation, 1);
    f->now_ms += 11 * MINUTE;
    submit(f, lasting(2, 1, 4, HOUR));
    assert_null(started(f, 2));
    assert_int_equal(job_view(f, 2).promised_ms, 1000 + 3 * HOUR);
    struct core_event over = about_task(CORE_EVENT_TASK_OVER, 1, 1, 1);
    over.as.task.as.exit.ran = true;
    fed(f, &over);
    assert_null(started(f, 2));
    assert_int_equal(job_view(f, 2).promised_ms, 1000 + 3 * HOUR);
}

static void a_lost_node_is_replaced_where_any_node_will_do(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 4, 0, GIB);
    node_up(f, 2, 4, 0, GIB);
    reserve(f, reserving(1, 2, 4, f->now_ms + HOUR, f->now_ms + 3 * HOUR));
    struct core_reserve r = reserving(2, 2, 4, f->now_ms + 4 * HOUR, f->now_ms + 5 * HOUR);
    struct node_id first = {1};
    r.nodes = &first;
    reserve(f, r);
    assert_int_equal(seat_of(f, 1), 1);
    node_event(f, CORE_EVENT_NODE_DOWN, 1);
    assert_int_equal(seat_of(f, 1), 1); /* it may be back in a moment */
    node_event(f, CORE_EVENT_NODE_LOST, 1);
    assert_int_equal(seat_of(f, 1), 2);
    assert_int_equal(seat_of(f, 2), 1); /* named */
    node_event(f, CORE_EVENT_NODE_LOST, 2);
    struct core_reservation_view view;
    assert_true(core_reservation_get(f->core, 1, &view));
    assert_int_equal(view.usable, 0); /* it stays short, and says so */
    node_up(f, 1, 4, 0, GIB);
    assert_int_equal(seat_of(f, 1), 1);
}

static void nothing_is_preempted_for_those_who_may_not_use_it(void **state)
{
    struct fixture *f = *state;
    struct core_event event = {.kind = CORE_EVENT_CONFIG,
                               .as.config = {.policy = CORE_POLICY_EASY, .preempt = true}};
    fed(f, &event);
    node_up(f, 1, 4, 0, GIB);
    reserve(f, reserving(1, 2, 4, f->now_ms, f->now_ms + 3 * HOUR));
    struct core_submit low = lasting(1, 2, 4, HOUR), high = lasting(2, 1, 4, MINUTE);
    low.preemptible = true;
    low.priority_class = PRIORITY_LOW;
    high.priority_class = PRIORITY_HIGH;
    submit(f, low);
    assert_non_null(started(f, 1));
    f->now_ms += MINUTE;
    submit(f, high);
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 0));
}

/* The two that run are short of room together; only the large one's end leaves the winner its part. */
static void who_is_stopped_beside_a_reservation_is_enough_for_the_winner(void **state)
{
    struct fixture *f = *state;
    struct core_event event = {.kind = CORE_EVENT_CONFIG,
                               .as.config = {.policy = CORE_POLICY_EASY, .preempt = true}};
    fed(f, &event);
    node_up(f, 1, 8, 0, GIB);
    struct core_submit small = lasting(1, 1, 2, 3 * HOUR), large = lasting(2, 1, 6, 3 * HOUR);
    small.preemptible = large.preemptible = true;
    small.priority_class = large.priority_class = PRIORITY_LOW;
    submit(f, small);
    submit(f, large);
    assert_non_null(started(f, 2));
    reserve(f, reserving(1, 2, 4, f->now_ms, f->now_ms + 3 * HOUR));
    f->now_ms += MINUTE;
    struct core_submit high = lasting(3, 1, 2, MINUTE);
    high.priority_class = PRIORITY_HIGH;
    submit(f, high);
    const struct core_decision *stop = decided(f, CORE_DECISION_STOP_TASK, 0);
    assert_non_null(stop);
    assert_int_equal(stop->as.stop.task.job.v, 2);
    assert_null(decided(f, CORE_DECISION_STOP_TASK, 1)); /* the small one is in nobody's way */
}

static void an_array_runs_in_it_element_by_element_within_its_limit(void **state)
{
    struct fixture *f = *state;
    node_up(f, 1, 8, 0, GIB);
    reserve(f, reserving(1, 2, 8, f->now_ms + HOUR, f->now_ms + 3 * HOUR));
    struct core_submit s = lasting(10, 2, 1, 10 * MINUTE);
    s.reservation = 1;
    s.array_count = 4;
    s.array_limit = 2;
    submit(f, s);
    assert_null(decided(f, CORE_DECISION_START_TASK, 0)); /* not before it begins */
    ticks(f, f->now_ms + HOUR);
    assert_int_equal(started(f, 11)->as.start.reservation, 1);
    assert_int_equal(started(f, 12)->as.start.reservation, 1);
    assert_null(started(f, 13)); /* two at once */
    says(f, 11, 1, 1, TASK_RUNNING);
    exits(f, 11, 1, 1, END_EXIT, 0, true);
    released(f, 11, 1, 1);
    collected(f, 11, 1, 1);
    assert_int_equal(started(f, 13)->as.start.reservation, 1);
}

static void a_reservation_is_no_approval(void **state)
{
    struct fixture *f = *state;
    struct core_event restrict_it = {.kind = CORE_EVENT_FAMILY, .as.family = {3, true}};
    struct core_event approve = {.kind = CORE_EVENT_QUOTA,
                                 .as.quota = {.id = 2, .family = 3, .approved = true}};
    node_up(f, 1, 4, 0, GIB);
    fed(f, &restrict_it);
    reserve(f, reserving(1, 2, 4, f->now_ms, f->now_ms + HOUR));
    struct core_submit s = lasting(1, 2, 2, 10 * MINUTE);
    s.family = 3;
    submit(f, s);
    s.job.v = s.seq = 2;
    s.reservation = 1;
    submit(f, s);
    assert_null(decided(f, CORE_DECISION_START_TASK, 0));
    assert_true(why(f, 2).approval_missing);
    fed(f, &approve);
    assert_non_null(started(f, 1));
    assert_non_null(started(f, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_its_users_start_on_what_is_reserved),
        TEST(others_run_before_it_where_they_end_in_time),
        TEST(its_end_lets_others_start_and_its_begin_is_told_by_the_timer),
        TEST(taking_it_away_lets_others_start),
        TEST(a_job_that_names_it_waits_for_its_begin_and_runs_inside),
        TEST(a_job_that_can_t_run_inside_is_refused_and_says_why),
        TEST(a_job_whose_reservation_is_gone_says_so_and_runs_in_a_new_one),
        TEST(what_could_never_be_held_is_refused_and_changes_nothing),
        TEST(there_are_as_many_as_the_limit_and_no_more),
        TEST(running_jobs_stay_are_told_of_and_are_avoided),
        TEST(jobs_of_its_users_that_run_already_count_for_it),
        TEST(a_promise_that_it_breaks_is_taken_back_by_name),
        TEST(what_passes_a_promised_job_leaves_room_for_both),
        TEST(what_outlives_its_limit_inside_promises_nobody_its_place),
        TEST(a_lost_node_is_replaced_where_any_node_will_do),
        TEST(nothing_is_preempted_for_those_who_may_not_use_it),
        TEST(who_is_stopped_beside_a_reservation_is_enough_for_the_winner),
        TEST(an_array_runs_in_it_element_by_element_within_its_limit),
        TEST(a_reservation_is_no_approval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
