/* Other jobs' outputs as a job's inputs: which jobs those are, found once at submission, and where their
 * outputs lie when a task starts. */
#ifndef BERTH_SCHEDULER_JOB_INPUTS_H
#define BERTH_SCHEDULER_JOB_INPUTS_H

#include "proto/jobspec.h"
#include "scheduler/jobs.h"

struct daemon;

/* The ids of the jobs that its inputs name, by the input's position (0: of none), so that a name is never
 * another job's later. Each must be the submitter's own and have ended, or be one that this job waits for
 * (`after`: its ids). False with *err, which names the input. The caller frees *out (NULL: no input is a
 * job's). */
bool job_inputs_find(struct daemon *d, uint32_t submitter, const struct job_spec *spec, const uint64_t *after,
                     uint64_t **out, struct error *err);
/* Adds the job object's "job_inputs", where there are any. `ids`: of job_inputs_find. */
void job_inputs_write(const struct job_spec *spec, const uint64_t *ids, cJSON *fixed);
/* Adds the order's "job_inputs": names of inputs and the directories that stand for them. */
void job_inputs_order(struct daemon *d, const struct job *job, uint32_t rank, cJSON *order);
/* The name of a live job that reads the outputs of this one; NULL: none does. Borrowed. */
const char *job_inputs_reader(const struct daemon *d, uint64_t id);

#endif
