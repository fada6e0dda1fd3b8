/*
 * States of jobs and tasks, the one table of transitions, and the kinds of ends. Names of job states are
 * Azure ML's. states.c links to libc alone: the core uses it.
 */
#ifndef BERTH_PROTO_STATES_H
#define BERTH_PROTO_STATES_H

#include <stdbool.h>

/* Values are written into journals: never renumber. */
enum job_state {
    JOB_NOT_STARTED = 0,
    JOB_QUEUED = 1,
    JOB_PREPARING = 2,
    JOB_STARTING = 3,
    JOB_RUNNING = 4,
    JOB_FINALIZING = 5,
    JOB_COMPLETED = 6,
    JOB_FAILED = 7,
    JOB_PAUSED = 8,
    JOB_NOT_RESPONDING = 9,
    JOB_CANCEL_REQUESTED = 10,
    JOB_CANCELED = 11,
    JOB_STATE_COUNT
};

/* A task as its node reports it. Release and collection are flags beside it (core.h). */
enum task_state {
    TASK_ASSIGNED = 0, /* the lease is given; the node has not said that it accepted the order */
    TASK_PREPARING = 1,
    TASK_STARTING = 2,
    TASK_RUNNING = 3,
    TASK_PAUSED = 4,
    TASK_EXITED = 5,
    TASK_STATE_COUNT
};

/* Why a task or a job ended; END_NONE is an exit of its own with code 0. Values are written into journals. */
enum end_kind {
    END_NONE = 0,
    END_EXIT = 1,
    END_SIGNAL = 2,
    END_OOM = 3,
    END_TIME_LIMIT = 4,
    END_LOG_LIMIT = 5,
    END_IMAGE_ERROR = 6,
    END_START_ERROR = 7,
    END_DISK_FULL = 8,
    END_CANCELED = 9,
    END_NODE_LOST = 10,
    END_SHIM_LOST = 11,
    END_PREEMPTED = 12,
    END_NODE_FAULT = 13, /* the node could not start it: it runs elsewhere, and no attempt is counted */
    END_KIND_COUNT
};

enum priority_class { PRIORITY_LOW = 0, PRIORITY_MEDIUM = 1, PRIORITY_HIGH = 2, PRIORITY_CLASS_COUNT };

/* True where the table (DESIGN section 1) has from -> to. Staying in one state is not a transition. */
bool job_state_can(enum job_state from, enum job_state to);
/* Completed, Failed and Canceled: nothing follows. */
bool job_state_is_final(enum job_state state);

/* "NotStarted", ...; "?" for a value out of range. Static text. */
const char *job_state_name(enum job_state state);
/* The API's spelling, case-sensitive; false where there is no such state. */
bool job_state_parse(const char *name, enum job_state *out);
/* "assigned", "preparing", "starting", "running", "paused", "exited". */
const char *task_state_name(enum task_state state);
bool task_state_parse(const char *name, enum task_state *out);
/* "exit", "oom", ... as causes are named in docs/PROTOCOL.md section 3; "none" for END_NONE. */
const char *end_kind_name(enum end_kind kind);
/* In words, where nothing more is known: "out of memory". NULL for those that say it by a code. */
const char *end_kind_text(enum end_kind kind);
bool end_kind_parse(const char *name, enum end_kind *out);
/* "low", "medium", "high". */
const char *priority_class_name(enum priority_class c);
bool priority_class_parse(const char *name, enum priority_class *out);

#endif
