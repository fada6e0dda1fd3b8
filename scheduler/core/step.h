/*
 * Private to the core: one step under way, and the seam between what happened (step.c) and what to start next
 * (policy).
 */
#ifndef BERTH_SCHEDULER_CORE_STEP_H
#define BERTH_SCHEDULER_CORE_STEP_H

#include "scheduler/core/arena.h"

struct step {
    struct core *core;
    const struct core_event *event;
    struct core_decisions *out;
    int64_t work;        /* units left */
    struct cursor saved; /* with CONTINUE: where to go on */
    bool want_recheck;   /* jobs set aside may fit again */
    bool want_place;     /* something may start */
};

/* Appends a decision and applies it. A decision costs one unit of work. */
void step_emit(struct step *step, const struct core_decision *decision);
/* The job's slot may be free after a final state. Its end goes with it. */
void step_job_state(struct step *step, uint32_t job_slot, enum job_state state, enum core_reason reason);

/* Where a job stands among the nodes. */
enum standing { STANDING_FITS = 0, STANDING_AWAY, STANDING_NEVER, STANDING_NO_NODE, STANDING_OUT };
/* `from` and `*at`: as tree_find, for the search among usable nodes. */
enum standing step_standing(const struct core *core, const struct caps *want, uint32_t from, int64_t *work,
                            uint32_t *at);
/* The reason within Queued; STANDING_OUT counts as fitting. */
enum core_reason step_standing_reason(enum standing standing);

/* A policy starts what it wants from the queue. True: done; false: out of work, *cursor says where to go on.
 */
struct policy {
    bool (*place)(struct step *step, struct cursor *cursor);
};
extern const struct policy policy_fifo;

/* pass.c: recheck what is set aside, then let the policy place, within what work is left. */
void pass_run(struct step *step);

#endif
