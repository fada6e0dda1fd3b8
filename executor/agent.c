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
#include "executor/inventory.h"
#include "executor/probe.h"
#include "executor/session.h"
#include "executor/task.h"
#include "executor/work.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>

#define EPOCH_FILE "epoch"
#define INSTANCE_FILE "instance"

struct agent {
    struct task_context context;
    struct executor_config *config;
    struct events events;
    struct session *session;
    struct map tasks; /* name -> struct task */
    uint64_t epoch;   /* the highest seen; durable before anything of it is done */
    char instance[33];
    uv_timer_t inventory_timer, sweep_timer;
    uv_async_t kick; /* events are sent once per turn of the loop */
    cJSON *new_inventory;
    bool leaving;
    bool blind; /* the directory of the tasks can't be listed: what it holds is not known */
};

static char *state_path(const struct agent *agent, const char *name)
{
    return xasprintf("%s/%s", agent->config->state_dir, name);
}

static bool read_small(const struct agent *agent, const char *name, struct buf *out, struct error *err)
{
    _cleanup_free_ char *path = state_path(agent, name);
    return fs_read_file(AT_FDCWD, path, 256, out, err);
}

static bool write_small(const struct agent *agent, const char *name, const char *text, struct error *err)
{
    _cleanup_free_ char *path = state_path(agent, name);
    return fs_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, err);
}

/* The state folder's own name: new where the folder is new. */
static bool load_instance(struct agent *agent, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct error missing = {0};
    if (read_small(agent, INSTANCE_FILE, &text, &missing) && text.len == 32 &&
        strspn(text.data, "0123456789abcdef") == 32) {
        memcpy(agent->instance, text.data, 33);
        return true;
    }
    if (missing.code != ERROR_NONE && missing.code != ERROR_NOT_FOUND) {
        *err = missing;
        return false;
    }
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return error_errno(err, errno, "no random bytes for the instance id");
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(agent->instance + 2 * i, 3, "%02x", bytes[i]);
    return write_small(agent, INSTANCE_FILE, agent->instance, err);
}

static bool load_epoch(struct agent *agent, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    struct error missing = {0};
    if (read_small(agent, EPOCH_FILE, &text, &missing))
        agent->epoch = strtoull(text.data ? text.data : "0", NULL, 10);
    else if (missing.code != ERROR_NOT_FOUND) {
        *err = missing;
        return false;
    }
    return true;
}

static bool see_epoch(struct agent *agent, uint64_t epoch, struct error *err)
{
    if (epoch < agent->epoch) {
        error_set(err, ERROR_CONFLICT,
                  "the scheduler is of epoch %" PRIu64 ", this node has seen %" PRIu64
                  ": its orders are refused",
                  epoch, agent->epoch);
        return error_hint(err, "is an older copy of its state folder running?");
    }
    if (epoch == agent->epoch)
        return true;
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, epoch);
    if (!write_small(agent, EPOCH_FILE, text, err))
        return false;
    agent->epoch = epoch;
    return true;
}

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
    if (order->epoch < agent->epoch) {
        /* never by a scheduler that keeps the contract: it sends its own epoch with each order */
        log_error("%s: its order is of epoch %" PRIu64 ", older than %" PRIu64 ": refused", name,
                  order->epoch, agent->epoch);
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
    json_add_str(hello, "instance_id", agent->instance);
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
    if (!see_epoch(agent, (uint64_t)json_int(answer, "epoch", 0), err))
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

static void on_delta(void *data, const char *type, uint64_t seq, const cJSON *delta)
{
    static const struct {
        const char *type;
        bool needs_task;
        void (*handle)(struct agent *, struct task *, uint64_t, const cJSON *);
    } table[] = {
        {"start", false, on_start}, {"stop", true, on_stop},     {"release", true, on_release},
        {"stdin", true, on_stdin},  {"resize", true, on_resize}, {"limit", true, on_limit},
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
static void say_inventory(struct agent *agent)
{
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

void agent_look_at_gpus(struct executor_config *config, cJSON *inventory)
{
    if (!config->gpu_watch || cJSON_GetArraySize(json_get(inventory, "gpus")) == 0)
        return;
    gpu_watch_learn(config->gpu_watch);
    gpu_watch_annotate(config->gpu_watch, inventory);
}

/* A GPU driver that did not answer is asked again now and then. */

static void read_inventory(void *data)
{
    struct agent *agent = data;
    struct error err = {0};
    struct inventory_options options = {.gpu = {.cuda_library = agent->config->gpu_library}};
    if (!inventory_read(&options, &agent->new_inventory, &err))
        agent->new_inventory = NULL;
    else
        agent_look_at_gpus(agent->config, agent->new_inventory);
}

static bool gpus_missing(const cJSON *inventory)
{
    return json_str(inventory, "gpu_error", NULL) != NULL;
}

static void inventory_done(void *data)
{
    struct agent *agent = data;
    _cleanup_json_ cJSON *fresh = take_ptr(agent->new_inventory);
    if (agent->leaving || !fresh)
        return;
    if (cJSON_Compare(json_get(fresh, "gpus"), json_get(agent->config->inventory, "gpus"), true) &&
        gpus_missing(fresh) == gpus_missing(agent->config->inventory))
        return;
    log_info("the GPUs of this node have changed");
    cJSON_Delete(agent->config->inventory);
    agent->config->inventory = take_ptr(fresh);
    say_inventory(agent);
    if (!gpus_missing(agent->config->inventory))
        uv_timer_stop(&agent->inventory_timer);
}

static void on_inventory_timer(uv_timer_t *timer)
{
    struct agent *agent = timer->data;
    work_start(agent->context.loop, read_inventory, inventory_done, agent);
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
    _cleanup_free_ char *path = state_path(agent, "tasks");
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
    agent->context = (struct task_context){.loop = loop,
                                           .config = config,
                                           .events = &agent->events,
                                           .http = get_http,
                                           .changed = on_changed,
                                           .removed = on_removed,
                                           .data = agent};
    if (!load_instance(agent, err) || !load_epoch(agent, err) ||
        !events_init(&agent->events, config->state_dir, err)) {
        free(agent);
        return NULL;
    }
    agent->context.health = health_create(loop, config, &health, agent);
    uv_async_init(loop, &agent->kick, on_kick);
    uv_timer_init(loop, &agent->inventory_timer);
    uv_timer_init(loop, &agent->sweep_timer);
    agent->kick.data = agent->inventory_timer.data = agent->sweep_timer.data = agent;
    if (gpus_missing(config->inventory) && !config->inventory_file)
        uv_timer_start(&agent->inventory_timer, on_inventory_timer, AGENT_INVENTORY_RETRY_MS,
                       AGENT_INVENTORY_RETRY_MS);
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
