/* Plans of the queue by themselves: what no plan may do, what each of its prices makes it do, and that it
 * follows from what is asked alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scheduler/core/search.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define POOL 128

struct fixture {
    struct order_state order;
    struct order_memory memory;
    struct search s;
};

/* Midnight of a Thursday. A patience of a day, and nobody who comes. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    order_init(&f->order, &f->memory, 0);
    f->order.patience_ms = DAY;
    f->s.order = &f->order;
    f->s.now_ms = 100 * DAY;
    f->s.free = f->s.total = POOL;
    f->s.sure = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static struct search_job *waits(struct fixture *f, uint64_t amount, int64_t run_ms, int64_t wait_ms)
{
    struct search_job *job = &f->s.jobs[f->s.job_count];
    int64_t least = run_ms < 10000 ? 10000 : run_ms;
    *job = (struct search_job){.run_ms = run_ms,
                               .wait_ms = wait_ms,
                               .weight = (UINT64_C(1) << 40) / (uint64_t)least,
                               .amount = amount,
                               .kind = ++f->s.job_count,
                               .base = (int16_t)(order_log2((uint64_t)run_ms) / 4096),
                               .pace = ORDER_PACE};
    return job;
}

static void runs_until(struct fixture *f, int64_t at_ms, uint64_t amount)
{
    f->s.ends[f->s.end_count++] = (struct search_end){at_ms, amount};
    f->s.free -= amount;
}

/* So many jobs of that width and length came at each hour of each of a hundred days. */
static void came(struct fixture *f, uint32_t share, int64_t run_ms, const uint32_t a_day[ORDER_HOURS])
{
    for (uint32_t h = 0; h < ORDER_HOURS; h++) {
        f->order.hours[h] += 100 * a_day[h];
        f->order.came += 100 * a_day[h];
    }
    f->order.widths[order_width(share)] = ((UINT64_C(1) << 40) / (uint64_t)run_ms) << ORDER_USUAL_BITS;
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*seed >> 33) % below;
}

static void make_queue(struct fixture *f, uint64_t seed)
{
    uint32_t running = (uint32_t)draw(&seed, 40), waiting = 1 + (uint32_t)draw(&seed, 200);
    int64_t at = 0;
    f->s.end_count = f->s.job_count = 0;
    f->s.free = POOL;
    for (uint32_t i = 0; i < running && f->s.free; i++) {
        at += (int64_t)draw(&seed, 3) * MINUTE + (i == 0);
        runs_until(f, at, 1 + draw(&seed, f->s.free));
    }
    for (uint32_t i = 0; i < waiting; i++) {
        struct search_job *job =
            waits(f, 1 + draw(&seed, draw(&seed, 4) ? 8 : POOL),
                  (int64_t)draw(&seed, 10) * 20 * MINUTE + 1000, (int64_t)draw(&seed, 2000) * MINUTE);
        job->turn = (uint32_t)draw(&seed, 3) ? 0 : 1 + (uint32_t)draw(&seed, 48);
        job->after_ms = draw(&seed, 5) ? 0 : (int64_t)draw(&seed, 600) * MINUTE;
    }
}

/* What runs and is planned to run at that time. */
static uint64_t used_at(const struct search *s, int64_t at_ms)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < s->end_count; i++)
        used += s->ends[i].at_ms > at_ms ? s->ends[i].amount : 0;
    for (uint32_t i = 0; i < s->job_count; i++) {
        const struct search_job *job = &s->jobs[i];
        used += job->start_ms <= at_ms && at_ms < job->start_ms + job->run_ms ? job->amount : 0;
    }
    return used;
}

/* ---- what holds for every plan ---- */

static void every_job_has_a_start_and_nothing_is_given_twice(void **state)
{
    struct fixture *f = *state;
    static const uint32_t steadily[ORDER_HOURS] = {[8] = 20, 30, 30, 30, 5, 5};
    came(f, UINT32_MAX / 16, HOUR, steadily);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        make_queue(f, seed);
        search_plan(&f->s);
        for (uint32_t i = 0; i < f->s.job_count; i++) {
            const struct search_job *job = &f->s.jobs[i];
            assert_in_range(job->start_ms, 0, SEARCH_NEVER - 1);
            assert_true(job->start_ms >= job->after_ms);
            assert_true(used_at(&f->s, job->start_ms) <= POOL); /* use grows where something starts alone */
        }
    }
}

static void the_same_queue_gives_the_same_plan(void **state)
{
    struct fixture *f = *state;
    static struct search first;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        make_queue(f, seed);
        first = f->s;
        search_plan(&first);
        search_plan(&f->s);
        assert_memory_equal(first.jobs, f->s.jobs, f->s.job_count * sizeof *f->s.jobs);
    }
}

static void jobs_that_differ_in_arrival_alone_start_in_its_order(void **state)
{
    struct fixture *f = *state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        make_queue(f, seed);
        for (uint32_t i = 0; i < f->s.job_count; i++) {
            struct search_job *job = &f->s.jobs[i];
            job->kind = i % 3 + 1;
            job->amount = 8 * job->kind;
            job->run_ms = HOUR * job->kind;
            job->weight = (UINT64_C(1) << 40) / (uint64_t)job->run_ms;
            job->wait_ms = (int64_t)(f->s.job_count - i) * MINUTE;
        }
        search_plan(&f->s);
        for (uint32_t i = 3; i < f->s.job_count; i++)
            assert_true(f->s.jobs[i - 3].start_ms <= f->s.jobs[i].start_ms);
    }
}

static void a_job_wider_than_the_pool_has_no_start_and_is_in_nobodys_way(void **state)
{
    struct fixture *f = *state;
    waits(f, POOL + 1, HOUR, 0);
    waits(f, POOL, HOUR, 0);
    search_plan(&f->s);
    assert_int_equal(f->s.jobs[0].start_ms, SEARCH_NEVER);
    assert_int_equal(f->s.jobs[1].start_ms, 0);
}

/* Sums near the ends of their types: nothing wraps, and the sanitizers watch. */
static void the_largest_figures_are_planned_too(void **state)
{
    struct fixture *f = *state;
    f->s.free = f->s.total = UINT64_MAX / 1024;
    for (uint32_t h = 0; h < ORDER_HOURS; h++)
        f->order.hours[h] = UINT32_MAX;
    f->order.came = UINT64_C(24) * UINT32_MAX;
    f->order.mean_began_ms = f->s.now_ms;
    for (uint32_t i = 0; i < ORDER_WIDTHS; i++)
        f->order.widths[i] = ((UINT64_C(1) << 40) / 10000) << ORDER_USUAL_BITS;
    f->order.patience_ms = HOUR;
    for (int i = 0; i < SEARCH_JOBS_MAX; i++)
        waits(f, f->s.total, ORDER_EST_MAX_MS, ORDER_EST_MAX_MS)->weight = (UINT64_C(1) << 40) / 10000;
    search_plan(&f->s);
    for (uint32_t i = 0; i < f->s.job_count; i++)
        assert_in_range(f->s.jobs[i].start_ms, 0, SEARCH_JOBS_MAX * ORDER_EST_MAX_MS);
}

/* ---- what it is for ---- */

static void short_ones_go_first_until_one_has_waited_for_long(void **state)
{
    struct fixture *f = *state;
    struct search_job *lengthy = waits(f, POOL, 8 * HOUR, 0);
    waits(f, POOL, MINUTE, 0);
    search_plan(&f->s);
    assert_int_equal(f->s.jobs[1].start_ms, 0);
    lengthy->wait_ms = 2 * DAY;
    lengthy->turn = lengthy->after_ms = f->s.jobs[1].turn = f->s.jobs[1].after_ms = 0;
    search_plan(&f->s);
    assert_int_equal(lengthy->start_ms, 0);
}

/* A hundred short ones come at eight, and the pool is idle at six: a job of five hours that would take all of
 * it waits for the evening, or doesn't if nobody is to come. */
static void a_long_wide_job_waits_until_fewer_come(void **state)
{
    struct fixture *f = *state;
    static const uint32_t mornings[ORDER_HOURS] = {[8] = 100};
    f->s.now_ms += 6 * HOUR;
    struct search_job *wide = waits(f, POOL, 5 * HOUR, 0);
    waits(f, 1, MINUTE, 0);
    search_plan(&f->s);
    assert_in_range(wide->start_ms, 0, MINUTE);
    came(f, UINT32_MAX / 64, MINUTE, mornings);
    wide->turn = wide->after_ms = f->s.jobs[1].turn = f->s.jobs[1].after_ms = 0;
    search_plan(&f->s);
    assert_in_range(wide->start_ms, 2 * HOUR, DAY);
}

/* The same where run times are guesses: while another waits, nobody is delayed for those to come, and where
 * nobody has had to wait, half an hour is the most. */
static void a_guess_delays_only_a_job_that_waits_alone(void **state)
{
    struct fixture *f = *state;
    static const uint32_t mornings[ORDER_HOURS] = {[8] = 100};
    f->s.now_ms += 6 * HOUR;
    f->s.sure = false;
    f->order.shown_ms = DAY;
    came(f, UINT32_MAX / 64, MINUTE, mornings);
    struct search_job *wide = waits(f, POOL, 5 * HOUR, 0);
    search_plan(&f->s);
    assert_in_range(wide->start_ms, 2 * HOUR, 12 * HOUR);
    f->order.shown_ms = HOUR;
    wide->turn = wide->after_ms = 0;
    search_plan(&f->s);
    assert_in_range(wide->start_ms, 0, HOUR / 2);
    wide->after_ms = 8 * HOUR; /* of a plan made when times were sure, or patience was longer */
    wide->turn = 1;
    search_plan(&f->s);
    assert_in_range(wide->start_ms, 0, HOUR / 2);
    f->order.shown_ms = DAY;
    waits(f, 1, MINUTE, 0);
    wide->turn = wide->after_ms = 0;
    search_plan(&f->s);
    assert_in_range(wide->start_ms, 0, MINUTE);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_job_has_a_start_and_nothing_is_given_twice),
        T(the_same_queue_gives_the_same_plan),
        T(jobs_that_differ_in_arrival_alone_start_in_its_order),
        T(a_job_wider_than_the_pool_has_no_start_and_is_in_nobodys_way),
        T(the_largest_figures_are_planned_too),
        T(short_ones_go_first_until_one_has_waited_for_long),
        T(a_long_wide_job_waits_until_fewer_come),
        T(a_guess_delays_only_a_job_that_waits_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
