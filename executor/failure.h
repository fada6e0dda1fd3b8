/*
 * Whose failure it is that a task could not be started: one table (failure.c) that every decision reads. A
 * failure is named by what the probe (probe.h) meets after it, or, where the probe passes, by what the system
 * call said that failed. So no job drains a node by being wrong.
 */
#ifndef BERTH_EXECUTOR_FAILURE_H
#define BERTH_EXECUTOR_FAILURE_H

#include "base/error.h"

#include <stdbool.h>

#define FAILURE_ROW 3 /* in a row drain a node, of a kind that heals by itself */

enum failure {
    FAILURE_NONE, /* the probe passes, and the system call says nothing of the node */
    FAILURE_DIRECTORY,
    FAILURE_LOGS,
    FAILURE_BLOBS,
    FAILURE_DEVICE,
    FAILURE_START,
    FAILURE_RUNTIME,
    FAILURE_DISK,
    FAILURE_LIMITS,
    FAILURE_FULL,
    FAILURE_TIMEOUT,
    FAILURE_COUNT
};

enum failure_effect {
    FAILURE_IS_THE_JOBS,
    FAILURE_DRAINS_AT_ONCE,
    FAILURE_DRAINS_IN_A_ROW, /* it may heal by itself: FAILURE_ROW of them */
    FAILURE_OFFERS_LESS,     /* the node goes on without that runtime */
};

/* Where the probe passes, and only the task met it. */
enum failure_alone {
    FAILURE_ALONE_IS_THE_JOBS,
    FAILURE_ALONE_REQUEUES, /* it has healed */
    FAILURE_ALONE_COUNTS,   /* the node's, and FAILURE_ROW of them drain it */
};

struct failure_row {
    const char *name;
    enum failure_effect effect; /* where the probe meets it */
    enum failure_alone alone;
    const char *words;
};

const struct failure_row *failure_row(enum failure failure);
/* By what a system call said; FAILURE_NONE where that may be about anything. */
enum failure failure_of_errno(int sys_errno);
/* What a stage of the probe met: `stage`, or by the error what heals. */
enum failure failure_of_stage(enum failure stage, const struct error *err);
/* Whether a task that ended with a cause of this kind, before its command ran, may have met the node's
 * failure at all. */
bool failure_may_be_the_nodes(const char *cause_kind);

struct failure_seen {
    enum failure probe; /* what the probe met that began after the failure */
    bool counted;       /* that run of the probe is in the row already */
    enum failure call;  /* what the task met, by its system call */
    bool own; /* the job made that happen: its files are larger than the disk, the path is its own */
};

struct failure_answer {
    bool node;   /* else the job's */
    bool drains; /* the node must get no more tasks */
    bool again;  /* the probe is to run once more before anybody is told: it may have healed by then */
};

/* *in_row: the failures of the node since a task was started or nothing was found. */
struct failure_answer failure_judge(const struct failure_seen *seen, int *in_row);

#endif
