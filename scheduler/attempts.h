/*
 * Attempts of a job. An attempt has no record of its own: how one ended that another one followed is kept
 * with its first task (the job's cause is that of the last attempt).
 */
#ifndef BERTH_SCHEDULER_ATTEMPTS_H
#define BERTH_SCHEDULER_ATTEMPTS_H

#include "scheduler/jobs.h"

struct attempt_end {
    enum end_kind kind;
    int64_t at_ms;
    char text[]; /* up to JOB_CAUSE_MAX_BYTES */
};

/* The job's present attempt has ended and another one follows, for the reason `next`: records that, and notes
 * it for people. */
void attempts_end(struct job *job, enum core_reason next, uint32_t retries_left, int64_t now_ms);
struct attempt_end *attempts_end_create(enum end_kind kind, int64_t at_ms, const char *text);

/* When the first task of that attempt began; 0: none has. */
int64_t attempts_started_ms(const struct job *job, uint32_t attempt);
/* In the journal's doc, as "attempt_end" of a task; absent where there is none. */
void attempts_write_end(const struct task *task, cJSON *out);
void attempts_read_end(struct task *task, const cJSON *in);

/* What the API's job object has of one attempt beyond its tasks: number, state, cause, times. `first` is the
 * index of its first task, `count` the number of its tasks; without `causes` (what others may not read) only
 * the kind of a cause. The caller owns the object. */
cJSON *attempts_object(const struct job *job, uint32_t first, uint32_t count, bool causes);

#endif
