/*
 * The one table of job states. Whoever changes a job's state asks here first: the core asserts it, the API
 * refuses by it.
 */
#include "proto/states.h"

#include <stddef.h>
#include <string.h>

#define TO(state) (1u << (state))
/* Any live state but Queued and NotStarted may be asked to end; a silent node may keep any task's fate. */
#define TO_CANCEL TO(JOB_CANCEL_REQUESTED)
#define TO_SILENT TO(JOB_NOT_RESPONDING)

static const unsigned transitions[JOB_STATE_COUNT] = {
    [JOB_NOT_STARTED] = TO(JOB_QUEUED) | TO(JOB_CANCELED),
    [JOB_QUEUED] = TO(JOB_PREPARING) | TO(JOB_CANCELED),
    /* To Queued always means: as the next attempt. */
    [JOB_PREPARING] = TO(JOB_STARTING) | TO(JOB_FAILED) | TO(JOB_QUEUED) | TO_SILENT | TO_CANCEL,
    [JOB_STARTING] = TO(JOB_RUNNING) | TO(JOB_FAILED) | TO(JOB_QUEUED) | TO_SILENT | TO_CANCEL,
    [JOB_RUNNING] = TO(JOB_PAUSED) | TO(JOB_FINALIZING) | TO(JOB_QUEUED) | TO_SILENT | TO_CANCEL,
    [JOB_PAUSED] = TO(JOB_RUNNING) | TO(JOB_QUEUED) | TO_SILENT | TO_CANCEL,
    [JOB_FINALIZING] = TO(JOB_COMPLETED) | TO(JOB_FAILED) | TO_SILENT | TO_CANCEL,
    [JOB_NOT_RESPONDING] = TO(JOB_PREPARING) | TO(JOB_STARTING) | TO(JOB_RUNNING) | TO(JOB_PAUSED) |
                           TO(JOB_FINALIZING) | TO(JOB_FAILED) | TO(JOB_QUEUED) | TO_CANCEL,
    [JOB_CANCEL_REQUESTED] = TO(JOB_CANCELED) | TO(JOB_COMPLETED) | TO(JOB_FAILED),
};

static const char *const job_names[JOB_STATE_COUNT] = {
    [JOB_NOT_STARTED] = "NotStarted",
    [JOB_QUEUED] = "Queued",
    [JOB_PREPARING] = "Preparing",
    [JOB_STARTING] = "Starting",
    [JOB_RUNNING] = "Running",
    [JOB_FINALIZING] = "Finalizing",
    [JOB_COMPLETED] = "Completed",
    [JOB_FAILED] = "Failed",
    [JOB_PAUSED] = "Paused",
    [JOB_NOT_RESPONDING] = "NotResponding",
    [JOB_CANCEL_REQUESTED] = "CancelRequested",
    [JOB_CANCELED] = "Canceled",
};

static const char *const task_names[TASK_STATE_COUNT] = {
    [TASK_ASSIGNED] = "assigned", [TASK_PREPARING] = "preparing", [TASK_STARTING] = "starting",
    [TASK_RUNNING] = "running",   [TASK_PAUSED] = "paused",       [TASK_EXITED] = "exited",
};

static const char *const end_names[END_KIND_COUNT] = {
    [END_NONE] = "none",
    [END_EXIT] = "exit",
    [END_SIGNAL] = "signal",
    [END_OOM] = "oom",
    [END_TIME_LIMIT] = "time_limit",
    [END_LOG_LIMIT] = "log_limit",
    [END_IMAGE_ERROR] = "image_error",
    [END_START_ERROR] = "start_error",
    [END_DISK_FULL] = "disk_full",
    [END_CANCELED] = "canceled",
    [END_NODE_LOST] = "node_lost",
    [END_SHIM_LOST] = "shim_lost",
    [END_PREEMPTED] = "preempted",
    [END_NODE_FAULT] = "node_fault",
};

static const char *const class_names[PRIORITY_CLASS_COUNT] = {
    [PRIORITY_LOW] = "low",
    [PRIORITY_MEDIUM] = "medium",
    [PRIORITY_HIGH] = "high",
};

static const char *name_of(const char *const *names, size_t count, unsigned value)
{
    return value < count ? names[value] : "?";
}

static bool find(const char *const *names, size_t count, const char *name, unsigned *out)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (unsigned)i;
            return true;
        }
    }
    return false;
}

bool job_state_can(enum job_state from, enum job_state to)
{
    return (unsigned)from < JOB_STATE_COUNT && (unsigned)to < JOB_STATE_COUNT && (transitions[from] & TO(to));
}

bool job_state_is_final(enum job_state state)
{
    return state == JOB_COMPLETED || state == JOB_FAILED || state == JOB_CANCELED;
}

const char *job_state_name(enum job_state state)
{
    return name_of(job_names, JOB_STATE_COUNT, state);
}

bool job_state_parse(const char *name, enum job_state *out)
{
    unsigned value;
    if (!find(job_names, JOB_STATE_COUNT, name, &value))
        return false;
    *out = (enum job_state)value;
    return true;
}

const char *task_state_name(enum task_state state)
{
    return name_of(task_names, TASK_STATE_COUNT, state);
}

bool task_state_parse(const char *name, enum task_state *out)
{
    unsigned value;
    if (!find(task_names, TASK_STATE_COUNT, name, &value))
        return false;
    *out = (enum task_state)value;
    return true;
}

const char *end_kind_text(enum end_kind kind)
{
    static const char *const texts[END_KIND_COUNT] = {
        [END_OOM] = "out of memory",
        [END_TIME_LIMIT] = "its time limit was reached",
        [END_LOG_LIMIT] = "its log limit was reached",
        [END_IMAGE_ERROR] = "its image could not be used",
        [END_START_ERROR] = "it could not be started",
        [END_DISK_FULL] = "the disk is full",
        [END_CANCELED] = "canceled",
        [END_NODE_LOST] = "its node was declared lost",
        [END_SHIM_LOST] = "shim died: exit status unknown",
        [END_PREEMPTED] = "preempted by a job of a higher class",
        [END_NODE_FAULT] = "its node could not start it",
    };
    return (unsigned)kind < END_KIND_COUNT ? texts[kind] : NULL;
}

const char *end_kind_name(enum end_kind kind)
{
    return name_of(end_names, END_KIND_COUNT, kind);
}

bool end_kind_parse(const char *name, enum end_kind *out)
{
    unsigned value;
    if (!find(end_names, END_KIND_COUNT, name, &value))
        return false;
    *out = (enum end_kind)value;
    return true;
}

const char *priority_class_name(enum priority_class c)
{
    return name_of(class_names, PRIORITY_CLASS_COUNT, c);
}

bool priority_class_parse(const char *name, enum priority_class *out)
{
    unsigned value;
    if (!find(class_names, PRIORITY_CLASS_COUNT, name, &value))
        return false;
    *out = (enum priority_class)value;
    return true;
}
