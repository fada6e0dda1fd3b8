/*
 * The daemon's one object, and who owns what of it. Everything but the journal's thread and the thread pool's
 * work runs on its loop. Invariant: nothing leaves the process (answer, order, stop) before the row that it
 * follows from is durable.
 */
#ifndef BERTH_SCHEDULER_DAEMON_H
#define BERTH_SCHEDULER_DAEMON_H

#include "base/buf.h"
#include "proto/http/server.h"
#include "scheduler/cap_setters.h"
#include "scheduler/core/core.h"
#include "scheduler/jobs.h"
#include "scheduler/journal.h"
#include "scheduler/logins.h"
#include "scheduler/loss_rule.h"
#include "scheduler/names.h"
#include "scheduler/nodes.h"
#include "scheduler/owners.h"
#include "scheduler/principals.h"
#include "scheduler/requests.h"
#include "scheduler/pool.h"
#include "scheduler/shares.h"
#include "scheduler/sizes.h"
#include "scheduler/weights.h"
#include "scheduler/workspaces.h"

#define SCHEDULER_PROTOCOL 1
#define SCHEDULER_KEEPALIVE_S 15
#define SCHEDULER_SILENT_MS                                                                                  \
    (3 * SCHEDULER_KEEPALIVE_S * 1000) /* a node that says nothing for this long is NotResponding */
#define SCHEDULER_BEAT_MS 1000

struct daemon_options {
    const char *state_dir;   /* absolute */
    const char *socket_path; /* absolute */
    const char *log_dir, *outputs_dir;
    mode_t socket_mode;
    int parent_fd;            /* -1: none */
    int64_t idle_exit_s;      /* 0: never */
    uint32_t checkpoint_rows; /* 0: JOURNAL_SEGMENT_ROWS */
    bool allow_network_state;
    int may_sleep; /* -1: found out */
};

struct daemon {
    uv_loop_t loop;
    struct daemon_options options;
    uint64_t epoch;
    int64_t started_ms;

    struct core *core;
    struct core_decisions *decisions;
    struct buf row;       /* encoding space */
    uint64_t last_row;    /* seq of the newest row, durable or not */
    uint64_t timer_at_ms; /* what the core's timer is set to; 0: off */
    struct journal *journal;
    struct journal_reader *reader; /* the loop's, for single rows */

    struct job_table jobs;
    struct node_table nodes;
    struct principal_table principals;
    struct map known_users; /* names that the machine was asked about, groups' as group:NAME (api_users.c) */
    struct name_table names;
    struct size_table sizes;
    struct request_table requests;
    struct workspace_table workspaces;
    struct owner_table owners;
    struct share_table shares;

    struct list waiters;      /* requests that wait for a job's end (waits.c) */
    struct list batches;      /* changes of many jobs that are under way (batch.c) */
    struct list followers;    /* open log streams (api_logs.c) */
    struct list inputs;       /* stdin that waits for its job to run (api_stdin.c) */
    struct list outputs_asks; /* requests that wait for a node (outputs_now.c) */

    struct http_server *people;
    struct logins *logins; /* who connects to it */
    uv_prepare_t prepare;
    uv_idle_t idle; /* keeps the loop turning while the core wants to go on */
    uv_timer_t core_timer, beat;
    uv_signal_t term, interrupt;
    uv_poll_t parent;
    int64_t last_use_ms;   /* boot clock; for --idle-exit */
    int64_t next_sweep_ms; /* boot clock */
    bool leaving;          /* stops when the last job has ended; nothing new is taken */
    int64_t leave_at_ms;   /* boot clock: leaves then, whatever is live; 0: not */
    bool stopping;
    bool sweeping; /* work files (sweep.c) */
    struct pool pool;
    unsigned pool_work;      /* in the thread pool; the end waits for it */
    int64_t clock_offset_ms; /* fences.c: wall clock less boot clock, when last looked at */
    struct loss_rule loss_rule;
    struct cap_setters cap_setters;
    struct weight_table weights;
    bool may_sleep; /* this machine may: gangs wait for silent nodes unless they say otherwise */
};

bool daemon_init(struct daemon *d, const struct daemon_options *options, struct error *err);
/* Until it is told to stop. */
void daemon_run(struct daemon *d);
void daemon_finish(struct daemon *d);
/* Leaves in good order: once the answers that are due are out. */
void daemon_stop(struct daemon *d);

/* Work for the thread pool. `done` runs on the loop, and calls daemon_work_done first. */
void daemon_work(struct daemon *d, uv_work_t *work, uv_work_cb run, uv_after_work_cb done);
/* The same for a request, in turn with what its principal wants besides. */
void daemon_work_for(struct daemon *d, uint32_t principal, uv_work_t *work, uv_work_cb run,
                     uv_after_work_cb done);
void daemon_work_done(struct daemon *d);

/* Routes of the people's socket and of a node's socket; context: struct daemon, struct node. */
extern const struct http_route people_routes[];
extern const size_t people_route_count;
extern const struct http_route node_routes[];
extern const size_t node_route_count;

#endif
