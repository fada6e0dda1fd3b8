/*
 * One step: records the event, says what follows for the jobs and tasks that it touches, then lets the policy
 * place. Every decision is applied the moment it is made, by the functions that recovery uses.
 */
#include "scheduler/core/step.h"

void step_emit(struct step *step, const struct core_decision *decision)
{
    CORE_ASSERT(step->out->count < CORE_DECISIONS_MAX);
    step->out->v[step->out->count++] = *decision;
    step->work--;
    CORE_ASSERT(!apply_decision(step->core, step->event, decision));
}

static void emit_state(struct step *step, uint32_t slot, enum job_state state, enum core_reason reason,
                       struct core_end end)
{
    const struct job_facts *job = &step->core->jobs[slot].facts;
    struct core_decision d = {.kind = CORE_DECISION_JOB_STATE};
    d.as.job.job.v = job->id;
    d.as.job.state = state;
    d.as.job.reason = reason;
    d.as.job.attempt = job->attempt;
    d.as.job.end = end;
    step_emit(step, &d);
}

static struct core_end end_of(const struct job_facts *job)
{
    return (struct core_end){job->end_kind, job->end_code, job->end_signal};
}

void step_job_state(struct step *step, uint32_t slot, enum job_state state, enum core_reason reason)
{
    const struct job_facts *job = &step->core->jobs[slot].facts;
    bool ends = state == JOB_FINALIZING || job_state_is_final(state);
    emit_state(step, slot, state, reason, ends ? end_of(job) : (struct core_end){0});
}

static void emit_task(struct step *step, enum core_decision_kind kind, uint32_t slot)
{
    const struct task_facts *task = &step->core->tasks[slot].facts;
    struct core_decision d = {.kind = kind};
    d.as.task.task = (struct task_id){{task->job}, task->attempt, task->rank};
    d.as.task.node.v = task->node;
    step_emit(step, &d);
}

static void emit_stop(struct step *step, uint32_t slot, bool force)
{
    const struct task_facts *task = &step->core->tasks[slot].facts;
    struct core_decision d = {.kind = CORE_DECISION_STOP_TASK};
    d.as.stop.task = (struct task_id){{task->job}, task->attempt, task->rank};
    d.as.stop.node.v = task->node;
    d.as.stop.reason = CORE_STOP_CANCEL;
    d.as.stop.grace_ms = force ? 0 : step->core->jobs[step->core->tasks[slot].job_slot].facts.grace_ms;
    d.as.stop.force = force;
    step_emit(step, &d);
}

/* Goes to a state by legal transitions. What comes between did happen: reports may be coalesced. */
static void walk(struct step *step, uint32_t slot, enum job_state target, enum core_reason reason)
{
    static const enum job_state next[JOB_STATE_COUNT] = {
        [JOB_PREPARING] = JOB_STARTING, [JOB_STARTING] = JOB_RUNNING,          [JOB_RUNNING] = JOB_FINALIZING,
        [JOB_PAUSED] = JOB_RUNNING,     [JOB_NOT_RESPONDING] = JOB_FINALIZING,
    };
    const struct job_facts *job = &step->core->jobs[slot].facts;
    for (;;) {
        enum job_state at = job->state;
        if (at == target)
            return;
        if (job_state_can(at, target)) {
            step_job_state(step, slot, target, reason);
            return;
        }
        CORE_ASSERT(next[at]);
        step_job_state(step, slot, next[at],
                       next[at] == JOB_FINALIZING ? CORE_REASON_ENDED : CORE_REASON_REPORTED);
    }
}

/* All tasks have ended and are collected. */
static void finish(struct step *step, uint32_t slot)
{
    const struct job_facts *job = &step->core->jobs[slot].facts;
    bool canceled = job->state == JOB_CANCEL_REQUESTED && job->end_kind == END_CANCELED;
    enum job_state target = canceled ? JOB_CANCELED : job->end_kind == END_NONE ? JOB_COMPLETED : JOB_FAILED;
    if (job->state != JOB_CANCEL_REQUESTED)
        walk(step, slot, JOB_FINALIZING, CORE_REASON_ENDED);
    walk(step, slot, target, canceled ? CORE_REASON_CANCEL : CORE_REASON_ENDED);
}

/* A job's state is the least advanced of its tasks'. */
static void follow(struct step *step, uint32_t slot)
{
    static const enum job_state states[TASK_STATE_COUNT] = {
        [TASK_ASSIGNED] = JOB_PREPARING, [TASK_PREPARING] = JOB_PREPARING, [TASK_STARTING] = JOB_STARTING,
        [TASK_RUNNING] = JOB_RUNNING,    [TASK_PAUSED] = JOB_PAUSED,       [TASK_EXITED] = JOB_FINALIZING,
    };
    const struct core *core = step->core;
    const struct job_facts *job = &core->jobs[slot].facts;
    if (job_state_is_final(job->state) || job->state == JOB_QUEUED)
        return;
    unsigned least = TASK_EXITED;
    bool silent = false, paused = false, open = false;
    for (uint32_t t = core->jobs[slot].first_task; t; t = core->tasks[t].job_next) {
        const struct task_facts *task = &core->tasks[t].facts;
        if (task->attempt != job->attempt || task->abandoned)
            continue;
        least = task->state < least ? task->state : least;
        silent = silent || task->silent;
        paused = paused || task->state == TASK_PAUSED;
        open = open || task->state != TASK_EXITED || !task->collected;
    }
    if (paused && least > TASK_STARTING)
        least = TASK_PAUSED;
    if (!open)
        finish(step, slot);
    else if (job->state == JOB_CANCEL_REQUESTED)
        return;
    else if (silent)
        walk(step, slot, JOB_NOT_RESPONDING, CORE_REASON_NODE_DOWN);
    else
        walk(step, slot, states[least], least == TASK_EXITED ? CORE_REASON_ENDED : CORE_REASON_REPORTED);
}

/* Its node is given up. The task's lease stays: suspect, never free. */
static void give_up(struct step *step, uint32_t task_slot)
{
    struct core *core = step->core;
    const struct task_facts *task = &core->tasks[task_slot].facts;
    uint32_t slot = core->tasks[task_slot].job_slot;
    const struct job_facts *job = &core->jobs[slot].facts;
    if (task->abandoned)
        return;
    bool exited = task->state == TASK_EXITED && task->end_kind != END_NODE_LOST;
    bool current =
        task->attempt == job->attempt && !job_state_is_final(job->state) && job->state != JOB_QUEUED;
    emit_task(step, CORE_DECISION_ABANDON_TASK, task_slot);
    if (!current)
        return;
    if (exited) {
        finish(step, slot); /* its end is known; what it left is not */
    } else if (job->state == JOB_CANCEL_REQUESTED) {
        emit_state(step, slot, JOB_CANCELED, CORE_REASON_CANCEL, (struct core_end){.kind = END_CANCELED});
    } else if (job->on_node_loss == CORE_LOSS_REQUEUE && job->attempt < CORE_ATTEMPTS_MAX) {
        step_job_state(step, slot, JOB_QUEUED, CORE_REASON_REQUEUED);
        step->want_place = true;
    } else {
        walk(step, slot, JOB_NOT_RESPONDING, CORE_REASON_NODE_DOWN);
        emit_state(step, slot, JOB_FAILED, CORE_REASON_NODE_LOST, (struct core_end){.kind = END_NODE_LOST});
    }
}

/* ---- events ---- */

static void on_config(struct step *step)
{
    step->want_place = true;
}

static void on_node_room(struct step *step)
{
    uint32_t slot = node_find(step->core, step->event->as.node.node.v);
    step->want_recheck = step->want_place = slot && node_usable(&step->core->nodes[slot].facts);
}

static void on_node_gone(struct step *step)
{
    struct core *core = step->core;
    uint32_t node = node_find(core, step->event->as.node.node.v);
    bool lost = step->event->kind == CORE_EVENT_NODE_LOST;
    for (uint32_t slot = node ? core->nodes[node].first_task : 0; slot; slot = core->tasks[slot].node_next) {
        if (lost)
            give_up(step, slot);
        else
            follow(step, core->tasks[slot].job_slot);
    }
}

static bool refuse(struct step *step, enum core_refusal refusal, enum resource_kind resource, uint64_t wanted,
                   uint64_t best)
{
    struct core_decision d = {.kind = CORE_DECISION_JOB_REFUSED};
    d.as.refused.job = step->event->as.submit.job;
    d.as.refused.refusal = refusal;
    d.as.refused.resource = resource;
    d.as.refused.wanted = wanted;
    d.as.refused.best = best;
    step_emit(step, &d);
    return true;
}

static bool refuse_what_never_fits(struct step *step, const struct caps *want)
{
    struct caps most = tree_most(step->core, TREE_KNOWN);
    if (want->gpu_milli > most.gpu_milli)
        return refuse(step, CORE_REFUSED_NEVER_FITS, RESOURCE_GPUS, want->gpu_milli, most.gpu_milli);
    if (want->memory_bytes > most.memory_bytes)
        return refuse(step, CORE_REFUSED_NEVER_FITS, RESOURCE_MEMORY, want->memory_bytes, most.memory_bytes);
    if (want->cores > most.cores)
        return refuse(step, CORE_REFUSED_NEVER_FITS, RESOURCE_CORES, want->cores, most.cores);
    if (want->cpus > most.cpus)
        return refuse(step, CORE_REFUSED_NEVER_FITS, RESOURCE_CPUS, want->cpus, most.cpus);
    uint32_t at;
    if (tree_find(step->core, TREE_KNOWN, want, 1, &step->work, &at) == FIND_NONE)
        return refuse(step, CORE_REFUSED_NO_COMBINATION, RESOURCE_CORES, 0, 0);
    return false;
}

static void on_submit(struct step *step)
{
    struct core *core = step->core;
    const struct core_submit *submit = &step->event->as.submit;
    struct caps want = request_caps_of(&submit->request);
    if (job_find(core, submit->job.v)) {
        refuse(step, CORE_REFUSED_DUPLICATE, RESOURCE_CORES, 0, 0);
        return;
    }
    if (core->h->facts.job_count == core->h->capacity.jobs) {
        refuse(step, CORE_REFUSED_FULL, RESOURCE_CORES, 0, 0);
        return;
    }
    if (core->h->facts.node_count && refuse_what_never_fits(step, &want))
        return;
    uint32_t at;
    struct core_decision d = {.kind = CORE_DECISION_JOB_STATE};
    d.as.job.job = submit->job;
    d.as.job.state = JOB_QUEUED;
    d.as.job.reason = step_standing_reason(step_standing(core, &want, 1, &step->work, &at));
    step_emit(step, &d);
    step->want_place = d.as.job.reason == CORE_REASON_WAITING;
}

static void on_cancel(struct step *step)
{
    struct core *core = step->core;
    bool force = step->event->as.cancel.force;
    uint32_t slot = job_find(core, step->event->as.cancel.job.v);
    if (!slot || job_state_is_final(core->jobs[slot].facts.state))
        return;
    const struct job_facts *job = &core->jobs[slot].facts;
    if (job->state == JOB_QUEUED) {
        emit_state(step, slot, JOB_CANCELED, CORE_REASON_CANCEL, (struct core_end){.kind = END_CANCELED});
        step->want_place = true; /* it may have been the head */
        return;
    }
    bool again = job->state == JOB_CANCEL_REQUESTED;
    if (!again)
        step_job_state(step, slot, JOB_CANCEL_REQUESTED, CORE_REASON_CANCEL);
    uint64_t id = job->id;
    uint32_t attempt = job->attempt;
    for (uint32_t t = core->jobs[slot].first_task, next; t; t = next) {
        const struct task *task = &core->tasks[t];
        next = task->job_next;
        if (task->facts.attempt != attempt || task->facts.abandoned)
            continue;
        bool due = force ? !task->facts.forced : !again && task->facts.state != TASK_EXITED;
        if (due)
            emit_stop(step, t, force);
        if (force && !core->nodes[task->node_slot].facts.up)
            give_up(step, t);
        if (job_find(core, id) != slot)
            return;
    }
}

static void on_task(struct step *step, bool first_exit)
{
    struct core *core = step->core;
    const struct core_event *event = step->event;
    uint32_t slot = task_find(core, event->as.task.task);
    if (!slot || core->tasks[slot].facts.node != event->as.task.node.v)
        return;
    const struct task_facts *task = &core->tasks[slot].facts;
    uint32_t job_slot = core->tasks[slot].job_slot;
    if (event->kind == CORE_EVENT_TASK_RELEASED && !task->released) {
        emit_task(step, CORE_DECISION_LEASE_FREED, slot);
        step->want_place = true;
    }
    if (!task->abandoned) {
        enum job_state at = core->jobs[job_slot].facts.state;
        bool early = at == JOB_PREPARING || at == JOB_STARTING || at == JOB_NOT_RESPONDING;
        bool fenced = first_exit && task->end_kind == END_NODE_LOST &&
                      core->jobs[job_slot].facts.on_node_loss == CORE_LOSS_REQUEUE;
        if (fenced)
            give_up(step, slot);
        else if (first_exit && !event->as.task.as.exit.ran && early)
            step_job_state(step, job_slot, JOB_FAILED, CORE_REASON_ENDED);
        else
            follow(step, job_slot);
    }
    if (task->state == TASK_EXITED && task->released && task->collected) {
        emit_task(step, CORE_DECISION_RELEASE_TASK, slot);
        step->want_place = true; /* tables of tasks have an end, too */
    }
}

static void on_tick(struct step *step)
{
    struct core *core = step->core;
    while (core->h->heap_count && step->work > CORE_STEP_WORK / 2) {
        uint32_t slot = core->heap[1];
        if (core->tasks[slot].facts.wake_ms > core->h->facts.now_ms)
            return;
        give_up(step, slot); /* takes it out of the heap */
    }
}

static void decide(struct step *step, bool first_exit)
{
    switch (step->event->kind) {
    case CORE_EVENT_CONFIG:
        on_config(step);
        break;
    case CORE_EVENT_NODE_UP:
    case CORE_EVENT_NODE_RESUME:
        on_node_room(step);
        break;
    case CORE_EVENT_NODE_DOWN:
    case CORE_EVENT_NODE_LOST:
        on_node_gone(step);
        step->want_place = true; /* the head may fit no usable node any more, and then blocks nobody */
        break;
    case CORE_EVENT_NODE_DRAIN:
        step->want_place = true;
        break;
    case CORE_EVENT_JOB_SUBMIT:
        on_submit(step);
        break;
    case CORE_EVENT_JOB_CANCEL:
        on_cancel(step);
        break;
    case CORE_EVENT_TASK_STATE:
    case CORE_EVENT_TASK_EXIT:
    case CORE_EVENT_TASK_RELEASED:
    case CORE_EVENT_TASK_COLLECTED:
        on_task(step, first_exit);
        break;
    case CORE_EVENT_TICK:
        on_tick(step);
        break;
    default:
        break;
    }
}

static void pass_time(struct core *core, uint64_t now_ms)
{
    if (now_ms > core->h->facts.now_ms)
        core->h->facts.now_ms = now_ms;
}

void core_step(struct core *core, uint64_t now_ms, const struct core_event *event, struct core_decisions *out)
{
    CORE_ASSERT(!core_event_check(event));
    struct step step = {
        .core = core, .event = event, .out = out, .work = CORE_STEP_WORK, .saved = core->h->facts.cursor};
    uint64_t timer = core_timer_at(core);
    bool first_exit = false;
    if (event->kind == CORE_EVENT_TASK_EXIT) {
        uint32_t slot = task_find(core, event->as.task.task);
        first_exit = slot && core->tasks[slot].facts.state != TASK_EXITED;
    }
    out->count = 0;
    pass_time(core, now_ms);
    CORE_ASSERT(!apply_event(core, event));
    decide(&step, first_exit);
    pass_run(&step);
    if (core_timer_at(core) != timer || (event->kind == CORE_EVENT_TICK && core->h->heap_count)) {
        struct core_decision d = {.kind = CORE_DECISION_TIMER_AT};
        d.as.timer.at_ms = core_timer_at(core);
        step_emit(&step, &d);
    }
}

const char *core_apply(struct core *core, uint64_t now_ms, const struct core_event *event,
                       const struct core_decisions *decisions)
{
    CORE_ASSERT(!core_event_check(event));
    pass_time(core, now_ms);
    const char *why = apply_event(core, event);
    for (uint32_t i = 0; !why && i < decisions->count; i++)
        why = apply_decision(core, event, &decisions->v[i]);
    return why;
}
