/*
 * What goes to a node: deltas, kept until acknowledged, on one chunked stream. Owns the deltas. Invariant:
 * `cursor` is the first delta that is not wholly sent on the present stream, or NULL where all are.
 */
#include "scheduler/nodes.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "scheduler/api.h"
#include "scheduler/daemon.h"
#include "scheduler/engine.h"
#include "scheduler/outputs_now.h"
#include "scheduler/report.h"

#include <stdlib.h>
#include <string.h>

static const char keepalive[] = "{\"type\":\"keepalive\"}\n";

static void free_delta(struct delta *delta)
{
    list_remove(&delta->link);
    free(delta->text);
    free(delta);
}

static void push(struct node *node, enum delta_kind kind, struct task_id task, uint32_t stdin_bytes,
                 char *text)
{
    struct delta *delta = xcalloc(1, sizeof *delta);
    delta->kind = kind;
    delta->seq = node->stream_seq;
    delta->job = task.job.v;
    delta->task = task;
    delta->stdin_bytes = stdin_bytes;
    delta->text = text;
    delta->len = text ? strlen(text) : 0;
    list_append(&node->deltas, &delta->link);
    if (!node->cursor)
        node->cursor = delta;
    FAULT("session.before_send");
    if (node->stream)
        http_stream_wake(node->stream);
}

void node_push(struct node *node, enum delta_kind kind, uint64_t job, uint32_t stdin_bytes, char *text)
{
    push(node, kind, (struct task_id){.job = {job}}, stdin_bytes, text);
}

void node_push_task(struct node *node, enum delta_kind kind, const char *type, struct task_id task,
                    const char *fields)
{
    char text[TASK_ID_TEXT_MAX];
    struct buf line = {0};
    buf_printf(&line, "{\"seq\":%llu,\"type\":\"%s\",\"task\":\"%s\"", (unsigned long long)++node->stream_seq,
               type, task_id_format(task, text));
    if (fields) {
        buf_add_char(&line, ',');
        buf_add_str(&line, fields);
    }
    buf_add_str(&line, "}\n");
    node_push(node, kind, task.job.v, 0, buf_take(&line));
}

void node_push_launch(struct node *node, struct task_id task)
{
    ++node->stream_seq;
    push(node, DELTA_START, task, 0, NULL);
}

/* Its text, made where it has none yet. Nothing is sent for a task that is over, or that can't be launched:
 * that one ends. */
static void ready_delta(struct node *node, struct delta *delta)
{
    char text[TASK_ID_TEXT_MAX];
    struct core_task_view view;
    struct error err = {0};
    _cleanup_buf_ struct buf line = {0};
    if (delta->text || !core_task_get(node->daemon->core, delta->task, &view) || view.abandoned)
        return;
    buf_printf(&line,
               "{\"seq\":%llu,\"type\":\"start\",\"task\":\"%s\",\"order\":", (unsigned long long)delta->seq,
               task_id_format(delta->task, text));
    if (!engine_write_order(node->daemon, node, delta->task, &line, &err)) {
        report_unlaunched(node, delta->task, &err);
        return;
    }
    buf_add_str(&line, "}\n");
    delta->len = line.len;
    delta->text = buf_take(&line);
}

/* All of it is sent: a long launch waits for its acknowledgement without its text. */
static void rest_delta(struct delta *delta)
{
    if (delta->kind != DELTA_START || delta->len <= NODE_LAUNCH_KEPT_BYTES)
        return;
    free(delta->text);
    delta->text = NULL;
    delta->len = 0;
}

uint32_t node_stdin_outstanding(const struct node *node, uint64_t job)
{
    uint32_t sum = 0;
    struct delta *delta, *tmp;
    list_for_each(delta, tmp, &node->deltas, link) if (delta->job == job) sum += delta->stdin_bytes;
    return sum;
}

uint32_t node_signals_outstanding(const struct node *node, uint64_t job)
{
    uint32_t sum = 0;
    struct delta *delta, *tmp;
    list_for_each(delta, tmp, &node->deltas, link) sum += delta->job == job && delta->kind == DELTA_SIGNAL;
    return sum;
}

/* Drops what the node has, which is up to `seq`. */
void node_stream_acked(struct node *node, uint64_t seq)
{
    struct delta *delta, *tmp;
    list_for_each(delta, tmp, &node->deltas, link)
    {
        if (delta->seq > seq || delta == node->cursor)
            break;
        node->stream_acked = delta->seq;
        free_delta(delta);
    }
}

/* A hello's answer covers all but what people typed, and signals. */
void node_drop_covered(struct node *node)
{
    struct delta *delta, *tmp;
    list_for_each(delta, tmp, &node->deltas, link) if (delta->kind != DELTA_STDIN &&
                                                       delta->kind != DELTA_RESIZE &&
                                                       delta->kind != DELTA_SIGNAL) free_delta(delta);
    node->cursor = NULL;
    node->cursor_at = 0;
}

/* ---- the stream ---- */

static void set_cursor(struct node *node, struct list *link)
{
    node->cursor = link == &node->deltas ? NULL : container_of(link, struct delta, link);
    node->cursor_at = 0;
}

static ssize_t pull(void *data, char *out, size_t max)
{
    struct node *node = data;
    size_t n = 0;
    if (!node->in_session)
        return HTTP_PULL_END;
    if (node->keepalive_due && node->cursor_at == 0 && max > sizeof keepalive) {
        node->keepalive_due = false;
        memcpy(out, keepalive, sizeof keepalive - 1);
        n = sizeof keepalive - 1;
    }
    while (node->cursor && n < max) {
        struct delta *delta = node->cursor;
        if (node->cursor_at == 0)
            ready_delta(node, delta);
        size_t piece = delta->len - node->cursor_at;
        if (piece > max - n)
            piece = max - n;
        if (piece)
            memcpy(out + n, delta->text + node->cursor_at, piece);
        n += piece;
        node->cursor_at += piece;
        if (node->cursor_at < delta->len)
            continue;
        set_cursor(node, delta->link.next);
        rest_delta(delta);
    }
    return n ? (ssize_t)n : HTTP_PULL_WAIT;
}

struct stream {
    struct node *node;
    struct http_request *req;
};

static ssize_t pull_stream(void *data, char *out, size_t max)
{
    struct stream *s = data;
    return s->node->stream == s->req ? pull(s->node, out, max) : HTTP_PULL_END;
}

static void stream_done(void *data)
{
    struct stream *s = data;
    if (s->node->stream == s->req)
        s->node->stream = NULL;
    free(s);
}

void node_get_stream(struct http_request *req, void *context)
{
    struct node *node = context;
    struct error err = {0};
    int64_t from;
    if (!node_check_session(node, http_request_query(req, "session"), &err) ||
        !http_request_query_int(req, "from", 0, INT64_MAX, (int64_t)node->stream_acked, &from, &err)) {
        http_respond_error(req, &err);
        return;
    }
    struct http_request *old = node->stream;
    node->stream = req;
    if (old)
        http_stream_wake(old); /* finds that it is not the one any more, and ends */
    struct list *link = node->deltas.next;
    while (link != &node->deltas && container_of(link, struct delta, link)->seq <= (uint64_t)from)
        link = link->next;
    set_cursor(node, link);
    node->contact_ms = clock_boot_ms();
    node->keepalive_ms = node->contact_ms + SCHEDULER_KEEPALIVE_S * 1000;
    struct stream *s = xcalloc(1, sizeof *s);
    *s = (struct stream){node, req};
    http_respond_stream(req, 200, "application/x-ndjson", &(struct http_stream){pull_stream, stream_done, s});
}

bool node_check_session(struct node *node, const char *session, struct error *err)
{
    if (node->in_session && session && strcmp(session, node->session) == 0)
        return true;
    error_set(err, ERROR_CONFLICT, "this session of node %s has ended", node->name);
    return error_hint(err, "say hello again");
}

void node_end_session(struct node *node, const char *why)
{
    if (!node->in_session)
        return;
    log_info("node %s: session ended: %s", node->name, why);
    node->in_session = false;
    struct http_request *stream = node->stream;
    node->stream = NULL;
    if (stream)
        http_stream_wake(stream);
    outputs_now_fail(node->daemon, node);
}

void node_beat(struct node *node)
{
    int64_t now = clock_boot_ms();
    if (!node->in_session)
        return;
    if (now - node->contact_ms > SCHEDULER_SILENT_MS) {
        struct core_event event = {.kind = CORE_EVENT_NODE_DOWN, .as.node = {.node = {node->id}}};
        if (!engine_writable(node->daemon, NULL))
            return; /* at a later beat */
        node_end_session(node, "it has been silent for too long");
        engine_step(node->daemon, &event, NULL);
        return;
    }
    if (now >= node->keepalive_ms) {
        node->keepalive_ms = now + SCHEDULER_KEEPALIVE_S * 1000;
        node->keepalive_due = true;
        if (node->stream)
            http_stream_wake(node->stream);
    }
}
