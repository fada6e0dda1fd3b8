/*
 * A plan of the queue, found by search: when each of the waiting jobs starts if jobs take as long as is
 * said of them. Pure: no state but what the caller hands it, whole numbers alone, and the same input gives
 * the same plan.
 *
 * A plan is an order of the first jobs of the queue and, for some, a time before which they don't start; each
 * in turn gets the earliest time at which it has room. Its price is that of order.h (waiting by weight, and
 * steeply by patience), and what those still to come will wait behind it, by how many come at each hour of
 * the day. docs/POLICY.md tells why.
 *
 * Times are in ms from now; amounts are of one resource of one pool, the one that all jobs here want most of.
 */
#ifndef BERTH_SCHEDULER_CORE_SEARCH_H
#define BERTH_SCHEDULER_CORE_SEARCH_H

#include "scheduler/core/order.h"

enum {
    SEARCH_PLANNED_MAX = 48, /* jobs, the first of those given, whose order is searched */
    SEARCH_JOBS_MAX = 256,   /* with those that come behind them in the order given */
    SEARCH_ENDS_MAX = 512
};
#define SEARCH_NEVER (INT64_MAX / 4)

struct search_end {
    int64_t at_ms; /* above 0, ascending */
    uint64_t amount;
};

struct search_job {
    int64_t run_ms;
    int64_t wait_ms;  /* since its submit */
    int64_t after_ms; /* in and out: of the plan before, of this one; 0: as soon as there is room */
    int64_t start_ms; /* out: SEARCH_NEVER: it is wider than the pool */
    uint64_t weight;  /* as order_job's */
    uint64_t amount;
    uint32_t kind; /* jobs of one kind look alike: who came first goes first */
    uint32_t turn; /* in and out: its place in the plan before, in this one; 0: none */
    int16_t base;
    uint16_t pace;
    bool prompt; /* it is delayed for nobody who is still to come */
};

struct search {
    const struct order_state *order;
    bool sure; /* run times are as given; else they are what is likely, and delays are thought of only for a
                  job that waits alone, and kept to order_most_kept(): a guess isn't worth more */
    int64_t now_ms;
    uint64_t free, total;
    uint32_t end_count, job_count;
    struct search_end ends[SEARCH_ENDS_MAX];
    struct search_job jobs[SEARCH_JOBS_MAX]; /* the lowest score first, then by submit */
};

/* At least one job. */
void search_plan(struct search *s);

#endif
