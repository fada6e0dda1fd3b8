/*
 * POST /v1/node/events: events in order, each once (by instance and sequence number), acknowledged after the
 * commit. A node may speak of its own tasks only; one event about another's refuses the whole request before
 * anything is taken from it.
 */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "scheduler/engine.h"
#include "scheduler/hardware.h"
#include "scheduler/report.h"

#include <string.h>

enum whose { WHOSE_OWN, WHOSE_GONE, WHOSE_OTHERS };

/* GONE: it was this node's, and the core has forgotten it; such an event is late or doubled. */
static enum whose whose_task(struct node *node, struct task_id id)
{
    struct daemon *d = node->daemon;
    struct core_task_view view;
    if (core_task_get(d->core, id, &view))
        return view.node.v == node->id ? WHOSE_OWN : WHOSE_OTHERS;
    const struct job *job = jobs_find_id(&d->jobs, d->reader, id.job.v);
    const struct task *task = job ? job_task(job, id.attempt, id.rank) : NULL;
    return task && task->node == node->id ? WHOSE_GONE : WHOSE_OTHERS;
}

static void on_state(struct node *node, struct task_id id, const cJSON *event)
{
    const char *detail = json_str(event, "detail", NULL);
    if (detail && *detail)
        report_note(node, id, detail);
    report_state(node, id, json_str(event, "state", ""));
}

static void on_exit_event(struct node *node, struct task_id id, const cJSON *event)
{
    report_exit(node, id, json_get(event, "exit"));
}

static void on_released(struct node *node, struct task_id id, const cJSON *event)
{
    (void)event;
    report_released(node, id);
}

static void on_collected(struct node *node, struct task_id id, const cJSON *event)
{
    report_collected(node, id, json_get(event, "outputs"));
}

static void on_note(struct node *node, struct task_id id, const cJSON *event)
{
    if (id.job.v)
        report_note(node, id, json_str(event, "text", ""));
    else
        log_info("node %s: %s", node->name, json_str(event, "text", ""));
}

static void on_inventory(struct node *node, struct task_id id, const cJSON *event)
{
    (void)id;
    struct error err = {0};
    struct inventory *inventory = inventory_parse(json_get(event, "inventory"), &err);
    if (!inventory) {
        log_error("node %s: %s", node->name, err.message);
        return;
    }
    inventory_destroy(node->inventory);
    node->inventory = inventory;
    free(node->inventory_text);
    node->inventory_text = json_text(json_get(event, "inventory"));
    const cJSON *isolation = json_get(event, "isolation");
    if (cJSON_IsObject(isolation))
        node_take_isolation(node, isolation);
    struct core_inventory *for_core = hardware_for_core(node->daemon, node);
    engine_step(node->daemon,
                &(struct core_event){.kind = CORE_EVENT_NODE_UP,
                                     .as.node = {.node = {node->id}, .inventory = for_core}},
                NULL);
    free(for_core);
}

/* The node can't start tasks: it gets none until it says otherwise, or an administrator does. */
static void on_node_fault(struct node *node, struct task_id id, const cJSON *event)
{
    (void)id;
    const char *text = json_str(event, "text", "");
    struct core_node_view view;
    bool known = core_node_get(node->daemon->core, (struct node_id){node->id}, &view) && view.faulty;
    char kept[NODE_FAULT_TEXT_MAX];
    snprintf(kept, sizeof kept, "%s", text);
    log_warn("node %s drains itself: %s", node->name, kept);
    node_set_drain(node, &node->fault, NULL, kept, known ? node->fault.since_ms : clock_wall_ms());
    engine_step(node->daemon, &(struct core_event){.kind = CORE_EVENT_NODE_FAULT, .as.node.node = {node->id}},
                NULL);
}

static void on_node_healed(struct node *node, struct task_id id, const cJSON *event)
{
    (void)id;
    (void)event;
    if (node->fault.since_ms)
        log_info("node %s can start tasks again", node->name);
    node_set_drain(node, &node->fault, NULL, NULL, 0);
    engine_step(node->daemon,
                &(struct core_event){.kind = CORE_EVENT_NODE_HEALED, .as.node.node = {node->id}}, NULL);
}

static const struct event_type {
    const char *name, *fields;
    bool needs_task;
    void (*take)(struct node *node, struct task_id id, const cJSON *event);
} types[] = {
    {"state", "seq type task state detail", true, on_state},
    {"exit", "seq type task exit", true, on_exit_event},
    {"released", "seq type task", true, on_released},
    {"collected", "seq type task outputs", true, on_collected},
    {"inventory", "seq type inventory isolation", false, on_inventory},
    {"note", "seq type task text", false, on_note},
    {"node_fault", "seq type text", false, on_node_fault},
    {"node_healed", "seq type", false, on_node_healed},
};

static const struct event_type *type_of(const cJSON *event)
{
    const char *name = json_str(event, "type", "");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}

bool events_check_form(const cJSON *event, struct task_id *id, struct error *err)
{
    const struct event_type *type = type_of(event);
    const char *task = json_str(event, "task", NULL);
    *id = (struct task_id){{0}, 0, 0};
    if (!type)
        return error_field(err, "events.type", "'%.40s' is no type of event", json_str(event, "type", ""));
    if (!api_check_fields(event, type->fields, err))
        return false;
    if (json_int(event, "seq", 0) < 1)
        return error_field(err, "events.seq", "an event has no number");
    if (!task)
        return !type->needs_task ||
               error_field(err, "events.task", "an event of type %s names no task", type->name);
    if (!task_id_parse(task, id))
        return error_field(err, "events.task", "'%.60s' is no task", task);
    if (strcmp(type->name, "exit") == 0 && !cJSON_IsObject(json_get(event, "exit")))
        return error_field(err, "events.exit", "an exit without its object");
    return true;
}

static bool check_event(struct node *node, const cJSON *event, struct task_id *id, struct error *err)
{
    char task[TASK_ID_TEXT_MAX];
    if (!events_check_form(event, id, err))
        return false;
    if (!id->job.v || whose_task(node, *id) != WHOSE_OTHERS)
        return true;
    log_warn("node %s spoke of task %s, which is not leased to it: refused", node->name,
             task_id_format(*id, task));
    return error_set(err, ERROR_DENIED, "task %s is not leased to node %s", task, node->name);
}

static char *acked(uint64_t seq)
{
    return xasprintf("{\"acked\":%llu}", (unsigned long long)seq);
}

void node_post_events(struct http_request *req, void *context)
{
    struct node *node = context;
    struct daemon *d = node->daemon;
    struct error err = {0};
    struct task_id id;
    _cleanup_json_ cJSON *body = api_body(req, "session stream_ack events");
    if (!body)
        return;
    const cJSON *events = json_get(body, "events"), *event;
    if (!node_check_session(node, json_str(body, "session", NULL), &err)) {
        http_respond_error(req, &err);
        return;
    }
    node->contact_ms = clock_boot_ms();
    node->last_seen_ms = clock_wall_ms();
    if (cJSON_GetArraySize(events) > NODE_EVENTS_MAX) {
        error_set(&err, ERROR_LIMIT, "more than %d events in one request", NODE_EVENTS_MAX);
        http_respond_error(req, &err);
        return;
    }
    cJSON_ArrayForEach(event, events) if (!check_event(node, event, &id, &err))
    {
        http_respond_error(req, &err);
        return;
    }
    node_stream_acked(node, (uint64_t)json_int(body, "stream_ack", 0));
    bool writable = engine_writable(d, &err);
    if (!writable && (cJSON_GetArraySize(events) > 0 || d->stopping)) {
        http_respond_error(req, &err);
        return;
    }
    if (!writable) { /* a heartbeat: there is contact, and nothing is acknowledged */
        http_respond_text(req, 200, "application/json", xstrdup("{}"), 2);
        return;
    }
    FAULT("events.before_step");
    cJSON_ArrayForEach(event, events)
    {
        uint64_t seq = (uint64_t)json_int(event, "seq", 0);
        if (seq <= node->event_seq)
            continue; /* told before */
        node->event_seq = seq;
        node_touch(node);
        const char *task = json_str(event, "task", NULL);
        id = (struct task_id){{0}, 0, 0};
        if (task)
            (void)task_id_parse(task, &id);
        type_of(event)->take(node, id, event);
    }
    engine_answer(d, req, 200, acked(node->event_seq), NULL, 0);
}
