/*
 * What was decided, applied. A decision that doesn't follow from the state is refused with a text: rows come
 * from a disk.
 */
#include <string.h>

#include "scheduler/core/reserve.h"

static void take_needs(struct core *core, uint32_t slot, const struct core_submit *s)
{
    struct job_facts *f = &core->jobs[slot].facts;
    for (uint32_t i = 0; i < s->dependency_count; i++) {
        uint32_t on;
        enum need_outcome outcome = need_at_submit(core, s, i, &on);
        f->forlorn |= outcome == NEED_LOST;
        if (outcome == NEED_OPEN) {
            CORE_ASSERT(need_take(core, slot, on, s->dependencies[i].kind));
            f->waits_on++;
        }
    }
}

static uint32_t job_enter(struct core *core, const struct core_submit *s)
{
    uint32_t slot = job_take(core, s->job.v);
    if (!slot)
        return 0;
    struct job_facts *f = &core->jobs[slot].facts;
    f->seq = s->seq;
    f->request = s->request;
    f->licences = s->licences;
    f->time_limit_ms = s->time_limit_ms;
    f->fence_after_ms = s->fence_after_ms;
    f->submitted_ms = core->h->facts.now_ms;
    f->principal = s->principal.v;
    f->workspace = s->workspace;
    f->priority = s->priority;
    f->grace_ms = s->grace_ms;
    f->instance_count = s->instance_count;
    f->priority_class = f->asked_class = (uint8_t)s->priority_class;
    f->by_operator = s->by_operator ? SET_SUBMIT : 0;
    f->on_node_loss = (uint8_t)s->on_node_loss;
    f->preemptible = s->preemptible;
    f->held = s->held ? HELD_BY_OWNER : 0;
    f->begin_ms = s->begin_ms > core->h->facts.now_ms ? s->begin_ms : 0;
    f->retries = s->retries;
    f->retry_kinds = s->retry_kinds;
    memcpy(f->retry_codes, s->retry_codes, sizeof f->retry_codes);
    f->retry_wait_ms = s->retry_wait_ms;
    f->family = s->family;
    f->reservation = s->reservation;
    tenant_enter(core, &core->jobs[slot]);
    guards_close(core, f);
    f->state = JOB_NOT_STARTED;
    array_enter(core, f, s);
    learn_submit(core, f);
    take_needs(core, slot, s);
    return slot;
}

void job_forget_if_over(struct core *core, uint32_t slot)
{
    if (!job_state_is_final(core->jobs[slot].facts.state) || core->jobs[slot].first_task ||
        array_keeps(core, slot))
        return;
    array_forget(core, slot);
    job_give(core, slot);
}

static void licences_use(struct core *core, const struct job_facts *job, int sign)
{
    core->h->spot_running[job->priority_class] += (uint32_t)sign * job->preemptible;
    for (uint32_t i = 0; i < RESOURCE_LICENCE_KINDS_MAX && job->licences.amount[i]; i++)
        core->h->licence_used[job->licences.id[i]] += (uint32_t)sign * job->licences.amount[i];
}

/* Licences are held from the lease to the end of the attempt. */
bool holds_licences(const struct job_facts *job, enum job_state state)
{
    return !job->array_count && state != JOB_NOT_STARTED && state != JOB_QUEUED && !job_state_is_final(state);
}

void job_forget_waiting(struct core *core, uint32_t slot)
{
    struct job *job = &core->jobs[slot];
    queue_leave(core, slot);
    holds_drop(core, slot);
    need_drop_all(core, slot);
    job_changes(core, job);
    if (job->facts.wake_ms)
        wake_job(core, slot, 0);
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
    enum job_state from = f->state;
    bool same = to == from;
    enum tenant_part part = tenant_part(f);
    if (same ? !job_waits(f) : !job_state_can(from, to))
        return "a job's state that can't follow";
    if (f->array_count && job_state_is_final(to) && f->array_live)
        return "an array that ends before its elements";
    if (d->as.job.attempt != f->attempt)
        return "a decision about another attempt";
    bool leaves = job_waits(f) && !job_waits_as(f, to);
    if (leaves)
        job_forget_waiting(core, slot);
    else
        queue_leave(core, slot);
    licences_use(core, f, holds_licences(f, to) - holds_licences(f, from));
    job_changes(core, job);
    if (leaves)
        learn_leave(core, f, to == JOB_PREPARING && !f->array_count);
    if (to == JOB_PREPARING && !f->array_count) {
        f->began_ms = core->h->facts.now_ms;
        f->lowered |= f->priority_class < f->asked_class;
        f->asked_class = f->priority_class; /* it runs as that from here on */
    }
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
        if (!same && from != JOB_NOT_STARTED) { /* it waits again */
            learn_submit(core, f);
            caps_settle(core, f);
        }
        f->ended = f->end_kind = f->requeue = 0;
        f->end_code = f->end_signal = 0;
    }
    bool waits = job_waits(f);
    if (waits && f->begin_ms && f->begin_ms <= core->h->facts.now_ms)
        f->begin_ms = 0;
    if (waits)
        job_set_wake(core, slot);
    if (job_state_is_final(to))
        learn_end(core, f);
    tenant_count(core, job, part);
    if (job_state_is_final(to) && f->array) {
        if (f->stirred) /* it was to be canceled with its array */
            unstir(core, slot);
        array_count_end(core, slot);
    }
    queue_enter(core, slot);
    if (!same && job->first_needed)
        need_tell(core, slot);
    if (job_state_is_final(to) && f->attempt)
        learn_again(core, f->principal);
    job_forget_if_over(core, slot);
    return NULL;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static const char *apply_start(struct core *core, const struct core_decision *d)
{
    struct task_id id = d->as.start.task;
    const struct resource_lease *lease = &d->as.start.lease;
    uint32_t job_slot = job_find(core, id.job.v), node_slot = node_find(core, d->as.start.node.v);
    if (!job_slot || !node_slot)
        return "a start of a job or on a node that isn't there";
    struct job *job = &core->jobs[job_slot];
    struct job_facts *f = &job->facts;
    struct node *node = &core->nodes[node_slot];
    uint32_t most = node->pool ? CORE_POOL_TASKS_MAX : CORE_NODE_TASKS_MAX;
    if (f->state != JOB_QUEUED || id.attempt != f->attempt + (id.rank == 0) || id.rank >= f->instance_count ||
        f->array_count || array_keeps(core, job_slot) || task_find(core, id))
        return "a start that can't follow";
    if (!node_usable(&node->facts) || node->task_count >= most || !lease_fits(node, lease))
        return "a lease of what isn't free";
    uint32_t reservation = d->as.start.reservation, resv = reservation ? reserve_find(core, reservation) : 0;
    if (reservation &&
        (!resv || !reserve_seat(core, resv, node_slot) || !reserve_admits(core, resv, f->principal)))
        return "a start in a reservation that isn't there, or not for its user";
    uint64_t now = core->h->facts.now_ms;
    uint64_t ends = f->time_limit_ms ? now + f->time_limit_ms + f->grace_ms : CORE_NEVER;
    shapes_forget_fit(core, node);
    uint32_t slot = task_take(core, job_slot, node_slot, id.rank, ends, lease_width(lease));
    if (slot) {
        struct task *task = &core->tasks[slot];
        task->facts.attempt = id.attempt;
        task->facts.lease = *lease;
        task->facts.began_ms = now;
        task->facts.reservation = reservation;
        task->facts.guess_ms = sooner(now + (uint64_t)f->order.mean_ms, ends);
        node_changes(core, node);
        lease_take(core, node, f, lease);
        share_begin(core, job, task);
    }
    shapes_count_fit(core, node);
    if (!slot)
        return "no room for another task";
    if (f->attempt != id.attempt) {
        job_changes(core, job);
        f->attempt = id.attempt;
    }
    return NULL;
}

static const char *apply_stop(struct core *core, const struct core_decision *d, uint32_t slot)
{
    struct task *task = &core->tasks[slot];
    struct job *job = &core->jobs[task->job_slot];
    task_changes(core, task);
    task->facts.stop_reason = (uint8_t)d->as.stop.reason;
    task->facts.grace_ms = d->as.stop.grace_ms;
    task->facts.forced |= d->as.stop.force;
    job_changes(core, job);
    job->facts.forced |= d->as.stop.force;
    return NULL;
}

static const char *apply_freed(struct core *core, const struct core_decision *d, uint32_t slot)
{
    struct task *task = &core->tasks[slot];
    struct node *node = &core->nodes[task->node_slot];
    (void)d;
    if (task->facts.released)
        return "a lease freed twice";
    share_end(core, &core->jobs[task->job_slot], task);
    task_changes(core, task);
    task->facts.released = 1;
    shapes_forget_fit(core, node);
    node_changes(core, node);
    lease_return(core, node, &task->facts.lease);
    shapes_count_fit(core, node);
    return NULL;
}

static const char *apply_release(struct core *core, const struct core_decision *d, uint32_t slot)
{
    const struct task_facts *facts = &core->tasks[slot].facts;
    uint32_t job_slot = core->tasks[slot].job_slot;
    struct node *node = &core->nodes[core->tasks[slot].node_slot];
    (void)d;
    if (facts->state != TASK_EXITED || !facts->released || !facts->collected)
        return "a task forgotten before its end";
    bool full = node->task_count == (node->pool ? CORE_POOL_TASKS_MAX : CORE_NODE_TASKS_MAX);
    if (full)
        shapes_forget_fit(core, node);
    task_give(core, slot);
    if (full)
        shapes_count_fit(core, node); /* it may take another one */
    job_forget_if_over(core, job_slot);
    return NULL;
}

static const char *apply_abandon(struct core *core, const struct core_decision *d, uint32_t slot)
{
    struct task *task = &core->tasks[slot];
    (void)d;
    task_changes(core, task);
    task->facts.abandoned = 1;
    if (task->facts.wake_ms)
        wake_task(core, slot, 0);
    struct job *job = &core->jobs[task->job_slot];
    struct job_facts *f = &job->facts;
    bool exited = task->facts.state == TASK_EXITED && task->facts.end_kind != END_NODE_LOST;
    if (exited || task->facts.attempt != f->attempt || f->state == JOB_QUEUED ||
        job_state_is_final(f->state) || (f->ended && f->end_kind != END_NONE))
        return NULL;
    job_changes(core, job);
    f->ended = 1;
    f->end_kind = END_NODE_LOST;
    f->end_code = f->end_signal = 0;
    return NULL;
}

/* ---- about jobs that wait or will ---- */

static const char *apply_requeue(struct core *core, const struct core_decision *d, uint32_t slot)
{
    struct job *job = &core->jobs[slot];
    if (d->as.requeue.reason == CORE_REASON_NONE) { /* others were stopped for it */
        job_changes(core, job);
        job->facts.preempted_ms = d->as.requeue.until_ms;
        return NULL;
    }
    if (job->facts.state == JOB_QUEUED || job_state_is_final(job->facts.state) || job->facts.array_count)
        return "a job to be queued again that isn't under way";
    job_changes(core, job);
    job->facts.requeue = (uint8_t)d->as.requeue.reason;
    if (d->as.requeue.reason == CORE_REASON_RETRY) {
        job->facts.retries--;
        job->facts.retried++;
    }
    return NULL;
}

static const char *apply_promise(struct core *core, const struct core_decision *d, uint32_t slot)
{
    const struct job_facts *f = &core->jobs[slot].facts;
    if (!job_waits(f) || !d->as.plan.at_ms || (!f->hold_ms && core->h->promised_count == CORE_PROMISES_MAX))
        return "a promise that can't be made";
    holds_promise(core, slot, d->as.plan.at_ms, d->as.plan.end_ms);
    return NULL;
}

static const char *apply_hold(struct core *core, const struct core_decision *d, uint32_t slot)
{
    uint32_t node = node_find(core, d->as.plan.node.v);
    if (!node || !core->jobs[slot].facts.hold_ms || !hold_take(core, slot, node))
        return "a node held for nobody";
    return NULL;
}

static const char *apply_void(struct core *core, const struct core_decision *d, uint32_t slot)
{
    (void)d;
    if (!core->jobs[slot].facts.hold_ms)
        return "a promise taken back that wasn't made";
    holds_drop(core, slot);
    core->h->facts.voided++;
    return NULL;
}

static const char *apply_wake_job(struct core *core, const struct core_decision *d, uint32_t slot)
{
    struct job *job = &core->jobs[slot];
    uint64_t at = d->as.plan.at_ms;
    job_changes(core, job);
    if (at) {
        job->facts.begin_ms = at;
    } else {
        job->facts.aged = 1; /* it has waited long enough to count as one class higher */
    }
    return NULL;
}

static const char *apply_settled(struct core *core, const struct core_decision *d, uint32_t slot)
{
    (void)d;
    if (!core->jobs[slot].facts.stirred)
        return "a job that nothing stirred";
    unstir(core, slot);
    return NULL;
}

/* The scale of waiting is set anew: the queue was looked at, and something could have started. */
static const char *apply_patience(struct core *core)
{
    order_pass(core->order, core->learned, (int64_t)core->h->facts.now_ms, false);
    return NULL;
}

static const char *apply_look(struct core *core, const struct core_decision *d)
{
    struct header_facts *f = &core->h->facts;
    if (d->as.look.from >= f->node_count || d->as.look.left > f->node_count)
        return "a look at nodes that aren't there";
    f->look_at_ms = d->as.look.at_ms;
    f->look_best_ms = d->as.look.best_ms;
    f->look_from = d->as.look.from;
    f->look_left = d->as.look.left;
    return NULL;
}

typedef const char *(*about_fn)(struct core *core, const struct core_decision *d, uint32_t slot);

static const about_fn about_tasks[CORE_DECISION_KIND_END] = {
    [CORE_DECISION_STOP_TASK] = apply_stop,
    [CORE_DECISION_LEASE_FREED] = apply_freed,
    [CORE_DECISION_RELEASE_TASK] = apply_release,
    [CORE_DECISION_ABANDON_TASK] = apply_abandon,
};

static const about_fn about_jobs[CORE_DECISION_KIND_END] = {
    [CORE_DECISION_REQUEUE] = apply_requeue,   [CORE_DECISION_PROMISE] = apply_promise,
    [CORE_DECISION_HOLD] = apply_hold,         [CORE_DECISION_VOID] = apply_void,
    [CORE_DECISION_WAKE_JOB] = apply_wake_job, [CORE_DECISION_SETTLED] = apply_settled,
};

const char *apply_decision(struct core *core, const struct core_event *event, const struct core_decision *d)
{
    if ((unsigned)d->kind < CORE_DECISION_KIND_END && about_tasks[d->kind]) {
        bool stop = d->kind == CORE_DECISION_STOP_TASK;
        uint32_t slot = task_find(core, stop ? d->as.stop.task : d->as.task.task);
        uint32_t node = stop ? d->as.stop.node.v : d->as.task.node.v;
        if (!slot || core->tasks[slot].facts.node != node)
            return "a decision about a task that isn't there";
        return about_tasks[d->kind](core, d, slot);
    }
    if ((unsigned)d->kind < CORE_DECISION_KIND_END && about_jobs[d->kind]) {
        bool requeue = d->kind == CORE_DECISION_REQUEUE;
        uint32_t slot = job_find(core, requeue ? d->as.requeue.job.v : d->as.plan.job.v);
        return slot ? about_jobs[d->kind](core, d, slot) : "a decision about a job that isn't there";
    }
    switch (d->kind) {
    case CORE_DECISION_JOB_REFUSED: /* the job never was */
    case CORE_DECISION_TIMER_AT:    /* for the daemon; the state has the times themselves */
        return NULL;
    case CORE_DECISION_JOB_STATE:
        return apply_job_state(core, event, d);
    case CORE_DECISION_START_TASK:
        return apply_start(core, d);
    case CORE_DECISION_SHARE:
        return share_apply(core, d->as.share.principal.v, d->as.share.place);
    case CORE_DECISION_PATIENCE:
        return apply_patience(core);
    case CORE_DECISION_QUEUE_PLAN:
        return queue_plan_make(core);
    case CORE_DECISION_RESERVATION:
        return apply_reserved(core, event, d);
    case CORE_DECISION_ROOM:
        core->order->look_ms = (int64_t)d->as.timer.at_ms;
        return NULL;
    case CORE_DECISION_CONTINUE:
        core->h->facts.pass_due = 1;
        return NULL;
    case CORE_DECISION_ELEMENT:
        return apply_element(core, event, d);
    case CORE_DECISION_LOOK:
        return apply_look(core, d);
    default:
        return "a decision of an unknown kind";
    }
}
