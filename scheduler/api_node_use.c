/* What a node is used for: an administrator drains it, resumes it, or gives it up. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"

#include <string.h>

static enum core_event_kind kind_of_use(const char *use)
{
    static const struct {
        const char *word;
        enum core_event_kind kind;
    } uses[] = {
        {"drain", CORE_EVENT_NODE_DRAIN}, {"resume", CORE_EVENT_NODE_RESUME}, {"lost", CORE_EVENT_NODE_LOST}};
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++)
        if (strcmp(use, uses[i].word) == 0)
            return uses[i].kind;
    return CORE_EVENT_TICK;
}

static bool check_use(const struct daemon *d, const struct node *node, const char *name, const char *use,
                      struct error *err)
{
    struct core_node_view view;
    if (!node) {
        error_set(err, ERROR_NOT_FOUND, "there is no node %.64s", name);
        return error_hint(err, "berth node list");
    }
    if (kind_of_use(use) == CORE_EVENT_TICK)
        return error_field(err, "use", "use is drain, resume or lost, not \"%.40s\"", use);
    if (kind_of_use(use) == CORE_EVENT_NODE_LOST && node->in_session) {
        error_set(err, ERROR_CONFLICT, "node %s is connected: it isn't lost", name);
        return error_hint(err, "berth node drain %s keeps new jobs from it", name);
    }
    if (!core_node_get(d->core, (struct node_id){node->id}, &view))
        return error_set(err, ERROR_CONFLICT, "node %s has never registered", name);
    return true;
}

static bool read_reason(const cJSON *body, enum core_event_kind kind, const char **reason, struct error *err)
{
    const cJSON *item = json_get(body, "reason");
    *reason = cJSON_IsString(item) && *item->valuestring ? item->valuestring : NULL;
    if (item && !cJSON_IsNull(item) && !cJSON_IsString(item))
        return error_field(err, "reason", "reason must be text");
    if (*reason && kind != CORE_EVENT_NODE_DRAIN)
        return error_field(err, "reason", "a reason goes with drain");
    if (*reason && strlen(*reason) > NODE_DRAIN_REASON_MAX)
        return error_field(err, "reason", "the reason is %zu bytes long; at most %d are kept",
                           strlen(*reason), NODE_DRAIN_REASON_MAX);
    return true;
}

/* What the three uses change; a drain that another one repeats is his from then on. */
static cJSON *stated(const struct daemon *d, const struct node *node, enum core_event_kind kind)
{
    struct core_node_view view = {0};
    cJSON *o = cJSON_CreateObject();
    core_node_get(d->core, (struct node_id){node->id}, &view);
    if (kind == CORE_EVENT_NODE_LOST) {
        cJSON_AddBoolToObject(o, "lost", view.lost);
        return o;
    }
    cJSON_AddBoolToObject(o, "drained", view.drained);
    json_add_str(o, "reason", view.drained ? node->drained.text : NULL);
    json_add_str(o, "drained_by", view.drained ? node->drained.by : NULL);
    json_add_str(o, "fault", view.faulty ? node->fault.text : NULL);
    return o;
}

/* Written in the step's own transaction. */
static void note_use(struct node *node, enum core_event_kind kind, const char *by, const char *reason)
{
    if (kind == CORE_EVENT_NODE_DRAIN)
        node_set_drain(node, &node->drained, by, reason,
                       node->drained.since_ms ? node->drained.since_ms : clock_wall_ms());
    if (kind != CORE_EVENT_NODE_RESUME)
        return;
    node_set_drain(node, &node->drained, NULL, NULL, 0);
    node_set_drain(node, &node->fault, NULL, NULL, 0);
}

void api_post_node_use(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "change what a node is used for") ? api_body(req, "use reason") : NULL;
    if (!body)
        return;
    const char *use = json_str(body, "use", ""), *name = http_request_param(req, 0), *reason;
    struct node *node = nodes_find(&d->nodes, name);
    struct core_event event = {.kind = kind_of_use(use)};
    bool ok = engine_writable(d, &err) && check_use(d, node, name, use, &err) &&
              read_reason(body, event.kind, &reason, &err);
    cJSON *before = NULL;
    if (ok) {
        before = stated(d, node, event.kind);
        note_use(node, event.kind, api_caller(d, req).name, reason);
        event.as.node.node.v = node->id;
        ok = engine_step(d, &event, &err);
    }
    if (!ok) {
        cJSON_Delete(before);
        http_respond_error(req, &err);
        return;
    }
    struct caller caller = api_caller(d, req);
    _cleanup_free_ char *what = xasprintf("node %s", use);
    audit_add(d, &caller, what, name, before, stated(d, node, event.kind));
    log_info("node %s: %s by %s%s%s", name, use, api_caller(d, req).name, reason ? ": " : "",
             reason ? reason : "");
    engine_answer(d, req, 204, NULL, NULL, 0);
}
