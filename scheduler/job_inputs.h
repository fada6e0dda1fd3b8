/* What a job takes from other jobs: their outputs as inputs, and all that one of them left, to continue it.
 * Which jobs those are is found once, at submission; where their files lie, when a task starts. */
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
/* The same of the job that it continues; *out is 0 where it continues none. */
bool job_continues_find(struct daemon *d, uint32_t submitter, const struct job_spec *spec,
                        const uint64_t *after, uint64_t *out, struct error *err);
/* Adds the job object's "job_inputs" and "continues", where there are any. `ids`: of job_inputs_find. */
void job_inputs_write(const struct job_spec *spec, const uint64_t *ids, uint64_t continues, cJSON *fixed);
/* Adds the order's "job_inputs": names of inputs and the directories that stand for them; and its
 * "continues": the job's name, and the directory of all that it left. */
void job_inputs_order(struct daemon *d, const struct job *job, uint32_t rank, cJSON *order);
/* Adds the ids of the jobs that it takes something from; `ids` has room for JOB_INPUTS_MAX + 1 more. Returns
 * how many. */
size_t job_inputs_ids(const struct job *job, uint64_t *ids);
/* The name of a live job that takes something from this one; NULL: none does. Borrowed. */
const char *job_inputs_reader(const struct daemon *d, uint64_t id);

#endif
