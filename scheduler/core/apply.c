/*
 * What an event says, recorded. With apply_decision.c the only place that changes state: core_step and
 * core_apply go through the same functions, so both end in the same state.
 */
#include <string.h>

#include "scheduler/core/reserve.h"

/* ---- nodes ---- */

static void node_silence(struct core *core, struct node *node, bool fence)
{
    uint64_t now = core->h->facts.now_ms;
    for (uint32_t slot = node->first_task; slot; slot = core->tasks[slot].node_next) {
        struct task *task = &core->tasks[slot];
        const struct job_facts *job = &core->jobs[task->job_slot].facts;
        task_changes(core, task);
        task->facts.silent = 1;
        bool waits = fence && job->on_node_loss == CORE_LOSS_REQUEUE && !task->facts.abandoned &&
                     task->facts.state != TASK_EXITED;
        wake_task(core, slot, waits ? now + job->fence_after_ms + job->grace_ms + CORE_FENCE_MARGIN_MS : 0);
    }
}

/* There is contact again, so no fence runs; what became of each task its own report says. */
static void node_heard(struct core *core, struct node *node)
{
    for (uint32_t slot = node->first_task; slot; slot = core->tasks[slot].node_next) {
        task_changes(core, &core->tasks[slot]);
        wake_task(core, slot, 0);
    }
}

static const char *apply_node_event(struct core *core, const struct core_event *event)
{
    uint32_t slot = node_find(core, event->as.node.node.v);
    if (event->kind == CORE_EVENT_NODE_UP) {
        if (slot)
            node_heard(core, &core->nodes[slot]);
        reserve_stir(core);
        return node_take_inventory(core, event->as.node.node.v, event->as.node.inventory);
    }
    if (!slot)
        return NULL;
    struct node *node = &core->nodes[slot];
    bool down = event->kind == CORE_EVENT_NODE_DOWN, lost = event->kind == CORE_EVENT_NODE_LOST;
    shapes_forget_node(core, node);
    node_changes(core, node);
    if ((down || lost) && node->facts.up) {
        node->facts.up = 0;
        node->facts.since_ms = core->h->facts.now_ms;
        node_silence(core, node, down);
    } else if (down && !node->facts.lost) {
        node_silence(core, node, true);
    }
    if (lost)
        node->facts.lost = 1;
    if (event->kind == CORE_EVENT_NODE_DRAIN)
        node->facts.draining |= DRAIN_BY_PERSON;
    if (event->kind == CORE_EVENT_NODE_FAULT)
        node->facts.draining |= DRAIN_BY_FAULT;
    if (event->kind == CORE_EVENT_NODE_HEALED)
        node->facts.draining &= (uint8_t)~DRAIN_BY_FAULT;
    if (event->kind == CORE_EVENT_NODE_RESUME)
        node->facts.draining = 0;
    if (!down)
        reserve_stir(core);
    node_refresh(core, slot);
    shapes_count_node(core, node);
    shapes_settle(core);
    return NULL;
}

/* ---- tasks ---- */

static bool task_may_move(enum task_state from, enum task_state to)
{
    return from != TASK_EXITED && (to > from || (from == TASK_PAUSED && to == TASK_RUNNING));
}

/* Of several tasks the first that failed gives the job's end. */
static void job_note_end(struct core *core, struct job *job, const struct task_facts *task)
{
    if (job->facts.ended && job->facts.end_kind != END_NONE)
        return;
    job_changes(core, job);
    job->facts.ended = 1;
    job->facts.end_kind = task->end_kind;
    job->facts.end_code = task->end_code;
    job->facts.end_signal = task->end_signal;
}

static void apply_task_event(struct core *core, const struct core_event *event)
{
    uint32_t slot = task_find(core, event->as.task.task);
    if (!slot || core->tasks[slot].facts.node != event->as.task.node.v)
        return;
    struct task *task = &core->tasks[slot];
    struct task_facts *facts = &task->facts;
    bool exits = event->kind == CORE_EVENT_TASK_EXIT || event->kind == CORE_EVENT_TASK_OVER;
    bool first_exit = exits && facts->state != TASK_EXITED;
    task_changes(core, task);
    if (core->nodes[task->node_slot].facts.up)
        facts->silent = 0;
    if (event->kind == CORE_EVENT_TASK_STATE && task_may_move(facts->state, event->as.task.as.state))
        facts->state = (uint8_t)event->as.task.as.state;
    if (event->kind == CORE_EVENT_TASK_COLLECTED || event->kind == CORE_EVENT_TASK_OVER)
        facts->collected = 1;
    if (first_exit) {
        facts->state = TASK_EXITED;
        facts->end_kind = (uint8_t)event->as.task.as.exit.kind;
        facts->end_code = event->as.task.as.exit.code;
        facts->end_signal = event->as.task.as.exit.signal;
    }
    if (facts->wake_ms && (!facts->silent || facts->state == TASK_EXITED))
        wake_task(core, slot, 0);
    struct job *job = &core->jobs[task->job_slot];
    if (first_exit && !facts->abandoned && facts->attempt == job->facts.attempt)
        job_note_end(core, job, facts);
}

/* ---- jobs, policy, quotas ---- */

/* While it waits for a time it wakes then; while it is in its turn, when it ages. */
void job_set_wake(struct core *core, uint32_t slot)
{
    const struct job_facts *f = &core->jobs[slot].facts;
    uint64_t age = core->h->facts.age_ms, wake = 0;
    if (job_waits(f) && f->begin_ms)
        wake = f->begin_ms;
    else if (job_waits(f) && age && !f->aged && f->priority_class < PRIORITY_HIGH)
        wake = f->submitted_ms + age;
    if (wake != f->wake_ms)
        wake_job(core, slot, wake);
}

static void apply_update(struct core *core, const struct core_update *u)
{
    uint32_t slot = job_find(core, u->job.v);
    if (!slot || job_state_is_final(core->jobs[slot].facts.state))
        return;
    struct job *job = &core->jobs[slot];
    struct job_facts *f = &job->facts;
    bool waits = job_waits(f);
    struct core_update_answer answer;
    if (core_update_refuses(core, u, &answer))
        return;
    queue_leave(core, slot);
    job_changes(core, job);
    f->by_operator |= update_marks(u);
    if (u->set_held && waits)
        f->held = u->held ? (uint8_t)(f->held | (u->by_operator ? HELD_BY_OPERATOR : HELD_BY_OWNER)) : 0;
    if (u->set_priority) {
        if (f->preemptible && holds_licences(f, (enum job_state)f->state)) {
            core->h->spot_running[f->priority_class]--;
            core->h->spot_running[u->priority_class]++;
        }
        f->priority_class = f->asked_class = (uint8_t)u->priority_class;
        f->lowered = 0;
        f->priority = u->priority;
    }
    if (u->set_time_limit)
        f->time_limit_ms = u->time_limit_ms;
    if (waits)
        caps_settle(core, f);
    if (u->set_begin && waits)
        f->begin_ms = u->begin_ms > core->h->facts.now_ms ? u->begin_ms : 0;
    if (u->set_array_limit && f->array_count)
        array_limit(core, f, u->array_limit);
    job_set_wake(core, slot);
    queue_enter(core, slot);
    if (waits)
        stir(core, slot);
    for (uint32_t t = u->set_time_limit ? job->first_task : 0; t; t = core->tasks[t].job_next) {
        struct task *task = &core->tasks[t];
        if (task->facts.attempt != f->attempt)
            continue;
        uint64_t limit = u->time_limit_ms;
        task_changes(core, task);
        task_resort(core, t, limit ? task->facts.began_ms + limit + f->grace_ms : CORE_NEVER);
    }
}

/* The order of every waiting job may follow from it. */
static void requeue_all(struct core *core)
{
    for (uint32_t slot = 1; slot <= core->h->job.high; slot++) {
        struct job *job = &core->jobs[slot];
        if (!job->facts.present || !job_waits(&job->facts))
            continue;
        queue_leave(core, slot);
        job_changes(core, job);
        job->facts.aged = job->facts.aged && core->h->facts.age_ms;
        job_set_wake(core, slot);
        queue_enter(core, slot);
    }
}

static void apply_config(struct core *core, const struct core_config *c)
{
    struct header_facts *f = &core->h->facts;
    f->policy = c->policy;
    f->preempt = c->preempt;
    f->preempt_min_run_ms = c->preempt_min_run_ms;
    f->age_ms = c->age_ms;
    for (uint32_t slot = 1; slot <= f->tenant_count; slot++)
        share_settle(core, &core->tenants[slot]);
    f->share_weight = c->share_weight;
    f->share_half_life_ms = c->share_half_life_ms;
    for (uint32_t slot = 1; slot <= f->tenant_count; slot++) {
        struct tenant *t = &core->tenants[slot];
        tenant_changes(core, t);
        t->facts.place = share_place(core, t);
    }
    requeue_all(core);
}

static void apply_quota(struct core *core, const struct core_quota *q)
{
    uint32_t limits[4] = {q->cores, q->gpu_milli, q->running, q->queued};
    if (q->scope == CORE_QUOTA_PRINCIPAL && !q->id) {
        memcpy(core->h->facts.everyone, limits, sizeof limits);
        return;
    }
    struct tenant *t = &core->tenants[tenant_get(core, q->scope, q->id, q->family)];
    tenant_changes(core, t);
    t->facts.own_limits = q->cores || q->gpu_milli || q->running || q->queued; /* all 0: everyone's again */
    t->facts.limit_cores = q->cores;
    t->facts.limit_gpu_milli = q->gpu_milli;
    t->facts.limit_running = q->running;
    t->facts.limit_queued = q->queued;
    t->facts.approved = q->approved;
    if (q->scope == CORE_QUOTA_PRINCIPAL && q->family)
        apply_approval(core, q->id);
}

const char *apply_event(struct core *core, const struct core_event *event)
{
    if (!event->defer)
        core->h->facts.pass_due = 0;
    switch (event->kind) {
    case CORE_EVENT_CONFIG:
        apply_config(core, &event->as.config);
        return NULL;
    case CORE_EVENT_NODE_UP:
    case CORE_EVENT_NODE_DOWN:
    case CORE_EVENT_NODE_LOST:
    case CORE_EVENT_NODE_DRAIN:
    case CORE_EVENT_NODE_RESUME:
    case CORE_EVENT_NODE_FAULT:
    case CORE_EVENT_NODE_HEALED:
        return apply_node_event(core, event);
    case CORE_EVENT_TASK_STATE:
    case CORE_EVENT_TASK_EXIT:
    case CORE_EVENT_TASK_RELEASED:
    case CORE_EVENT_TASK_COLLECTED:
    case CORE_EVENT_TASK_OVER:
        apply_task_event(core, event);
        return NULL;
    case CORE_EVENT_JOB_UPDATE:
        apply_update(core, &event->as.update);
        return NULL;
    case CORE_EVENT_LICENCES:
        core->h->facts.licence_total[event->as.licences.id] = event->as.licences.total;
        return NULL;
    case CORE_EVENT_CAPS:
        apply_caps(core, &event->as.caps);
        return NULL;
    case CORE_EVENT_WEIGHT:
        share_weigh(core, &event->as.weight);
        return NULL;
    case CORE_EVENT_QUOTA:
        apply_quota(core, &event->as.quota);
        return NULL;
    case CORE_EVENT_FAMILY:
        apply_family(core, &event->as.family);
        return NULL;
    case CORE_EVENT_JOB_CANCEL:
        array_stir(core, job_find(core, event->as.cancel.job.v), event->as.cancel.force);
        return NULL;
    case CORE_EVENT_TICK:
        if (core->h->facts.look_at_ms <= core->h->facts.now_ms)
            core->h->facts.look_at_ms = 0;
        return NULL;
    default: /* what comes of the others is decisions alone */
        return NULL;
    }
}
