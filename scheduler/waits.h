/* Requests that wait for a job's end (GET /v1/jobs/JOB/wait). */
#ifndef BERTH_SCHEDULER_WAITS_H
#define BERTH_SCHEDULER_WAITS_H

#include "scheduler/daemon.h"

#define WAITS_MAX_S (365LL * 24 * 3600)

/* Answers with the job's object when its end is durable, 504 after timeout_s (-1: never). */
void waits_add(struct daemon *d, struct http_request *req, const struct job *job, int64_t timeout_s);
/* The journal can't be written: no end can be recorded, so nobody is kept waiting. */
void waits_journal_failed(struct daemon *d, const struct error *why);
void waits_job_ended(struct daemon *d, const struct job *job);

#endif
