/* What a job file says about the job's life, for the core: its licences by number. */
#ifndef BERTH_SCHEDULER_SUBMIT_LIFE_H
#define BERTH_SCHEDULER_SUBMIT_LIFE_H

#include "proto/jobspec.h"
#include "scheduler/daemon.h"

/* Fills in the event's part. ERROR_NOT_FOUND for a licence that nobody has set, ERROR_INVALID for more of one
 * than there are; both name the field. */
bool submit_life(struct daemon *d, const struct job_spec *spec, struct core_submit *out, struct error *err);

#endif
