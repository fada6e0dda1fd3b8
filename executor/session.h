/*
 * The executor's connection to its scheduler (docs/PROTOCOL.md section 4): hello, the long stream of deltas,
 * events in batches, heartbeats, and jittered back-off when any of them fails. Tasks never notice. One
 * session at a time; each starts with a hello.
 */
#ifndef BERTH_EXECUTOR_SESSION_H
#define BERTH_EXECUTOR_SESSION_H

#include "base/error.h"
#include "executor/events.h"
#include "proto/json.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define SESSION_BACKOFF_FIRST_MS 50
#define SESSION_BACKOFF_MAX_MS 5000
#define SESSION_KEEPALIVE_DEFAULT_S 15
#define SESSION_LINE_MAX (20u << 20) /* one delta: a start order and its frame */
#define SESSION_EVENTS_TIMEOUT_MS 60000

struct session;

struct session_callbacks {
    /* The hello's body, without `protocol` and `next_event_seq`. The session deletes it. */
    cJSON *(*hello)(void *data);
    /* The hello's answer, before anything else of the session. false refuses the session (an older epoch): it
     * is tried again later. */
    bool (*welcome)(void *data, const cJSON *answer, struct error *err);
    /* One delta that was not handled before. */
    void (*delta)(void *data, const char *type, uint64_t seq, const cJSON *delta);
    /* The last delta that may be acknowledged. */
    uint64_t (*stream_ack)(void *data, uint64_t handled);
    /* Events up to here are with the scheduler for good. */
    void (*acked)(void *data, uint64_t seq);
    /* A request that went out then (boot clock) was answered well. Not counted by the answer's coming: the
     * scheduler counts from when it had the request. */
    void (*contact)(void *data, int64_t sent_ms);
};

/* `secret` is copied; `events` is borrowed. The first hello goes out from the loop. */
struct session *session_create(uv_loop_t *loop, const char *socket, const char *secret, struct events *events,
                               const struct session_callbacks *callbacks, void *data, struct error *err);
void session_destroy(struct session *session); /* takes NULL; no callback after it */
void session_kick(struct session *session);    /* there are new events, or stream_ack has moved */
/* The next hello says what has changed since the last. */
void session_renew(struct session *session, const char *why);
bool session_is_up(const struct session *session);
/* GET of a blob by the same socket and secret (http_client.h); for executor/fetch.h. */
struct http_client *session_http(struct session *session);

#endif
