/* Jobs that a job depends on, by name: what people read of them (the core has ids and counts). */
#ifndef BERTH_SCHEDULER_DEPENDENCY_H
#define BERTH_SCHEDULER_DEPENDENCY_H

#include "proto/jobspec.h"
#include "scheduler/jobs.h"

struct daemon;

/* The ids of the jobs that it waits for, each as its submitter names it now; so a name is never another job's
 * later. False with *err. */
bool dependency_find(struct daemon *d, uint32_t submitter, const struct job_spec *spec,
                     uint64_t ids[JOB_AFTER_MAX], struct error *err);
/* Adds the job object's "after", where the job depends on others. */
void dependency_write(const struct job_spec *spec, const uint64_t ids[JOB_AFTER_MAX], cJSON *fixed);
/* "dependency_failed: job train ended Failed", of the first dependency that can't be met; NULL where none is
 * found. The caller frees. */
char *dependency_failed(struct daemon *d, const struct job *job);

#endif
