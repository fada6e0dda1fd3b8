/* The run forward: a heap of expected ends, the core's own timer, and the copy between them. */
#include "scheduler/forecast.h"

#include "base/alloc.h"

#include <signal.h>
#include <stdlib.h>

#define FINALIZING_MS 1000 /* what collecting outputs is taken to last */
#define NEVER UINT64_MAX

/* An attempt's expected end. It counts only while that attempt is the job's. */
struct end {
    uint64_t at_ms, job;
    uint32_t attempt;
    bool stopped;
};

struct forecast {
    struct core *core;
    struct core_decisions *decisions;
    uint64_t now_ms;
    struct end *heap; /* from 1 */
    uint32_t heap_count, heap_capacity;
    struct forecast_job *jobs;
    uint32_t job_count, open; /* open: not yet started */
    uint32_t steps;
    bool continue_due, no_room;
};

/* ---- ends, earliest first ---- */

static bool before(const struct end *a, const struct end *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->job < b->job;
}

static void push(struct forecast *f, struct end end)
{
    if (f->heap_count + 1 >= f->heap_capacity) {
        f->heap_capacity = f->heap_capacity ? 2 * f->heap_capacity : 256;
        f->heap = xrealloc(f->heap, f->heap_capacity * sizeof *f->heap);
    }
    uint32_t at = ++f->heap_count;
    for (; at > 1 && before(&end, &f->heap[at / 2]); at /= 2)
        f->heap[at] = f->heap[at / 2];
    f->heap[at] = end;
}

static struct end pop(struct forecast *f)
{
    struct end first = f->heap[1], last = f->heap[f->heap_count--];
    uint32_t at = 1;
    for (uint32_t child; (child = 2 * at) <= f->heap_count; at = child) {
        if (child < f->heap_count && before(&f->heap[child + 1], &f->heap[child]))
            child++;
        if (!before(&f->heap[child], &last))
            break;
        f->heap[at] = f->heap[child];
    }
    f->heap[at] = last;
    return first;
}

/* When the job's attempt will be over, by what is known now. */
static uint64_t end_of(const struct forecast *f, const struct core_job_view *job)
{
    uint64_t declared, expected;
    if (job->state == JOB_FINALIZING)
        return f->now_ms + FINALIZING_MS;
    if (job->state == JOB_CANCEL_REQUESTED)
        return f->now_ms + job->grace_ms;
    core_job_ends(f->core, job->job, &declared, &expected);
    uint64_t end = expected ? expected : declared ? declared : NEVER;
    return end > f->now_ms ? end : f->now_ms;
}

static void expect_end(struct forecast *f, struct job_id id)
{
    struct core_job_view job;
    if (!core_job_get(f->core, id, &job))
        return;
    uint64_t at = end_of(f, &job);
    if (at != NEVER)
        push(f, (struct end){at, id.v, job.attempt, job.state == JOB_CANCEL_REQUESTED});
}

/* ---- the copy ---- */

static void note_start(struct forecast *f, struct job_id job)
{
    for (uint32_t i = 0; i < f->job_count; i++) {
        if (f->jobs[i].job.v == job.v && !f->jobs[i].start_ms) {
            f->jobs[i].start_ms = f->now_ms;
            f->open--;
        }
    }
}

static void follow(struct forecast *f, const struct core_decision *d)
{
    struct core_job_view job;
    switch (d->kind) {
    case CORE_DECISION_CONTINUE:
        f->continue_due = true;
        break;
    case CORE_DECISION_START_TASK:
        if (d->as.start.task.rank)
            break;
        note_start(f, d->as.start.task.job);
        expect_end(f, d->as.start.task.job);
        break;
    case CORE_DECISION_ELEMENT:
        note_start(f, d->as.element.array);
        break;
    case CORE_DECISION_STOP_TASK:
        if (core_job_get(f->core, d->as.stop.task.job, &job) && job.attempt == d->as.stop.task.attempt)
            push(f, (struct end){f->now_ms + d->as.stop.grace_ms, job.job.v, job.attempt, true});
        break;
    default:
        break;
    }
}

static void feed(struct forecast *f, const struct core_event *event)
{
    f->no_room = f->no_room || !core_make_room(f->core, event);
    if (f->no_room)
        return;
    core_step(f->core, f->now_ms, event, f->decisions);
    f->steps++;
    for (uint32_t i = 0; i < f->decisions->count; i++)
        follow(f, &f->decisions->v[i]);
}

static void let_end(struct forecast *f, struct end end)
{
    struct core_job_view job;
    struct task_id *tasks;
    if (!core_job_get(f->core, (struct job_id){end.job}, &job) || job.attempt != end.attempt ||
        job.state == JOB_QUEUED || job_state_is_final(job.state))
        return;
    tasks = xcalloc(job.task_count ? job.task_count : 1, sizeof *tasks);
    uint32_t count = core_job_tasks(f->core, job.job, tasks, job.task_count);
    for (uint32_t i = 0; i < count && i < job.task_count; i++) {
        struct core_task_view view;
        if (tasks[i].attempt != end.attempt || !core_task_get(f->core, tasks[i], &view) || view.silent)
            continue;
        struct core_event event = {.kind = CORE_EVENT_TASK_OVER, .defer = true};
        event.as.task.task = tasks[i];
        event.as.task.node = view.node;
        event.as.task.as.exit.ran = true;
        event.as.task.as.exit.signal = end.stopped ? SIGTERM : 0;
        event.as.task.as.exit.kind = !end.stopped                        ? END_NONE
                                     : job.state == JOB_CANCEL_REQUESTED ? END_CANCELED
                                                                         : END_PREEMPTED;
        feed(f, &event);
    }
    free(tasks);
}

static void close_instant(struct forecast *f)
{
    static const struct core_event more = {.kind = CORE_EVENT_CONTINUE};
    while (f->continue_due && !f->no_room && f->steps < FORECAST_STEPS_MAX) {
        f->continue_due = false;
        feed(f, &more);
    }
}

/* The next instant at which anything happens, and all that does. False: nothing will. */
static bool go_on(struct forecast *f)
{
    static const struct core_event tick = {.kind = CORE_EVENT_TICK};
    uint64_t timer = core_timer_at(f->core), next = f->heap_count ? f->heap[1].at_ms : NEVER;
    bool ticks = timer && timer <= next;
    next = ticks ? timer : next;
    if (next == NEVER)
        return false;
    f->now_ms = next > f->now_ms ? next : f->now_ms;
    if (ticks)
        feed(f, &tick);
    while (!ticks && f->heap_count && f->heap[1].at_ms <= f->now_ms)
        let_end(f, pop(f));
    close_instant(f);
    return true;
}

void forecast_run(struct forecast *f, struct forecast_job *jobs, uint32_t count)
{
    struct core_job_view job;
    uint32_t cursor = 0;
    f->jobs = jobs;
    f->job_count = f->open = count;
    for (uint32_t i = 0; i < count; i++)
        jobs[i].start_ms = 0;
    while (core_job_next(f->core, &cursor, &job)) {
        if (job.state != JOB_QUEUED && !job_state_is_final(job.state))
            expect_end(f, job.job);
    }
    uint64_t *promised = xcalloc(count ? count : 1, sizeof *promised);
    for (uint32_t i = 0; i < count; i++)
        promised[i] = core_job_get(f->core, jobs[i].job, &job) ? job.promised_ms : 0;
    close_instant(f);
    while (f->open && !f->no_room && f->steps < FORECAST_STEPS_MAX && go_on(f))
        ;
    for (uint32_t i = 0; i < count; i++) {
        if (promised[i] && (!jobs[i].start_ms || promised[i] < jobs[i].start_ms))
            jobs[i].start_ms = promised[i];
    }
    free(promised);
}

struct forecast *forecast_begin(const struct core *core, uint64_t now_ms)
{
    static const struct core_capacity small = {0};
    struct core_counts counts;
    core_count(core, &counts);
    if (counts.arena_bytes > FORECAST_ARENA_MAX_BYTES)
        return NULL;
    struct forecast *f = xcalloc(1, sizeof *f);
    f->now_ms = now_ms > core_now(core) ? now_ms : core_now(core);
    f->core = core_create(&small);
    f->decisions = core_decisions_create();
    f->continue_due = core_continue_due(core);
    if (f->core && f->decisions && core_copy(f->core, core))
        return f;
    forecast_end(f);
    return NULL;
}

const struct core *forecast_core(const struct forecast *f)
{
    return f->core;
}

void forecast_end(struct forecast *f)
{
    if (!f)
        return;
    core_destroy(f->core);
    core_decisions_destroy(f->decisions);
    free(f->heap);
    free(f);
}
