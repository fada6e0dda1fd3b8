/*
 * POST /v1/node/hello: the node says what it is and holds, the core hears it, and the answer says what it
 * should hold. The answer follows the commit; what is decided later goes as deltas (hello_row divides the
 * two).
 */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "scheduler/engine.h"
#include "scheduler/hardware.h"
#include "scheduler/report.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define HELLO_FIELDS                                                                                         \
    "protocol name boot_id instance_id version pid inventory isolation tasks tasks_unknown "                 \
    "next_event_seq stream_ack"

/* A task that the node should hold. */
struct hello_task {
    struct task_id id;
    bool held; /* the node has listed it, so it has its launch */
};

struct hello_answer {
    struct node *node;
    struct http_request *req; /* NULL once answered */
    char session[33];
    uint64_t acked_event_seq, stream_seq;
    uint32_t count;
    struct hello_task tasks[]; /* as of the hello's last row */
};

/* One of the answer's orders: the whole launch; the task alone where the node holds it; or that it follows on
 * the stream, once the answer has NODE_HELLO_LAUNCH_BYTES of them. False, with nothing added, where it has
 * none. */
static bool add_order(struct node *node, const struct hello_task *task, size_t first, bool *full,
                      struct buf *out)
{
    char text[TASK_ID_TEXT_MAX];
    struct error err = {0};
    _cleanup_buf_ struct buf order = {0};
    task_id_format(task->id, text);
    if (task->held) {
        buf_printf(out, "{\"task\":\"%s\"}", text);
        return true;
    }
    if (!*full && !engine_write_order(node->daemon, node, task->id, &order, &err)) {
        report_unlaunched(node, task->id, &err);
        return false;
    }
    if (!*full && out->len - first + order.len <= NODE_HELLO_LAUNCH_BYTES) {
        buf_add(out, order.data, order.len);
        return true;
    }
    *full = true; /* no other one is written to find that it doesn't fit */
    buf_printf(out, "{\"task\":\"%s\",\"follows\":true}", text);
    node_push_launch(node, task->id);
    return true;
}

static void answer_hello(void *data)
{
    struct hello_answer *a = data;
    struct node *node = a->node;
    struct daemon *d = node->daemon;
    FAULT("hello.before_answer");
    if (a->req && strcmp(node->session, a->session) == 0 && node->in_session) {
        struct buf out = {0};
        buf_printf(
            &out,
            "{\"session\":\"%s\",\"epoch\":%llu,\"node_id\":%u,\"acked_event_seq\":%llu,\"stream_seq\":%llu,"
            "\"keepalive_s\":%d,\"faulty\":%s,\"log_dir\":",
            a->session, (unsigned long long)d->epoch, node->id, (unsigned long long)a->acked_event_seq,
            (unsigned long long)a->stream_seq, SCHEDULER_KEEPALIVE_S,
            node->fault.since_ms ? "true" : "false");
        _cleanup_json_ cJSON *log_dir = cJSON_CreateString(d->options.log_dir);
        _cleanup_json_ cJSON *outputs_dir = cJSON_CreateString(d->options.outputs_dir);
        json_write(log_dir, &out);
        buf_add_str(&out, ",\"outputs_dir\":");
        json_write(outputs_dir, &out);
        buf_add_str(&out, ",\"orders\":[");
        size_t first = out.len;
        bool full = false;
        for (uint32_t i = 0; i < a->count; i++)
            if (add_order(node, &a->tasks[i], first, &full, &out))
                buf_add_char(&out, ',');
        out.len -= out.len > first; /* the last comma */
        buf_add_str(&out, "]}");
        size_t n = out.len;
        http_respond_text(a->req, 200, "application/json", buf_take(&out), n);
    } else if (a->req) {
        struct error err = {0};
        node_check_session(node, NULL, &err);
        http_respond_error(a->req, &err);
    }
    free(a);
}

static void refuse_hello(void *data, const struct error *why)
{
    struct hello_answer *a = data;
    struct http_request *req = take_ptr(a->req);
    if (req)
        http_respond_error(req, why);
}

/* What the node reports of one task that is its own. */
static void take_task(struct node *node, const cJSON *item, struct task_id id)
{
    const char *state = json_str(item, "state", "");
    const cJSON *exit = json_get(item, "exit");
    if (cJSON_IsObject(exit))
        report_exit(node, id, exit);
    else
        report_state(node, id, state);
    if (strcmp(state, "released") == 0)
        report_released(node, id);
}

/* The tasks of a hello, by name. */
static void list_held(const cJSON *tasks, struct map *held)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, tasks) map_put_str(held, json_str(item, "task", ""), (void *)item);
}

static bool holds(const struct map *held, struct task_id id)
{
    char text[TASK_ID_TEXT_MAX];
    return map_get_str(held, task_id_format(id, text)) != NULL;
}

/* A task that should be there and isn't: it is ordered (again) if the node never had it, else its end is
 * unknown. */
static void miss_task(struct node *node, struct task_id id, const struct core_task_view *view)
{
    char text[TASK_ID_TEXT_MAX];
    if (view->state == TASK_ASSIGNED && !view->abandoned && !view->stopping)
        return;
    if (view->state == TASK_ASSIGNED && view->stopping) {
        report_never_started(node, id);
        return;
    }
    log_warn("node %s doesn't hold task %s any more: its end is unknown", node->name,
             task_id_format(id, text));
    report_lost(node, id);
}

/* `all`: the node knows which tasks it has; else those that it doesn't list may run on. */
static void reconcile(struct node *node, const cJSON *tasks, bool all, const struct map *held)
{
    struct daemon *d = node->daemon;
    struct core_task_view view;
    const cJSON *item;
    cJSON_ArrayForEach(item, tasks)
    {
        struct task_id id;
        const char *text = json_str(item, "task", "");
        if (!task_id_parse(text, &id) || !core_task_get(d->core, id, &view))
            continue; /* not in the orders: the node ends it */
        if (view.node.v != node->id)
            log_warn("node %s holds task %s, which is leased to another node", node->name, text);
        else
            take_task(node, item, id);
    }
    struct task_id *ids = xcalloc(CORE_NODE_TASKS_MAX, sizeof *ids);
    uint32_t count = core_node_tasks(d->core, (struct node_id){node->id}, ids, CORE_NODE_TASKS_MAX);
    for (uint32_t i = 0; i < count && i < CORE_NODE_TASKS_MAX; i++)
        if (all && !holds(held, ids[i]) && core_task_get(d->core, ids[i], &view))
            miss_task(node, ids[i], &view);
    free(ids);
}

/* What the node should hold after all that, and the stops that are still open. */
static struct hello_answer *plan_answer(struct node *node, struct http_request *req, bool all,
                                        const struct map *held)
{
    struct daemon *d = node->daemon;
    struct task_id *ids = xcalloc(CORE_NODE_TASKS_MAX, sizeof *ids);
    uint32_t count = core_node_tasks(d->core, (struct node_id){node->id}, ids, CORE_NODE_TASKS_MAX);
    if (count > CORE_NODE_TASKS_MAX)
        count = CORE_NODE_TASKS_MAX;
    struct hello_answer *a = xcalloc(1, sizeof *a + count * sizeof *a->tasks);
    a->node = node;
    a->req = req;
    a->acked_event_seq = node->event_seq;
    a->stream_seq = node->stream_acked;
    memcpy(a->session, node->session, sizeof a->session);
    for (uint32_t i = 0; i < count; i++) {
        struct core_task_view view;
        if (!core_task_get(d->core, ids[i], &view) || view.abandoned || (!all && view.state != TASK_ASSIGNED))
            continue;
        a->tasks[a->count++] = (struct hello_task){ids[i], holds(held, ids[i])};
        if (view.stopping && view.state != TASK_EXITED)
            engine_push_stop(node, ids[i], view.stop_reason, view.grace_ms, view.forced);
        const struct job *job = jobs_get(&d->jobs, ids[i].job.v);
        if (job && job->limit_changed && view.state != TASK_EXITED)
            engine_push_limit(node, ids[i], job->time_limit_ms);
    }
    free(ids);
    return a;
}

static void keep_text(char **where, const cJSON *value)
{
    free(*where);
    *where = cJSON_IsObject(value) ? json_text(value) : NULL;
}

static bool check_hello(const struct node *node, const cJSON *body, struct error *err)
{
    int64_t protocol = json_int(body, "protocol", 0);
    const char *name = json_str(body, "name", ""), *instance = json_str(body, "instance_id", "");
    if (protocol != SCHEDULER_PROTOCOL) {
        error_set(err, ERROR_VERSION, "the executor speaks node protocol %lld, this scheduler %d",
                  (long long)protocol, SCHEDULER_PROTOCOL);
        return error_hint(err, "use the same Berth on both");
    }
    if (strcmp(name, node->name) != 0)
        return error_field(err, "name", "this is the socket of node %s, not of '%.64s'", node->name, name);
    if (!*instance || strlen(instance) > NODE_INSTANCE_MAX)
        return error_field(err, "instance_id", "instance_id has 1 to %d characters", NODE_INSTANCE_MAX);
    const cJSON *tasks = json_get(body, "tasks");
    if (tasks && !cJSON_IsArray(tasks))
        return error_field(err, "tasks", "tasks is not a list");
    return true;
}

static void begin_session(struct node *node, const cJSON *body)
{
    uint8_t random[16];
    const char *instance = json_str(body, "instance_id", "");
    node_end_session(node, "a new hello takes over");
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        memcpy(random, &node->stream_seq, sizeof node->stream_seq); /* a session's name is no secret */
    for (unsigned i = 0; i < sizeof random; i++)
        snprintf(node->session + 2 * i, 3, "%02x", random[i]);
    if (strcmp(instance, node->instance_id) != 0) {
        snprintf(node->instance_id, sizeof node->instance_id, "%s", instance);
        node->event_seq = 0;
    }
    node->in_session = true;
    node->contact_ms = clock_boot_ms();
    node->keepalive_ms = node->contact_ms + SCHEDULER_KEEPALIVE_S * 1000;
    node->last_seen_ms = clock_wall_ms();
    keep_text(&node->inventory_text, json_get(body, "inventory"));
    free(node->version);
    node->version = xstrdup(json_str(body, "version", NULL));
    node_drop_covered(node);
    node_stream_acked(node, (uint64_t)json_int(body, "stream_ack", 0));
    node_touch(node);
}

void node_post_hello(struct http_request *req, void *context)
{
    struct node *node = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_body(req, HELLO_FIELDS);
    if (!body)
        return;
    struct inventory *inventory = NULL;
    bool ok = engine_writable(node->daemon, &err) && check_hello(node, body, &err) &&
              (inventory = inventory_parse(json_get(body, "inventory"), &err));
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    inventory_destroy(node->inventory);
    node->inventory = inventory;
    node_take_isolation(node, json_get(body, "isolation"));
    struct core_inventory *for_core = hardware_for_core(node->daemon, node);
    struct core_event event = {.kind = CORE_EVENT_NODE_UP,
                               .as.node = {.node = {node->id}, .inventory = for_core}};
    begin_session(node, body);
    node->hello_row = UINT64_MAX; /* what follows is in the answer */
    ok = engine_step(node->daemon, &event, &err);
    free(for_core);
    if (!ok) {
        node_end_session(node, err.message);
        http_respond_error(req, &err);
        return;
    }
    struct map held = {0};
    list_held(json_get(body, "tasks"), &held);
    bool all = !json_bool(body, "tasks_unknown", false);
    reconcile(node, json_get(body, "tasks"), all, &held);
    node->hello_row = node->daemon->last_row;
    log_info("node %s: session of instance %s, Berth %s", node->name, node->instance_id,
             node->version ? node->version : "?");
    journal_then(node->daemon->journal, answer_hello, refuse_hello, plan_answer(node, req, all, &held));
    map_finish(&held);
}
