/* The session's machine: DOWN (waiting to try) -> HELLO -> UP -> DOWN. Owned: the HTTP client, the calls in
 * flight, two timers. At most one POST of events is in flight, so that they arrive in order. Work that must
 * not happen inside an HTTP callback's own call (starting the next session) goes through the retry timer. */
#include "executor/session.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "proto/http/client.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

enum phase { PHASE_DOWN, PHASE_HELLO, PHASE_UP };

struct session {
    uv_loop_t *loop;
    struct http_client *http;
    struct events *events;
    struct session_callbacks callbacks;
    void *data;
    enum phase phase;
    uv_timer_t retry, heartbeat;
    unsigned open_handles;
    int64_t backoff_ms;
    int failures; /* in a row, for the log */
    struct http_call *hello, *stream, *post;
    uint64_t posted_last, posted_ack; /* of the POST in flight */
    uint64_t handled, acked_stream;   /* deltas */
    uint64_t handled_epoch;
    size_t batch_max; /* EVENTS_BATCH_MAX, 1 while a refused event is looked for */
    bool want_post;
    char id[128];
    int64_t keepalive_ms;
    struct buf line;
    bool held;                   /* events wait for a scheduler that can't write now; heartbeats go on */
    int64_t hello_ms, posted_ms; /* boot clock: when those in flight went out */
};

static void send_hello(struct session *s);
static void post_events(struct session *s, bool heartbeat);

static void on_retry(uv_timer_t *timer)
{
    send_hello(timer->data);
}

/* Ends the session, if one is up, and tries again after the back-off. */
static void go_down(struct session *s, const struct error *why)
{
    http_call_cancel(take_ptr(s->hello));
    http_call_cancel(take_ptr(s->stream));
    http_call_cancel(take_ptr(s->post));
    uv_timer_stop(&s->heartbeat);
    buf_clear(&s->line);
    if (s->phase == PHASE_UP || s->failures == 0)
        log_warn("connection to the scheduler lost: %s", why->message);
    else
        log_debug("scheduler not reached: %s", why->message);
    s->failures++;
    s->phase = PHASE_DOWN;
    uint32_t dice = 0;
    if (getrandom(&dice, sizeof dice, GRND_NONBLOCK) < 0)
        dice = (uint32_t)uv_hrtime();
    int64_t wait = s->backoff_ms / 2 + dice % (uint32_t)(s->backoff_ms / 2 + 1);
    s->backoff_ms = s->backoff_ms * 2 > SESSION_BACKOFF_MAX_MS ? SESSION_BACKOFF_MAX_MS : s->backoff_ms * 2;
    uv_timer_start(&s->retry, on_retry, (uint64_t)wait, 0);
}

/* The refusal's own words, where the answer has them. */
static void answer_error(int status, const struct buf *body, const struct error *transport, struct error *err)
{
    struct error ignored;
    if (status == 0) {
        *err = *transport;
        return;
    }
    _cleanup_json_ cJSON *answer = json_parse(body->data ? body->data : "", body->len, &ignored);
    const cJSON *e = json_get(answer, "error");
    error_set(err, error_code_from_name(json_str(e, "code", "internal")), "the scheduler answered %d: %s",
              status, json_str(e, "message", "(no message)"));
}

static void take_delta(struct session *s, const char *text, size_t len)
{
    struct error err = {0};
    _cleanup_json_ cJSON *delta = json_parse(text, len, &err);
    const char *type = json_str(delta, "type", NULL);
    if (!type) {
        log_error("a delta is not readable: %s", err.message);
        return;
    }
    if (strcmp(type, "keepalive") == 0)
        return;
    int64_t seq = json_int(delta, "seq", 0);
    if (seq <= 0) {
        log_error("a delta of type %s has no number", type);
        return;
    }
    if ((uint64_t)seq <= s->handled)
        return;
    s->callbacks.delta(s->data, type, (uint64_t)seq, delta);
    s->handled = (uint64_t)seq;
}

static bool on_stream_bytes(void *ctx, const void *bytes, size_t n)
{
    struct session *s = ctx;
    size_t from = s->line.len;
    if (from + n > SESSION_LINE_MAX)
        return false;
    buf_add(&s->line, bytes, n);
    size_t start = 0;
    for (char *nl; (nl = memchr(s->line.data + from, '\n', s->line.len - from)); from = start) {
        size_t end = (size_t)(nl - s->line.data);
        if (end > start)
            take_delta(s, s->line.data + start, end - start);
        start = end + 1;
    }
    buf_consume(&s->line, start);
    session_kick(s);
    return true;
}

static void on_stream_end(void *ctx, int status, const struct buf *body, const struct error *transport)
{
    struct session *s = ctx;
    struct error err = {0};
    s->stream = NULL;
    if (status >= 200 && status < 300)
        error_set(&err, ERROR_UNAVAILABLE, "the scheduler ended the session");
    else
        answer_error(status, body, transport, &err);
    go_down(s, &err);
}

static void on_heartbeat(uv_timer_t *timer)
{
    post_events(timer->data, true);
}

/* A 4xx for a batch is about one of its events: it is found by sending them one by one, and dropped, so that
 * the others arrive. */
static bool refused_event(struct session *s, int status, const struct error *err)
{
    if (status != 400 && status != 403 && status != 404 && status != 413)
        return false;
    if (s->posted_last == 0)
        return false; /* the heartbeat itself: the session is not known */
    if (s->batch_max > 1) {
        s->batch_max = 1;
        return true;
    }
    log_error("event %" PRIu64 " is refused and dropped: %s", s->posted_last, err->message);
    events_drop(s->events, s->posted_last);
    s->batch_max = EVENTS_BATCH_MAX;
    return true;
}

static void on_posted(void *ctx, int status, const struct buf *body, const struct error *transport)
{
    struct session *s = ctx;
    struct error err = {0};
    s->post = NULL;
    if (status < 200 || status >= 300) {
        answer_error(status, body, transport, &err);
        if (status >= 500 && s->posted_last) {
            log_warn("the scheduler can't take events now: %s", err.message);
            s->held = true;
            return; /* the next heartbeat tells whether it can again */
        }
        if (!refused_event(s, status, &err)) {
            go_down(s, &err);
            return;
        }
    } else {
        FAULT("executor.before_acked");
        _cleanup_json_ cJSON *answer = json_parse(body->data ? body->data : "", body->len, &err);
        int64_t acked = json_int(answer, "acked", -1);
        if (acked >= 0) {
            s->held = false;
            events_acked(s->events, (uint64_t)acked);
            s->callbacks.acked(s->data, (uint64_t)acked);
        }
        s->callbacks.contact(s->data, s->posted_ms);
        s->acked_stream = s->posted_ack;
        s->batch_max = EVENTS_BATCH_MAX;
        s->backoff_ms = SESSION_BACKOFF_FIRST_MS;
    }
    if (!s->held && (s->events->pending_count || s->want_post))
        session_kick(s);
}

static void post_events(struct session *s, bool heartbeat)
{
    if (s->phase != PHASE_UP || s->post)
        return;
    s->want_post = false;
    uint64_t ack = s->callbacks.stream_ack(s->data, s->handled);
    if (!heartbeat && (s->held || (s->events->pending_count == 0 && ack == s->acked_stream)))
        return;
    _cleanup_buf_ struct buf body = {0};
    buf_printf(&body, "{\"session\":\"%s\",\"stream_ack\":%" PRIu64 ",\"events\":", s->id, ack);
    events_batch(s->events, s->held ? 0 : s->batch_max, &body, &s->posted_last);
    buf_add_char(&body, '}');
    s->posted_ack = ack;
    FAULT("executor.before_event");
    struct http_request request = {
        .method = "POST",
        .path = "/v1/node/events",
        .body = body.data,
        .body_len = body.len,
        .timeout_ms = SESSION_EVENTS_TIMEOUT_MS,
        .urgent = true,
        .on_done = on_posted,
        .ctx = s,
    };
    s->posted_ms = clock_boot_ms();
    s->post = http_call_start(s->http, &request);
    /* the next heartbeat is due a whole period after this */
    uv_timer_start(&s->heartbeat, on_heartbeat, (uint64_t)s->keepalive_ms / 3, (uint64_t)s->keepalive_ms / 3);
}

void session_kick(struct session *s)
{
    if (!s || s->phase != PHASE_UP)
        return;
    if (s->post)
        s->want_post = true; /* goes out when the one in flight is answered */
    else
        post_events(s, false);
}

static void start_stream(struct session *s, uint64_t from)
{
    _cleanup_free_ char *path = xasprintf("/v1/node/stream?session=%s&from=%" PRIu64, s->id, from);
    struct http_request request = {
        .method = "GET",
        .path = path,
        .idle_timeout_ms = s->keepalive_ms * 3,
        .streaming = true,
        .on_data = on_stream_bytes,
        .on_done = on_stream_end,
        .ctx = s,
    };
    s->stream = http_call_start(s->http, &request);
}

static bool id_is_clean(const char *id)
{
    return *id && strspn(id, "0123456789abcdefABCDEF-") == strlen(id) &&
           strlen(id) < sizeof((struct session *)0)->id;
}

static void on_hello_answer(void *ctx, int status, const struct buf *body, const struct error *transport)
{
    struct session *s = ctx;
    struct error err = {0};
    s->hello = NULL;
    if (status < 200 || status >= 300) {
        answer_error(status, body, transport, &err);
        if (status >= 400 && status < 500)
            log_error("the scheduler refuses this node: %s", err.message);
        go_down(s, &err);
        return;
    }
    _cleanup_json_ cJSON *answer = json_parse(body->data ? body->data : "", body->len, &err);
    const char *id = json_str(answer, "session", "");
    int64_t epoch = json_int(answer, "epoch", -1), acked = json_int(answer, "acked_event_seq", 0);
    if (!answer || epoch < 0 || acked < 0 || !id_is_clean(id)) {
        error_set(&err, ERROR_INVALID, "the scheduler's answer to hello is not understood");
        go_down(s, &err);
        return;
    }
    int64_t keepalive_s = json_int(answer, "keepalive_s", SESSION_KEEPALIVE_DEFAULT_S);
    s->keepalive_ms = 1000 * (keepalive_s < 1 ? 1 : keepalive_s > 3600 ? 3600 : keepalive_s);
    snprintf(s->id, sizeof s->id, "%s", id);
    int64_t stream_seq = json_int(answer, "stream_seq", 0);
    if ((uint64_t)epoch != s->handled_epoch || s->handled < (uint64_t)stream_seq)
        s->handled = (uint64_t)stream_seq;
    s->handled_epoch = (uint64_t)epoch;
    s->acked_stream = 0;
    events_acked(s->events, (uint64_t)acked);
    if (!s->callbacks.welcome(s->data, answer, &err)) {
        go_down(s, &err);
        return;
    }
    s->callbacks.contact(s->data, s->hello_ms);
    log_info("connected to the scheduler (epoch %lld)", (long long)epoch);
    s->phase = PHASE_UP;
    s->failures = 0;
    s->held = false;
    s->batch_max = EVENTS_BATCH_MAX;
    start_stream(s, (uint64_t)stream_seq);
    post_events(s, true);
}

static void send_hello(struct session *s)
{
    _cleanup_json_ cJSON *hello = s->callbacks.hello(s->data);
    cJSON_AddNumberToObject(hello, "protocol", 1);
    json_add_int(hello, "next_event_seq", (int64_t)s->events->next_seq);
    _cleanup_free_ char *body = json_text(hello);
    struct http_request request = {
        .method = "POST",
        .path = "/v1/node/hello",
        .body = body,
        .body_len = strlen(body),
        .timeout_ms = SESSION_EVENTS_TIMEOUT_MS,
        .urgent = true,
        .on_done = on_hello_answer,
        .ctx = s,
    };
    s->phase = PHASE_HELLO;
    s->hello_ms = clock_boot_ms();
    s->hello = http_call_start(s->http, &request);
}

struct session *session_create(uv_loop_t *loop, const char *socket, const char *secret, struct events *events,
                               const struct session_callbacks *callbacks, void *data, struct error *err)
{
    _cleanup_free_ char *authorization = xasprintf("Authorization: Berth-Node %s", secret);
    const char *headers[] = {authorization, NULL};
    struct http_client *http = http_client_create(loop, socket, headers, err);
    if (!http)
        return NULL;
    struct session *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->http = http;
    s->events = events;
    s->callbacks = *callbacks;
    s->data = data;
    s->backoff_ms = SESSION_BACKOFF_FIRST_MS;
    s->batch_max = EVENTS_BATCH_MAX;
    s->keepalive_ms = 1000 * SESSION_KEEPALIVE_DEFAULT_S;
    uv_timer_init(loop, &s->retry);
    uv_timer_init(loop, &s->heartbeat);
    s->retry.data = s->heartbeat.data = s;
    s->open_handles = 2;
    uv_timer_start(&s->retry, on_retry, 0, 0);
    return s;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;
    if (--s->open_handles)
        return;
    buf_finish(&s->line);
    free(s);
}

void session_destroy(struct session *s)
{
    if (!s)
        return;
    s->phase = PHASE_DOWN;
    http_client_destroy(s->http);
    uv_close((uv_handle_t *)&s->retry, on_handle_closed);
    uv_close((uv_handle_t *)&s->heartbeat, on_handle_closed);
}

void session_renew(struct session *s, const char *why)
{
    struct error err = {0};
    if (!s || s->phase == PHASE_DOWN)
        return;
    error_set(&err, ERROR_UNAVAILABLE, "%s", why);
    go_down(s, &err);
}

bool session_is_up(const struct session *s)
{
    return s && s->phase == PHASE_UP;
}

struct http_client *session_http(struct session *s)
{
    return s->http;
}
