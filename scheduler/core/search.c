/*
 * The search: some orders to begin with, then moves at random (from a seed that the time gives) that are kept
 * where the plan is no worse. Every plan is priced from scratch against the profile of what is free when.
 */
#include "scheduler/core/search.h"

#include "scheduler/core/arena.h"

#include <string.h>

__extension__ typedef __int128 search_wide;
__extension__ typedef unsigned __int128 search_uwide;

enum { POINTS_MAX = 1 + SEARCH_ENDS_MAX + 2 * SEARCH_JOBS_MAX, DAY_S = 86400, HOUR_S = 3600 };

#define MOVES 200        /* plans that are tried beyond the first ones */
#define WORK_MAX 1000000 /* points x jobs that they may look at together */
#define PRICE_BITS 20    /* of fraction: 1 is as much as a slowdown of 1 */
#define WAIT_BITS 16     /* of fraction that a wait in patiences has */
#define WAIT_MOST (4 << WAIT_BITS)
#define LATE_PRICE 150000 /* of a job that has waited one patience; it grows with the 8th power */
#define RATE_BITS 24      /* of fraction: submits a second */
#define RATE_MOST (UINT64_C(16) << RATE_BITS)
#define HORIZON_S (INT64_C(1) << 25) /* a year: nobody comes later, as far as prices go */
#define PRIOR_DAYS 4 /* worth of the mean of all hours that an hour's own submits are mixed with */
#define FLAT_DAYS 2  /* until then all hours count alike */

/* What is free from each point on; `back` is what jobs give back at it. */
struct profile {
    uint32_t count;
    int64_t at_ms[POINTS_MAX];
    uint64_t free[POINTS_MAX];
    uint64_t back[POINTS_MAX];
    struct came {
        search_wide moment;
        int64_t sum;
    } came[POINTS_MAX]; /* by then; see coming_by */
};

/* Of those to come: rates by the hour of the day, and the sums of the rate and of rate x time up to each. */
struct coming {
    int64_t from_s; /* now, in seconds of its day */
    int64_t rate[ORDER_HOURS];
    struct came by[ORDER_HOURS + 1];
};

struct work {
    struct search *s;
    uint32_t count; /* jobs whose order is searched */
    uint64_t seed;
    struct profile empty, filled; /* before any of them is placed, and while they are */
    struct coming coming;
    uint8_t order[SEARCH_PLANNED_MAX], best[SEARCH_PLANNED_MAX];
    int64_t after[SEARCH_PLANNED_MAX];           /* by job */
    int64_t price;                               /* of the best */
    int64_t least, least_of[SEARCH_PLANNED_MAX]; /* no plan costs less, all jobs or each */
};

/* ---- those to come ---- */

static void coming_begin(const struct search *s, struct coming *c)
{
    const struct order_state *o = s->order;
    int64_t now_s = s->now_ms / 1000, elapsed_s = (s->now_ms - o->mean_began_ms) / 1000;
    if (elapsed_s < DAY_S / 100)
        elapsed_s = DAY_S / 100;
    c->from_s = now_s % DAY_S;
    c->by[0] = (struct came){0};
    for (int64_t h = 0; h < ORDER_HOURS; h++) {
        uint64_t of_mean = PRIOR_DAYS * DAY_S * o->came / ORDER_HOURS;
        uint64_t came = o->hours[h] * (uint64_t)(elapsed_s + PRIOR_DAYS * DAY_S) + of_mean;
        if (elapsed_s <= FLAT_DAYS * DAY_S)
            came = o->came * (uint64_t)(elapsed_s + 2 * PRIOR_DAYS * DAY_S) / ORDER_HOURS;
        search_uwide time = (search_uwide)(elapsed_s + 2 * PRIOR_DAYS * DAY_S) * (uint64_t)elapsed_s;
        search_uwide rate = (((search_uwide)came * ORDER_HOURS) << RATE_BITS) / time;
        c->rate[h] = rate > RATE_MOST ? (int64_t)RATE_MOST : (int64_t)rate;
        int64_t from = h * HOUR_S, to = from + HOUR_S;
        c->by[h + 1].sum = c->by[h].sum + c->rate[h] * HOUR_S;
        c->by[h + 1].moment = c->by[h].moment + (search_wide)c->rate[h] * (to * to - from * from) / 2;
    }
}

static int64_t in_seconds(const struct coming *c, int64_t at_ms)
{
    int64_t at_s = at_ms / 1000;
    return c->from_s + (at_s < HORIZON_S ? at_s : HORIZON_S);
}

/* How many will have come by then, and the sum of when they did; both from the day's begin on. */
static struct came coming_by(const struct coming *c, int64_t at_ms)
{
    int64_t at_s = in_seconds(c, at_ms);
    int64_t day = at_s / DAY_S, rest = at_s % DAY_S, h = rest / HOUR_S, from = h * HOUR_S;
    int64_t today = c->by[h].sum + c->rate[h] * (rest - from), daily = c->by[ORDER_HOURS].sum;
    return (struct came){.sum = day * daily + today,
                         .moment = day * c->by[ORDER_HOURS].moment +
                                   (search_wide)DAY_S * daily * day * (day - 1) / 2 + c->by[h].moment +
                                   (search_wide)c->rate[h] * (rest * rest - from * from) / 2 +
                                   (search_wide)day * DAY_S * today};
}

/* ---- what is free when ---- */

static void profile_begin(const struct search *s, const struct coming *c, struct profile *p)
{
    p->count = 1;
    p->at_ms[0] = 0;
    p->free[0] = s->free;
    p->back[0] = 0;
    for (uint32_t i = 0; i < s->end_count; i++) {
        uint32_t last = p->count - 1;
        if (s->ends[i].at_ms > p->at_ms[last]) {
            last = p->count++;
            p->at_ms[last] = s->ends[i].at_ms;
            p->free[last] = p->free[last - 1];
            p->back[last] = 0;
        }
        p->free[last] += s->ends[i].amount;
        p->back[last] += s->ends[i].amount;
    }
    if (p->free[p->count - 1] < s->total)
        p->free[p->count - 1] = s->total; /* so that every job finds its place */
    for (uint32_t k = 0; k < p->count; k++)
        p->came[k] = coming_by(c, p->at_ms[k]);
}

static void profile_copy(struct profile *to, const struct profile *from)
{
    to->count = from->count;
    memcpy(to->at_ms, from->at_ms, from->count * sizeof *from->at_ms);
    memcpy(to->free, from->free, from->count * sizeof *from->free);
    memcpy(to->back, from->back, from->count * sizeof *from->back);
    memcpy(to->came, from->came, from->count * sizeof *from->came);
}

/* The point at that time, which lies at or behind point k and before the next; made where there is none. */
static uint32_t point_at(struct profile *p, const struct coming *c, uint32_t k, int64_t at_ms)
{
    if (p->at_ms[k] == at_ms)
        return k;
    uint32_t rest = p->count - ++k;
    memmove(&p->at_ms[k + 1], &p->at_ms[k], rest * sizeof *p->at_ms);
    memmove(&p->free[k + 1], &p->free[k], rest * sizeof *p->free);
    memmove(&p->back[k + 1], &p->back[k], rest * sizeof *p->back);
    memmove(&p->came[k + 1], &p->came[k], rest * sizeof *p->came);
    p->at_ms[k] = at_ms;
    p->free[k] = p->free[k - 1];
    p->back[k] = 0;
    p->came[k] = coming_by(c, at_ms);
    p->count++;
    return k;
}

/* Gives the job the first room there is at or after that time, and returns when. */
static int64_t place(struct work *w, const struct search_job *job, int64_t after_ms)
{
    struct profile *p = &w->filled;
    if (job->amount > w->s->total)
        return SEARCH_NEVER;
    uint32_t k = 0, last;
    int64_t start, end;
    for (;;) {
        while (p->free[k] < job->amount || (k + 1 < p->count && p->at_ms[k + 1] <= after_ms))
            k++;
        start = p->at_ms[k] < after_ms ? after_ms : p->at_ms[k];
        end = start + (job->run_ms > 0 ? job->run_ms : 1);
        last = k;
        while (last + 1 < p->count && p->at_ms[last + 1] < end && p->free[last + 1] >= job->amount)
            last++;
        if (last + 1 == p->count || p->at_ms[last + 1] >= end)
            break;
        k = last + 1; /* there is too little before its end */
    }
    k = point_at(p, &w->coming, k, start);
    last = k;
    while (last + 1 < p->count && p->at_ms[last + 1] <= end)
        last++;
    last = point_at(p, &w->coming, last, end);
    for (uint32_t i = k; i < last; i++)
        p->free[i] -= job->amount;
    p->back[last] += job->amount;
    return start;
}

/* ---- what a plan costs ---- */

static int64_t job_price(const struct work *w, const struct search_job *job)
{
    if (job->start_ms == SEARCH_NEVER)
        return 0;
    int64_t wait = job->wait_ms + job->start_ms;
    int64_t price = (int64_t)((search_wide)wait * (int64_t)job->weight >> (40 - PRICE_BITS));
    int64_t x = (wait << WAIT_BITS) / w->s->order->patience_ms * job->pace / ORDER_PACE;
    if (x > WAIT_MOST)
        x = WAIT_MOST;
    x = x * x >> WAIT_BITS;
    x = x * x >> WAIT_BITS;
    x = x * x >> WAIT_BITS;
    return price + ((x * LATE_PRICE) << (PRICE_BITS - WAIT_BITS));
}

/* One who comes while too little is free waits until so much more has been given back: by whom it is taken
 * until then nobody knows yet. */
static int64_t coming_price(const struct work *w)
{
    const struct profile *p = &w->filled;
    const struct order_state *o = w->s->order;
    static const int bits = RATE_BITS + 40 + ORDER_USUAL_BITS - PRICE_BITS;
    uint64_t back[POINTS_MAX], so_far = 0, least_free = UINT64_MAX;
    search_wide price = 0;
    for (uint32_t k = 0; k < p->count; k++) {
        back[k] = so_far += p->back[k];
        least_free = p->free[k] < least_free ? p->free[k] : least_free;
    }
    for (uint32_t width = 0; width < ORDER_WIDTHS; width++) {
        uint64_t need = w->s->total >> (ORDER_WIDTHS - 1 - width);
        search_wide waits = 0;
        if (!o->widths[width] || need <= least_free)
            continue;
        for (uint32_t k = 0, until = 0; k + 1 < p->count; k++) {
            if (p->free[k] >= need)
                continue;
            uint64_t wanted = back[k] + need - p->free[k];
            if (until < k)
                until = k;
            while (until + 1 < p->count && back[until] < wanted)
                until++;
            waits +=
                (search_wide)in_seconds(&w->coming, p->at_ms[until]) * (p->came[k + 1].sum - p->came[k].sum) -
                (p->came[k + 1].moment - p->came[k].moment);
        }
        price += waits * (int64_t)o->widths[width] * 1000 >> bits;
    }
    return price > SEARCH_NEVER ? SEARCH_NEVER : (int64_t)price;
}

/* Places all in that order; stops where it is sure to cost as much as `most`. */
static int64_t plan_price(struct work *w, const uint8_t *order, int64_t most)
{
    int64_t price = w->least;
    profile_copy(&w->filled, &w->empty);
    for (uint32_t i = 0; i < w->count && price < most; i++) {
        struct search_job *job = &w->s->jobs[order[i]];
        job->start_ms = place(w, job, w->after[order[i]]);
        price += job_price(w, job) - w->least_of[order[i]];
    }
    return price < most ? price + coming_price(w) : price;
}

/* No job starts sooner than it would by itself, on what is free beside those that run. */
static void find_least(struct work *w)
{
    w->least = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        struct search_job *job = &w->s->jobs[i];
        profile_copy(&w->filled, &w->empty);
        job->start_ms = place(w, job, 0);
        w->least += w->least_of[i] = job_price(w, job);
    }
}

/* ---- the search ---- */

static void no_delays(struct work *w)
{
    memset(w->after, 0, sizeof w->after);
}

static bool tried(struct work *w)
{
    int64_t price = plan_price(w, w->order, w->price);
    if (price >= w->price)
        return false;
    w->price = price;
    memcpy(w->best, w->order, sizeof w->best);
    return true;
}

enum { BY_SCORE, BY_RUN, BY_AREA, BY_WIDTH, BY_SUBMIT, BY_AGE, BY_LATE_AGE, BY_TURN, ORDERS };

/* Lower goes first; logarithms with 16 bits of fraction. */
static int64_t key_of(const struct search *s, const struct search_job *job, int by)
{
    const struct order_state *o = s->order;
    int64_t run = order_log2((uint64_t)job->run_ms), width = order_log2(job->amount);
    int64_t waits = (job->wait_ms << WAIT_BITS) / o->patience_ms;
    if (waits > WAIT_MOST)
        waits = WAIT_MOST;
    int64_t squared = waits * waits >> WAIT_BITS, fourth = squared * squared >> WAIT_BITS;
    switch (by) {
    case BY_RUN:
        return run;
    case BY_AREA:
        return run + width / 2;
    case BY_WIDTH:
        return order_score(o, job->base, job->pace, 2 * job->wait_ms) + width / 5;
    case BY_SUBMIT:
        return -job->wait_ms;
    case BY_AGE:
        return run + width * 3 / 10 - ((10 * waits) << (16 - WAIT_BITS));
    case BY_LATE_AGE:
        return run + width * 3 / 10 - ((40 * fourth) << (16 - WAIT_BITS));
    case BY_TURN:
        return job->turn; /* as the plan before had it: those who have come since before all others */
    default:
        return 0; /* as they come */
    }
}

static void sort_by(struct work *w, int by)
{
    int64_t key[SEARCH_PLANNED_MAX];
    for (uint32_t i = 0; i < w->count; i++) {
        int64_t mine = key_of(w->s, &w->s->jobs[i], by);
        uint32_t at = i;
        for (; at > 0 && key[at - 1] > mine; at--) {
            key[at] = key[at - 1];
            w->order[at] = w->order[at - 1];
        }
        key[at] = mine;
        w->order[at] = (uint8_t)i;
    }
}

/* As much of a delay as the job may have. */
static int64_t allowed(const struct search *s, const struct search_job *job, int64_t delay_ms)
{
    int64_t most = order_most_kept(s->order) - job->wait_ms;
    if (job->prompt)
        return 0;
    if (s->sure || delay_ms <= most)
        return delay_ms;
    return most > 0 ? most : 0;
}

static void first_orders(struct work *w)
{
    for (int by = 0; by < ORDERS; by++) {
        sort_by(w, by);
        tried(w);
    }
    for (uint32_t i = 0; i < w->count; i++) /* the last of them again, as the plan before had it */
        w->after[i] = allowed(w->s, &w->s->jobs[i], w->s->jobs[i].after_ms);
    if (!tried(w))
        no_delays(w);
}

static uint32_t dice(struct work *w, uint32_t sides)
{
    w->seed = core_mix(w->seed + UINT64_C(0x9e3779b97f4a7c15));
    return (uint32_t)((w->seed >> 32) * sides >> 32);
}

/* Takes the job at `from` to place `to`. */
static void insert(uint8_t *order, uint32_t from, uint32_t to)
{
    uint8_t job = order[from];
    if (from < to)
        memmove(&order[from], &order[from + 1], to - from);
    else
        memmove(&order[to + 1], &order[to], from - to);
    order[to] = job;
}

static void swap(uint8_t *order, uint32_t a, uint32_t b)
{
    uint8_t job = order[a];
    order[a] = order[b];
    order[b] = job;
}

enum { NEXT, SWAP, INSERT, FORWARD, DELAY, MOVE_KINDS };

/* DELAY is the last of them, so that leaving it out is one side less. */
static uint32_t move_kind(struct work *w)
{
    return w->count == 1 ? DELAY : dice(w, w->s->sure ? MOVE_KINDS : DELAY);
}

/* Changes one thing, or nothing. Returns the job whose delay it is, with the old one in *before; else -1. */
static int move(struct work *w, int64_t *before)
{
    static const int64_t delays_s[] = {0, 0, 300, 1200, 3600, 7200, 14400, 28800};
    uint32_t a = dice(w, w->count), b = dice(w, w->count);
    switch (move_kind(w)) {
    case NEXT:
        a = dice(w, w->count - 1);
        swap(w->order, a, a + 1);
        return -1;
    case SWAP:
        swap(w->order, a, b);
        return -1;
    case INSERT:
        insert(w->order, a, b);
        return -1;
    case FORWARD:
        insert(w->order, a, a ? dice(w, a) : 0);
        return -1;
    default:
        *before = w->after[a];
        w->after[a] =
            allowed(w->s, &w->s->jobs[a], delays_s[dice(w, sizeof delays_s / sizeof *delays_s)] * 1000);
        return (int)a;
    }
}

static void moves(struct work *w)
{
    uint32_t each = w->count * (w->empty.count + w->count);
    uint32_t most = each * MOVES > WORK_MAX ? WORK_MAX / each : MOVES;
    for (uint32_t i = 0; i < most; i++) {
        int64_t before = 0;
        memcpy(w->order, w->best, sizeof w->order);
        int delayed = move(w, &before);
        bool same = delayed >= 0 ? w->after[delayed] == before
                                 : memcmp(w->order, w->best, w->count * sizeof *w->order) == 0;
        if (same)
            continue;
        int64_t price = plan_price(w, w->order, w->price + 1);
        if (price <= w->price) {
            w->price = price;
            memcpy(w->best, w->order, sizeof w->best);
        } else if (delayed >= 0) {
            w->after[delayed] = before;
        }
    }
}

/* Of jobs that differ in arrival alone, who came first starts first. */
static void settle_kinds(struct search *s)
{
    for (uint32_t i = 0; i < s->job_count; i++) {
        for (uint32_t j = i + 1; j < s->job_count; j++) {
            struct search_job *a = &s->jobs[i], *b = &s->jobs[j];
            if (a->kind != b->kind || a->start_ms <= b->start_ms)
                continue;
            struct search_job had = *a;
            a->start_ms = b->start_ms;
            a->after_ms = b->after_ms;
            a->turn = b->turn;
            b->start_ms = had.start_ms;
            b->after_ms = had.after_ms;
            b->turn = had.turn;
        }
    }
}

void search_plan(struct search *s)
{
    struct work w;
    CORE_ASSERT(s->job_count && s->job_count <= SEARCH_JOBS_MAX && s->end_count <= SEARCH_ENDS_MAX);
    w.s = s;
    w.count = s->job_count < SEARCH_PLANNED_MAX ? s->job_count : SEARCH_PLANNED_MAX;
    w.seed = core_mix((uint64_t)s->now_ms);
    w.price = INT64_MAX;
    memset(w.order, 0, sizeof w.order);
    memset(w.best, 0, sizeof w.best);
    no_delays(&w);
    coming_begin(s, &w.coming);
    profile_begin(s, &w.coming, &w.empty);
    find_least(&w);
    first_orders(&w);
    moves(&w);
    plan_price(&w, w.best, INT64_MAX);
    for (uint32_t i = 0; i < w.count; i++) {
        s->jobs[w.best[i]].after_ms = w.after[w.best[i]];
        s->jobs[w.best[i]].turn = i + 1;
    }
    for (uint32_t i = w.count; i < s->job_count; i++) {
        s->jobs[i].start_ms = place(&w, &s->jobs[i], 0);
        s->jobs[i].after_ms = 0;
        s->jobs[i].turn = 0;
    }
    settle_kinds(s);
}
