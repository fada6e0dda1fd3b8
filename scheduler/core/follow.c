/*
 * What becomes of jobs and tasks: a job's state follows those of its tasks, a gang ends as one, an attempt is
 * followed by another where a rule says so, and a waiting job by what it waits for.
 */
#include "scheduler/core/step.h"

#define RETRY_WAIT_MAX_MS (UINT64_C(24) * 3600 * 1000)

void job_ends(struct step *step, uint32_t slot, enum job_state state, enum core_reason reason,
              struct core_end end)
{
    const struct job_facts *job = &step->core->jobs[slot].facts;
    struct core_decision d = {.kind = CORE_DECISION_JOB_STATE};
    d.as.job.job.v = job->id;
    d.as.job.state = state;
    d.as.job.reason = reason;
    d.as.job.attempt = job->attempt;
    d.as.job.end = end;
    step->want_place = step->want_place || job_state_is_final(state); /* its licences and quotas are free */
    uint64_t array = job_state_is_final(state) ? job->array : 0;
    step_emit(step, &d);
    if (array)
        array_follows(step, job_find(step->core, array));
}

void job_goes(struct step *step, uint32_t slot, enum job_state state, enum core_reason reason)
{
    const struct job_facts *job = &step->core->jobs[slot].facts;
    bool ends = state == JOB_FINALIZING || job_state_is_final(state);
    struct core_end end = {job->end_kind, job->end_code, job->end_signal};
    job_ends(step, slot, state, reason, ends ? end : (struct core_end){0});
}

void task_decides(struct step *step, enum core_decision_kind kind, uint32_t slot)
{
    const struct task_facts *task = &step->core->tasks[slot].facts;
    struct core_decision d = {.kind = kind};
    d.as.task.task = (struct task_id){{task->job}, task->attempt, task->rank};
    d.as.task.node.v = task->node;
    step_emit(step, &d);
}

void task_stops(struct step *step, uint32_t slot, enum core_stop_reason reason, bool force)
{
    const struct task_facts *task = &step->core->tasks[slot].facts;
    struct core_decision d = {.kind = CORE_DECISION_STOP_TASK};
    d.as.stop.task = (struct task_id){{task->job}, task->attempt, task->rank};
    d.as.stop.node.v = task->node;
    d.as.stop.reason = reason;
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
            job_goes(step, slot, target, reason);
            return;
        }
        CORE_ASSERT(next[at]);
        job_goes(step, slot, next[at], next[at] == JOB_FINALIZING ? CORE_REASON_ENDED : CORE_REASON_REPORTED);
    }
}

/* ---- the next attempt ---- */

static bool retry_named(const struct job_facts *job, const struct task_facts *task)
{
    if (!job->retries || !((job->retry_kinds >> task->end_kind) & 1))
        return false;
    bool any = true, named = false;
    for (int i = 0; i < CORE_RETRY_CODES_MAX; i++) {
        any = any && !job->retry_codes[i];
        named = named || (job->retry_codes[i] && job->retry_codes[i] == task->end_code);
    }
    return task->end_kind != END_EXIT || any || named;
}

static void requeue(struct step *step, uint32_t slot, enum core_reason reason)
{
    struct core_decision d = {.kind = CORE_DECISION_REQUEUE};
    d.as.requeue.job.v = step->core->jobs[slot].facts.id;
    d.as.requeue.reason = reason;
    step_emit(step, &d);
}

static void stop_peers(struct step *step, uint32_t slot)
{
    struct core *core = step->core;
    uint32_t attempt = core->jobs[slot].facts.attempt;
    for (uint32_t t = core->jobs[slot].first_task; t; t = core->tasks[t].job_next) {
        const struct task_facts *f = &core->tasks[t].facts;
        if (f->attempt == attempt && f->state != TASK_EXITED && !f->abandoned && !f->stop_reason)
            task_stops(step, t, CORE_STOP_PEER, false);
    }
}

void job_after_exit(struct step *step, uint32_t slot, const struct task_facts *task)
{
    const struct job_facts *job = &step->core->jobs[slot].facts;
    bool stopped = job->state == JOB_CANCEL_REQUESTED || job->requeue;
    if (task->attempt != job->attempt || task->end_kind == END_NONE || stopped)
        return;
    /* What ends because another one did, doesn't count. */
    bool again = step->first_bad && job->attempt < CORE_ATTEMPTS_MAX;
    if (again && task->end_kind == END_NODE_FAULT)
        requeue(step, slot, CORE_REASON_NODE_FAULT); /* none of its retries: it is not the job's failure */
    else if (again && retry_named(job, task))
        requeue(step, slot, CORE_REASON_RETRY);
    if (job->instance_count > 1)
        stop_peers(step, slot);
}

/* All tasks of an attempt that will be followed by another are over. */
static void queue_again(struct step *step, uint32_t slot)
{
    const struct job_facts *job = &step->core->jobs[slot].facts;
    enum core_reason reason = job->requeue;
    uint64_t wait = job->retry_wait_ms;
    if (reason == CORE_REASON_RETRY && wait) {
        for (uint32_t n = 1; n < job->retried && wait < RETRY_WAIT_MAX_MS; n++)
            wait *= 2;
        struct core_decision d = {.kind = CORE_DECISION_WAKE_JOB};
        d.as.plan.job.v = job->id;
        d.as.plan.at_ms = step->core->h->facts.now_ms + (wait < RETRY_WAIT_MAX_MS ? wait : RETRY_WAIT_MAX_MS);
        step_emit(step, &d);
        reason = CORE_REASON_BEGIN;
    }
    if (!job_state_can(job->state, JOB_QUEUED))
        walk(step, slot, JOB_NOT_RESPONDING, CORE_REASON_REPORTED);
    job_goes(step, slot, JOB_QUEUED, reason);
    step->want_place = true;
}

/* All tasks have ended and are collected. */
static void finish(struct step *step, uint32_t slot)
{
    const struct job_facts *job = &step->core->jobs[slot].facts;
    bool asked = job->state == JOB_CANCEL_REQUESTED;
    /* A task that its node could not start has not run: what was asked for is what became of it. */
    bool canceled = asked && (job->end_kind == END_CANCELED || job->end_kind == END_NODE_FAULT);
    bool good = job->ended && job->end_kind == END_NONE; /* it was through before the stop reached it */
    if (job->requeue && !good) {
        if (asked)
            job_ends(step, slot, JOB_CANCELED, CORE_REASON_CANCEL, (struct core_end){.kind = END_CANCELED});
        else
            queue_again(step, slot);
        step->want_place = true;
        return;
    }
    enum job_state target = canceled ? JOB_CANCELED : job->end_kind == END_NONE ? JOB_COMPLETED : JOB_FAILED;
    if (job->state != JOB_CANCEL_REQUESTED)
        walk(step, slot, JOB_FINALIZING, CORE_REASON_ENDED);
    if (canceled && job->end_kind == END_NODE_FAULT)
        job_ends(step, slot, JOB_CANCELED, CORE_REASON_CANCEL, (struct core_end){.kind = END_CANCELED});
    else
        walk(step, slot, target, canceled ? CORE_REASON_CANCEL : CORE_REASON_ENDED);
}

/* A job's state is the least advanced of its tasks'. */
void job_follows(struct step *step, uint32_t slot)
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
    /* Finalizing is for those that end here. */
    bool stays = job->state == JOB_CANCEL_REQUESTED || (job->requeue && !silent && least == TASK_EXITED);
    if (!open)
        finish(step, slot);
    else if (silent && !stays)
        walk(step, slot, JOB_NOT_RESPONDING, CORE_REASON_NODE_DOWN);
    else if (!stays)
        walk(step, slot, states[least], least == TASK_EXITED ? CORE_REASON_ENDED : CORE_REASON_REPORTED);
}

void task_give_up(struct step *step, uint32_t task_slot)
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
    task_decides(step, CORE_DECISION_ABANDON_TASK, task_slot);
    promises_recheck(step, core->tasks[task_slot].node_slot, CORE_VOID_NODE); /* its lease is suspect now */
    if (!current)
        return;
    bool alone = job->instance_count == 1;
    bool again = job->on_node_loss == CORE_LOSS_REQUEUE && job->attempt < CORE_ATTEMPTS_MAX;
    if (exited && alone) {
        finish(step, slot); /* its end is known; what it left is not */
        return;
    }
    if (job->state == JOB_CANCEL_REQUESTED && alone) {
        job_ends(step, slot, JOB_CANCELED, CORE_REASON_CANCEL, (struct core_end){.kind = END_CANCELED});
        return;
    }
    if (!exited && job->state != JOB_CANCEL_REQUESTED && !job->requeue && again)
        requeue(step, slot, CORE_REASON_REQUEUED);
    if (!alone) {
        stop_peers(step, slot);
        job_follows(step, slot);
        return;
    }
    if (job->requeue) {
        queue_again(step, slot);
        return;
    }
    walk(step, slot, JOB_NOT_RESPONDING, CORE_REASON_NODE_DOWN);
    job_ends(step, slot, JOB_FAILED, CORE_REASON_NODE_LOST, (struct core_end){.kind = END_NODE_LOST});
    step->want_place = true;
}

/* ---- jobs that wait ---- */

static enum core_reason waits_for(const struct job_facts *job, uint64_t now_ms)
{
    if (job->held)
        return CORE_REASON_HELD;
    if (job->waits_on)
        return CORE_REASON_DEPENDENCY;
    return job->begin_ms > now_ms ? CORE_REASON_BEGIN : CORE_REASON_WAITING;
}

bool stirred_settle(struct step *step)
{
    struct core *core = step->core;
    while (core->h->stir_first) {
        if (step->work <= 0)
            return false;
        uint32_t slot = core->h->stir_first;
        const struct job_facts *job = &core->jobs[slot].facts;
        struct core_decision d = {.kind = CORE_DECISION_SETTLED};
        d.as.plan.job.v = job->id;
        step_emit(step, &d);
        uint32_t array = job->array ? job_find(core, job->array) : 0;
        if (array && core->jobs[array].facts.state == JOB_CANCEL_REQUESTED) {
            job_cancel(step, slot, core->jobs[array].facts.forced);
            continue;
        }
        if (!job_waits(job))
            continue;
        if (job->forlorn) {
            job_ends(step, slot, JOB_CANCELED, CORE_REASON_DEPENDENCY,
                     (struct core_end){.kind = END_CANCELED});
            continue;
        }
        enum core_reason reason = waits_for(job, core->h->facts.now_ms);
        bool ready = job_ready(job);
        if (reason == CORE_REASON_WAITING ? !ready : reason != (enum core_reason)job->reason)
            job_goes(step, slot, job->state, reason);
    }
    return true;
}
