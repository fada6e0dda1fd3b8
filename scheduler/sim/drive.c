/*
 * The driver: a heap of ends, the trace's submits, and the core between them. Owns the virtual clock, which
 * never goes back. A job's id in the core is its index in the trace plus one.
 */
#include "scheduler/sim/drive.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "scheduler/sim/ends.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH_MS UINT64_C(1000000000) /* the trace's 0 in the core's time, where 0 means never */

struct run {
    uint32_t node; /* of its only task; gangs ask the core */
    uint32_t attempt;
    bool running, stopped;
};

struct drive {
    const struct trace *trace;
    const struct drive_watch *watch;
    struct drive_result *result;
    struct core *core;
    struct core_decisions *decisions;
    struct run *runs;
    struct ends ends; /* each counts only while the job's current attempt ends at that time */
    uint64_t now_ms;  /* in the trace's time */
    bool continue_due;
    uint64_t timer_ms; /* when the core wants a TICK, in its time; 0: never */
    struct error error;
};

bool drive_policy(const char *name, enum core_policy *policy, struct error *err)
{
    char names[128] = "";
    if (core_policy_parse(name, policy))
        return true;
    for (unsigned i = 0; i < CORE_POLICY_COUNT; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                 core_policy_name((enum core_policy)i));
    }
    error_set(err, ERROR_INVALID, "there is no policy \"%.40s\"", name);
    return error_hint(err, "--policy takes one of: %s", names);
}

const char *drive_policy_name(enum core_policy policy)
{
    return core_policy_name(policy);
}

/* ---- what the core decided ---- */

static void on_start(struct drive *d, const struct core_decision *decision)
{
    const struct task_id *task = &decision->as.start.task;
    uint32_t job = (uint32_t)task->job.v - 1;
    uint32_t node = decision->as.start.node.v - 1;
    struct run *run = &d->runs[job];
    if (!run->running) { /* the first of its tasks; the others start in the same step */
        uint64_t end_ms = d->now_ms + d->trace->jobs[job].run_ms;
        *run = (struct run){.node = node, .attempt = task->attempt, .running = true};
        if (d->result->start_ms[job] == DRIVE_NEVER)
            d->result->start_ms[job] = d->now_ms;
        d->result->end_ms[job] = end_ms;
        ends_push(&d->ends, (struct end){.at_ms = end_ms, .job = job});
    }
    if (d->watch)
        d->watch->started(d->watch->data, d->now_ms, job, node);
}

/* Preempted: nothing of a trace's job needs its grace period. */
static void on_stop(struct drive *d, const struct core_decision *decision)
{
    uint32_t job = (uint32_t)decision->as.stop.task.job.v - 1;
    struct run *run = &d->runs[job];
    if (!run->running || run->stopped || run->attempt != decision->as.stop.task.attempt ||
        d->result->end_ms[job] <= d->now_ms)
        return;
    run->stopped = true;
    d->result->preempted++;
    d->result->end_ms[job] = d->now_ms;
    ends_push(&d->ends, (struct end){.at_ms = d->now_ms, .job = job});
}

static void on_decision(struct drive *d, const struct core_decision *decision)
{
    switch (decision->kind) {
    case CORE_DECISION_START_TASK:
        on_start(d, decision);
        break;
    case CORE_DECISION_STOP_TASK:
        on_stop(d, decision);
        break;
    case CORE_DECISION_JOB_REFUSED:
        d->result->refused++;
        break;
    case CORE_DECISION_JOB_STATE:
        d->result->done += job_state_is_final(decision->as.job.state);
        break;
    case CORE_DECISION_TIMER_AT:
        d->timer_ms = decision->as.timer.at_ms;
        break;
    case CORE_DECISION_CONTINUE:
        d->continue_due = true;
        break;
    default:
        break;
    }
}

/* False: the event is malformed, and the core never saw it. */
static bool feed(struct drive *d, const struct core_event *event)
{
    if (core_event_check(event))
        return false;
    if (!core_make_room(d->core, event) && !d->error.code)
        error_set(&d->error, ERROR_LIMIT, "the core has no room for more");
    core_step(d->core, EPOCH_MS + d->now_ms, event, d->decisions);
    d->result->events++;
    for (uint32_t i = 0; i < d->decisions->count; i++)
        on_decision(d, &d->decisions->v[i]);
    return true;
}

/* The instant is over: what the core put off is done now. */
static void close_instant(struct drive *d)
{
    static const struct core_event go_on = {.kind = CORE_EVENT_CONTINUE};
    while (d->continue_due && !d->error.code) {
        d->continue_due = false;
        feed(d, &go_on);
    }
}

/* ---- what happens to the core ---- */

/* Exit, lease and outputs at once: nothing of a trace's task lingers. */
static void feed_task_end(struct drive *d, struct task_id task, uint32_t node, bool stopped)
{
    struct core_event event = {.kind = CORE_EVENT_TASK_OVER, .defer = true};
    event.as.task.task = task;
    event.as.task.node.v = node + 1;
    event.as.task.as.exit.ran = true;
    event.as.task.as.exit.signal = stopped ? SIGTERM : 0;
    event.as.task.as.exit.kind = stopped ? END_SIGNAL : END_NONE;
    feed(d, &event);
}

static void end_job(struct drive *d, uint32_t job)
{
    struct run run = d->runs[job];
    struct task_id task = {{job + UINT64_C(1)}, run.attempt, 0};
    d->runs[job].running = false;
    if (d->watch)
        d->watch->ended(d->watch->data, d->now_ms, job);
    if (d->trace->jobs[job].tasks == 1) {
        feed_task_end(d, task, run.node, run.stopped);
        return;
    }
    struct task_id tasks[TRACE_TASKS_MAX];
    uint32_t count = core_job_tasks(d->core, task.job, tasks, TRACE_TASKS_MAX);
    for (uint32_t i = 0; i < count && i < TRACE_TASKS_MAX; i++) {
        struct core_task_view view;
        if (tasks[i].attempt == run.attempt && core_task_get(d->core, tasks[i], &view))
            feed_task_end(d, tasks[i], view.node.v - 1, run.stopped);
    }
}

static struct resource_request request_of(const struct trace_job *job)
{
    uint32_t cores = (job->cpu_milli + 999) / 1000;
    return (struct resource_request){.cores = cores ? cores : 1, /* every task holds one */
                                     .gpu_milli = job->gpu_milli,
                                     .gpu_models = job->models,
                                     .memory_bytes = job->memory_bytes};
}

static void submit_job(struct drive *d, uint32_t index)
{
    static const enum priority_class classes[] = {
        [TRACE_LOW] = PRIORITY_LOW, [TRACE_MEDIUM] = PRIORITY_MEDIUM, [TRACE_HIGH] = PRIORITY_HIGH};
    const struct trace_job *job = &d->trace->jobs[index];
    struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT, .defer = true};
    event.as.submit = (struct core_submit){
        .job.v = index + UINT64_C(1),
        .principal.v = job->user + 1,
        .seq = index,
        .priority_class = classes[job->priority],
        .request = request_of(job),
        .time_limit_ms = job->limit_ms,
        .instance_count = job->tasks,
    };
    if (!feed(d, &event))
        d->result->refused++;
}

static bool start_node(struct drive *d, uint32_t index, struct core_inventory *inventory)
{
    const struct trace_node *node = &d->trace->nodes[index];
    struct core_event event = {.kind = CORE_EVENT_NODE_UP, .defer = true};
    uint32_t processors = node->cpu_milli / 1000;
    memset(inventory, 0, sizeof *inventory);
    inventory->memory_bytes = node->memory_bytes;
    inventory->pool = node->pool ? processors : 0;
    if (!node->pool && (processors > RESOURCE_CORES_MAX || node->gpus > RESOURCE_GPUS_MAX))
        return error_set(&d->error, ERROR_LIMIT,
                         "node %u has %u processors and %u GPUs; a node has at most %d and %d", index + 1,
                         processors, node->gpus, RESOURCE_CORES_MAX, RESOURCE_GPUS_MAX);
    inventory->core_count = node->pool ? 0 : processors;
    inventory->gpu_count = node->gpus;
    for (uint32_t i = 0; i < inventory->core_count; i++)
        inventory->cores[i] = (struct core_inventory_core){.unit = (uint16_t)i, .threads = 1};
    for (uint32_t i = 0; i < node->gpus; i++) {
        inventory->gpus[i].key[0] = (uint8_t)(i + 1);
        inventory->gpus[i].model = node->model;
    }
    event.as.node.node.v = index + 1;
    event.as.node.inventory = inventory;
    if (!feed(d, &event) && !d->error.code)
        error_set(&d->error, ERROR_INVALID, "node %u is none that the core takes: %s", index + 1,
                  core_event_check(&event));
    return !d->error.code;
}

static bool start_nodes(struct drive *d, const struct drive_options *options)
{
    struct core_event config = {.kind = CORE_EVENT_CONFIG, .defer = true};
    config.as.config.policy = options->policy;
    feed(d, &config);
    struct core_inventory *inventory = xcalloc(1, sizeof *inventory);
    bool ok = !d->error.code;
    for (uint32_t i = 0; ok && i < d->trace->node_count; i++)
        ok = start_node(d, i, inventory);
    close_instant(d);
    free(inventory);
    return ok;
}

/* The next instant at which anything happens; DRIVE_NEVER: nothing more does. */
static uint64_t next_instant(const struct drive *d, uint32_t next_job)
{
    uint64_t at = ends_first_ms(&d->ends);
    if (next_job < d->trace->job_count && d->trace->jobs[next_job].submit_ms < at)
        at = d->trace->jobs[next_job].submit_ms;
    if (d->timer_ms) {
        uint64_t timer = d->timer_ms > EPOCH_MS + d->now_ms ? d->timer_ms - EPOCH_MS : d->now_ms;
        at = timer < at ? timer : at;
    }
    return at;
}

static void play(struct drive *d)
{
    static const struct core_event tick = {.kind = CORE_EVENT_TICK, .defer = true};
    uint32_t next_job = 0;
    for (uint64_t at; !d->error.code && (at = next_instant(d, next_job)) != DRIVE_NEVER;) {
        d->now_ms = at;
        while (ends_first_ms(&d->ends) == at) {
            uint32_t job = (uint32_t)ends_pop(&d->ends).job;
            if (d->runs[job].running && d->result->end_ms[job] == at)
                end_job(d, job);
        }
        while (next_job < d->trace->job_count && d->trace->jobs[next_job].submit_ms == at)
            submit_job(d, next_job++);
        if (d->timer_ms && d->timer_ms <= EPOCH_MS + at) {
            d->timer_ms = 0;
            feed(d, &tick);
        }
        close_instant(d);
    }
}

static bool prepare(struct drive *d, struct error *err)
{
    const struct trace *trace = d->trace;
    struct core_capacity capacity = {.nodes = trace->node_count};
    if (!trace->node_count) {
        error_set(err, ERROR_INVALID, "there are no nodes to run the jobs on");
        return false;
    }
    d->core = core_create(&capacity);
    d->decisions = core_decisions_create();
    if (!d->core || !d->decisions) {
        error_set(err, ERROR_LIMIT, "there is no memory for %u nodes", trace->node_count);
        return false;
    }
    size_t count = trace->job_count ? trace->job_count : 1;
    d->runs = xcalloc(count, sizeof *d->runs);
    d->result->start_ms = xmalloc(count * sizeof *d->result->start_ms);
    d->result->end_ms = xmalloc(count * sizeof *d->result->end_ms);
    memset(d->result->start_ms, 0xff, count * sizeof *d->result->start_ms);
    memset(d->result->end_ms, 0xff, count * sizeof *d->result->end_ms);
    return true;
}

bool drive_run(const struct trace *trace, const struct drive_options *options, struct drive_result *result,
               struct error *err)
{
    *result = (struct drive_result){0};
    struct drive d = {.trace = trace, .watch = options->watch, .result = result};
    int64_t began_ms = clock_boot_ms();
    bool ok = prepare(&d, err);
    if (ok && start_nodes(&d, options))
        play(&d);
    if (ok && !d.error.code && result->done + result->refused != trace->job_count)
        error_set(&d.error, ERROR_INTERNAL, "%u of %u jobs came to no end",
                  trace->job_count - result->done - result->refused, trace->job_count);
    if (d.core)
        result->promises_voided = core_promises_voided(d.core);
    result->wall_ms = (uint64_t)(clock_boot_ms() - began_ms);
    if (d.error.code) {
        if (err)
            *err = d.error;
        ok = false;
    }
    core_destroy(d.core);
    core_decisions_destroy(d.decisions);
    free(d.runs);
    ends_finish(&d.ends);
    if (!ok)
        drive_result_finish(result);
    return ok;
}

void drive_result_finish(struct drive_result *result)
{
    free(result->start_ms);
    free(result->end_ms);
    memset(result, 0, sizeof *result);
}
