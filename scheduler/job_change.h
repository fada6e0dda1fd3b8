/*
 * What people change of one job, for its own route and for batches. The caller owns the job or is an
 * administrator (api_owns). With `defer` the pass that may follow is left to the next event, so that many
 * changes have one.
 */
#ifndef BERTH_SCHEDULER_JOB_CHANGE_H
#define BERTH_SCHEDULER_JOB_CHANGE_H

#include "scheduler/api.h"

#define JOB_UPDATE_FIELDS "held priority priority_level time_limit_s begin_ms array_limit"

/* job_update.c. `body` has some of JOB_UPDATE_FIELDS. False with *err, and nothing is changed. The record may
 * move: get it again by its id. */
bool job_change_update(struct daemon *d, const struct caller *caller, struct job *job, const cJSON *body,
                       bool defer, struct error *err);
/* api_jobs.c. True, with nothing done, where it has ended. */
bool job_change_cancel(struct daemon *d, const struct caller *caller, struct job *job, bool force, bool defer,
                       struct error *err);

#endif
