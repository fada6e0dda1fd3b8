/*
 * POST stdin and resize. Invariant: of one job no more than NODE_STDIN_OUTSTANDING_BYTES are on their way
 * (waiting here, or handed to the node and not acknowledged), and they arrive in the order of the requests.
 */
#include "scheduler/relay.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "scheduler/api.h"

#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#define RELAY_RESIZE_MAX 10000 /* rows or columns */
#define RELAY_PIECE_MIN 128    /* what a piece counts at least: it takes memory however short it is */

struct input {
    struct list link;
    uint64_t job;
    struct http_request *req; /* NULL: nobody waits for it */
    enum delta_kind kind;
    char *fields; /* of the delta */
    uint32_t bytes;
};

static void input_free(struct input *in)
{
    list_remove(&in->link);
    free(in->fields);
    free(in);
}

static struct node *node_of(struct daemon *d, const struct job *job, struct task_id *task)
{
    const struct task *t = job_task(job, job->attempt, 0);
    *task = (struct task_id){{job->id}, job->attempt, 0};
    struct node *node = t ? nodes_get(&d->nodes, t->node) : NULL;
    return node && node->in_session ? node : NULL;
}

static void hand_over(struct node *node, struct task_id task, const struct input *in)
{
    char id[TASK_ID_TEXT_MAX];
    char *line = xasprintf(
        "{\"seq\":%llu,\"type\":\"%s\",\"task\":\"%s\",%s}\n", (unsigned long long)++node->stream_seq,
        in->kind == DELTA_STDIN ? "stdin" : "resize", task_id_format(task, id), in->fields);
    node_push(node, in->kind, task.job.v, in->bytes, line);
}

void relay_job_changed(struct daemon *d, const struct job *job)
{
    struct input *in, *tmp;
    struct task_id task;
    if (job->state != JOB_RUNNING || list_empty(&d->inputs))
        return;
    struct node *node = node_of(d, job, &task);
    if (!node)
        return;
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed before is out of the list
    list_for_each(in, tmp, &d->inputs, link)
    {
        if (in->job != job->id)
            continue;
        hand_over(node, task, in);
        if (in->req)
            http_respond_empty(in->req, 204);
        input_free(in);
    }
}

void relay_job_ended(struct daemon *d, uint64_t job)
{
    struct input *in, *tmp;
    struct error err = {0};
    error_set(&err, ERROR_CONFLICT, "the job has ended");
    list_for_each(in, tmp, &d->inputs, link)
    {
        if (in->job != job)
            continue;
        if (in->req)
            http_respond_error(in->req, &err);
        input_free(in);
    }
}

static void on_gone(struct http_request *req, void *data)
{
    (void)req;
    input_free(data);
}

/* Now where the job runs and nothing of it waits, else in its turn. Takes `fields`. */
static void send_input(struct daemon *d, struct http_request *req, const struct job *job,
                       enum delta_kind kind, char *fields, uint32_t bytes)
{
    struct input *in, *tmp;
    if (kind == DELTA_RESIZE) /* only the last size counts */
        list_for_each(in, tmp, &d->inputs, link) if (in->job == job->id && in->kind == kind) input_free(in);
    in = xcalloc(1, sizeof *in);
    *in = (struct input){.job = job->id, .kind = kind, .fields = fields, .bytes = bytes};
    list_append(&d->inputs, &in->link);
    if (kind == DELTA_STDIN) {
        in->req = req;
        http_request_on_gone(req, on_gone, in);
    } else {
        http_respond_empty(req, 204);
    }
    relay_job_changed(d, job);
}

static uint32_t outstanding(struct daemon *d, const struct job *job)
{
    const struct task *t = job_task(job, job->attempt, 0);
    const struct node *node = t ? nodes_get(&d->nodes, t->node) : NULL;
    uint32_t sum = node ? node_stdin_outstanding(node, job->id) : 0;
    struct input *in, *tmp;
    list_for_each(in, tmp, &d->inputs, link) if (in->job == job->id) sum += in->bytes;
    return sum;
}

static char *encode(const char *bytes, size_t n)
{
    gnutls_datum_t raw = {(unsigned char *)bytes, (unsigned)n}, text = {0};
    if (n == 0)
        return xstrdup("");
    if (gnutls_base64_encode2(&raw, &text) < 0)
        return NULL;
    char *out = xstrndup((const char *)text.data, text.size);
    gnutls_free(text.data);
    return out;
}

static bool check_open(const struct job *job, struct error *err)
{
    if (job_is_final(job) || job->state == JOB_FINALIZING)
        return error_set(err, ERROR_CONFLICT, "job %s has ended", job->name);
    if (!job->wants_stdin) {
        error_set(err, ERROR_CONFLICT, "job %s has no standard input", job->name);
        return error_hint(err, "submit it with berth run -i");
    }
    return true;
}

void api_post_stdin(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    bool eof;
    size_t n;
    const struct job *job = api_own_job(d, req, "write to the standard input of");
    if (!job)
        return;
    const char *bytes = http_request_body(req, &n);
    if (!http_request_query_bool(req, "eof", false, &eof, &err) || !check_open(job, &err)) {
        http_respond_error(req, &err);
        return;
    }
    size_t counts = n < RELAY_PIECE_MIN ? RELAY_PIECE_MIN : n;
    if (outstanding(d, job) + counts > NODE_STDIN_OUTSTANDING_BYTES) {
        error_set(&err, ERROR_LIMIT, "job %s has not read the last %d bytes yet", job->name,
                  NODE_STDIN_OUTSTANDING_BYTES);
        error_hint(&err, "send it again later");
        http_respond_errors(req, 429, &err, NULL);
        return;
    }
    _cleanup_free_ char *text = encode(bytes, n);
    if (!text) {
        error_set(&err, ERROR_INTERNAL, "can't encode what was typed");
        http_respond_error(req, &err);
        return;
    }
    send_input(d, req, job, DELTA_STDIN,
               xasprintf("\"data\":\"%s\",\"eof\":%s", text, eof ? "true" : "false"), (uint32_t)counts);
}

void api_post_resize(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    const struct job *job = api_own_job(d, req, "use the terminal of");
    _cleanup_json_ cJSON *body = job ? api_body(req, "rows cols") : NULL;
    if (!body)
        return;
    int64_t rows = json_int(body, "rows", 0), cols = json_int(body, "cols", 0);
    if (rows < 1 || rows > RELAY_RESIZE_MAX || cols < 1 || cols > RELAY_RESIZE_MAX) {
        error_field(&err, rows < 1 || rows > RELAY_RESIZE_MAX ? "rows" : "cols",
                    "a terminal has 1 to %d rows and columns", RELAY_RESIZE_MAX);
        http_respond_error(req, &err);
    } else if (job_is_final(job)) {
        error_set(&err, ERROR_CONFLICT, "job %s has ended", job->name);
        http_respond_error(req, &err);
    } else {
        send_input(d, req, job, DELTA_RESIZE,
                   xasprintf("\"rows\":%lld,\"cols\":%lld", (long long)rows, (long long)cols), 0);
    }
}
