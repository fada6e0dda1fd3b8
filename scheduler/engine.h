/*
 * The engine: one event into the core, one row into the journal, the records brought up to date, and what
 * follows from it for the nodes once the row is durable. Every change of a job's or a lease's state goes
 * through engine_step.
 */
#ifndef BERTH_SCHEDULER_ENGINE_H
#define BERTH_SCHEDULER_ENGINE_H

#include "scheduler/daemon.h"

/* false (with err) where the event is malformed or there is no room for it; then nothing happened. The
 * decisions are in d->decisions until the next step. */
bool engine_step(struct daemon *d, const struct core_event *event, struct error *err);
/* Refuses while the journal can't be written: every handler that changes something asks first. */
bool engine_writable(struct daemon *d, struct error *err);
/* After recovery: nodes that were up are down until they say hello, timers are armed. */
void engine_recovered(struct daemon *d);
/* From the loop, before it sleeps: lets the core go on, hands the open batch to the journal. */
void engine_turn(struct daemon *d);

/* What only the core knows of a waiting job: why it waits now, and its promised start. */
void engine_look(const struct daemon *d, struct job *job);

/* The text of a launch. False, with nothing added, where its job file can't be read, or makes it larger than
 * NODE_LAUNCH_MAX_BYTES (ERROR_LIMIT): no session carries that. */
bool engine_write_order(struct daemon *d, const struct node *node, struct task_id task, struct buf *out,
                        struct error *err);

/* Tells the node the time limit of a job under way, as it is now. */
void engine_push_limit(struct node *node, struct task_id task, int64_t limit_ms);
/* Tells the node to end a task. */
void engine_push_stop(struct node *node, struct task_id task, enum core_stop_reason reason, uint32_t grace_ms,
                      bool force);

/* 200 with `body` (taken), a view of the present state: once all that was stepped so far is durable, so that
 * nobody reads what a crash could still take back; at once where it is, or where the journal can't be
 * written. */
void engine_answer_view(struct daemon *d, struct http_request *req, char *body);

/* An answer that goes out once all that was stepped is durable. Takes `body` (malloc'ed JSON, NULL: empty).
 * 507 where it can't be written; `undo` (or NULL) is called then. */
void engine_answer(struct daemon *d, struct http_request *req, unsigned status, char *body,
                   void (*undo)(struct daemon *d, uint64_t id), uint64_t id);

#endif
