/*
 * The only place that changes state: what an event says (apply_event) and what was decided (apply_decision).
 * core_step and core_apply go through the same functions, so both end in the same state. A decision that
 * doesn't follow from the state is refused with a text: rows come from a disk.
 */
#include <string.h>

#include "scheduler/core/arena.h"

/* ---- events ---- */

static void node_silence(struct core *core, struct node *node, bool fence)
{
    uint64_t now = core->h->facts.now_ms;
    for (uint32_t slot = node->first_task; slot; slot = core->tasks[slot].node_next) {
        struct task *task = &core->tasks[slot];
        const struct job_facts *job = &core->jobs[task->job_slot].facts;
        task_open(core, task);
        task->facts.silent = 1;
        bool waits = fence && job->on_node_loss == CORE_LOSS_REQUEUE && !task->facts.abandoned &&
                     task->facts.state != TASK_EXITED;
        wake_set(core, slot, waits ? now + job->fence_after_ms + job->grace_ms + CORE_FENCE_MARGIN_MS : 0);
        task_close(core, task);
    }
}

/* There is contact again, so no fence runs; what became of each task its own report says. */
static void node_heard(struct core *core, struct node *node)
{
    for (uint32_t slot = node->first_task; slot; slot = core->tasks[slot].node_next) {
        task_open(core, &core->tasks[slot]);
        wake_set(core, slot, 0);
        task_close(core, &core->tasks[slot]);
    }
}

static const char *apply_node_event(struct core *core, const struct core_event *event)
{
    uint32_t slot = node_find(core, event->as.node.node.v);
    if (event->kind == CORE_EVENT_NODE_UP) {
        if (slot)
            node_heard(core, &core->nodes[slot]);
        return node_take_inventory(core, event->as.node.node.v, event->as.node.inventory);
    }
    if (!slot)
        return NULL;
    struct node *node = &core->nodes[slot];
    bool down = event->kind == CORE_EVENT_NODE_DOWN, lost = event->kind == CORE_EVENT_NODE_LOST;
    node_open(core, node);
    if ((down || lost) && node->facts.up) {
        node->facts.up = 0;
        node->facts.since_ms = core->h->facts.now_ms;
        node_silence(core, node, down);
    }
    if (lost)
        node->facts.lost = 1;
    if (event->kind == CORE_EVENT_NODE_DRAIN)
        node->facts.draining = 1;
    if (event->kind == CORE_EVENT_NODE_RESUME)
        node->facts.draining = 0;
    node_close(core, node);
    node_refresh(core, slot);
    return NULL;
}

static bool task_may_move(enum task_state from, enum task_state to)
{
    return from != TASK_EXITED && (to > from || (from == TASK_PAUSED && to == TASK_RUNNING));
}

/* Of several tasks the first that failed gives the job's end. */
static void job_note_end(struct core *core, struct job *job, const struct task_facts *task)
{
    if (job->facts.ended && job->facts.end_kind != END_NONE)
        return;
    job_open(core, job);
    job->facts.ended = 1;
    job->facts.end_kind = task->end_kind;
    job->facts.end_code = task->end_code;
    job->facts.end_signal = task->end_signal;
    job_close(core, job);
}

static void apply_task_event(struct core *core, const struct core_event *event)
{
    uint32_t slot = task_find(core, event->as.task.task);
    if (!slot || core->tasks[slot].facts.node != event->as.task.node.v)
        return;
    struct task *task = &core->tasks[slot];
    struct task_facts *facts = &task->facts;
    bool first_exit = event->kind == CORE_EVENT_TASK_EXIT && facts->state != TASK_EXITED;
    task_open(core, task);
    if (core->nodes[task->node_slot].facts.up)
        facts->silent = 0;
    if (event->kind == CORE_EVENT_TASK_STATE && task_may_move(facts->state, event->as.task.as.state))
        facts->state = (uint8_t)event->as.task.as.state;
    if (event->kind == CORE_EVENT_TASK_COLLECTED)
        facts->collected = 1;
    if (first_exit) {
        facts->state = TASK_EXITED;
        facts->end_kind = (uint8_t)event->as.task.as.exit.kind;
        facts->end_code = event->as.task.as.exit.code;
        facts->end_signal = event->as.task.as.exit.signal;
    }
    if (!facts->silent || facts->state == TASK_EXITED)
        wake_set(core, slot, 0);
    task_close(core, task);
    if (first_exit && !facts->abandoned)
        job_note_end(core, &core->jobs[task->job_slot], facts);
}

const char *apply_event(struct core *core, const struct core_event *event)
{
    switch (event->kind) {
    case CORE_EVENT_CONFIG:
        core->h->facts.policy = event->as.config.policy;
        return NULL;
    case CORE_EVENT_NODE_UP:
    case CORE_EVENT_NODE_DOWN:
    case CORE_EVENT_NODE_LOST:
    case CORE_EVENT_NODE_DRAIN:
    case CORE_EVENT_NODE_RESUME:
        return apply_node_event(core, event);
    case CORE_EVENT_TASK_STATE:
    case CORE_EVENT_TASK_EXIT:
    case CORE_EVENT_TASK_RELEASED:
    case CORE_EVENT_TASK_COLLECTED:
        apply_task_event(core, event);
        return NULL;
    case CORE_EVENT_CONTINUE:
        core->h->facts.cursor = (struct cursor){0};
        return NULL;
    default: /* what comes of the others is decisions alone */
        return NULL;
    }
}

/* ---- decisions ---- */

static uint32_t job_enter(struct core *core, const struct core_submit *s)
{
    uint32_t slot = job_take(core, s->job.v);
    if (!slot)
        return 0;
    struct job_facts *f = &core->jobs[slot].facts;
    f->seq = s->seq;
    f->memory_bytes = s->request.memory_bytes;
    f->cores = s->request.cores;
    f->cpus = s->request.cpus;
    f->gpu_milli = s->request.gpu_milli;
    f->time_limit_ms = s->time_limit_ms;
    f->fence_after_ms = s->fence_after_ms;
    f->submitted_ms = core->h->facts.now_ms;
    f->principal = s->principal.v;
    f->priority = s->priority;
    f->grace_ms = s->grace_ms;
    f->instance_count = s->instance_count;
    f->priority_class = (uint8_t)s->priority_class;
    f->on_node_loss = (uint8_t)s->on_node_loss;
    f->state = JOB_NOT_STARTED;
    job_close(core, &core->jobs[slot]);
    return slot;
}

static void job_forget_if_over(struct core *core, uint32_t slot)
{
    if (job_state_is_final(core->jobs[slot].facts.state) && !core->jobs[slot].first_task)
        job_give(core, slot);
}

static const char *apply_job_state(struct core *core, const struct core_event *event,
                                   const struct core_decision *d)
{
    enum job_state to = d->as.job.state;
    uint32_t slot = job_find(core, d->as.job.job.v);
    if (!slot && event->kind == CORE_EVENT_JOB_SUBMIT && event->as.submit.job.v == d->as.job.job.v)
        slot = job_enter(core, &event->as.submit);
    if (!slot)
        return "a decision about a job that isn't there";
    struct job *job = &core->jobs[slot];
    struct job_facts *f = &job->facts;
    bool same = to == (enum job_state)f->state;
    if (same ? to != JOB_QUEUED : !job_state_can(f->state, to))
        return "a job's state that can't follow";
    if (d->as.job.attempt != f->attempt)
        return "a decision about another attempt";
    if (queue_of(f) != QUEUE_NONE)
        queue_remove(core, slot);
    job_open(core, job);
    f->state = (uint8_t)to;
    f->reason = (uint8_t)d->as.job.reason;
    if (!same)
        f->state_since_ms = core->h->facts.now_ms;
    if (to == JOB_FINALIZING || job_state_is_final(to)) {
        f->ended = 1;
        f->end_kind = (uint8_t)d->as.job.end.kind;
        f->end_code = d->as.job.end.code;
        f->end_signal = d->as.job.end.signal;
    } else if (to == JOB_QUEUED) {
        f->ended = f->end_kind = 0;
        f->end_code = f->end_signal = 0;
    }
    job_close(core, job);
    if (queue_of(f) != QUEUE_NONE)
        queue_add(core, slot);
    job_forget_if_over(core, slot);
    return NULL;
}

static const char *apply_start(struct core *core, const struct core_decision *d)
{
    struct task_id id = d->as.start.task;
    uint32_t job_slot = job_find(core, id.job.v), node_slot = node_find(core, d->as.start.node.v);
    if (!job_slot || !node_slot)
        return "a start of a job or on a node that isn't there";
    struct job *job = &core->jobs[job_slot];
    struct node *node = &core->nodes[node_slot];
    if (job->facts.state != JOB_QUEUED || id.attempt != job->facts.attempt + (id.rank == 0) ||
        id.rank >= job->facts.instance_count || task_find(core, id))
        return "a start that can't follow";
    if (!node_usable(&node->facts) || node->task_count >= CORE_NODE_TASKS_MAX ||
        !lease_fits(node, &d->as.start.lease))
        return "a lease of what isn't free";
    uint32_t slot = task_take(core, job_slot, node_slot);
    if (!slot)
        return "no room for another task";
    struct task *task = &core->tasks[slot];
    task->facts.attempt = id.attempt;
    task->facts.rank = id.rank;
    task->facts.lease = d->as.start.lease;
    task_close(core, task);
    node_open(core, node);
    CORE_ASSERT(lease_take(node, &d->as.start.lease));
    node_close(core, node);
    node_refresh(core, node_slot);
    job_open(core, job);
    job->facts.attempt = id.attempt;
    job_close(core, job);
    return NULL;
}

static const char *apply_stop(struct core *core, const struct core_decision *d, uint32_t slot)
{
    struct task *task = &core->tasks[slot];
    struct job *job = &core->jobs[task->job_slot];
    task_open(core, task);
    task->facts.stop_reason = (uint8_t)d->as.stop.reason;
    task->facts.grace_ms = d->as.stop.grace_ms;
    task->facts.forced |= d->as.stop.force;
    task_close(core, task);
    job_open(core, job);
    job->facts.forced |= d->as.stop.force;
    job_close(core, job);
    return NULL;
}

static const char *apply_freed(struct core *core, const struct core_decision *d, uint32_t slot)
{
    struct task *task = &core->tasks[slot];
    struct node *node = &core->nodes[task->node_slot];
    (void)d;
    if (task->facts.released)
        return "a lease freed twice";
    task_open(core, task);
    task->facts.released = 1;
    task_close(core, task);
    node_open(core, node);
    lease_return(node, &task->facts.lease);
    node_close(core, node);
    node_refresh(core, task->node_slot);
    return NULL;
}

static const char *apply_release(struct core *core, const struct core_decision *d, uint32_t slot)
{
    const struct task_facts *facts = &core->tasks[slot].facts;
    uint32_t job_slot = core->tasks[slot].job_slot, node_slot = core->tasks[slot].node_slot;
    (void)d;
    if (facts->state != TASK_EXITED || !facts->released || !facts->collected)
        return "a task forgotten before its end";
    task_give(core, slot);
    if (core->nodes[node_slot].task_count == CORE_NODE_TASKS_MAX - 1)
        node_refresh(core, node_slot); /* it may take another one */
    job_forget_if_over(core, job_slot);
    return NULL;
}

static const char *apply_abandon(struct core *core, const struct core_decision *d, uint32_t slot)
{
    struct task *task = &core->tasks[slot];
    (void)d;
    task_open(core, task);
    task->facts.abandoned = 1;
    wake_set(core, slot, 0);
    task_close(core, task);
    return NULL;
}

static const char *apply_continue(struct core *core, const struct core_decision *d)
{
    struct cursor *c = &core->h->facts.cursor;
    if (d->as.cursor.recheck >= RECHECK_COUNT || d->as.cursor.place >= PLACE_COUNT ||
        d->as.cursor.again > AGAIN_ALL)
        return "an unknown cursor";
    *c = (struct cursor){.place_job = d->as.cursor.place_job,
                         .recheck_node = d->as.cursor.recheck_node,
                         .place_node = d->as.cursor.place_node,
                         .recheck = d->as.cursor.recheck,
                         .place = d->as.cursor.place,
                         .again = d->as.cursor.again};
    memcpy(c->recheck_key, d->as.cursor.recheck_key, sizeof c->recheck_key);
    return NULL;
}

typedef const char *(*task_fn)(struct core *core, const struct core_decision *d, uint32_t slot);

static const task_fn task_decisions[CORE_DECISION_KIND_END] = {
    [CORE_DECISION_STOP_TASK] = apply_stop,
    [CORE_DECISION_LEASE_FREED] = apply_freed,
    [CORE_DECISION_RELEASE_TASK] = apply_release,
    [CORE_DECISION_ABANDON_TASK] = apply_abandon,
};

const char *apply_decision(struct core *core, const struct core_event *event, const struct core_decision *d)
{
    if ((unsigned)d->kind < CORE_DECISION_KIND_END && task_decisions[d->kind]) {
        bool stop = d->kind == CORE_DECISION_STOP_TASK;
        uint32_t slot = task_find(core, stop ? d->as.stop.task : d->as.task.task);
        uint32_t node = stop ? d->as.stop.node.v : d->as.task.node.v;
        if (!slot || core->tasks[slot].facts.node != node)
            return "a decision about a task that isn't there";
        return task_decisions[d->kind](core, d, slot);
    }
    switch (d->kind) {
    case CORE_DECISION_JOB_REFUSED: /* the job never was */
    case CORE_DECISION_TIMER_AT:    /* for the daemon; the state has the times themselves */
        return NULL;
    case CORE_DECISION_JOB_STATE:
        return apply_job_state(core, event, d);
    case CORE_DECISION_START_TASK:
        return apply_start(core, d);
    case CORE_DECISION_CONTINUE:
        return apply_continue(core, d);
    default:
        return "a decision of an unknown kind";
    }
}
