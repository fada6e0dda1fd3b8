/* The order of the policy `berth`: what it learns, what it expects, and how waiting and cost make one score.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/core/order.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define WHOLE UINT32_MAX

struct fixture {
    struct order_state s;
    struct order_memory m;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    order_init(&f->s, &f->m, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static struct order_job submitted(struct fixture *f, uint32_t user, int64_t limit_ms, uint32_t procs)
{
    struct order_job job;
    order_submit(&f->s, &f->m, user, limit_ms, procs, procs << 24, 0, &job);
    return job;
}

static void ran(struct fixture *f, uint32_t user, int64_t limit_ms, uint32_t procs, int64_t run_ms, int times)
{
    while (times-- > 0) {
        struct order_job job = submitted(f, user, limit_ms, procs);
        order_leave(&f->s, &job, 0);
        order_end(&f->s, &f->m, &job, run_ms);
    }
}

static void the_power_is_the_logarithms_inverse(void **state)
{
    (void)state;
    assert_int_equal(order_exp2(-1), 1);
    assert_int_equal(order_exp2(INT64_MAX), UINT64_C(1) << 63);
    for (uint32_t i = 0; i < 63; i++)
        assert_int_equal(order_exp2((int64_t)i << 16), UINT64_C(1) << i);
    for (uint64_t x = 1000; x < UINT64_C(1) << 40; x += x / 7) {
        uint64_t back = order_exp2(order_log2(x));
        assert_in_range(back, x - x / 1000, x + x / 1000);
    }
}

/* A job that often dies at once is likely to be done before its mean, and none is likely to take longer. */
static void what_is_likely_lies_below_the_mean(void **state)
{
    struct fixture *f = *state;
    ran(f, 1, HOUR, 1, HOUR, 100);
    struct order_job sure = submitted(f, 1, HOUR, 1);
    assert_in_range(order_likely(&sure), sure.mean_ms - sure.mean_ms / 100, sure.mean_ms);
    for (int i = 0; i < 100; i++) {
        ran(f, 2, 4 * HOUR, 8, 1000, 1);
        ran(f, 2, 4 * HOUR, 8, 4 * HOUR, 1);
    }
    struct order_job unsure = submitted(f, 2, 4 * HOUR, 8);
    assert_in_range(order_likely(&unsure), unsure.mean_ms / 8, unsure.mean_ms / 2);
}

static void the_logarithm_is_exact_at_powers_and_adds_up_between(void **state)
{
    (void)state;
    assert_int_equal(order_log2(0), 0);
    for (int i = 0; i < 64; i++)
        assert_int_equal(order_log2(UINT64_C(1) << i), (int64_t)i << 16);
    for (uint64_t x = 1; x < 3000; x += 7)
        for (uint64_t y = 1; y < 3000; y += 11)
            assert_in_range(order_log2(x) + order_log2(y) - order_log2(x * y) + 16, 0, 32);
    assert_true(order_log2(UINT64_MAX) <= INT64_C(64) << 16);
}

static void without_history_a_job_is_expected_to_use_its_limit(void **state)
{
    struct order_job job = submitted(*state, 1, HOUR, 4);
    assert_int_equal(job.mean_ms, HOUR);
    assert_int_equal(job.weight, (UINT64_C(1) << 40) / HOUR);
}

static void jobs_that_end_early_teach_what_to_expect_of_their_kind(void **state)
{
    struct fixture *f = *state;
    ran(f, 1, 10 * HOUR, 4, HOUR, 200);
    struct order_job same = submitted(f, 1, 10 * HOUR, 4), other = submitted(f, 2, 10 * HOUR, 4);
    struct order_job far = submitted(f, 2, 10 * MINUTE, 1);
    assert_in_range(same.mean_ms, HOUR / 2, 2 * HOUR);
    assert_in_range(other.mean_ms, HOUR / 2, 2 * HOUR);
    assert_true(far.mean_ms < 10 * MINUTE);
    assert_true(far.mean_ms > MINUTE / 2);
}

static void a_users_last_two_ends_tell_his_next_job_from_anothers(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 50; i++) {
        ran(f, 1, 4 * HOUR, 4, 10 * 1000, 1);
        ran(f, 2, 4 * HOUR, 4, 3 * HOUR, 1);
    }
    struct order_job crashes = submitted(f, 1, 4 * HOUR, 4), runs = submitted(f, 2, 4 * HOUR, 4);
    assert_true(crashes.mean_ms * 4 < runs.mean_ms);
    assert_true(crashes.base < runs.base);
}

static void a_waiting_job_is_seen_anew_when_its_user_has_learned_something(void **state)
{
    struct fixture *f = *state;
    struct order_job job = submitted(f, 1, 4 * HOUR, 4);
    int16_t base = job.base;
    ran(f, 1, 4 * HOUR, 4, 10 * 1000, 40);
    assert_true(order_expect(&f->s, &f->m, &job));
    assert_true(job.base < base);
    order_leave(&f->s, &job, 0);
    assert_int_equal(f->s.load, 0);
}

static void a_run_past_its_limit_counts_as_the_limit(void **state)
{
    struct fixture *f = *state;
    ran(f, 1, HOUR, 4, INT64_MAX, 100);
    struct order_job job = submitted(f, 1, HOUR, 4);
    assert_int_equal(job.mean_ms, HOUR);
    ran(f, 1, HOUR, 4, -5, 1);
}

static void a_job_without_a_limit_is_long_until_its_kind_is_known(void **state)
{
    struct fixture *f = *state;
    struct order_job unknown = submitted(f, 1, 0, 4), declared = submitted(f, 1, DAY, 4);
    assert_int_equal(unknown.mean_ms, ORDER_EST_NONE_MS);
    assert_true(unknown.base > declared.base);
    ran(f, 1, 0, 4, MINUTE, 300);
    struct order_job known = submitted(f, 1, 0, 4);
    assert_true(known.mean_ms < HOUR);
    struct order_job week = submitted(f, 1, ORDER_EST_NONE_MS, 4);
    assert_true(week.mean_ms > known.mean_ms); /* declaring a week is another kind */
}

static void short_and_narrow_goes_first_and_alike_is_one_class(void **state)
{
    struct fixture *f = *state;
    struct order_job brief = submitted(f, 1, MINUTE, 4), slow = submitted(f, 1, DAY, 4);
    struct order_job wide = submitted(f, 2, MINUTE, 64), again = submitted(f, 3, MINUTE, 4);
    order_pass(&f->s, &f->m, 0, false);
    assert_true(order_score(&f->s, brief.base, brief.pace, 0) < order_score(&f->s, slow.base, slow.pace, 0));
    assert_true(brief.base < wide.base);
    assert_int_equal(brief.base, again.base);
}

static void whoever_waits_long_enough_goes_first(void **state)
{
    struct fixture *f = *state;
    struct order_job worst = {0}, best = submitted(f, 1, 1, 1);
    order_submit(&f->s, &f->m, 1, ORDER_EST_MAX_MS, WHOLE, WHOLE, 0, &worst);
    order_pass(&f->s, &f->m, 0, false);
    int64_t before = INT64_MAX;
    for (int64_t wait = 0; wait <= 4 * f->s.patience_ms; wait += f->s.patience_ms / 16) {
        int64_t score = order_score(&f->s, worst.base, worst.pace, wait);
        assert_true(score < before);
        before = score;
    }
    assert_true(before < order_score(&f->s, best.base, best.pace, 0));
    assert_true(order_score(&f->s, worst.base, worst.pace, INT64_MAX) <= before);
}

static void a_wide_job_ages_faster_than_a_narrow_one(void **state)
{
    struct fixture *f = *state;
    struct order_job narrow = submitted(f, 1, HOUR, 1), wide = submitted(f, 1, HOUR, 255);
    order_pass(&f->s, &f->m, 0, false);
    int64_t wait = f->s.patience_ms;
    int64_t gained =
        order_score(&f->s, narrow.base, narrow.pace, 0) - order_score(&f->s, narrow.base, narrow.pace, wait);
    assert_true(order_score(&f->s, wide.base, wide.pace, 0) - order_score(&f->s, wide.base, wide.pace, wait) >
                gained);
    assert_int_equal(narrow.pace, ORDER_PACE);
}

static void patience_is_as_long_as_the_queue_and_forgets_in_two_windows(void **state)
{
    struct fixture *f = *state;
    struct order_job jobs[100];
    order_pass(&f->s, &f->m, 0, false);
    assert_int_equal(f->s.patience_ms, HOUR);
    for (int i = 0; i < 100; i++)
        order_submit(&f->s, &f->m, 1, HOUR, 64, WHOLE, 0, &jobs[i]);
    order_pass(&f->s, &f->m, 1000, false);
    assert_in_range(f->s.backlog_ms, 100 * HOUR - 1000, 100 * HOUR);
    int64_t patience = f->s.patience_ms;
    assert_in_range(patience, 50 * HOUR, 400 * HOUR);
    for (int i = 0; i < 100; i++)
        order_leave(&f->s, &jobs[i], HOUR);
    order_pass(&f->s, &f->m, 2000, false);
    assert_int_equal(f->s.backlog_ms, 0);
    assert_in_range(f->s.patience_ms, patience / 2, patience * 2);
    for (int64_t t = 1; t <= 40; t++)
        order_pass(&f->s, &f->m, t * ORDER_WINDOW_MS, false);
    assert_in_range(f->s.patience_ms, HOUR,
                    40 * HOUR); /* the length of its jobs is all that it still knows */
}

static void before_a_load_is_known_patience_follows_the_length_of_jobs(void **state)
{
    struct fixture *f = *state;
    ran(f, 1, HOUR, 64, HOUR, 10);
    order_pass(&f->s, &f->m, 0, false);
    int64_t first = f->s.patience_ms;
    assert_in_range(first, 5 * HOUR, 40 * HOUR);
    ran(f, 1, HOUR, 64, HOUR, 1000);
    order_pass(&f->s, &f->m, 1, false);
    assert_in_range(f->s.patience_ms, HOUR, first - 1); /* the more have come, the less it counts */
    ran(f, 1, HOUR, 64, HOUR, 3000);
    order_pass(&f->s, &f->m, 2, false);
    assert_int_equal(f->s.patience_ms, HOUR);
}

static void short_jobs_however_many_leave_the_first_patience_to_the_long_ones(void **state)
{
    struct fixture *f = *state;
    ran(f, 1, 8 * HOUR, 64, 8 * HOUR, 10);
    ran(f, 2, MINUTE, 1, MINUTE, 90);
    order_pass(&f->s, &f->m, 0, false);
    assert_true(f->s.patience_ms > 48 * HOUR);
}

/* Jobs that declare an hour on a quarter of the pool, one each `every_ms`, that run for `run_ms`. */
static int64_t patience_after_jobs(struct fixture *f, int64_t every_ms, int64_t run_ms)
{
    for (int i = 1; i <= 4000; i++) {
        ran(f, 1, HOUR, 64, run_ms, 1);
        order_pass(&f->s, &f->m, i * every_ms, false);
    }
    return f->s.patience_ms;
}

static void a_calm_pool_with_exact_times_has_much_patience(void **state)
{
    assert_in_range(patience_after_jobs(*state, 30 * MINUTE, HOUR), 40 * HOUR, 80 * HOUR);
}

static void a_busy_pool_has_the_patience_that_its_load_shows(void **state)
{
    assert_int_equal(patience_after_jobs(*state, 15 * MINUTE, HOUR), HOUR);
}

static void a_calm_pool_with_poor_times_has_the_patience_that_its_load_shows(void **state)
{
    assert_int_equal(patience_after_jobs(*state, 30 * MINUTE, 50 * MINUTE), HOUR);
}

static void width_costs_more_where_times_are_exact(void **state)
{
    struct fixture *f = *state;
    ran(f, 1, HOUR, 64, HOUR, 100);
    int exact = submitted(f, 1, HOUR, 255).base - submitted(f, 1, HOUR, 1).base;
    ran(f, 1, HOUR, 64, 50 * MINUTE, 1000);
    int poor = submitted(f, 1, HOUR, 255).base - submitted(f, 1, HOUR, 1).base;
    assert_true(exact > poor + 8); /* half a bit */
}

static void a_head_turns_strict_by_waiting(void **state)
{
    struct fixture *f = *state;
    order_pass(&f->s, &f->m, 0, false);
    assert_false(order_strict(&f->s, 0));
    assert_true(order_strict(&f->s, f->s.patience_ms));
}

static void only_a_job_that_may_end_at_once_may_delay_a_head(void **state)
{
    struct fixture *f = *state;
    struct order_job head = submitted(f, 9, 8 * HOUR, 64), sure = submitted(f, 1, 4 * HOUR, 1);
    assert_true(order_passes(&sure, &head, 4 * HOUR));
    assert_false(order_passes(&sure, &head, HOUR));
    for (int i = 0; i < 60; i++) {
        ran(f, 2, 4 * HOUR, 2, 5 * 1000, 1);
        ran(f, 2, 4 * HOUR, 2, 4 * HOUR, 1);
    }
    struct order_job gamble = submitted(f, 2, 4 * HOUR, 2);
    assert_true(gamble.mean_ms > HOUR);
    assert_true(order_passes(&gamble, &head, HOUR));
    struct order_job urgent = submitted(f, 9, 1000, 64);
    assert_false(order_passes(&gamble, &urgent, MINUTE));
}

static void a_long_job_leaves_the_last_room_to_short_ones_for_a_while(void **state)
{
    struct fixture *f = *state;
    const uint64_t whole = UINT64_C(1) << 32;
    struct order_job alone = submitted(f, 1, 4 * HOUR, 1);
    assert_int_equal(order_keeps_back(&f->s, &alone, 0), 0); /* there are no others */
    ran(f, 2, MINUTE, 1, MINUTE, 200);
    struct order_job sure = submitted(f, 3, 4 * HOUR, 1), quick = submitted(f, 2, MINUTE, 1);
    int64_t most = order_keeps_back(&f->s, &sure, 0), less = order_keeps_back(&f->s, &sure, whole / 128);
    assert_in_range(most, MINUTE, f->s.shown_ms / 2);
    assert_in_range(less, 1, most - 1);
    assert_int_equal(order_keeps_back(&f->s, &sure, whole / 32), 0); /* the usual ones are narrow */
    assert_int_equal(order_keeps_back(&f->s, &quick, 0), 0);
    struct order_job wide = submitted(f, 3, 4 * HOUR, 255);
    assert_int_equal(order_keeps_back(&f->s, &wide, 0), 0); /* it never leaves room */
}

static void a_job_that_may_end_at_once_is_never_kept_back(void **state)
{
    struct fixture *f = *state;
    ran(f, 2, MINUTE, 1, MINUTE, 200);
    for (int i = 0; i < 60; i++) {
        ran(f, 3, 4 * HOUR, 2, 5 * 1000, 1);
        ran(f, 3, 4 * HOUR, 2, 4 * HOUR, 1);
    }
    struct order_job gamble = submitted(f, 3, 4 * HOUR, 2);
    assert_true(gamble.mean_ms > HOUR);
    assert_int_equal(order_keeps_back(&f->s, &gamble, 0), 0);
}

static void an_expected_end_is_never_past_nor_beyond_what_was_declared(void **state)
{
    (void)state;
    assert_int_equal(order_ending(0, HOUR, 4 * HOUR, MINUTE), HOUR);
    int64_t late = order_ending(0, HOUR, 4 * HOUR, 2 * HOUR);
    assert_true(late > 2 * HOUR && late <= 4 * HOUR);
    assert_int_equal(order_ending(0, HOUR, 4 * HOUR, 4 * HOUR - 1), 4 * HOUR);
    assert_int_equal(order_ending(0, HOUR, 4 * HOUR, 5 * HOUR), 5 * HOUR);
}

static void the_extremes_of_every_figure_are_taken(void **state)
{
    struct fixture *f = *state;
    static const int64_t limits[] = {INT64_MIN, -1,       0, 1, ORDER_EST_MAX_MS, ORDER_EST_MAX_MS + 1,
                                     HOUR,      INT64_MAX};
    static const uint32_t sizes[] = {0, 1, UINT32_MAX};
    struct order_job job[8 * 3 * 3];
    int n = 0;
    for (int l = 0; l < 8; l++)
        for (int p = 0; p < 3; p++)
            for (int s = 0; s < 3; s++, n++)
                order_submit(&f->s, &f->m, UINT32_MAX, limits[l], sizes[p], sizes[s], 0, &job[n]);
    order_pass(&f->s, &f->m, 1, false);
    for (int i = 0; i < n; i++) {
        assert_in_range(job[i].est_ms, 1, ORDER_EST_MAX_MS);
        assert_in_range(job[i].mean_ms, 1, job[i].est_ms);
        for (int c = 0; c < ORDER_LEVELS; c++)
            assert_in_range(job[i].cell[c], 1, ORDER_CELLS - 1);
        order_score(&f->s, job[i].base, job[i].pace, INT64_MAX);
        order_passes(&job[i], &job[n - 1 - i], ORDER_EST_MAX_MS);
        for (uint64_t left = 0; left <= UINT64_C(1) << 32; left += UINT64_C(1) << 28)
            assert_in_range(order_keeps_back(&f->s, &job[i], left), 0, f->s.patience_ms / 2);
        order_leave(&f->s, &job[i], INT64_C(1) << 40);
        for (int k = 0; k < 3000; k++)
            order_end(&f->s, &f->m, &job[i], k % 2 ? INT64_MAX : INT64_MIN);
    }
    assert_int_equal(f->s.load, 0);
    for (int64_t t = 1; t < INT64_C(1) << 42; t *= 2)
        order_pass(&f->s, &f->m, t, false);
    assert_true(f->s.patience_ms >= HOUR);
}

static void the_same_calls_give_the_same_bytes(void **state)
{
    struct fixture *f = *state, *g = calloc(1, sizeof *g);
    assert_non_null(g);
    memset(g, 0xff, sizeof *g);
    order_init(&g->s, &g->m, 0);
    struct fixture *both[] = {f, g};
    for (int i = 0; i < 2; i++) {
        for (uint32_t k = 0; k < 500; k++) {
            ran(both[i], k % 7, (int64_t)(k % 13) * HOUR, k % 90, (int64_t)k * MINUTE, 1);
            order_pass(&both[i]->s, &both[i]->m, k * HOUR, false);
        }
    }
    assert_memory_equal(&f->s, &g->s, sizeof f->s);
    assert_memory_equal(&f->m, &g->m, sizeof f->m);
    free(g);
}

static void the_records_have_no_padding(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct order_state),
                     20 * 8 + 8 * ORDER_WIDTHS + 4 * ORDER_HOURS + 2 * ORDER_USERS);
    assert_int_equal(sizeof(struct order_job), 6 * 8 + 6 * 4 + 2 * ORDER_LEVELS);
    assert_int_equal(sizeof(struct order_memory), 24 * ORDER_CELLS);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(the_power_is_the_logarithms_inverse),
        T(what_is_likely_lies_below_the_mean),
        T(the_logarithm_is_exact_at_powers_and_adds_up_between),
        T(without_history_a_job_is_expected_to_use_its_limit),
        T(jobs_that_end_early_teach_what_to_expect_of_their_kind),
        T(a_users_last_two_ends_tell_his_next_job_from_anothers),
        T(a_waiting_job_is_seen_anew_when_its_user_has_learned_something),
        T(a_run_past_its_limit_counts_as_the_limit),
        T(a_job_without_a_limit_is_long_until_its_kind_is_known),
        T(short_and_narrow_goes_first_and_alike_is_one_class),
        T(whoever_waits_long_enough_goes_first),
        T(a_wide_job_ages_faster_than_a_narrow_one),
        T(patience_is_as_long_as_the_queue_and_forgets_in_two_windows),
        T(before_a_load_is_known_patience_follows_the_length_of_jobs),
        T(short_jobs_however_many_leave_the_first_patience_to_the_long_ones),
        T(a_calm_pool_with_exact_times_has_much_patience),
        T(a_busy_pool_has_the_patience_that_its_load_shows),
        T(a_calm_pool_with_poor_times_has_the_patience_that_its_load_shows),
        T(width_costs_more_where_times_are_exact),
        T(a_head_turns_strict_by_waiting),
        T(only_a_job_that_may_end_at_once_may_delay_a_head),
        T(a_long_job_leaves_the_last_room_to_short_ones_for_a_while),
        T(a_job_that_may_end_at_once_is_never_kept_back),
        T(an_expected_end_is_never_past_nor_beyond_what_was_declared),
        T(the_extremes_of_every_figure_are_taken),
        T(the_same_calls_give_the_same_bytes),
        T(the_records_have_no_padding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
