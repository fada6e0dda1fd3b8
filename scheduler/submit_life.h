/* What a job file says about the job's life, for the core: its licences by number, its rule for a lost node.
 */
#ifndef BERTH_SCHEDULER_SUBMIT_LIFE_H
#define BERTH_SCHEDULER_SUBMIT_LIFE_H

#include "proto/jobspec.h"
#include "scheduler/submit.h"

/* Without contact for so long a task's node ends it, and the job is queued again; 0: it waits for its node.
 * What the job file leaves open: one-node jobs wait, gangs don't, but where the scheduler's machine may
 * sleep. */
uint64_t submit_fence_ms(const struct daemon *d, const struct job_spec *spec);
/* Fills in the event's part. ERROR_NOT_FOUND for a licence that nobody has set, ERROR_INVALID for more of one
 * than there are; both name the field. */
bool submit_life(struct daemon *d, const struct job_spec *spec, const struct submit_resources *resources,
                 struct core_submit *out, struct error *err);

#endif
