/* Fair share: what runs counts, and what was used fades, whether or not anything of its user happens. */
#include "core_fixture.h"

#define HOUR (60 * MINUTE)
#define HALF_LIFE (10 * HOUR)

enum { ALICE = 1, BOB, CAROL };

static void configure(struct fixture *f)
{
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    event.as.config = (struct core_config){.share_weight = 8, .share_half_life_ms = HALF_LIFE};
    fed(f, &event);
}

static void tick(struct fixture *f)
{
    struct core_event event = {.kind = CORE_EVENT_TICK};
    fed(f, &event);
}

static void by(struct fixture *f, uint32_t user, uint64_t id, uint32_t cores)
{
    struct core_submit s = wanting(id, cores, 0, 0);
    s.principal.v = user;
    submit(f, s);
}

static void over(struct fixture *f, uint64_t id)
{
    struct core_event event = about_task(CORE_EVENT_TASK_OVER, id, 1, 1);
    event.as.task.as.exit.ran = true;
    fed(f, &event);
}

static uint32_t moved(const struct fixture *f)
{
    uint32_t count = 0;
    while (decided(f, CORE_DECISION_SHARE, count))
        count++;
    return count;
}

static void what_runs_now_counts(void **state)
{
    struct fixture *f = *state;
    configure(f);
    node_up(f, 1, 8, 0, GIB);
    by(f, ALICE, 1, 4);
    f->now_ms += 4 * HOUR;
    by(f, CAROL, 2, 4);
    by(f, ALICE, 3, 4);
    by(f, BOB, 4, 4);
    over(f, 2);
    assert_true(runs(f, 4));
    assert_false(runs(f, 3));
}

static struct core_share_view share_of(const struct fixture *f, uint32_t user)
{
    struct core_share_view view, none = {.core_s = 0};
    for (uint32_t at = 0; core_share_next(f->core, f->now_ms, &at, &view);)
        if (view.principal.v == user)
            return view;
    return none;
}

static void the_view_counts_as_the_order_does(void **state)
{
    struct fixture *f = *state;
    configure(f);
    node_up(f, 1, 8, 0, GIB);
    by(f, ALICE, 1, 4);
    by(f, BOB, 2, 2);
    f->now_ms += 4 * HOUR;
    by(f, CAROL, 3, 8);
    assert_int_equal(share_of(f, ALICE).core_s, 4 * 4 * 3600);
    assert_int_equal(share_of(f, ALICE).width, 4);
    assert_int_equal(share_of(f, BOB).core_s, 2 * 4 * 3600);
    assert_int_equal(share_of(f, CAROL).queued, 1);
    assert_true(share_of(f, ALICE).place > share_of(f, BOB).place);
    assert_int_equal(share_of(f, CAROL).place, 0);
    over(f, 1);
    f->now_ms += HALF_LIFE;
    tick(f);
    assert_in_range(share_of(f, ALICE).core_s, 2 * 4 * 3600 - 1, 2 * 4 * 3600);
    assert_int_equal(share_of(f, ALICE).width, 0);
}

static void what_runs_counts_from_its_own_start(void **state)
{
    struct fixture *f = *state;
    configure(f);
    node_up(f, 1, 8, 0, GIB);
    f->now_ms += 100 * HOUR;
    by(f, ALICE, 1, 4);
    by(f, CAROL, 2, 4);
    by(f, ALICE, 3, 4);
    by(f, BOB, 4, 4);
    over(f, 2);
    assert_true(runs(f, 3));
}

/* Alice has used 64 hours of a core. Her job waits before Bob's, both for the end of Carol's, for so long. */
static bool alice_goes_first_after(struct fixture *f, uint64_t wait_ms)
{
    configure(f);
    node_up(f, 1, 8, 0, GIB);
    by(f, ALICE, 1, 8);
    f->now_ms += 8 * HOUR;
    over(f, 1);
    by(f, CAROL, 2, 8);
    by(f, ALICE, 3, 8);
    by(f, BOB, 4, 8);
    f->now_ms += wait_ms;
    over(f, 2);
    assert_true(runs(f, 3) != runs(f, 4));
    return runs(f, 3);
}

static void who_has_used_much_goes_later(void **state)
{
    assert_false(alice_goes_first_after(*state, 5 * HALF_LIFE));
}

static void what_was_used_fades_while_its_user_waits(void **state)
{
    assert_true(alice_goes_first_after(*state, 7 * HALF_LIFE));
}

static void weigh(struct fixture *f, uint32_t user, uint32_t milli)
{
    struct core_event event = {.kind = CORE_EVENT_WEIGHT, .as.weight = {{user}, milli}};
    fed(f, &event);
}

/* Alice and Bob have used as much; hers counts for half. */
static void twice_the_weight_goes_as_far_with_twice_the_use(void **state)
{
    struct fixture *f = *state;
    configure(f);
    weigh(f, ALICE, 2 * CORE_WEIGHT_ONE);
    node_up(f, 1, 8, 0, GIB);
    by(f, ALICE, 1, 4);
    by(f, BOB, 2, 4);
    f->now_ms += 9 * HOUR;
    over(f, 1);
    by(f, CAROL, 3, 4);
    over(f, 2);
    by(f, CAROL, 4, 4);
    by(f, BOB, 5, 4);
    by(f, ALICE, 6, 4);
    assert_int_equal(share_of(f, BOB).place, 6 * 8); /* 36 hours of a core: 6 doublings from none */
    assert_int_equal(share_of(f, ALICE).place, 5 * 8);
    assert_int_equal(share_of(f, ALICE).core_s, share_of(f, BOB).core_s);
    assert_int_equal(share_of(f, ALICE).weight_milli, 2 * CORE_WEIGHT_ONE);
    over(f, 4);
    assert_true(runs(f, 6));
    assert_false(runs(f, 5));
}

static void a_weight_moves_the_jobs_that_wait(void **state)
{
    struct fixture *f = *state;
    configure(f);
    node_up(f, 1, 8, 0, GIB);
    by(f, ALICE, 1, 8);
    f->now_ms += 9 * HOUR;
    over(f, 1);
    by(f, CAROL, 2, 8);
    by(f, BOB, 3, 8);
    by(f, ALICE, 4, 8);
    weigh(f, ALICE, 73 * CORE_WEIGHT_ONE);
    assert_int_equal(moved(f), 1);
    assert_int_equal(share_of(f, ALICE).place, 0); /* less than an hour of a core */
    weigh(f, ALICE, 1);
    assert_int_equal(share_of(f, ALICE).place, 17 * 8); /* 72,000 hours */
    weigh(f, ALICE, CORE_WEIGHT_ONE);
    assert_int_equal(share_of(f, ALICE).place, 7 * 8);
    over(f, 2);
    assert_true(runs(f, 3));
}

/* 2^51 core-seconds by the least weight: times 1000 they pass 64 bits. */
static void the_least_weight_of_very_much_use_is_the_last_place(void **state)
{
    struct fixture *f = *state;
    struct core_event bad = {.kind = CORE_EVENT_WEIGHT, .as.weight = {{ALICE}, 0}};
    configure(f);
    assert_non_null(core_event_check(&bad));
    bad.as.weight.milli = CORE_WEIGHT_MAX + 1;
    assert_non_null(core_event_check(&bad));
    weigh(f, ALICE, 1);
    node_up(f, 1, 8, 0, GIB);
    by(f, ALICE, 1, 8);
    f->now_ms += UINT64_C(1) << 58;
    tick(f);
    assert_int_equal(share_of(f, ALICE).place, 256);
}

/* 72 hours of a core are 36 after a half-life, however many small jobs are added to them. */
static void use_that_grows_often_fades_as_fast(void **state)
{
    struct fixture *f = *state;
    const uint32_t small = 1500;
    configure(f);
    node_up(f, 1, 8, 0, GIB);
    by(f, ALICE, 1, 8);
    f->now_ms += 9 * HOUR;
    over(f, 1);
    f->no_check = true;
    for (uint32_t i = 0; i < small; i++) {
        by(f, ALICE, 1000 + i, 1);
        f->now_ms += HALF_LIFE / small;
        over(f, 1000 + i);
    }
    f->no_check = false; /* she used 10 more, of which about 7 are left: 43 */
    by(f, BOB, 2, 8);
    f->now_ms += 5 * HOUR;
    over(f, 2); /* he used 40, as many doublings */
    by(f, CAROL, 3, 8);
    by(f, ALICE, 4, 8);
    by(f, BOB, 5, 8);
    over(f, 3);
    assert_true(runs(f, 4));
}

static void a_new_half_life_counts_from_now(void **state)
{
    struct fixture *f = *state;
    configure(f);
    node_up(f, 1, 8, 0, GIB);
    by(f, ALICE, 1, 8);
    f->now_ms += 8 * HOUR;
    over(f, 1);
    f->now_ms += 7 * HALF_LIFE;
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    event.as.config = (struct core_config){.share_weight = 8, .share_half_life_ms = 1000 * HALF_LIFE};
    fed(f, &event);
    by(f, CAROL, 2, 8);
    by(f, ALICE, 3, 8);
    by(f, BOB, 4, 8);
    over(f, 2);
    assert_true(runs(f, 3)); /* it had faded before */
}

static void places_follow_the_time_once_a_minute_and_64_at_a_time(void **state)
{
    struct fixture *f = *state;
    f->no_check = true;
    f->now_ms = HOUR;
    configure(f);
    node_up(f, 1, 65, 0, GIB);
    for (uint32_t user = 1; user <= 65; user++)
        by(f, user, user, 1);
    for (uint32_t user = 1; user <= 65; user++)
        by(f, user, 100 + user, 1);
    f->now_ms += HOUR;
    tick(f);
    assert_int_equal(moved(f), 64);
    assert_null(core_check(f->core));
    f->now_ms += MINUTE - 1;
    tick(f);
    assert_int_equal(moved(f), 0);
    f->now_ms += 1;
    tick(f);
    assert_int_equal(moved(f), 1);
    assert_null(core_check(f->core));
}

static void classes_that_change_places_keep_all_their_jobs(void **state)
{
    struct fixture *f = *state;
    configure(f);
    set_policy(f, CORE_POLICY_BERTH);
    configure(f);
    node_up(f, 1, 8, 0, GIB);
    by(f, CAROL, 1, 8);
    by(f, ALICE, 2, 8);
    for (uint64_t id = 10; id < 90; id++)
        by(f, id % 3 ? ALICE : BOB, id, 1 + id % 4);
    over(f, 1);
    f->now_ms += 30 * HOUR;
    tick(f);
    assert_true(moved(f) > 0); /* the fixture checks every index after each event */
    struct core_counts counts;
    core_count(f->core, &counts);
    assert_int_equal(counts.jobs, 81);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_runs_now_counts),
        TEST(the_view_counts_as_the_order_does),
        TEST(what_runs_counts_from_its_own_start),
        TEST(who_has_used_much_goes_later),
        TEST(what_was_used_fades_while_its_user_waits),
        TEST(use_that_grows_often_fades_as_fast),
        TEST(a_new_half_life_counts_from_now),
        TEST(places_follow_the_time_once_a_minute_and_64_at_a_time),
        TEST(classes_that_change_places_keep_all_their_jobs),
        TEST(twice_the_weight_goes_as_far_with_twice_the_use),
        TEST(a_weight_moves_the_jobs_that_wait),
        TEST(the_least_weight_of_very_much_use_is_the_last_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
