/*
 * Whose failure it is when a task can't be started (failure.h has the table), and what becomes of a node that
 * can't start any: it says so to its scheduler, which drains it, probes itself, and says when it can again. A
 * runtime that appears, disappears or breaks is noticed too: only what works is offered. Lives on the loop;
 * the probe (probe.h) runs on the thread pool.
 */
#ifndef BERTH_EXECUTOR_HEALTH_H
#define BERTH_EXECUTOR_HEALTH_H

#include "base/list.h"
#include "executor/config.h"
#include "executor/failure.h"

#include <uv.h>

#define HEALTH_PROBE_FIRST_MS 2000 /* after the drain; doubles up to */
#define HEALTH_PROBE_MAX_MS 300000
#define HEALTH_STEADY_MS 600000 /* without a fault: the next probe comes early again */
#define HEALTH_LOOK_MS 3000     /* at which runtimes there are */
#define HEALTH_RETRY_MS 30000   /* a runtime that is there and started no task */
#define HEALTH_AGAIN_MS 1500    /* between probes that fail in a row; nobody is tried on a node faster */
#define HEALTH_SPARE_BYTES (1LL << 20) /* a task needs a little more than its files */

struct health;

struct health_callbacks {
    void (*fault)(void *data, const char *text); /* the node must get no tasks */
    /* The probe has passed. False: something else is still missing, it is asked again later. */
    bool (*healed)(void *data);
    void (*offers)(void *data); /* which runtimes are offered has changed */
};

struct health *health_create(uv_loop_t *loop, const struct executor_config *config,
                             const struct health_callbacks *callbacks, void *data);

/* One failure that is to be judged. Zero it, set what is known and `judged`, and keep it until that is
 * called. */
struct health_question {
    struct health *health;
    const char *kind;   /* of its cause */
    int sys_errno;      /* of what failed; 0: not known */
    bool full;          /* there was no space for what Berth writes */
    bool no_runtime;    /* this node does not offer the runtime that it names */
    enum failure place; /* of Berth's own, that the call was about; FAILURE_NONE: not known */
    bool users_path;    /* sys_errno is of a path that the job names */
    const char *folder; /* the task's: its spec names the runtime; NULL: there is none */
    const char *took;   /* removed ahead of the probe: what a job filled the disk with; NULL: nothing */
    int64_t needs_bytes, needs_files; /* of the job, where they did not fit */
    int64_t asked_ms;                 /* boot clock, set by health_ask: no earlier probe answers */
    void (*judged)(struct health_question *q);
    struct failure_seen seen;
    struct list link; /* of those that wait for the probe to run again, or to be answered */
    bool answered;
    bool met_before;  /* an earlier run of the probe failed: it was the node's, whatever the next says */
    uint64_t run;     /* of the probe that answered */
    bool node;        /* answer: the node's */
    struct error err; /* the probe's, where it failed */
};

/* `judged` is called from the loop, after the fault was said where there is one. */
void health_ask(struct health *h, struct health_question *q);
/* A task was started: the row of failures ends. */
void health_started(struct health *h);
/* The scheduler holds this node to be at fault since before: it is probed until it passes. */
void health_recall(struct health *h);
/* It can't start tasks, and that is known without a task. */
void health_fault(struct health *h, const char *text);

#endif
