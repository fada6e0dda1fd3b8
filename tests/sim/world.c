/*
 * What is true on the nodes, whatever the core believes: payloads that run, executors that report late,
 * sessions that are cut, machines that lose power or their disk and come back smaller. Owns each node's tasks
 * and the messages under way.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

struct wnode *world_node(struct sim *sim, struct node_id id)
{
    return &sim->nodes[id.v - 1];
}

static void push(struct message **list, uint32_t *count, uint32_t *room, const struct core_event *event)
{
    if (*count == *room) {
        *room = *room ? 2 * *room : 16;
        *list = realloc(*list, *room * sizeof **list);
    }
    (*list)[(*count)++].event = *event;
}

static struct core_event pop(struct message *list, uint32_t *count)
{
    struct core_event event = list[0].event;
    memmove(list, list + 1, --*count * sizeof *list);
    return event;
}

static struct core_event about(const struct wnode *node, enum core_event_kind kind, struct task_id task)
{
    struct core_event event;
    memset(&event, 0, sizeof event);
    event.kind = kind;
    event.as.task.task = task;
    event.as.task.node = node->id;
    return event;
}

static void report(struct wnode *node, const struct core_event *event)
{
    push(&node->out, &node->out_count, &node->out_room, event);
}

static void order(struct wnode *node, enum core_event_kind kind, struct task_id task)
{
    struct core_event event = about(node, kind, task);
    if (node->connected)
        push(&node->in, &node->in_count, &node->in_room, &event);
}

static void stop(struct wnode *node, struct task_id task, enum core_stop_reason reason)
{
    struct core_event event = about(node, CORE_EVENT_TASK_EXIT, task);
    event.as.task.as.exit.kind = reason == CORE_STOP_PREEMPT ? END_PREEMPTED : END_CANCELED;
    if (node->connected)
        push(&node->in, &node->in_count, &node->in_room, &event);
}

static struct wtask *find(struct wnode *node, struct task_id id)
{
    for (uint32_t i = 0; i < node->task_count; i++) {
        if (task_id_equal(node->tasks[i].id, id))
            return &node->tasks[i];
    }
    return NULL;
}

static void drop(struct wnode *node, struct wtask *task)
{
    *task = node->tasks[--node->task_count];
}

static void task_end(struct wtask *task, enum end_kind kind, int32_t code, int32_t signal)
{
    if (task->state == TASK_EXITED)
        return;
    task->ran = task->state >= TASK_RUNNING;
    task->state = TASK_EXITED;
    task->alive = false;
    task->end = (struct core_end){kind, code, signal};
}

void world_decision(struct sim *sim, const struct core_decision *d)
{
    switch (d->kind) {
    case CORE_DECISION_START_TASK:
        order(world_node(sim, d->as.start.node), CORE_EVENT_TASK_STATE, d->as.start.task);
        break;
    case CORE_DECISION_STOP_TASK:
        stop(world_node(sim, d->as.stop.node), d->as.stop.task, d->as.stop.reason);
        break;
    case CORE_DECISION_RELEASE_TASK:
        order(world_node(sim, d->as.task.node), CORE_EVENT_TASK_RELEASED, d->as.task.task);
        break;
    default:
        break;
    }
}

static void take_order(struct sim *sim, struct wnode *node)
{
    struct core_event event = pop(node->in, &node->in_count);
    struct wtask *task = find(node, event.as.task.task);
    if (event.kind == CORE_EVENT_TASK_STATE && !task) {
        const struct core_submit *submit = &sim->jobs[event.as.task.task.job.v].submit;
        if (node->task_count == node->task_room) {
            node->task_room = node->task_room ? 2 * node->task_room : 8;
            node->tasks = realloc(node->tasks, node->task_room * sizeof *node->tasks);
        }
        node->tasks[node->task_count++] = (struct wtask){
            .id = event.as.task.task, .rule = submit->on_node_loss, .fence_after_ms = submit->fence_after_ms};
    } else if (event.kind == CORE_EVENT_TASK_EXIT && task) {
        task->stop = true;
        task->stop_kind = event.as.task.as.exit.kind;
    } else if (event.kind == CORE_EVENT_TASK_RELEASED && task) {
        drop(node, task);
    }
}

void world_deliver(struct sim *sim, struct wnode *node)
{
    if (!node->connected)
        return;
    if (node->in_count && (!node->out_count || rng_chance(&sim->rng, 50))) {
        take_order(sim, node);
    } else if (node->out_count) {
        struct core_event event = pop(node->out, &node->out_count);
        sim->old[sim->old_count < SIM_OLD_MAX ? sim->old_count++ : rng_below(&sim->rng, SIM_OLD_MAX)].event =
            event;
        drive(sim, &event);
    }
}

static void task_live(struct sim *sim, struct wtask *task)
{
    static const struct core_end failures[] = {{END_EXIT, 1, 0},
                                               {END_SIGNAL, 139, 11},
                                               {END_OOM, 137, 9},
                                               {END_TIME_LIMIT, 143, 15},
                                               {END_LOG_LIMIT, 137, 9}};
    uint64_t dice = rng_below(&sim->rng, 100);
    const struct core_end *failure = &failures[dice % 5];
    if (task->stop && dice < 70) {
        task_end(task, task->stop_kind, 143, 15);
        return;
    }
    switch (task->state) {
    case TASK_ASSIGNED:
        task->state = TASK_PREPARING;
        break;
    case TASK_PREPARING:
        if (dice < 8)
            task_end(task, dice < 4 ? END_IMAGE_ERROR : END_NODE_FAULT, 125, 0);
        else
            task->state = TASK_STARTING;
        break;
    case TASK_STARTING:
        task->alive = dice >= 8;
        if (dice < 8)
            task_end(task, dice < 4 ? END_START_ERROR : END_NODE_FAULT, 127, 0);
        else
            task->state = TASK_RUNNING;
        break;
    case TASK_RUNNING:
        if (dice < 10)
            task->state = TASK_PAUSED;
        else if (dice < 45)
            task_end(task, END_NONE, 0, 0);
        else if (dice < 60)
            task_end(task, failure->kind, failure->code, failure->signal);
        break;
    case TASK_PAUSED:
        task->state = TASK_RUNNING;
        break;
    default:
        break;
    }
}

static void task_report(struct sim *sim, struct wnode *node, struct wtask *task, enum task_state was)
{
    struct core_event event = about(node, CORE_EVENT_TASK_STATE, task->id);
    if (task->state != TASK_EXITED) {
        event.as.task.as.state = task->state;
        if (task->state != was && rng_chance(&sim->rng, 85)) /* else: coalesced with a later one */
            report(node, &event);
        return;
    }
    if (!task->exit_sent) {
        bool over = rng_chance(&sim->rng, 15);
        event.kind = over ? CORE_EVENT_TASK_OVER : CORE_EVENT_TASK_EXIT;
        task->released_sent = task->collected_sent = over;
        event.as.task.as.exit.code = task->end.code;
        event.as.task.as.exit.signal = task->end.signal;
        event.as.task.as.exit.kind = task->end.kind;
        event.as.task.as.exit.ran = task->ran;
        task->exit_sent = true;
    } else if (!task->released_sent) {
        event.kind = CORE_EVENT_TASK_RELEASED;
        task->released_sent = true;
    } else if (!task->collected_sent) {
        event.kind = CORE_EVENT_TASK_COLLECTED;
        task->collected_sent = true;
    } else {
        return;
    }
    report(node, &event);
}

void world_work(struct sim *sim, struct wnode *node)
{
    if (node->dead || !node->task_count)
        return;
    struct wtask *task = &node->tasks[rng_below(&sim->rng, node->task_count)];
    enum task_state was = task->state;
    if (was != TASK_EXITED)
        task_live(sim, task);
    task_report(sim, node, task, was);
}

bool world_busy(const struct wnode *node)
{
    return node->task_count || node->in_count || node->out_count;
}

bool world_task_alive(const struct sim *sim, struct task_id task)
{
    for (uint32_t n = 0; n < sim->node_count; n++) {
        for (uint32_t i = 0; i < sim->nodes[n].task_count; i++) {
            if (task_id_equal(sim->nodes[n].tasks[i].id, task) && sim->nodes[n].tasks[i].alive)
                return true;
        }
    }
    return false;
}

bool world_job_alive(const struct sim *sim, struct job_id job)
{
    for (uint32_t n = 0; n < sim->node_count; n++) {
        for (uint32_t i = 0; i < sim->nodes[n].task_count; i++) {
            if (job_id_equal(sim->nodes[n].tasks[i].id.job, job) && sim->nodes[n].tasks[i].alive)
                return true;
        }
    }
    return false;
}

/* An executor that has lost its scheduler keeps the fence of those that may run elsewhere after it. */
void world_time(struct sim *sim)
{
    for (uint32_t n = 0; n < sim->node_count; n++) {
        struct wnode *node = &sim->nodes[n];
        for (uint32_t i = 0; !node->connected && i < node->task_count; i++) {
            struct wtask *task = &node->tasks[i];
            if (task->rule == CORE_LOSS_REQUEUE && sim->now_ms >= node->cut_ms + task->fence_after_ms)
                task_end(task, END_NODE_LOST, 0, 0);
        }
    }
}

void world_cut(struct sim *sim, struct wnode *node)
{
    if (!node->connected)
        return;
    node->connected = false;
    node->cut_ms = sim->now_ms;
    node->in_count = 0;
    struct core_event event = {.kind = CORE_EVENT_NODE_DOWN};
    event.as.node.node = node->id;
    drive(sim, &event);
}

/* What of the hardware is there at the next boot. */
static void boot(struct sim *sim, struct wnode *node)
{
    struct core_inventory *inv = &node->inventory;
    *inv = node->hardware;
    if (rng_chance(&sim->rng, 70))
        return;
    inv->core_count -= (uint32_t)rng_below(&sim->rng, inv->core_count);
    inv->memory_bytes -= rng_below(&sim->rng, inv->memory_bytes);
    while (inv->gpu_count && rng_chance(&sim->rng, 50))
        memmove(inv->gpus, inv->gpus + 1,
                --inv->gpu_count * sizeof *inv->gpus); /* the others change their place */
}

void world_power_off(struct sim *sim, struct wnode *node, bool disk_too)
{
    world_cut(sim, node);
    node->dead = true;
    for (uint32_t i = 0; i < node->task_count; i++)
        node->tasks[i].alive = false;
    if (disk_too)
        node->task_count = node->out_count = 0;
    boot(sim, node);
}

/* The core's tasks against those of the hello, as core.h tells the daemon to. */
static void reconcile(struct sim *sim, struct wnode *node)
{
    struct task_id *ids = calloc(CORE_NODE_TASKS_MAX * 2, sizeof *ids);
    uint32_t count = core_node_tasks(sim->main, node->id, ids, CORE_NODE_TASKS_MAX * 2);
    for (uint32_t i = node->task_count; i-- > 0;) {
        struct core_task_view view;
        if (!core_task_get(sim->main, node->tasks[i].id, &view))
            drop(node, &node->tasks[i]); /* its end was recorded, or it was never leased here */
    }
    for (uint32_t i = 0; i < count; i++) {
        struct core_task_view view;
        struct wtask *task = find(node, ids[i]);
        if (!core_task_get(sim->main, ids[i], &view))
            continue; /* an event of this loop ended it */
        if (!task && view.state == TASK_ASSIGNED && !view.abandoned) {
            order(node, CORE_EVENT_TASK_STATE, ids[i]);
        } else if (!task) {
            struct core_event event = about(node, CORE_EVENT_TASK_EXIT, ids[i]);
            event.as.task.as.exit.kind = END_SHIM_LOST;
            event.as.task.as.exit.ran = view.state >= TASK_RUNNING;
            drive(sim, &event);
            event = about(node, CORE_EVENT_TASK_RELEASED, ids[i]);
            drive(sim, &event);
            event = about(node, CORE_EVENT_TASK_COLLECTED, ids[i]);
            drive(sim, &event);
            continue;
        } else if (view.abandoned) {
            task_end(task, END_CANCELED, 143, 15);
        } else if (task->state >= TASK_PREPARING && task->state <= TASK_PAUSED) {
            struct core_event event = about(node, CORE_EVENT_TASK_STATE, ids[i]);
            event.as.task.as.state = task->state;
            drive(sim, &event);
        }
        if (view.stopping)
            stop(node, ids[i], view.stop_reason);
    }
    free(ids);
}

void world_connect(struct sim *sim, struct wnode *node)
{
    if (node->dead) {
        for (uint32_t i = 0; i < node->task_count; i++)
            task_end(&node->tasks[i], END_SHIM_LOST, 0, 0);
    }
    node->dead = false;
    node->connected = true;
    node->in_count = 0;
    struct core_event event = {.kind = CORE_EVENT_NODE_UP};
    event.as.node.node = node->id;
    event.as.node.inventory = &node->inventory;
    drive(sim, &event);
    reconcile(sim, node);
}

uint64_t world_labels(uint64_t number)
{
    return (number & 3) | (number & 4 ? RESOURCE_CAN_OCI : 0);
}

void world_label(struct sim *sim, struct wnode *node)
{
    node->inventory.labels = world_labels(rng_below(&sim->rng, 8));
    if (!node->connected)
        return; /* it is told with the next hello */
    struct core_event event = {.kind = CORE_EVENT_NODE_UP};
    event.as.node.node = node->id;
    event.as.node.inventory = &node->inventory;
    drive(sim, &event);
}

static void make_hardware(struct sim *sim, struct wnode *node)
{
    struct core_inventory *hw = &node->hardware;
    uint32_t cores = 1 + (uint32_t)rng_below(&sim->rng, SIM_CORES_MAX),
             numas = 1 + (uint32_t)rng_below(&sim->rng, 3);
    uint32_t gap = rng_chance(&sim->rng, 10) ? 40 : 1; /* ids of cores need not follow each other */
    hw->core_count = cores;
    for (uint32_t i = 0; i < cores; i++)
        hw->cores[i] = (struct core_inventory_core){.unit = (uint16_t)(i * gap),
                                                    .threads = (uint8_t)(rng_chance(&sim->rng, 80) ? 2 : 1),
                                                    .numa = (uint8_t)(i * numas / cores)};
    hw->gpu_count = rng_chance(&sim->rng, 50) ? 0 : 1 + (uint32_t)rng_below(&sim->rng, SIM_GPUS_MAX);
    for (uint32_t i = 0; i < hw->gpu_count; i++) {
        hw->gpus[i].key[0] = 0xaa;
        hw->gpus[i].key[1] = (uint8_t)i;
        hw->gpus[i].key[2] = (uint8_t)node->id.v;
        hw->gpus[i].memory_bytes = UINT64_C(80) << (30 - rng_chance(&sim->rng, 20));
        hw->gpus[i].numa = (uint8_t)(i * numas / hw->gpu_count);
        hw->gpus[i].model = (uint8_t)rng_chance(&sim->rng, 30);
        for (uint32_t k = 0; k < hw->gpu_count; k++)
            hw->gpus[i].link[k] = i == k ? 0 : i / 4 == k / 4 ? 112 : 10;
    }
    hw->labels = world_labels(rng_below(&sim->rng, 8));
    hw->fabric = (uint32_t)rng_below(&sim->rng, 3);
    hw->memory_bytes = (1 + rng_below(&sim->rng, 64)) << 30;
    node->inventory = *hw;
}

void world_create(struct sim *sim)
{
    sim->node_count = 1 + (uint32_t)rng_below(&sim->rng, rng_chance(&sim->rng, 30) ? SIM_NODES_MAX : 6);
    if (sim->exact)
        sim->node_count = 1;
    if (sim->mixed)
        sim->node_count = 1 + (uint32_t)rng_below(&sim->rng, 4);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        sim->nodes[i].id.v = i + 1;
        make_hardware(sim, &sim->nodes[i]);
    }
}

void world_finish(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->node_count; i++) {
        free(sim->nodes[i].tasks);
        free(sim->nodes[i].out);
        free(sim->nodes[i].in);
    }
}
