/* POST signal: to the main process group of each task of a job that runs. Nothing of it waits: a job that
 * does not run is refused, and a node that is away too, so that nobody is interrupted long after. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/signals.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"

#include <string.h>

static bool check_running(const struct job *job, struct error *err)
{
    /* What a job writes can be read before its node has said that it runs. check_nodes names a silent node.
     */
    if (job->state == JOB_STARTING || job->state == JOB_RUNNING || job->state == JOB_NOT_RESPONDING)
        return true;
    if (job_is_final(job) || job->state == JOB_FINALIZING)
        return error_set(err, ERROR_CONFLICT, "job %s has ended", job->name);
    error_set(err, ERROR_CONFLICT, "job %s does not run: it is %s", job->name, job_state_name(job->state));
    return error_hint(err, "berth cancel %s ends it", job->name);
}

/* All or none: half a gang that was interrupted waits for the other half. */
static bool check_nodes(struct daemon *d, const struct job *job, struct error *err)
{
    for (uint32_t i = 0; i < job->task_count; i++) {
        const struct task *task = &job->tasks[i];
        const struct node *node = nodes_get(&d->nodes, task->node);
        if (task->attempt != job->attempt || task->exited)
            continue;
        if (!node || !node->in_session) {
            error_set(err, ERROR_UNAVAILABLE, "node %s of job %s can't be reached now", task->node_name,
                      job->name);
            return error_hint(err, "send it again later");
        }
        if (node_signals_outstanding(node, job->id) >= NODE_SIGNALS_OUTSTANDING) {
            error_set(err, ERROR_LIMIT, "node %s has not taken the last %d signals of job %s yet",
                      task->node_name, NODE_SIGNALS_OUTSTANDING, job->name);
            return error_hint(err, "send it again later");
        }
    }
    return true;
}

static void push_all(struct daemon *d, const struct job *job, int signo)
{
    char fields[32];
    snprintf(fields, sizeof fields, "\"signal\":%d", signo);
    for (uint32_t i = 0; i < job->task_count; i++) {
        const struct task *task = &job->tasks[i];
        if (task->attempt == job->attempt && !task->exited)
            node_push_task(nodes_get(&d->nodes, task->node), DELTA_SIGNAL, "signal",
                           (struct task_id){{job->id}, task->attempt, task->rank}, fields);
    }
}

void api_post_signal(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    const struct job *job = api_own_job(d, req, "signal");
    _cleanup_json_ cJSON *body = job ? api_body(req, "signal") : NULL;
    if (!body || !api_need_element(req, job, "process"))
        return;
    const char *name = json_str(body, "signal", "");
    int signo = signal_by_name(name);
    if (!signo)
        error_field(&err, "signal", "\"%.32s\" is not a signal that a task can be sent, such as INT", name);
    if (!signo || !check_running(job, &err) || !check_nodes(d, job, &err) || !engine_writable(d, &err)) {
        if (err.code == ERROR_LIMIT)
            http_respond_errors(req, 429, &err, NULL);
        else
            http_respond_error(req, &err);
        return;
    }
    struct caller caller = api_caller(d, req);
    cJSON *what = cJSON_CreateObject();
    json_add_int(what, "signal", signo);
    push_all(d, job, signo);
    audit_add_job(d, &caller, "signal", job, NULL, what);
    engine_answer(d, req, 204, NULL, NULL, 0);
}
