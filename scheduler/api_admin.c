/* The scheduler itself and its nodes: version, shutdown, node list, new nodes. */
#include "scheduler/api.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "scheduler/api_page.h"
#include "scheduler/audit.h"
#include "scheduler/claims.h"
#include "scheduler/engine.h"
#include "scheduler/unrecorded.h"

#include <string.h>
#include <unistd.h>

#define SHUTDOWN_NAMES_MAX 10 /* of live jobs in the refusal */

void api_get_version(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct caller caller = api_caller(d, req);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "version", BERTH_VERSION);
    json_add_int(o, "protocol", SCHEDULER_PROTOCOL);
    json_add_int(o, "pid", getpid());
    json_add_str(o, "state_dir", d->options.state_dir);
    json_add_int(o, "epoch", (int64_t)d->epoch);
    json_add_int(o, "started_ms", d->started_ms);
    json_add_str(o, "principal", caller.name);
    cJSON_AddBoolToObject(o, "admin", caller.admin);
    if (d->options.idle_exit_s)
        json_add_int(o, "idle_exit_s", d->options.idle_exit_s);
    else
        cJSON_AddNullToObject(o, "idle_exit_s");
    http_respond_json(req, 200, o);
}

bool api_need_admin(struct daemon *d, struct http_request *req, const char *what)
{
    struct error err = {0};
    if (api_caller(d, req).admin)
        return true;
    error_set(&err, ERROR_DENIED, "only an administrator may %s", what);
    error_hint(&err, "root and the user that runs the scheduler are administrators");
    http_respond_error(req, &err);
    return false;
}

static bool refuse_with_names(struct daemon *d, struct error *err)
{
    _cleanup_buf_ struct buf names = {0};
    struct job *job, *tmp;
    unsigned count = 0;
    list_for_each(job, tmp, &d->jobs.live, link)
    {
        if (count++ == SHUTDOWN_NAMES_MAX) {
            buf_add_str(&names, ", ...");
            break;
        }
        buf_printf(&names, "%s%s", names.len ? ", " : "", job->name);
    }
    error_set(err, ERROR_CONFLICT, "%u job%s not ended: %s", d->jobs.live_count,
              d->jobs.live_count == 1 ? " has" : "s have", names.data);
    return error_hint(err, "berth down --keep lets them go on, --cancel ends them");
}

static void cancel_all(struct daemon *d)
{
    /* a step moves jobs that end at once out of the list: their ids are taken first */
    size_t count = 0;
    uint64_t *ids = calloc(d->jobs.live_count + 1, sizeof *ids);
    struct job *job, *tmp;
    list_for_each(job, tmp, &d->jobs.live, link) if (ids) ids[count++] = job->id;
    for (size_t i = 0; i < count; i++)
        engine_step(d, &(struct core_event){.kind = CORE_EVENT_JOB_CANCEL, .as.cancel = {.job = {ids[i]}}},
                    NULL);
    free(ids);
}

/* The tasks are told to end, and the scheduler leaves without their ends: what it has recorded of them is
 * taken up when it starts again. */
static void leave_unrecorded(struct daemon *d, struct http_request *req, struct error *why)
{
    unsigned count = d->jobs.live_count;
    d->leaving = true;
    d->leave_at_ms = clock_boot_ms() + UNRECORDED_LEAVE_MS;
    unrecorded_cancel_all(d);
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    _cleanup_buf_ struct buf note = {0};
    buf_printf(
        &note,
        "what runs is told to end, but that can't be recorded (%s): of %u jobs those that wait are queued "
        "again when Berth starts",
        why->message, count);
    json_add_str(o, "note", note.data);
    char *text = json_text(o);
    http_respond_text(req, 202, "application/json", text, strlen(text));
}

static void stop_now(void *data)
{
    daemon_stop(data);
}

void api_post_shutdown(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "shut the scheduler down") ? api_body(req, "jobs") : NULL;
    if (!body)
        return;
    const char *jobs = json_str(body, "jobs", "refuse");
    bool refuse = strcmp(jobs, "refuse") == 0, keep = strcmp(jobs, "keep") == 0,
         cancel = strcmp(jobs, "cancel") == 0;
    bool ok = true;
    if (!refuse && !keep && !cancel)
        ok = error_field(&err, "jobs", "jobs is refuse, keep or cancel, not '%.40s'", jobs);
    else if (refuse && d->jobs.live_count)
        ok = refuse_with_names(d, &err);
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    log_info("shutdown asked for by %s (jobs: %s)", api_caller(d, req).name, jobs);
    struct caller caller = api_caller(d, req);
    cJSON *after = cJSON_CreateObject();
    cJSON_AddStringToObject(after, "jobs", jobs);
    audit_add(d, &caller, "shutdown", NULL, NULL, after);
    if (cancel && d->jobs.live_count && !engine_writable(d, &err)) {
        leave_unrecorded(d, req, &err);
        return;
    }
    if (cancel && d->jobs.live_count) {
        d->leaving = true; /* when the last has ended */
        cancel_all(d);
        engine_answer(d, req, 202, NULL, NULL, 0);
        return;
    }
    if (!engine_writable(d, NULL)) { /* nothing to wait for: what is durable stays so */
        http_respond_empty(req, 202);
        daemon_stop(d);
        return;
    }
    engine_answer(d, req, 202, NULL, NULL, 0);
    journal_then(d->journal, stop_now, NULL, d);
}

void api_get_nodes(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct claims_kept kept;
    struct api_page page;
    if (!api_page_begin(&page, req, "nodes"))
        return;
    claims_kept_read(d, &kept);
    for (uint32_t i = page.from; i < d->nodes.count && api_page_takes(&page, i); i++) {
        cJSON *o = node_object(d->nodes.items[i]);
        claims_add(o, d->nodes.items[i], &kept);
        api_page_add(&page, o);
    }
    api_page_answer(&page, d);
}

void api_post_node(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_need_admin(d, req, "add nodes") ? api_body(req, "name") : NULL;
    if (!body)
        return;
    const char *name = json_str(body, "name", "");
    bool ok = engine_writable(d, &err) && node_name_valid(name, &err);
    if (ok && nodes_find(&d->nodes, name)) {
        ok = error_set(&err, ERROR_EXISTS, "there is a node %s already", name);
    } else if (ok && d->nodes.count >= CORE_NODES_MAX) {
        ok = error_set(&err, ERROR_LIMIT, "there are %u nodes already", CORE_NODES_MAX);
    } else if (ok) {
        struct node *node = nodes_add(&d->nodes, d, d->nodes.next_id, name);
        ok = node_listen(node, &err);
        if (!ok)
            nodes_drop_last(&d->nodes);
        else
            node_touch(node);
    }
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    struct caller caller = api_caller(d, req);
    audit_add(d, &caller, "node add", name, NULL, NULL);
    const struct node *node = nodes_find(&d->nodes, name);
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    json_add_str(o, "name", node->name);
    json_add_str(o, "socket", node->socket_path);
    json_add_str(o, "secret_file", node->secret_path);
    engine_answer(d, req, 201, json_text(o), NULL, 0);
}
