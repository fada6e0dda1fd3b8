/*
 * A core in virtual time: its tasks start at once where it says, and end when whoever runs it says. For
 * forecasts, and for a journal that is decided again.
 */
#ifndef BERTH_SCHEDULER_VIRTUAL_RUN_H
#define BERTH_SCHEDULER_VIRTUAL_RUN_H

#include "scheduler/core/core.h"

#define VIRTUAL_NEVER UINT64_MAX

/* What the run asks. `core` is the one that runs; nothing may be changed. */
struct virtual_hooks {
    /* The job's attempt begins now, with all of its tasks: when it will end; VIRTUAL_NEVER: not in this run.
     */
    uint64_t (*begins)(void *data, const struct core *core, struct job_id job, uint64_t now_ms);
    /* How it ends by itself; NULL: all end well. */
    struct core_end (*ends)(void *data, struct job_id job);
    void *data;
};

struct virtual_run;

/* Owns the core from here on, also where it fails (NULL: no memory). Attempts that are under way are told to
 * `begins` by the first virtual_run_next or _feed. */
struct virtual_run *virtual_run_begin(struct core *core, uint64_t now_ms, const struct virtual_hooks *hooks);
void virtual_run_end(struct virtual_run *r); /* takes NULL */

/* The next instant at which anything happens, and all that does then. False: nothing will, or the core has no
 * more room. */
bool virtual_run_next(struct virtual_run *r);
/* All up to that time (exclusive), then the event at it. False: there is no room for it. A node that comes
 * back says what became of its tasks by itself. The event must be well formed. */
bool virtual_run_feed(struct virtual_run *r, uint64_t now_ms, const struct core_event *event);
uint64_t virtual_run_steps(const struct virtual_run *r);
const struct core *virtual_run_core(const struct virtual_run *r);

#endif
