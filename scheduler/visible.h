/*
 * What of a job's document others than its owner and administrators see (docs/SECURITY.md): enough for a
 * queue and for `berth show` of who uses what, nothing that comes from the log, the machine's folders, the
 * node's messages about the task, or the code.
 */
#ifndef BERTH_SCHEDULER_VISIBLE_H
#define BERTH_SCHEDULER_VISIBLE_H

#include "scheduler/jobs.h"

/* Why the job ended, in words that hold nothing of the job's own: by its kind and exit code. */
void visible_add_cause(const struct job *job, cJSON *cause);
/* Appends the members of the job's fixed part without those that are private, each behind a comma. */
void visible_add_fixed(const char *fixed, struct buf *out);

/* The value of a member of a compact JSON object, and its length, without reading the others; NULL: none. */
const char *visible_find_member(const char *object, const char *name, size_t *length);

#endif
