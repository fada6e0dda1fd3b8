/*
 * What a task's folder says about its shim, and what is done for a dead one. All calls block for moments (up
 * to the time given): call them from a worker thread.
 */
#ifndef BERTH_EXECUTOR_REAP_H
#define BERTH_EXECUTOR_REAP_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum reap_status {
    REAP_NEVER_RAN, /* no shim was ever started in this folder: it may be prepared again */
    REAP_ALIVE,     /* the shim lives: adopt it (shim_client_open) */
    REAP_EXITED,    /* the shim is gone and the exit record is there */
    REAP_LOST,      /* the shim is gone without an exit record */
};

enum reap_status reap_status(const char *task_dir);

/* For a dead shim: kills all that is left of the task (cgroup, else the PID namespace's init by pid and start
 * time) and waits up to wait_ms for it to be gone; removes the cgroups. *empty tells whether nothing is left;
 * call again if not. */
bool reap_kill(const char *task_dir, int64_t wait_ms, bool *empty, struct error *err);
/* Writes the exit record kind=shim_lost (only where there is none). */
bool reap_write_lost(const char *task_dir, struct error *err);

#define REAP_NOTES_MAX 8

struct reap_exit {
    int code, signal;
    char kind[32]; /* "" for exit code 0 */
    char text[1024];
    int64_t started_ms, ended_ms; /* started_ms 0: never ran */
    uint64_t log_bytes, err_bytes;
    struct {
        char name[48], value[512];
    } evidence[32];
    int n_evidence;
    char notes[REAP_NOTES_MAX][256]; /* what its owner should know, also where it ended well */
    int n_notes;
    char advice[1024]; /* "" or a sentence, e.g. which --mount would allow the write that was refused */
};

bool reap_read_exit(const char *task_dir, struct reap_exit *out, struct error *err);

#endif
