/*
 * Learning and scoring for the policy `berth`. Invariant: order_state.load is the sum of `load` over the jobs
 * that wait, and nothing here depends on the run time of a job that has not ended.
 */
#include "scheduler/core/order.h"

#include <string.h>

__extension__ typedef unsigned __int128 order_wide;

#define FLOOR_MS 10000 /* of bounded slowdown: shorter runs count as this */
#define CELL_JOB 1024  /* fine enough that halving's rounding is lost in the figures */
#define CELL_FULL (1024 * CELL_JOB)
#define HABIT_FULL (6 * CELL_JOB)
#define PATIENCE_LEAST_MS (INT64_C(3600) * 1000)
#define WAITS_MAX 16 /* in patiences: beyond it a job does not age */

#define USUAL_JOBS 1024            /* submits over which the usual weight and work are means */
#define EXACT_JOBS 32              /* ends that tell whether declared times can be relied on, at least */
#define EXACT_MOST_PERCENT 105     /* mean of limit / run up to which they can */
#define USUAL_RUN_MAX_S (1u << 21) /* 24 days: longer ones count as this */

enum { RECENT_NONE = 4, RECENT_KINDS = 5, LIMIT_NONE = ORDER_LIMIT_CELLS - 1, PROCS_OCTAVES = 10 };

/* How the figures were found, and what each trades for what, is in docs/POLICY.md. */
struct order_tuning {
    int64_t by_mean, by_weight;               /* parts of log2 E[r] and of -log2 E[1/r] in the base */
    int64_t likely_by_mean, likely_by_weight; /* the same for the run time that plans take as likely */
    int64_t by_share;                         /* percent of log2 share that is added */
    int64_t by_share_exact;                   /* the same where declared times are exact */
    int64_t by_width; /* percent by which a job as wide as the pool ages faster than a narrow one */
    int64_t age;      /* bits that a job gains by waiting one patience; it grows with the square */
    int64_t of_peak, of_mean, of_longest; /* percent of each that make the patience */
    int64_t of_longest_most;      /* percent of the patience by the load that the longest wait may make */
    int64_t first;                /* percent of the usual run time that are the patience at first */
    int64_t first_jobs;           /* submits after which it rests on the load alone */
    int64_t calm;                 /* usual run times that are the least patience on a calm pool */
    int64_t calm_below;           /* percent of the pool that comes, up to which it is calm */
    int64_t calm_above;           /* and from which it isn't */
    int64_t calm_planned;         /* usual run times that are the least patience there for a plan */
    uint64_t calm_came;           /* only after so many submits of late */
    uint64_t plan_came;           /* the queue is planned only after so many */
    int64_t strict;               /* percent of the patience after which a head's reservation is strict */
    int64_t worth;                /* percent by which what a candidate saves must exceed the head's loss */
    int64_t room;                 /* percent of the pool that is kept free of long jobs */
    uint64_t room_jobs;           /* and room for so many of the usual ones at most */
    uint64_t room_longer;         /* a job is long if its weight is so many times below the usual one */
    int64_t room_wait;            /* percent of 1 / weight that it may wait for the others' sake */
    int64_t room_patience;        /* and percent of the patience that the load has shown */
    uint64_t room_came;           /* only after so many submits of late */
    uint64_t room_coming;         /* and where so many are to be expected in that time */
    uint64_t gamble;              /* least weight x mean of a candidate that may delay a head */
    uint64_t prior[ORDER_LEVELS]; /* jobs at which a level's cell counts as much as the level before */
};

static const struct order_tuning TUNING = {
    .by_mean = 222,
    .by_weight = 55,
    .likely_by_mean = 4,
    .likely_by_weight = 1,
    .by_share = 15,
    .by_share_exact = 30,
    .by_width = 32,
    .age = 17,
    .of_peak = 118,
    .of_mean = 130,
    .of_longest = 100,
    .of_longest_most = 133,
    .first = 1900,
    .first_jobs = 3000,
    .calm = 60,
    .calm_below = 70,
    .calm_above = 80,
    .calm_planned = 20,
    .calm_came = 100,
    .plan_came = 40,
    .strict = 85,
    .worth = 160,
    .room = 21,
    .room_jobs = 4,
    .room_longer = 71,
    .room_wait = 800,
    .room_patience = 50,
    .room_came = 64,
    .room_coming = 8,
    .gamble = 12,
    .prior = {16, 8, 32, 16},
};

/* log2(1 + i/64), 16 bits of fraction. */
static const int32_t LOG2[65] = {
    0,     1466,  2909,  4331,  5732,  7112,  8473,  9814,  11136, 12440, 13727, 14996, 16248,
    17484, 18704, 19909, 21098, 22272, 23433, 24579, 25711, 26830, 27936, 29029, 30109, 31178,
    32234, 33279, 34312, 35334, 36346, 37346, 38336, 39316, 40286, 41246, 42196, 43137, 44068,
    44990, 45904, 46809, 47705, 48593, 49472, 50344, 51207, 52063, 52911, 53751, 54584, 55410,
    56229, 57040, 57845, 58643, 59434, 60219, 60997, 61769, 62534, 63294, 64047, 64794, 65536,
};

static uint32_t octave(uint64_t x)
{
    return x == 0 ? 0 : 63 - (uint32_t)__builtin_clzll(x);
}

int64_t order_log2(uint64_t x)
{
    uint32_t whole = octave(x);
    uint64_t rest = x == 0 ? 0 : x << (63 - whole) << 1; /* what follows the leading one */
    uint32_t i = (uint32_t)(rest >> 58);
    int64_t part = (int64_t)(rest >> 42 & 0xffff);
    return ((int64_t)whole << 16) + LOG2[i] + ((LOG2[i + 1] - LOG2[i]) * part >> 16);
}

uint64_t order_exp2(int64_t bits)
{
    if (bits < 0)
        return 1;
    if (bits >= INT64_C(63) << 16)
        return UINT64_C(1) << 63;
    int32_t part = (int32_t)(bits & 0xffff);
    uint32_t whole = (uint32_t)(bits >> 16), i = 0;
    for (uint32_t step = 32; step; step /= 2)
        if (LOG2[i + step] <= part)
            i += step;
    uint64_t of_step = ((uint64_t)(part - LOG2[i]) << 26) / (uint64_t)(LOG2[i + 1] - LOG2[i]);
    return (UINT64_C(1) << whole) + (uint64_t)((order_wide)(((uint64_t)i << 26) + of_step) << whole >> 32);
}

static uint32_t mixed(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return (uint32_t)(x ^ x >> 33);
}

void order_init(struct order_state *s, struct order_memory *m, int64_t now_ms)
{
    memset(s, 0, sizeof *s);
    memset(m, 0, sizeof *m);
    memset(s->recent, RECENT_NONE, sizeof s->recent);
    s->window_began_ms = s->mean_began_ms = s->at_ms = now_ms;
    s->patience_ms = s->shown_ms = s->bound_ms = PATIENCE_LEAST_MS;
}

static void find_cells(const struct order_state *s, const struct order_job *job, bool limited,
                       uint16_t cell[ORDER_LEVELS])
{
    uint32_t limit = limited ? octave((uint64_t)job->est_ms / 1000) : LIMIT_NONE;
    uint32_t procs = octave(job->procs) < PROCS_OCTAVES ? octave(job->procs) : PROCS_OCTAVES - 1;
    uint32_t size = PROCS_OCTAVES * limit + procs;
    const uint8_t *recent = s->recent[mixed(job->user) % ORDER_USERS];
    uint64_t habit = (uint64_t)job->user << 40 ^ (uint64_t)job->procs << 24 ^ (uint64_t)job->est_ms;
    uint32_t first = 1;
    cell[0] = (uint16_t)(first + limit);
    first += ORDER_LIMIT_CELLS;
    cell[1] = (uint16_t)(first + size);
    first += ORDER_SIZE_CELLS;
    cell[2] = (uint16_t)(first + (RECENT_KINDS * size + recent[0]) * RECENT_KINDS + recent[1]);
    first += ORDER_RECENT_CELLS;
    cell[3] = (uint16_t)(first + mixed(habit) % ORDER_HABIT_CELLS);
}

static bool enough_ended(const struct order_memory *m)
{
    return m->cell[0].n >= EXACT_JOBS * CELL_JOB;
}

bool order_exact(const struct order_memory *m)
{
    const struct order_cell *all = &m->cell[0];
    return enough_ended(m) && all->inverse <= (all->n << 16) / 100 * EXACT_MOST_PERCENT;
}

/* Between the logarithm of the mean and that of 1 / weight. */
static int64_t mixed_bits(const struct order_job *job, int64_t by_mean, int64_t by_weight)
{
    int64_t slow = (INT64_C(40) << 16) - order_log2(job->weight);
    return (by_mean * order_log2((uint64_t)job->mean_ms) + by_weight * slow) / (by_mean + by_weight);
}

static int16_t base_of(const struct order_job *job, bool exact)
{
    const struct order_tuning *t = &TUNING;
    int64_t bits = mixed_bits(job, t->by_mean, t->by_weight) +
                   (exact ? t->by_share_exact : t->by_share) * order_log2(job->share) / 100;
    return (int16_t)(bits / (65536 / ORDER_BASE_STEPS));
}

int64_t order_likely(const struct order_job *job)
{
    int64_t run = (int64_t)order_exp2(mixed_bits(job, TUNING.likely_by_mean, TUNING.likely_by_weight));
    return run < job->mean_ms ? run : job->mean_ms;
}

uint64_t order_load(const struct order_job *job)
{
    return (uint64_t)((order_wide)job->mean_ms * job->share >> 24);
}

bool order_expect(struct order_state *s, const struct order_memory *m, struct order_job *job)
{
    const struct order_cell *all = &m->cell[0];
    uint64_t h = 8 * CELL_JOB;
    uint64_t used = (all->used + (h << 32)) / (all->n + h);
    uint64_t inverse = (all->inverse + (h << 16)) / (all->n + h);
    uint16_t cell[ORDER_LEVELS];
    find_cells(s, job, job->cell[0] != 1 + LIMIT_NONE, cell);
    for (uint32_t i = 0; i < ORDER_LEVELS; i++) {
        if (TUNING.prior[i] == 0)
            continue;
        const struct order_cell *c = &m->cell[cell[i]];
        h = TUNING.prior[i] * CELL_JOB;
        used = (c->used + h * used) / (c->n + h);
        inverse = (c->inverse + h * inverse) / (c->n + h);
    }
    uint64_t est = (uint64_t)job->est_ms;
    int16_t old = job->base;
    job->mean_ms = (int64_t)((used >> 8) * est >> 24);
    if (job->mean_ms < 1)
        job->mean_ms = 1;
    if (job->mean_ms > job->est_ms)
        job->mean_ms = job->est_ms;
    job->weight = (inverse << 24) / (est < FLOOR_MS ? FLOOR_MS : est);
    if (job->weight == 0)
        job->weight = 1;
    job->base = base_of(job, order_exact(m));
    uint64_t load = order_load(job);
    s->load += load - job->load;
    job->load = load;
    return job->base != old;
}

/* A mean over the last so many jobs takes one more in. */
static void lean(uint64_t *mean, uint64_t value, uint64_t jobs)
{
    if (value > *mean)
        *mean += (value - *mean) / jobs;
    else
        *mean -= (*mean - value) / jobs;
}

uint32_t order_width(uint32_t share)
{
    uint32_t width = 0;
    while (width < ORDER_WIDTHS - 1 && share > UINT64_C(1) << (33 - ORDER_WIDTHS + width))
        width++;
    return width;
}

void order_submit(struct order_state *s, const struct order_memory *m, uint32_t user, int64_t limit_ms,
                  uint32_t procs, uint32_t share, int64_t now_ms, struct order_job *job)
{
    memset(job, 0, sizeof *job);
    job->est_ms = limit_ms <= 0                 ? ORDER_EST_NONE_MS
                  : limit_ms > ORDER_EST_MAX_MS ? ORDER_EST_MAX_MS
                                                : limit_ms;
    job->user = user;
    job->procs = procs;
    job->share = share == 0 ? 1 : share;
    job->pace = (uint16_t)(ORDER_PACE + (TUNING.by_width * ORDER_PACE * (job->share >> 16) / 100 >> 16));
    find_cells(s, job, limit_ms > 0, job->cell);
    order_expect(s, m, job);
    s->came++;
    uint64_t jobs = s->came < USUAL_JOBS ? s->came : USUAL_JOBS, weight = job->weight << ORDER_USUAL_BITS;
    lean(&s->usual, weight, jobs);
    lean(&s->usual_shares, weight * (job->share >> 12), jobs);
    const uint64_t most = (UINT64_C(1) << (40 + ORDER_USUAL_BITS)) / FLOOR_MS;
    for (uint32_t i = 0; i < ORDER_WIDTHS; i++)
        lean(&s->widths[i], order_width(job->share) == i ? (weight < most ? weight : most) : 0, jobs);
    s->hours[(uint64_t)now_ms / (3600 * 1000) % ORDER_HOURS]++;
    uint64_t run_s = (uint64_t)job->mean_ms / 1000;
    if (run_s > USUAL_RUN_MAX_S)
        run_s = USUAL_RUN_MAX_S;
    uint64_t work = run_s * (job->share >> 12 | 1);
    lean(&s->work, work, jobs);
    lean(&s->work_squared, work * run_s, jobs);
}

void order_unplan(struct order_job *job)
{
    job->start_ms = job->after_ms = 0;
    job->turn = 0;
}

void order_leave(struct order_state *s, struct order_job *job, int64_t wait_ms)
{
    s->load -= job->load;
    job->load = 0;
    order_unplan(job);
    if (wait_ms > s->longest_ms[0])
        s->longest_ms[0] = wait_ms;
}

void order_end(struct order_state *s, struct order_memory *m, const struct order_job *job, int64_t run_ms)
{
    int64_t run = run_ms < 0 ? 0 : run_ms > job->est_ms ? job->est_ms : run_ms;
    uint64_t est = (uint64_t)job->est_ms;
    uint64_t used = ((uint64_t)run << 28) / est << 4;
    uint64_t least = est < FLOOR_MS ? FLOOR_MS : est;
    uint64_t inverse = (least << 16) / (run < FLOOR_MS ? FLOOR_MS : (uint64_t)run);
    for (uint32_t i = 0; i <= ORDER_LEVELS; i++) {
        struct order_cell *c = &m->cell[i == 0 ? 0 : job->cell[i - 1]];
        c->n += CELL_JOB;
        c->used += CELL_JOB * used;
        c->inverse += CELL_JOB * inverse;
        if (c->n > (i == ORDER_LEVELS ? HABIT_FULL : CELL_FULL)) {
            c->n /= 2;
            c->used /= 2;
            c->inverse /= 2;
        }
    }
    uint8_t *recent = s->recent[mixed(job->user) % ORDER_USERS];
    recent[1] = recent[0];
    recent[0] = run < 60 * 1000 ? 0 : run < 600 * 1000 ? 1 : run < 3600 * 1000 ? 2 : 3;
}

static int64_t larger(const int64_t pair[2])
{
    return pair[0] > pair[1] ? pair[0] : pair[1];
}

static void forget(struct order_state *s, int64_t now_ms)
{
    if (now_ms - s->window_began_ms < ORDER_WINDOW_MS)
        return;
    s->window_began_ms = now_ms;
    s->peak_ms[1] = s->peak_ms[0];
    s->peak_ms[0] = s->backlog_ms;
    s->longest_ms[1] = s->longest_ms[0];
    s->longest_ms[0] = 0;
    s->integral /= 2;
    s->came /= 2;
    for (uint32_t i = 0; i < ORDER_HOURS; i++)
        s->hours[i] /= 2;
    s->mean_began_ms += (now_ms - s->mean_began_ms) / 2;
}

/* The mean run time of what the pool works at. */
static int64_t usual_run_ms(const struct order_state *s)
{
    return s->work == 0 ? 0 : (int64_t)(s->work_squared / s->work) * 1000;
}

/* Before a load has shown how long jobs must wait, their length tells the scale. The more jobs have come, the
 * less it counts. */
static int64_t first_patience(const struct order_state *s)
{
    int64_t left = TUNING.first_jobs - (int64_t)s->came;
    return left <= 0 ? 0 : usual_run_ms(s) * TUNING.first / 100 * left / TUNING.first_jobs;
}

/* Percent of the work that the pool can do which comes; -1: nobody knows yet. */
static int64_t comes_percent(const struct order_state *s)
{
    int64_t elapsed_s = (s->at_ms - s->mean_began_ms) / 1000;
    if (s->came < TUNING.calm_came || elapsed_s <= 0)
        return -1;
    order_wide comes = (order_wide)s->work * s->came * 100 / (uint64_t)elapsed_s >> 20;
    return comes > INT32_MAX ? INT32_MAX : (int64_t)comes;
}

/* A pool that gets clearly less work than it can do is done with it again and again, and then those run that
 * were passed over: where declared times are exact, so that nobody passes by mistake, much patience costs
 * little. */
static int64_t calm_patience(const struct order_state *s, const struct order_memory *m, int64_t usual_runs)
{
    const struct order_tuning *t = &TUNING;
    int64_t comes = comes_percent(s);
    if (!order_exact(m) || comes < 0 || comes >= t->calm_above)
        return 0;
    int64_t above = comes - t->calm_below, span = t->calm_above - t->calm_below;
    return usual_run_ms(s) * usual_runs * (above <= 0 ? span : span - above) / span;
}

bool order_plans(const struct order_state *s, const struct order_memory *m)
{
    return s->came >= TUNING.plan_came && enough_ended(m);
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void order_pass(struct order_state *s, const struct order_memory *m, int64_t now_ms, bool planned)
{
    const struct order_tuning *t = &TUNING;
    s->integral += s->backlog_ms / 1000 * ((now_ms - s->at_ms) / 1000);
    forget(s, now_ms);
    s->at_ms = now_ms;
    s->backlog_ms = (int64_t)(s->load >> 8);
    if (s->backlog_ms > s->peak_ms[0])
        s->peak_ms[0] = s->backlog_ms;
    int64_t elapsed = (now_ms - s->mean_began_ms) / 1000;
    int64_t peak = larger(s->peak_ms), mean = elapsed == 0 ? 0 : s->integral / elapsed * 1000;
    if (mean > peak)
        mean = peak;
    int64_t patience = (t->of_peak * peak + t->of_mean * mean) / 100;
    int64_t served = larger(s->longest_ms) / 100 * t->of_longest;
    if (served > patience / 100 * t->of_longest_most)
        served = patience / 100 * t->of_longest_most;
    if (patience < served)
        patience = served; /* the longest wait so far is spent: to wait less buys nothing */
    s->shown_ms = patience < PATIENCE_LEAST_MS ? PATIENCE_LEAST_MS : patience;
    int64_t least = most(s->shown_ms, first_patience(s));
    s->bound_ms = most(least, calm_patience(s, m, t->calm));
    s->patience_ms = planned ? most(least, calm_patience(s, m, t->calm_planned)) : s->bound_ms;
    s->planned = planned;
}

int64_t order_score(const struct order_state *s, int16_t base, uint16_t pace, int64_t wait_ms)
{
    int64_t most = s->patience_ms * WAITS_MAX;
    int64_t waits = ((wait_ms > most ? most : wait_ms) << 10) / s->patience_ms * pace / ORDER_PACE;
    return (int64_t)base * (65536 / ORDER_BASE_STEPS) - TUNING.age * waits * waits / 16;
}

int64_t order_most_kept(const struct order_state *s)
{
    return s->shown_ms / 100 * TUNING.room_patience;
}

bool order_is_long(const struct order_state *s, const struct order_job *job)
{
    return job->weight * TUNING.room_longer <= s->usual >> ORDER_USUAL_BITS;
}

uint64_t order_room(const struct order_state *s)
{
    uint64_t part = (UINT64_C(1) << 32) * (uint64_t)TUNING.room / 100,
             some = s->usual ? (s->usual_shares / s->usual << 12) * TUNING.room_jobs : 0;
    return part < some ? part : some;
}

int64_t order_keeps_back(const struct order_state *s, const struct order_job *job, uint64_t left)
{
    const struct order_tuning *t = &TUNING;
    uint64_t room = order_room(s);
    if (!order_is_long(s, job) || left >= room || job->share > (UINT64_C(1) << 32) - room)
        return 0;
    int64_t most = (int64_t)((UINT64_C(1) << 40) / job->weight) * t->room_wait / 100;
    if (most > order_most_kept(s))
        most = order_most_kept(s);
    /* Room is kept for those that come, as often as they do. */
    if (s->came < t->room_came ||
        (order_wide)most * s->came < (order_wide)(s->at_ms - s->mean_began_ms) * t->room_coming)
        return 0;
    return most - (int64_t)((order_wide)most * left / room);
}

int64_t order_strict_wait(const struct order_state *s)
{
    return s->bound_ms / 100 * TUNING.strict + 1;
}

bool order_strict(const struct order_state *s, int64_t head_wait_ms)
{
    return head_wait_ms >= order_strict_wait(s);
}

int64_t order_ending(int64_t start_ms, int64_t mean_ms, int64_t declared_end_ms, int64_t now_ms)
{
    int64_t end = start_ms + mean_ms;
    if (end <= now_ms)
        end = now_ms + (now_ms - start_ms) / 2 + 1000; /* it has outlived its kind: half its age again */
    if (end > declared_end_ms)
        end = declared_end_ms;
    return end < now_ms ? now_ms : end;
}

bool order_passes(const struct order_job *candidate, const struct order_job *head, int64_t hole_ms)
{
    int64_t late = candidate->mean_ms - hole_ms;
    if (late <= 0)
        return true;
    /* Only a job that may well end at once is worth a gamble: for one whose run time is as expected, weight
     * is the inverse of the mean. */
    uint64_t mean = (uint64_t)(candidate->mean_ms < FLOOR_MS ? FLOOR_MS : candidate->mean_ms);
    if (candidate->weight < TUNING.gamble * (UINT64_C(1) << 40) / mean)
        return false;
    order_wide saved = (order_wide)candidate->weight * (uint64_t)(hole_ms + head->mean_ms);
    order_wide lost = (order_wide)head->weight * (uint64_t)late;
    return saved * 100 >= lost * (uint64_t)TUNING.worth;
}
