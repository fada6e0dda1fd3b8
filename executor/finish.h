/*
 * The end of a task, worker's side: the exit record (read, or written where there was no shim to write it),
 * nothing left running, outputs collected, the folder removed. Every step may be done again after a kill.
 */
#ifndef BERTH_EXECUTOR_FINISH_H
#define BERTH_EXECUTOR_FINISH_H

#include "base/error.h"
#include "executor/gpu_watch.h"
#include "executor/order.h"
#include "proto/json.h"

#include <stdbool.h>

#define FINISH_KILL_WAIT_MS 10000 /* for the last processes, before the loop asks again */

/* Writes TASK_DIR/exit for a task that no shim ever ran. Keeps a record that is there. */
bool finish_write_exit(const char *folder, const char *kind, int code, const char *text, struct error *err);
/* The exit record as the event has it (docs/PROTOCOL.md section 4); NULL where there is none. The caller
 * deletes it. */
cJSON *finish_read_exit(const char *folder, struct error *err);

struct finishing {
    const char *folder;
    const struct order *order;
    struct gpu_watch *gpus; /* for finish_look_at_gpus */
    bool lost;              /* write kind=shim_lost first where no record is there */
    bool empty;             /* out: no process is left */
    char dirty[256];        /* out: why a GPU of the lease can't be handed on yet, or "" */
    cJSON *outputs;         /* out: of the event `collected` */
    char *kept;             /* out: which ignored files the job has changed; NULL: none */
    char *written;          /* out: which it (or somebody) has changed in the code directory itself; NULL */
    bool disk_full;         /* out: outputs did not fit: worth another try */
    struct error err;       /* out */
};

/* work_fns on a struct finishing */
void finish_kill(void *finishing);
void finish_collect(void *finishing);
/* Once nothing of the task runs: what computes then on a GPU of the lease is not its own. Fills `dirty`. */
void finish_look_at_gpus(void *finishing);

/* The exit of a task that has no record: as the protocol has it, ended now, never started. The caller deletes
 * it. */
cJSON *finish_made_exit(const char *kind, int code, const char *text);

#endif
