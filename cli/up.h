/*
 * `berth up`: the supervisor of one state folder (docs/PROTOCOL.md sections 1 and 2). It holds STATE/lock for
 * life, starts the scheduler and the executor, and starts again what dies. Leaving never touches tasks.
 */
#ifndef BERTH_CLI_UP_H
#define BERTH_CLI_UP_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define UP_NODE_SOCKET "/nodes/local/node.sock" /* its path must fit a socket's address (unix(7)) */
#define UP_STATE_VERSION 1
#define UP_READY_TIMEOUT_MS                                                                                  \
    120000               /* that --detach and an automatic start wait; an emulated machine needs half of it */
#define UP_START_TRIES 5 /* starts of a daemon that never came to life before `up` gives up */
#define UP_STOP_TIMEOUT_MS 20000 /* then the daemons are killed, which harms nothing but politeness */
#define UP_LOG_MAX_BYTES                                                                                     \
    (10 << 20) /* a larger log is set aside (one generation) when Berth starts detached */

struct up_options {
    const char *state_dir; /* absolute */
    const char *socket;    /* absolute */
    int64_t idle_exit_s;   /* 0: never */
    const char *inventory; /* a simulated one for the local executor, or NULL */
    const char *gpu_library;
    bool allow_network_state;
    bool detached; /* daemons log to files in the state folder */
    int ready_fd;  /* gets "ready\n", or "failed TEXT\n"; -1: none */
    int lock_fd;   /* STATE/lock, held already by whoever started this process; -1: take it */
};

/* The supervisor itself: returns the exit code when it is told to leave or the scheduler left by itself. */
int up_supervise(const struct up_options *options);
/* Runs a supervisor in the background, free of this terminal and session, and returns once it is ready.
 * `join`: where another process holds the state folder, waits for that one instead of refusing. */
bool up_start_detached(const struct up_options *options, bool join, struct error *err);

/* Makes or checks the state folder: 0700 and ours, no network filesystem, no newer version. */
bool up_prepare_state(const struct up_options *options, struct error *err);
/* Takes STATE/lock. -1 with ERROR_CONFLICT naming the pid of the holder (also in *holder, which may be NULL).
 */
int up_lock_state(const char *state_dir, int *holder, struct error *err);
/* Writes this process into the lock that it holds. */
bool up_sign_lock(int fd, struct error *err);
/* Pid that holds STATE/lock; 0 where nobody does; -1 where the holder has not signed it yet. */
int up_lock_holder(const char *state_dir);
/* true when the socket answers and the node `local` is connected. `pid` (0: any) is the scheduler's. */
bool up_is_ready(const char *socket, int pid);

#endif
