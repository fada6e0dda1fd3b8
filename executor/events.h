/*
 * What the executor has to tell its scheduler: a queue in DIR/events (one JSON line each), kept until
 * acknowledged, so that a restarted executor says the same thing under the same number. A task's exit is
 * found again from its folder, so lines are not fsync'ed: after a power cut an event may come twice under two
 * numbers, never be missing.
 */
#ifndef BERTH_EXECUTOR_EVENTS_H
#define BERTH_EXECUTOR_EVENTS_H

#include "base/buf.h"
#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "proto/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENTS_BATCH_MAX 512              /* in one POST */
#define EVENTS_BATCH_BYTES_MAX (1u << 20) /* and about so many bytes */
#define EVENTS_LINE_MAX (1u << 20)
#define EVENTS_DEAD_BYTES_MAX (512u << 10) /* of acknowledged lines, before the file is written anew */
#define EVENTS_NOTES_MAX 10000             /* unacknowledged notes; older ones are dropped beyond it */

/* What has been said of a task already: once each. */
enum event_mark {
    EVENT_PREPARING = 1,
    EVENT_STARTING = 2,
    EVENT_RUNNING = 4,
    EVENT_EXIT = 8,
    EVENT_RELEASED = 16,
    EVENT_COLLECTED = 32,
};

struct events {
    char *path;
    int fd; /* appended to; -1 while the disk refuses it */
    uint64_t next_seq;
    struct list pending; /* struct event, by seq */
    size_t pending_count, note_count;
    size_t dead_bytes;
    struct map marks; /* task -> marks, of tasks that are held */
};

bool events_init(struct events *events, const char *folder, struct error *err);
void events_finish(struct events *events);

/* Adds {"seq","type","task",...fields}: takes `fields` (may be NULL). `task` may be NULL. `mark` 0: may be
 * said again. An event whose mark is set already is not added; true where it was. */
bool events_add(struct events *events, const char *task, const char *type, unsigned mark, cJSON *fields);
unsigned events_marks(const struct events *events, const char *task);
/* Everything up to `seq` has arrived for good. Numbers from here on are greater. */
void events_acked(struct events *events, uint64_t seq);
/* The task is over: its marks and its unacknowledged events go. */
void events_forget(struct events *events, const char *task);
/* Takes one unacknowledged event away, which the scheduler refuses. */
void events_drop(struct events *events, uint64_t seq);
/* Appends the first unacknowledged events, as a JSON array of at most `max`; *last is the seq of the last
 * one, 0 for none. */
size_t events_batch(const struct events *events, size_t max, struct buf *out, uint64_t *last);

#endif
