/*
 * Following a job's log. Offsets count the stored bytes, so that a follower that loses its connection (a
 * scheduler restart, a kill) goes on exactly where it was. What is written is the log byte by byte, to a
 * terminal and elsewhere; a piece of the answer goes straight to the descriptor, so that memory is bounded.
 */
#ifndef BERTH_CLI_FOLLOW_H
#define BERTH_CLI_FOLLOW_H

#include "cli/client.h"

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define FOLLOW_RETRY_MS 60000 /* how long a broken connection is tried again */
#define FOLLOW_BACKOFF_MAX_MS 1000

struct follow_options {
    int64_t attempt; /* 0: from the first (or last, see latest) to the end of the job */
    bool latest;     /* start with the latest attempt instead of the first */
    int64_t rank;
    int64_t offset;     /* of the first attempt shown */
    bool follow;        /* until the job has ended, else what there is */
    bool notes;         /* says on standard error what befalls the job */
    const char *stream; /* NULL, "out" or "err" */
    int fd;             /* of the output */
};

/* Something that runs beside: descriptors to wait for, and what to do. */
struct follow_companion {
    size_t (*fds)(void *ctx, struct pollfd *fds, int *timeout_ms); /* at most HTTP_EASY_WAIT_FDS_MAX */
    /* false ends the following (the caller knows why) */
    bool (*turn)(void *ctx, const struct pollfd *fds, size_t n);
    void *ctx;
};

enum follow_end {
    FOLLOW_DONE,    /* everything was shown; with `follow` the job has ended */
    FOLLOW_STOPPED, /* by the companion */
    FOLLOW_CLOSED,  /* the reader of our output went away */
    FOLLOW_FAILED,  /* err says why */
};

/* `companion` may be NULL. *offset (may be NULL) gets the offset behind the last byte shown, of the last
 * attempt. */
enum follow_end follow_log(struct client *client, const char *job, const struct follow_options *options,
                           const struct follow_companion *companion, int64_t *offset, struct error *err);

/* The job object once the job has ended, across restarts of the scheduler. `timeout_s` 0: no limit, else
 * ERROR_TIMEOUT. The caller deletes. */
cJSON *follow_wait(struct client *client, const char *job, int64_t timeout_s, struct error *err);
bool follow_state_is_final(const char *state);

#endif
