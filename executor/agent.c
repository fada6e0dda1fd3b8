/* Reconciliation. A hello brings the full set of orders: what is held and not wanted is ended, what is wanted
 * and not held is started, the rest goes on. Orders of an epoch older than one that was seen are refused,
 * whoever sends them. */
#include "executor/agent.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "executor/abilities.h"
#include "executor/cgroup.h"
#include "executor/events.h"
#include "executor/finish.h"
#include "executor/health.h"
#include "executor/identity.h"
#include "executor/inventory_again.h"
#include "executor/probe.h"
#include "executor/session.h"
#include "executor/task.h"
#include "executor/outputs_serve.h"
#include "executor/work.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/utsname.h>

struct agent {
    struct task_context context;
    struct work_turns turns;
    struct executor_config *config;
    struct events events;
    struct session *session;
    struct map tasks; /* name -> struct task */
    struct identity identity;
    uv_timer_t sweep_timer;
    uv_async_t kick; /* events are sent once per turn of the loop */
    bool leaving;
    bool blind; /* the directory of the tasks can't be listed: what it holds is not known */
};

static struct task *find(const struct agent *agent, const char *name)
{
    return name ? map_get_str(&agent->tasks, name) : NULL;
}

/* Says the whole end of a task that has no folder: one that is lost, or whose order is not understood. */
static void report_end(struct agent *agent, const char *task, const char *kind, const char *text)
{
    log_error("%s: %s", task, text);
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddItemToObject(fields, "exit", finish_made_exit(kind, 125, text));
    events_add(&agent->events, task, "exit", EVENT_EXIT, fields);
    events_add(&agent->events, task, "released", EVENT_RELEASED, NULL);
    fields = cJSON_CreateObject();
    cJSON *outputs = cJSON_AddObjectToObject(fields, "outputs");
    cJSON_AddNumberToObject(outputs, "files", 0);
    cJSON_AddNumberToObject(outputs, "bytes", 0);
    cJSON_AddArrayToObject(outputs, "skipped");
    events_add(&agent->events, task, "collected", EVENT_COLLECTED, fields);
    agent->context.changed(agent);
}

static void take_order(struct agent *agent, const cJSON *json)
{
    struct error err = {0};
    struct task_id id;
    const char *name = json_str(json, "task", "");
    struct task *task = find(agent, name);
    if (task) {
        task_wanted(task);
        return;
    }
    if (json_bool(json, "follows", false))
        return; /* its launch comes on the stream */
    if (!task_id_parse(name, &id)) {
        log_error("an order without a task's id is left out");
        return;
    }
    if (agent->blind) { /* one that was never here is started elsewhere; the others may go on */
        if (!events_marks(&agent->events, name))
            report_end(agent, name, "node_fault", "the node's directory of tasks can't be read");
        return;
    }
    if (events_marks(&agent->events, name)) {
        report_end(agent, name, "shim_lost", "the node held this task and its folder is gone");
        return;
    }
    if (!json_get(json, "spec")) { /* the scheduler took it from this node's own hello that it is here */
        report_end(agent, name, "shim_lost", "the node held this task and its directory is gone");
        return;
    }
    if (agent->tasks.count >= AGENT_TASKS_MAX) {
        report_end(agent, name, "start_error", "the node holds too many tasks");
        return;
    }
    struct order *order = order_parse(json, &err);
    if (!order) {
        report_end(agent, name, "start_error", err.message);
        return;
    }
    if (order->epoch < agent->identity.epoch) {
        /* never by a scheduler that keeps the contract: it sends its own epoch with each order */
        log_error("%s: its order is of epoch %" PRIu64 ", older than %" PRIu64 ": refused", name,
                  order->epoch, agent->identity.epoch);
        order_destroy(order);
        return;
    }
    log_info("%s: ordered", name);
    map_put_str(&agent->tasks, name, task_accept(&agent->context, order));
}

/* session callbacks */

static cJSON *on_hello(void *data)
{
    struct agent *agent = data;
    cJSON *hello = cJSON_CreateObject();
    json_add_str(hello, "name", agent->config->name);
    json_add_str(hello, "boot_id", clock_boot_id());
    json_add_str(hello, "instance_id", agent->identity.instance);
    json_add_str(hello, "version", BERTH_VERSION);
    json_add_int(hello, "pid", getpid());
    cJSON_AddItemToObject(hello, "inventory", cJSON_Duplicate(agent->config->inventory, true));
    cJSON_AddItemToObject(hello, "isolation", abilities_json(&agent->config->isolation));
    if (agent->blind)
        cJSON_AddBoolToObject(hello, "tasks_unknown", true);
    cJSON *tasks = cJSON_AddArrayToObject(hello, "tasks");
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&agent->tasks, &i));) {
        cJSON *task = task_hello(slot->value);
        if (task)
            cJSON_AddItemToArray(tasks, task);
    }
    return hello;
}

/* The tasks and marks that no order names. Collected first: ending a task may change the table. */
static void end_unwanted(struct agent *agent, const cJSON *orders)
{
    struct map wanted = {0};
    struct text_list names = {0}, stale = {0};
    const cJSON *order;
    cJSON_ArrayForEach(order, orders)
    {
        const char *name = json_str(order, "task", NULL);
        if (name)
            map_put_str(&wanted, name, (void *)order);
    }
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&agent->tasks, &i));)
        if (!map_get_str(&wanted, slot->str))
            text_list_add(&names, xstrdup(slot->str));
    for (size_t i = 0; (slot = map_next(&agent->events.marks, &i));)
        if (!map_get_str(&wanted, slot->str) && !find(agent, slot->str))
            text_list_add(&stale, xstrdup(slot->str));
    for (size_t i = 0; i < names.count; i++)
        task_unwanted(find(agent, names.items[i]));
    for (size_t i = 0; i < stale.count; i++)
        events_forget(&agent->events, stale.items[i]);
    text_list_finish(&names);
    text_list_finish(&stale);
    map_finish(&wanted);
}

/* Where the logs of all tasks go. One that was known before stays in memory: a worker may read it. */
static void take_log_dir(struct executor_config *config, const char *log_dir)
{
    const char *known = atomic_load(&config->log_dir);
    if (*log_dir == '/' && (!known || strcmp(known, log_dir) != 0))
        atomic_store(&config->log_dir, xstrdup(log_dir));
}

static bool on_welcome(void *data, const cJSON *answer, struct error *err)
{
    struct agent *agent = data;
    if (!identity_see_epoch(&agent->identity, (uint64_t)json_int(answer, "epoch", 0), err))
        return false;
    const cJSON *orders = json_get(answer, "orders"), *order;
    if (!cJSON_IsArray(orders))
        return error_set(err, ERROR_INVALID, "the scheduler's answer to hello has no orders");
    FAULT("executor.welcome");
    take_log_dir(agent->config, json_str(answer, "log_dir", ""));
    if (json_bool(answer, "faulty", false))
        health_recall(agent->context.health);
    if (!agent->blind)
        end_unwanted(agent, orders);
    cJSON_ArrayForEach(order, orders) take_order(agent, order);
    return true;
}

static void on_start(struct agent *agent, struct task *task, uint64_t seq, const cJSON *delta)
{
    (void)task;
    (void)seq;
    take_order(agent, json_get(delta, "order"));
}

static void on_stop(struct agent *agent, struct task *task, uint64_t seq, const cJSON *delta)
{
    (void)agent;
    (void)seq;
    int64_t grace_ms = json_int(delta, "grace_ms", JOB_GRACE_DEFAULT_MS);
    task_stop(task, json_str(delta, "reason", "cancel"), grace_ms < 0 ? 0 : grace_ms,
              json_bool(delta, "force", false));
}

static void on_limit(struct agent *agent, struct task *task, uint64_t seq, const cJSON *delta)
{
    (void)agent;
    (void)seq;
    int64_t limit_ms = json_int(delta, "time_limit_ms", -1);
    if (limit_ms >= 0)
        task_limit(task, limit_ms);
}

static void on_release(struct agent *agent, struct task *task, uint64_t seq, const cJSON *delta)
{
    (void)agent;
    (void)seq;
    (void)delta;
    task_release(task);
}

static void on_stdin(struct agent *agent, struct task *task, uint64_t seq, const cJSON *delta)
{
    (void)agent;
    task_stdin(task, seq, json_str(delta, "data", ""), json_bool(delta, "eof", false));
}

static void on_resize(struct agent *agent, struct task *task, uint64_t seq, const cJSON *delta)
{
    (void)agent;
    (void)seq;
    int64_t rows = json_int(delta, "rows", 0), cols = json_int(delta, "cols", 0);
    if (rows > 0 && cols > 0 && rows <= UINT16_MAX && cols <= UINT16_MAX)
        task_resize(task, (unsigned)rows, (unsigned)cols);
}

static void on_signal(struct agent *agent, struct task *task, uint64_t seq, const cJSON *delta)
{
    (void)agent;
    (void)seq;
    int64_t signo = json_int(delta, "signal", 0);
    if (signo > 0 && signo < NSIG)
        task_signal(task, (int)signo);
}

static void on_outputs(struct agent *agent, struct task *task, uint64_t seq, const cJSON *delta)
{
    (void)seq;
    outputs_serve_ask(&agent->context, task, json_str(delta, "ask", ""), json_str(delta, "path", NULL));
}

static void on_delta(void *data, const char *type, uint64_t seq, const cJSON *delta)
{
    static const struct {
        const char *type;
        bool needs_task;
        void (*handle)(struct agent *, struct task *, uint64_t, const cJSON *);
    } table[] = {
        {"start", false, on_start},  {"stop", true, on_stop},        {"release", true, on_release},
        {"stdin", true, on_stdin},   {"resize", true, on_resize},    {"limit", true, on_limit},
        {"signal", true, on_signal}, {"outputs", false, on_outputs},
    };
    struct agent *agent = data;
    const char *name = json_str(delta, "task", NULL);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(type, table[i].type) != 0)
            continue;
        struct task *task = find(agent, name);
        FAULT("executor.delta");
        if (task || !table[i].needs_task)
            table[i].handle(agent, task, seq, delta);
        else if (name && strcmp(type, "release") == 0)
            events_forget(&agent->events, name); /* its end was said without a folder */
        else
            log_debug("%s for task %s, which is not here", type, name ? name : "?");
        return;
    }
    log_warn("a delta of type %s is not known and is left out", type);
}

static uint64_t on_stream_ack(void *data, uint64_t handled)
{
    struct agent *agent = data;
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&agent->tasks, &i));) {
        uint64_t oldest = task_oldest_delta(slot->value);
        if (oldest <= handled)
            handled = oldest - 1;
    }
    return handled;
}

static void on_acked(void *data, uint64_t seq)
{
    (void)data;
    (void)seq;
}

static void on_contact(void *data, int64_t sent_ms)
{
    struct agent *agent = data;
    struct map_slot *slot;
    atomic_store(&agent->config->contact_ms, sent_ms);
    for (size_t i = 0; (slot = map_next(&agent->tasks, &i));)
        task_contact(slot->value, sent_ms);
}

/* what tasks call */

static struct http_client *get_http(void *data)
{
    return session_http(((struct agent *)data)->session);
}

static void on_changed(void *data)
{
    struct agent *agent = data;
    if (!agent->leaving)
        uv_async_send(&agent->kick);
}

static void on_kick(uv_async_t *async)
{
    struct agent *agent = async->data;
    session_kick(agent->session);
}

static void on_removed(void *data, struct task *task)
{
    struct agent *agent = data;
    map_remove_str(&agent->tasks, task_name(task));
}

/* what health.h finds */

static void on_fault(void *data, const char *text)
{
    struct agent *agent = data;
    cJSON *fields = cJSON_CreateObject();
    json_add_str(fields, "text", text);
    events_add(&agent->events, NULL, "node_fault", 0, fields);
    on_changed(agent);
}

static bool adopt_all(struct agent *agent, struct error *err);

static bool on_healed(void *data)
{
    struct agent *agent = data;
    struct error err = {0};
    if (agent->blind && !adopt_all(agent, &err)) {
        log_error("%s", err.message);
        return false;
    }
    if (agent->blind)
        session_renew(agent->session, "the tasks of this node are known again");
    agent->blind = false;
    events_add(&agent->events, NULL, "node_healed", 0, NULL);
    on_changed(agent);
    return true;
}

/* What this node is, said anew: its GPUs, or what it offers, have changed. */
static void say_inventory(void *data)
{
    struct agent *agent = data;
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddItemToObject(fields, "inventory", cJSON_Duplicate(agent->config->inventory, true));
    cJSON_AddItemToObject(fields, "isolation", abilities_json(&agent->config->isolation));
    events_add(&agent->events, NULL, "inventory", 0, fields);
    on_changed(agent);
}

static void on_offers(void *data)
{
    struct agent *agent = data;
    for (enum runtime i = RUNTIME_CRUN; i < RUNTIME_COUNT; i++) {
        char why[RUNTIMES_WHY_MAX];
        runtimes_why(agent->config->isolation.runtimes, i, why);
        log_info("runtime %s: %s", runtime_name(i), *why ? why : "works");
    }
    say_inventory(agent);
}

static void sweep_run(void *data)
{
    struct agent *agent = data;
    struct error err = {0};
    if (!blob_cache_sweep(&agent->config->blobs, BLOB_CACHE_MAX_BYTES, &err))
        log_warn("%s", err.message);
}

static void sweep_done(void *data)
{
    (void)data;
}

static void on_sweep_timer(uv_timer_t *timer)
{
    struct agent *agent = timer->data;
    work_start(agent->context.loop, sweep_run, sweep_done, agent);
}

static bool adopt_all(struct agent *agent, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/tasks", agent->config->state_dir);
    if (!fs_mkdirs(path, 0700, err))
        return false;
    _cleanup_dir_ DIR *dir = opendir(path);
    if (!dir)
        return error_errno(err, errno, "can't list %s", path);
    struct text_list names = {0};
    struct dirent *entry;
    struct task_id id;
    while ((entry = readdir(dir)))
        if (task_id_parse(entry->d_name, &id))
            text_list_add(&names, xstrdup(entry->d_name));
    for (size_t i = 0; i < names.count; i++) {
        struct task *task = task_adopt(&agent->context, names.items[i]);
        if (task)
            map_put_str(&agent->tasks, names.items[i], task);
    }
    text_list_finish(&names);
    return true;
}

/* A node that can't hold tasks joins all the same, and says so: its scheduler then knows why it gets none. */
static void look_at_start(struct agent *agent)
{
    struct error err = {0};
    agent->blind = !adopt_all(agent, &err);
    if (agent->blind) {
        health_fault(agent->context.health, err.message);
        return;
    }
    enum failure met = probe_files(agent->config, &err);
    if (failure_row(met)->effect == FAILURE_DRAINS_AT_ONCE)
        health_fault(agent->context.health, err.message);
}

struct agent *agent_create(uv_loop_t *loop, struct executor_config *config, const char *secret,
                           struct error *err)
{
    static const struct session_callbacks callbacks = {.hello = on_hello,
                                                       .welcome = on_welcome,
                                                       .delta = on_delta,
                                                       .stream_ack = on_stream_ack,
                                                       .acked = on_acked,
                                                       .contact = on_contact};
    static const struct health_callbacks health = {
        .fault = on_fault, .healed = on_healed, .offers = on_offers};
    struct agent *agent = xcalloc(1, sizeof *agent);
    agent->config = config;
    work_turns_init(&agent->turns, loop);
    agent->context = (struct task_context){.loop = loop,
                                           .config = config,
                                           .events = &agent->events,
                                           .turns = &agent->turns,
                                           .http = get_http,
                                           .changed = on_changed,
                                           .removed = on_removed,
                                           .data = agent};
    if (!identity_load(&agent->identity, config->state_dir, err) ||
        !events_init(&agent->events, config->state_dir, err)) {
        free(agent);
        return NULL;
    }
    agent->context.health = health_create(loop, config, &health, agent);
    uv_async_init(loop, &agent->kick, on_kick);
    uv_timer_init(loop, &agent->sweep_timer);
    agent->kick.data = agent->sweep_timer.data = agent;
    inventory_again_start(loop, config, say_inventory, agent);
    uv_timer_start(&agent->sweep_timer, on_sweep_timer, AGENT_SWEEP_MS, AGENT_SWEEP_MS);
    agent->session = session_create(loop, config->socket, secret, &agent->events, &callbacks, agent, err);
    if (!agent->session)
        return NULL; /* without it the process ends */
    look_at_start(agent);
    return agent;
}

void agent_leave(struct agent *agent)
{
    agent->leaving = true;
    session_destroy(take_ptr(agent->session));
}

void agent_part(struct agent *agent)
{
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&agent->tasks, &i));)
        task_part(slot->value);
    /* Only then: a shim that still finds us removes its own group alone. Made again by who needs them. */
    struct error err = {0};
    if (!cgroup_tree_remove(&agent->config->isolation.cgroups, &err) && !agent->tasks.count)
        log_warn("a cgroup of this node stays: %s", err.message);
}
