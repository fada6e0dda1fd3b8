/* Asks to nodes. Owns the asks; each has a request that waits, and none outlives its node's session. */
#include "scheduler/outputs_now.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/listing.h"
#include "scheduler/api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define NAME_BYTES 16

struct outputs_ask {
    struct list link;
    char name[2 * NAME_BYTES + 1]; /* random: an answer to an ask of before a restart meets none */
    struct http_request *req;
    const struct node *node;
    uint32_t principal;
    int64_t until_ms; /* boot clock */
    char *place;      /* where the node brings it */
    bool lists;
};

static void ask_free(struct outputs_ask *ask)
{
    list_remove(&ask->link);
    free(ask->place);
    free(ask);
}

const struct task *outputs_now_task(const struct job *job, uint32_t rank)
{
    const struct task *task = job_task(job, job->attempt, rank);
    bool runs = task && !task->exited && (task->state == TASK_RUNNING || task->state == TASK_PAUSED);
    return runs && !job_is_final(job) && job->state != JOB_QUEUED ? task : NULL;
}

static void on_gone(struct http_request *req, void *data)
{
    (void)req;
    ask_free(data);
}

static unsigned count_asks(const struct daemon *d, uint32_t principal)
{
    unsigned n = 0;
    struct outputs_ask *ask, *tmp;
    list_for_each(ask, tmp, &d->outputs_asks, link) n += ask->principal == principal;
    return n;
}

static bool make_name(char *name, struct error *err)
{
    uint8_t random[NAME_BYTES];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return error_errno(err, errno, "no random number for a question to a node");
    for (unsigned i = 0; i < sizeof random; i++)
        snprintf(name + 2 * i, 3, "%02x", random[i]);
    return true;
}

/* The delta's fields, without braces. */
static char *fields_of(const char *name, const char *path)
{
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    json_add_str(o, "ask", name);
    if (path)
        json_add_bytes(o, "path", path);
    _cleanup_free_ char *text = json_text(o);
    return xstrndup(text + 1, strlen(text) - 2);
}

void outputs_now_ask(struct daemon *d, struct http_request *req, const struct job *job,
                     const struct task *task, const char *path)
{
    struct error err = {0};
    char name[2 * NAME_BYTES + 1];
    uint32_t principal = api_caller(d, req).principal;
    struct node *node = nodes_get(&d->nodes, task->node);
    if (!node || !node->in_session) {
        error_set(&err, ERROR_UNAVAILABLE, "node %s of job %s can't be reached now", task->node_name,
                  job->name);
        error_hint(&err, "try again later");
        http_respond_error(req, &err);
        return;
    }
    if (count_asks(d, principal) >= OUTPUTS_NOW_ASKS_MAX) {
        error_set(&err, ERROR_LIMIT, "%d files of jobs that run are on their way to you already",
                  OUTPUTS_NOW_ASKS_MAX);
        error_hint(&err, "try again when one is there");
        http_respond_errors(req, 429, &err, NULL);
        return;
    }
    if (!make_name(name, &err)) {
        http_respond_error(req, &err);
        return;
    }
    struct outputs_ask *ask = xcalloc(1, sizeof *ask);
    memcpy(ask->name, name, sizeof name);
    ask->req = req;
    ask->node = node;
    ask->principal = principal;
    ask->until_ms = clock_boot_ms() + OUTPUTS_NOW_LIMIT_MS;
    ask->lists = path == NULL;
    ask->place = xasprintf("%s/%llu/%u.%u/" OUTPUTS_NOW_PREFIX "%s", d->options.outputs_dir,
                           (unsigned long long)job->id, task->attempt, task->rank, name);
    list_append(&d->outputs_asks, &ask->link);
    http_request_on_gone(req, on_gone, ask);
    _cleanup_free_ char *fields = fields_of(name, path);
    node_push_task(node, DELTA_OUTPUTS, "outputs", (struct task_id){{job->id}, task->attempt, task->rank},
                   fields);
}

void outputs_now_fail(struct daemon *d, const struct node *node)
{
    struct outputs_ask *ask, *tmp;
    int64_t now_ms = clock_boot_ms();
    // NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed before is out of the list
    list_for_each(ask, tmp, &d->outputs_asks, link)
    {
        if (node ? ask->node != node : ask->until_ms > now_ms)
            continue;
        struct error err = {0};
        error_set(&err, ERROR_UNAVAILABLE, "node %s did not bring the outputs of the job that runs",
                  ask->node->name);
        error_hint(&err, "try again later");
        http_respond_error(ask->req, &err);
        ask_free(ask);
    }
}

static struct outputs_ask *find_ask(struct daemon *d, const struct node *node, const char *name)
{
    struct outputs_ask *ask, *tmp;
    list_for_each(ask, tmp, &d->outputs_asks,
                  link) if (ask->node == node && strcmp(ask->name, name) == 0) return ask;
    return NULL;
}

static void read_refusal(const cJSON *refusal, struct error *err)
{
    error_set(err, error_code_from_name(json_str(refusal, "code", "")), "%s",
              json_str(refusal, "message", ""));
    const char *hint = json_str(refusal, "hint", NULL);
    if (hint)
        error_hint(err, "%s", hint);
}

/* Nobody but the node could put it there; it is gone once it is open. */
static void send_brought(const struct outputs_ask *ask)
{
    struct error err = {0};
    struct stat st;
    int fd = open(ask->place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    unlink(ask->place);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        error_errno(&err, fd < 0 ? errno : EIO, "what the node brought");
        if (fd >= 0)
            close(fd);
        http_respond_error(ask->req, &err);
    } else if (ask->lists) {
        http_respond_file(ask->req, 200, "application/json", fd, 0, (uint64_t)st.st_size);
    } else {
        api_send_output_file(ask->req, fd, (uint64_t)st.st_size);
    }
}

void node_post_outputs(struct http_request *req, void *context)
{
    struct node *node = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_body(req, "ask error");
    if (!body)
        return;
    struct outputs_ask *ask = find_ask(node->daemon, node, json_str(body, "ask", ""));
    const cJSON *refusal = json_get(body, "error");
    if (!ask) {
        error_set(&err, ERROR_NOT_FOUND, "nobody waits for these outputs any more");
        http_respond_error(req, &err);
        return;
    }
    if (cJSON_IsObject(refusal)) {
        read_refusal(refusal, &err);
        http_respond_error(ask->req, &err);
    } else {
        send_brought(ask);
    }
    ask_free(ask);
    http_respond_empty(req, 204);
}
