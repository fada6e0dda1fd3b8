/*
 * One task on this node, from the accepted order to the removed folder. Everything here runs on the loop;
 * what blocks goes to the thread pool (prepare.h, finish.h), one piece of work of a task at a time.
 *
 *   ACCEPTING -> PREPARING -> STARTING -> RUNNING <-> PAUSED -> EXITED -> RELEASED -> COLLECTED -> REMOVING
 *   WAITING (a preparation that a restart interrupted, until the scheduler says that it still wants it) ->
 * PREPARING
 *
 * A task that fails before its shim runs goes from where it is to EXITED. A task that nobody wants any more
 * is ended and removed from any state, and says nothing.
 */
#ifndef BERTH_EXECUTOR_TASK_H
#define BERTH_EXECUTOR_TASK_H

#include "executor/config.h"
#include "executor/events.h"
#include "executor/order.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define TASK_STDIN_PENDING_MAX                                                                               \
    (4u << 20)                      /* bytes that no shim has taken yet; the scheduler stops at 1 MiB        \
                                     */
#define TASK_GPU_RETRY_MS 3000      /* GPUs of an ended task that somebody still uses */
#define TASK_RETRY_MS 1000          /* a GPU that is held, processes that are not gone yet */
#define TASK_COLLECT_RETRY_MS 30000 /* outputs that did not fit on the disk */
#define TASK_SKIPPED_NAMED 5 /* of what collection left behind, in the job's note; the rest is counted */
#define TASK_COLLECT_TRIES 20

enum life {
    LIFE_ACCEPTING,
    LIFE_WAITING,
    LIFE_PREPARING,
    LIFE_STARTING,
    LIFE_RUNNING,
    LIFE_PAUSED,
    LIFE_EXITED,
    LIFE_RELEASED,
    LIFE_COLLECTED,
    LIFE_REMOVING
};

struct task;
struct health;
struct http_client;

/* What all tasks share; the agent's. */
struct task_context {
    uv_loop_t *loop;
    struct executor_config *config;
    struct events *events;
    struct health *health;
    struct work_turns *turns;
    struct http_client *(*http)(void *data);
    void (*changed)(void *data);                    /* there are events to send */
    void (*removed)(void *data, struct task *task); /* the folder is gone; the task is freed after it */
    void *data;
};

/* A new order: taken over; the first thing is that `accept` is durable. */
struct task *task_accept(struct task_context *context, struct order *order);
/* A folder of before the restart. Blocks for moments; called before the loop runs. NULL where the folder says
 * nothing (it is removed then). */
struct task *task_adopt(struct task_context *context, const char *name);

const char *task_name(const struct task *task);
cJSON *task_hello(const struct task *task); /* its part of the hello; NULL where nothing may be said. The
                                               caller deletes it */
void task_wanted(struct task *task);        /* it is among the orders */
void task_unwanted(struct task *task);      /* it is not: end it, say nothing, remove it */
void task_release(struct task *task);       /* the scheduler has recorded the end */
void task_stop(struct task *task, const char *reason, int64_t grace_ms, bool force);
void task_limit(struct task *task, int64_t limit_ms); /* its time limit, changed; 0: none */
void task_stdin(struct task *task, uint64_t seq, const char *base64, bool eof);
void task_resize(struct task *task, unsigned rows, unsigned cols);
void task_signal(struct task *task, int signo); /* one that does not run gets none */
/* The scheduler has answered a request that went out then (boot clock): the fence begins anew. */
void task_contact(struct task *task, int64_t contact_ms);
void task_part(struct task *task); /* closes the connection to its shim: this process ends */
/* The first delta that still waits for the task's shim; UINT64_MAX for none. */
uint64_t task_oldest_delta(const struct task *task);
#endif
