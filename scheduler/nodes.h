/*
 * Nodes: their records, sockets and secrets, and the session of each. A session is one hello's answer and
 * what follows it: deltas with sequence numbers on one stream, events with sequence numbers back
 * (docs/PROTOCOL.md section 4). At most one a node.
 */
#ifndef BERTH_SCHEDULER_NODES_H
#define BERTH_SCHEDULER_NODES_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "proto/http/server.h"
#include "scheduler/inventory.h"
#include "scheduler/journal.h"

#include <stdbool.h>
#include <stdint.h>

#define NODE_NAME_MAX 64
#define NODE_SECRET_BYTES 32
#define NODE_INSTANCE_MAX 64
#define NODE_HELLO_MAX_BYTES (16ULL << 20)
#define NODE_LAUNCH_MAX_BYTES (8u << 20) /* of one launch; a session's line carries 20 MiB */
#define NODE_LAUNCH_KEPT_BYTES                                                                               \
    (64u << 10) /* of one launch that waits for its acknowledgement with its text */
#define NODE_HELLO_LAUNCH_BYTES                                                                              \
    (1u << 20) /* launches in a hello's answer; the others follow on the stream                              \
                */
#define NODE_FAULT_TEXT_MAX 512
#define NODE_DRAIN_REASON_MAX 256              /* characters that an administrator may give */
#define NODE_OUTPUTS_ANSWER_MAX_BYTES 65536    /* of POST /v1/node/outputs */
#define NODE_EVENTS_MAX 10000                  /* in one POST */
#define NODE_STDIN_OUTSTANDING_BYTES (1 << 20) /* of one job: handed over and not acknowledged */
#define NODE_SIGNALS_OUTSTANDING 64            /* likewise, for all tasks of the job on the node */

struct daemon;

enum delta_kind {
    DELTA_START,
    DELTA_STOP,
    DELTA_RELEASE,
    DELTA_STDIN,
    DELTA_RESIZE,
    DELTA_LIMIT,
    DELTA_SIGNAL,
    DELTA_OUTPUTS
};

/* One line of the stream, kept until the node has acknowledged it. */
struct delta {
    struct list link;
    enum delta_kind kind;
    uint64_t seq;
    uint64_t job;
    uint32_t stdin_bytes;
    struct task_id task; /* of a launch */
    char *text;          /* with its newline; NULL: a launch that is written when the stream comes to it */
    size_t len;
};

/* The blobs that one task may fetch. */
struct blob_set {
    struct list link;
    uint64_t job;
    uint8_t (*shas)[32]; /* sorted */
    size_t count;
};

struct node {
    struct daemon *daemon;
    uint32_t id;
    char name[NODE_NAME_MAX + 1];
    char secret[2 * NODE_SECRET_BYTES + 1];
    char *socket_path, *secret_path;
    struct http_server *server;

    char instance_id[NODE_INSTANCE_MAX + 1];
    uint64_t event_seq; /* last event of that instance in the journal or in a batch */
    char *inventory_text, *isolation_text, *version;
    struct inventory *inventory; /* NULL before the first hello */
    uint64_t labels;             /* bit n: it has the label of number n (names.h) */
    uint64_t abilities;          /* abilities.h: of what it said of itself */
    int64_t last_seen_ms;        /* wall clock; 0: never */
    struct node_drain {
        int64_t since_ms; /* wall clock; 0: it isn't */
        char *by;         /* who drained it; NULL with a fault */
        char *text;       /* the reason that was given, or what doesn't work; NULL: none was given */
    } drained, fault;
    bool dirty;

    /* the session */
    bool in_session;
    char session[33];
    int64_t contact_ms; /* boot clock */
    uint64_t hello_row; /* rows up to it are covered by the hello's answer */
    uint64_t stream_seq, stream_acked;
    struct list deltas; /* by seq; those up to stream_acked are gone */
    struct http_request *stream;
    struct delta *cursor; /* next to be sent on the stream; NULL: all is sent */
    size_t cursor_at;     /* bytes of it that are sent */
    bool keepalive_due;
    int64_t keepalive_ms; /* boot clock: when the next is due */
    struct list blob_sets;
};

struct node_table {
    struct node **items;
    uint32_t count;
    uint32_t next_id;
};

struct node *nodes_get(const struct node_table *t, uint32_t id);
struct node *nodes_find(const struct node_table *t, const char *name);
/* A record, without a socket. */
struct node *nodes_add(struct node_table *t, struct daemon *d, uint32_t id, const char *name);
/* Takes back the one that was added last. */
void nodes_drop_last(struct node_table *t);
/* Recovery. */
void nodes_load(struct node_table *t, struct daemon *d, const struct journal_node *row);
void nodes_finish(struct node_table *t);
void node_touch(struct node *node); /* written with the next batch */
void nodes_write_dirty(struct node_table *t, struct journal *journal);
/* Makes folder and secret where they are missing, and listens. */
bool node_listen(struct node *node, struct error *err);
bool node_name_valid(const char *name, struct error *err);
/* Notes who drained it, or which fault did; NULL texts and 0 take it back. Copied; written with the next
 * batch. */
void node_set_drain(struct node *node, struct node_drain *which, const char *by, const char *text,
                    int64_t since_ms);
/* api_node_update.c: gives and takes labels, as bits of their numbers; the core hears of it. */
bool node_change_labels(struct daemon *d, struct node *node, uint64_t add, uint64_t take, struct error *err);
/* What it can enforce and offers, as it says (docs/PROTOCOL.md section 4). */
void node_take_isolation(struct node *node, const cJSON *isolation);
/* The API's node object. */
cJSON *node_object(const struct node *node);

/* session.c: what goes to the node */
void node_push(struct node *node, enum delta_kind kind, uint64_t job, uint32_t stdin_bytes, char *text);
void node_push_task(struct node *node, enum delta_kind kind, const char *type, struct task_id task,
                    const char *fields);
/* A launch, written when the stream comes to it: a thousand of them wait without their texts, and cost the
 * loop no more at once than the stream takes. */
void node_push_launch(struct node *node, struct task_id task);
uint32_t node_stdin_outstanding(const struct node *node, uint64_t job);
uint32_t node_signals_outstanding(const struct node *node, uint64_t job);
void node_end_session(struct node *node, const char *why);
void node_beat(struct node *node); /* keep-alives, silence */
bool node_connected(const struct node *node);

#endif
