/*
 * One change of many jobs (POST /v1/jobs/batch): canceled or updated, by names or by a selector. A batch goes
 * on in slices between the loop's turns, each with a bound in jobs, looks and time, and each one commit of
 * the journal; the next begins when that is durable, and the answer leaves when the last is. It names what
 * was done and what was refused, job by job. Only the caller's own jobs are looked at, for administrators
 * all. A crash leaves the slices that are on disk; repeating the batch does the rest.
 */
#ifndef BERTH_SCHEDULER_BATCH_H
#define BERTH_SCHEDULER_BATCH_H

#include "scheduler/api.h"

#define BATCH_NAMES_MAX 10000
#define BATCH_LISTED_MAX 1000       /* jobs, and refusals, that an answer has; all are counted */
#define BATCH_PREVIEW_LISTED_MAX 20 /* and jobs that a preview has */
#define BATCH_SLICE_JOBS 200        /* changed between two turns of the loop */
#define BATCH_SLICE_LOOKS 4000      /* looked at (selector_cost) */
#define BATCH_SLICE_NS 5000000      /* and what ends a slice that takes longer: 5 ms */
#define BATCHES_OF_USER_MAX 2       /* under way, of one user */
#define BATCHES_MAX 64
#define BATCH_BODY_MAX_BYTES (1 << 20)

/* From the loop, before it sleeps: a slice of each batch. True where more is to be done at once. */
bool batches_turn(struct daemon *d);
/* The daemon ends: what is under way is forgotten. The server answers the requests. */
void batches_finish(struct daemon *d);

#endif
