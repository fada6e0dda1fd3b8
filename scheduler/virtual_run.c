/* The run: a heap of ends, the core's own timer, and what the core is told of its tasks in between. */
#include "scheduler/virtual_run.h"

#include "base/alloc.h"
#include "scheduler/sim/ends.h"

#include <signal.h>
#include <stdlib.h>

#define STARTED_FIRST 256u
#define SILENT_AGAIN_MS 60000 /* when an end on a node that is away is looked at again */

struct virtual_run {
    struct core *core;
    struct core_decisions *decisions;
    struct virtual_hooks hooks;
    uint64_t now_ms, steps;
    struct ends ends;       /* each counts only while that attempt is the job's */
    struct job_id *started; /* not yet told that they run */
    uint32_t started_count, started_capacity;
    bool continue_due, no_room, looked;
};

static void attempt_begins(struct virtual_run *r, const struct core_job_view *job)
{
    uint64_t at = r->hooks.begins(r->hooks.data, r->core, job->job, r->now_ms);
    if (at != VIRTUAL_NEVER)
        ends_push(&r->ends, (struct end){at > r->now_ms ? at : r->now_ms, job->job.v, job->attempt, false});
}

/* ---- steps ---- */

static void job_started(struct virtual_run *r, struct job_id id)
{
    struct core_job_view job;
    if (!core_job_get(r->core, id, &job))
        return;
    attempt_begins(r, &job);
    if (r->started_count == r->started_capacity) {
        r->started_capacity = r->started_capacity ? 2 * r->started_capacity : STARTED_FIRST;
        r->started = xrealloc(r->started, r->started_capacity * sizeof *r->started);
    }
    r->started[r->started_count++] = id;
}

static void follow(struct virtual_run *r, const struct core_decision *d)
{
    if (d->kind == CORE_DECISION_CONTINUE)
        r->continue_due = true;
    else if (d->kind == CORE_DECISION_START_TASK && d->as.start.task.rank == 0)
        job_started(r, d->as.start.task.job);
    else if (d->kind == CORE_DECISION_STOP_TASK)
        ends_push(&r->ends, (struct end){r->now_ms + d->as.stop.grace_ms, d->as.stop.task.job.v,
                                         d->as.stop.task.attempt, true});
}

static bool step(struct virtual_run *r, const struct core_event *event)
{
    r->no_room = r->no_room || !core_make_room(r->core, event);
    if (r->no_room)
        return false;
    core_step(r->core, r->now_ms, event, r->decisions);
    r->steps++;
    for (uint32_t i = 0; i < r->decisions->count; i++)
        follow(r, &r->decisions->v[i]);
    return true;
}

typedef void (*task_fn)(struct virtual_run *r, const struct core_task_view *task, const struct end *end);

/* For each task that the job, or else the node, has now. */
static void each_task(struct virtual_run *r, struct job_id job, struct node_id node, task_fn what,
                      const struct end *end)
{
    uint32_t count = node.v ? core_node_tasks(r->core, node, NULL, 0) : core_job_tasks(r->core, job, NULL, 0);
    struct task_id *tasks = xcalloc(count ? count : 1, sizeof *tasks);
    if (node.v)
        core_node_tasks(r->core, node, tasks, count);
    else
        core_job_tasks(r->core, job, tasks, count);
    for (uint32_t i = 0; i < count; i++) {
        struct core_task_view view;
        if (core_task_get(r->core, tasks[i], &view))
            what(r, &view, end);
    }
    free(tasks);
}

static void say_running(struct virtual_run *r, const struct core_task_view *task, const struct end *end)
{
    (void)end;
    if (task->silent && task->abandoned)
        return;
    struct core_event event = {.kind = CORE_EVENT_TASK_STATE, .defer = true};
    event.as.task.task = task->task;
    event.as.task.node = task->node;
    event.as.task.as.state = TASK_RUNNING;
    if (task->state < TASK_RUNNING || task->silent)
        step(r, &event);
}

/* Exit, lease and outputs at once: nothing of a virtual task lingers. */
static void say_over(struct virtual_run *r, const struct core_task_view *task, struct core_end end)
{
    struct core_event event = {.kind = CORE_EVENT_TASK_OVER, .defer = true};
    event.as.task.task = task->task;
    event.as.task.node = task->node;
    event.as.task.as.exit.ran = true;
    event.as.task.as.exit.kind = end.kind;
    event.as.task.as.exit.code = end.code;
    event.as.task.as.exit.signal = end.signal;
    step(r, &event);
}

static void close_instant(struct virtual_run *r)
{
    static const struct core_event more = {.kind = CORE_EVENT_CONTINUE};
    while ((r->continue_due || r->started_count) && !r->no_room) {
        while (r->started_count)
            each_task(r, r->started[--r->started_count], (struct node_id){0}, say_running, NULL);
        r->continue_due = false;
        step(r, &more);
    }
}

/* ---- what ends ---- */

static void end_task(struct virtual_run *r, const struct core_task_view *task, const struct end *end)
{
    struct core_job_view job;
    if (task->task.attempt != end->attempt || task->silent || !core_job_get(r->core, task->task.job, &job))
        return;
    struct core_end how = {0};
    if (end->stopped) {
        bool canceled = task->stop_reason == CORE_STOP_CANCEL;
        how = (struct core_end){canceled ? END_CANCELED : END_PREEMPTED, 0, SIGTERM};
    } else if (r->hooks.ends) {
        how = r->hooks.ends(r->hooks.data, task->task.job);
    }
    say_over(r, task, how);
}

static void note_silent(struct virtual_run *r, const struct core_task_view *task, const struct end *end)
{
    if (task->task.attempt == end->attempt && task->silent && !task->abandoned)
        ends_push(&r->ends, (struct end){r->now_ms + SILENT_AGAIN_MS, end->job, end->attempt, end->stopped});
}

static void let_end(struct virtual_run *r, struct end end)
{
    struct core_job_view job;
    struct job_id id = {end.job};
    if (!core_job_get(r->core, id, &job) || job.attempt != end.attempt || job.state == JOB_QUEUED ||
        job_state_is_final(job.state))
        return;
    each_task(r, id, (struct node_id){0}, end_task, &end);
    each_task(r, id, (struct node_id){0}, note_silent, &end);
}

/* ---- nodes that come back ---- */

static void let_go(struct virtual_run *r, const struct core_task_view *task, const struct end *end)
{
    (void)end;
    if (task->abandoned)
        say_over(r, task, (struct core_end){.kind = END_NODE_LOST});
}

/* ---- the run ---- */

static void look_first(struct virtual_run *r)
{
    struct core_job_view job;
    uint32_t cursor = 0;
    if (r->looked)
        return;
    r->looked = true;
    while (core_job_next(r->core, &cursor, &job)) {
        if (job.task_count && job.state != JOB_QUEUED && !job_state_is_final(job.state))
            attempt_begins(r, &job);
    }
    close_instant(r);
}

/* VIRTUAL_NEVER: nothing more happens by itself. */
static uint64_t next_at(const struct virtual_run *r, bool *ticks)
{
    uint64_t timer = core_timer_at(r->core), end = ends_first_ms(&r->ends);
    *ticks = timer && timer <= end;
    return *ticks ? timer : end;
}

bool virtual_run_next(struct virtual_run *r)
{
    static const struct core_event tick = {.kind = CORE_EVENT_TICK};
    bool ticks;
    look_first(r);
    uint64_t next = next_at(r, &ticks);
    if (next == VIRTUAL_NEVER || r->no_room)
        return false;
    r->now_ms = next > r->now_ms ? next : r->now_ms;
    if (ticks)
        step(r, &tick);
    while (!ticks && ends_first_ms(&r->ends) <= r->now_ms)
        let_end(r, ends_pop(&r->ends));
    close_instant(r);
    return !r->no_room;
}

bool virtual_run_feed(struct virtual_run *r, uint64_t now_ms, const struct core_event *event)
{
    bool ticks;
    look_first(r);
    while (next_at(r, &ticks) < now_ms && virtual_run_next(r))
        ;
    r->now_ms = now_ms > r->now_ms ? now_ms : r->now_ms;
    bool fed = step(r, event);
    if (event->kind == CORE_EVENT_NODE_UP) {
        each_task(r, (struct job_id){0}, event->as.node.node, let_go, NULL);
        each_task(r, (struct job_id){0}, event->as.node.node, say_running, NULL);
        r->continue_due = true;
    }
    close_instant(r);
    return fed;
}

uint64_t virtual_run_steps(const struct virtual_run *r)
{
    return r->steps;
}

const struct core *virtual_run_core(const struct virtual_run *r)
{
    return r->core;
}

struct virtual_run *virtual_run_begin(struct core *core, uint64_t now_ms, const struct virtual_hooks *hooks)
{
    struct virtual_run *r = xcalloc(1, sizeof *r);
    r->core = core;
    r->hooks = *hooks;
    r->now_ms = now_ms > core_now(core) ? now_ms : core_now(core);
    r->continue_due = core_continue_due(core);
    r->decisions = core_decisions_create();
    if (r->decisions)
        return r;
    virtual_run_end(r);
    return NULL;
}

void virtual_run_end(struct virtual_run *r)
{
    if (!r)
        return;
    core_destroy(r->core);
    core_decisions_destroy(r->decisions);
    ends_finish(&r->ends);
    free(r->started);
    free(r);
}
