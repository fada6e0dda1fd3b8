/*
 * Whose failure it is when a task can't be started, and what becomes of a node that can't start any: it says
 * so to its scheduler, which drains it, probes itself, and says when it can again. Lives on the loop; the
 * probe (probe.h) runs on the thread pool.
 *
 * | what failed                                                | whose | drains at once            |
 * | EIO, EROFS, ESTALE, ENODEV, ENXIO: the disk or a device    | node  | where the probe fails     |
 * | EMFILE, ENFILE, EAGAIN, ENOMEM: the system's own limits    | node  | where the probe fails     |
 * | all else before the payload ran (start_error, disk_full)   | node where the probe fails, else job | yes |
 * | bad image, missing command, bad mount while the probe runs | job   | -                         |
 *
 * Three of the node's in a row drain it also where the probe passes. So no job can drain a node by being
 * wrong: it takes a trivial task that fails too.
 */
#ifndef BERTH_EXECUTOR_HEALTH_H
#define BERTH_EXECUTOR_HEALTH_H

#include "executor/config.h"

#include <uv.h>

#define HEALTH_ROW 3               /* failures of the node in a row that drain it */
#define HEALTH_PROBE_FIRST_MS 2000 /* after the drain; doubles up to */
#define HEALTH_PROBE_MAX_MS 300000
#define HEALTH_STEADY_MS 600000 /* without a fault: the next probe comes early again */

struct health;

struct health_callbacks {
    void (*fault)(void *data, const char *text); /* the node must get no tasks */
    void (*healed)(void *data);
};

struct health *health_create(uv_loop_t *loop, const struct executor_config *config,
                             const struct health_callbacks *callbacks, void *data);

/* One failure that is to be judged. Zero it, set `kind`, `sys_errno` and `took`, and keep it until `judged`.
 */
struct health_question {
    struct health *health;
    const char *kind; /* of its cause */
    int sys_errno;    /* 0: not known */
    const char
        *took; /* removed ahead of the probe: what a job filled the disk with is its own; NULL: nothing */
    int64_t asked_ms; /* boot clock, set by health_ask: no earlier probe answers */
    void (*judged)(struct health_question *q);
    bool node;        /* answer: the node's */
    struct error err; /* the probe's, where it failed */
};

/* Whether a failure of this kind before the payload ran may be the node's at all. */
bool health_may_be_the_nodes(const char *kind);
/* `judged` is called from the loop, after the fault was said where there is one. */
void health_ask(struct health *h, struct health_question *q);
/* A task was started: the row of failures ends. */
void health_started(struct health *h);
/* The scheduler holds this node to be at fault since before: it is probed until it passes. */
void health_recall(struct health *h);

#endif
