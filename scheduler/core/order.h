/*
 * The order of the queue under the policy `berth`: what it learns from jobs that ended, what it expects of
 * those that wait, and how patience and expected cost make one score. Pure integers and no pointers: the same
 * calls give the same state, and no call reads what is not known yet (a job's run time before its end).
 *
 * Units: times in milliseconds; `share` is a job's dominant share of the pool in 1/2^32; logarithms are base
 * 2 with 16 bits of fraction; weights are 1/ms with 40 bits of fraction. docs/POLICY.md has the whole pass.
 */
#ifndef BERTH_SCHEDULER_CORE_ORDER_H
#define BERTH_SCHEDULER_CORE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

/* A declared limit above this counts as this; a job that declares none is taken to have ORDER_EST_NONE_MS. */
#define ORDER_EST_MAX_MS ((INT64_C(1) << 35) - 1)
#define ORDER_EST_NONE_MS (INT64_C(7) * 24 * 3600 * 1000)
/* Bases are whole numbers of 1/ORDER_BASE_STEPS bit, so that jobs fall into few classes of equal
 * base and pace. */
#define ORDER_BASE_STEPS 16
#define ORDER_PACE 16
/* Peaks and means are of the last one to two windows, so that a pool which lives for years forgets. */
#define ORDER_USUAL_BITS 10 /* of fraction that the usual weight has beyond a weight */
#define ORDER_WINDOW_MS (INT64_C(120) * 24 * 3600 * 1000)

enum {
    ORDER_LEVELS = 4,          /* cells that one job learns into, beyond the one that all share */
    ORDER_LIMIT_CELLS = 32,    /* by octave of the declared limit */
    ORDER_SIZE_CELLS = 320,    /* and by octave of processors */
    ORDER_RECENT_CELLS = 8000, /* and by how the user's last two jobs ended */
    ORDER_HABIT_CELLS = 2048,  /* by user, processors and exact limit (hashed) */
    ORDER_CELLS = 1 + ORDER_LIMIT_CELLS + ORDER_SIZE_CELLS + ORDER_RECENT_CELLS + ORDER_HABIT_CELLS,
    ORDER_USERS = 1024, /* users share a slot by hash: a clash costs accuracy and nothing else */
    ORDER_HOURS = 24,
    ORDER_WIDTHS = 8 /* up to 1/128 of the pool, 1/64, .., all of it */
};

/* Sums over ended jobs, in 1/1024 job: of run / limit (32 bits of fraction), of limit / run (16 bits; both at
 * least 10 s). Old jobs fade by halving. */
struct order_cell {
    uint64_t n;
    uint64_t used;
    uint64_t inverse;
};

/* What is learned: too large to hash in each step, so the caller hashes a cell when it changes: order_end()
 * touches cell 0 and those that job->cell names. */
struct order_memory {
    struct order_cell cell[ORDER_CELLS];
};

struct order_state {
    uint64_t load;         /* of the jobs that wait: expected ms x share, in 2^-8 ms of the whole pool */
    int64_t backlog_ms;    /* load, at the last pass: how long the whole pool would need for it */
    int64_t peak_ms[2];    /* largest backlog of this window and of the one before */
    int64_t longest_ms[2]; /* longest wait of a job that started, likewise */
    int64_t window_began_ms;
    int64_t integral; /* backlog x time in s^2 since mean_began_ms */
    int64_t mean_began_ms;
    int64_t at_ms;         /* of the last pass */
    uint64_t usual;        /* mean weight of the jobs that come, with ORDER_USUAL_BITS more of fraction */
    uint64_t usual_shares; /* and of weight x share, with 12 bits of fraction less */
    uint64_t work;         /* mean of the jobs that come: expected s x share, the share in 1/2^20 */
    uint64_t work_squared; /* and of expected s^2 x share */
    uint64_t came;         /* submits since mean_began_ms */
    uint64_t widths[ORDER_WIDTHS]; /* mean weight of the jobs that come, likewise; where it is of another
                                      width it counts as 0 */
    uint32_t hours[ORDER_HOURS];   /* submits since mean_began_ms by the hour of the day (UTC) */
    int64_t look_ms;     /* the caller's: when what is kept back is looked at again; past: nothing is due */
    int64_t patience_ms; /* T: the scale of waiting, as of the last pass */
    int64_t shown_ms;    /* what of it the load has shown, not the length of jobs */
    int64_t bound_ms;    /* what it would be without a plan */
    uint64_t planned;    /* 1: the last pass planned the queue (search.h) */
    uint8_t recent[ORDER_USERS][2]; /* how each user's last two jobs ended */
};

/* One job's part, kept by the caller from submit to end. */
struct order_job {
    int64_t est_ms;   /* declared limit, as order_submit() took it */
    int64_t mean_ms;  /* expected run time; frozen once it starts */
    uint64_t weight;  /* expectation of 1 / max(run, 10 s) */
    uint64_t load;    /* its part of order_state.load while it waits, else 0 */
    int64_t start_ms; /* where the last pass planned the queue: its start in that plan; 0: it had none */
    int64_t after_ms; /* and before when it wasn't to start; 0: as soon as there is room */
    uint32_t turn;    /* and its place in the order in which the plan gave room; 0: it had none */
    uint32_t zero;
    uint32_t user;
    uint32_t procs;
    uint32_t share;
    int16_t base;  /* what it is expected to cost: lower goes first; in 1/ORDER_BASE_STEPS bit */
    uint16_t pace; /* how fast it ages, in 1/ORDER_PACE: wide jobs find room by waiting alone */
    uint16_t cell[ORDER_LEVELS]; /* where its end will be learned */
};

void order_init(struct order_state *s, struct order_memory *m, int64_t now_ms);

/* The base-2 logarithm, 16 bits of fraction; of 0 as of 1. */
int64_t order_log2(uint64_t x);

/* Its inverse: 2^(bits / 2^16), whole; of less than 0 as of 0, and at most 2^63. */
uint64_t order_exp2(int64_t bits);

/* Of a share, 0..ORDER_WIDTHS-1. */
uint32_t order_width(uint32_t share);

/* `limit_ms` 0: none declared. `procs` is the amount of the dominant resource, `share` its part of the pool.
 * Fills *job, expectation included. */
void order_submit(struct order_state *s, const struct order_memory *m, uint32_t user, int64_t limit_ms,
                  uint32_t procs, uint32_t share, int64_t now_ms, struct order_job *job);

/* Looks at a waiting job again: due when a job of its user has ended since. True when its base changed (its
 * pace never does). */
bool order_expect(struct order_state *s, const struct order_memory *m, struct order_job *job);

/* What it is expected to cost: its part of order_state.load, by what is expected now. */
uint64_t order_load(const struct order_job *job);

/* It is in no plan any more. */
void order_unplan(struct order_job *job);

/* The job leaves the queue: it starts after `wait_ms`, or is taken back (`wait_ms` 0). */
void order_leave(struct order_state *s, struct order_job *job, int64_t wait_ms);

/* A job that started has ended of itself or at its limit after `run_ms`; not for one that was preempted or
 * lost with its node: that tells nothing. */
void order_end(struct order_state *s, struct order_memory *m, const struct order_job *job, int64_t run_ms);

/* Opens a pass: sets patience_ms. Only a pass in which some waiting job fits what is free may call it.
 * `planned`: a plan of the queue follows. */
void order_pass(struct order_state *s, const struct order_memory *m, int64_t now_ms, bool planned);

/* Whether enough have come and ended by which to tell how many will come, and for how long: a plan of the
 * queue does better than the order of scores then. */
bool order_plans(const struct order_state *s, const struct order_memory *m);

/* Do jobs run as long as they declare? */
bool order_exact(const struct order_memory *m);

/* How long it is likely to run where they don't: between 1 / weight and the mean, close to the mean. */
int64_t order_likely(const struct order_job *job);

/* Lower goes first; equal scores by submit time, then id. Jobs of one base and pace keep their order of
 * submit. */
int64_t order_score(const struct order_state *s, int16_t base, uint16_t pace, int64_t wait_ms);

/* The longest that a job waits for the sake of those to come, by a guess at run times: half of the patience
 * that the load has shown, and so half an hour on a pool where nobody waits. */
int64_t order_most_kept(const struct order_state *s);

/* Whether the job surely runs much longer than is usual for those that come. */
bool order_is_long(const struct order_state *s, const struct order_job *job);

/* The part of the pool, in 1/2^32, that is kept free of long jobs. */
uint64_t order_room(const struct order_state *s);

/* Until which wait a job that has room leaves it to shorter ones; 0: it doesn't. `left` is the part of the
 * pool, in 1/2^32, that would be free beside it: the more is left, the sooner. Never past order_most_kept().
 */
int64_t order_keeps_back(const struct order_state *s, const struct order_job *job, uint64_t left);

/* Whether a head that has waited so long gets a reservation on declared times, which nothing may delay. */
bool order_strict(const struct order_state *s, int64_t head_wait_ms);
/* From which wait on. */
int64_t order_strict_wait(const struct order_state *s);

/* When a running job is expected to end: never before `now_ms`, never past its declared end. */
int64_t order_ending(int64_t start_ms, int64_t mean_ms, int64_t declared_end_ms, int64_t now_ms);

/* Whether a candidate may start before a head that is not strict and is expected to start in `hole_ms`. */
bool order_passes(const struct order_job *candidate, const struct order_job *head, int64_t hole_ms);

#endif
