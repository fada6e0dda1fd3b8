/*
 * One step: records the event, says what follows for the jobs and tasks that it touches, then lets the policy
 * place. Every decision is applied the moment it is made, by the functions that recovery uses.
 */
#include "scheduler/core/step.h"

#include "scheduler/core/reserve.h"

void step_emit(struct step *step, const struct core_decision *decision)
{
    CORE_ASSERT(step->out->count < CORE_DECISIONS_MAX);
    step->out->v[step->out->count++] = *decision;
    step->work--;
    CORE_ASSERT(!apply_decision(step->core, step->event, decision));
}

/* ---- nodes ---- */

static void on_node_gone(struct step *step)
{
    struct core *core = step->core;
    uint32_t node = node_find(core, step->event->as.node.node.v);
    bool lost = step->event->kind == CORE_EVENT_NODE_LOST;
    step->want_place = true; /* the head may fit no usable node any more, and then blocks nobody */
    if (!node)
        return;
    promises_void_node(step, node);
    for (uint32_t slot = core->nodes[node].first_task; slot; slot = core->tasks[slot].node_next) {
        if (lost)
            task_give_up(step, slot);
        else
            job_follows(step, core->tasks[slot].job_slot);
    }
}

static void on_node_changed(struct step *step)
{
    struct core *core = step->core;
    uint32_t node = node_find(core, step->event->as.node.node.v);
    step->want_place = node != 0;
    if (!node)
        return;
    if (!node_usable(&core->nodes[node].facts)) {
        promises_void_node(step, node);
        return;
    }
    promises_recheck(step, node, CORE_VOID_NODE);
}

/* ---- submit ---- */

static bool refuse(struct step *step, enum core_refusal refusal, uint32_t resource, uint64_t wanted,
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

static struct caps most_known(const struct core *core)
{
    struct caps most = {0};
    for (uint32_t slot = 1; slot <= core->h->facts.node_count; slot++) {
        const struct caps *t = &core->nodes[slot].total;
        most.memory_bytes = t->memory_bytes > most.memory_bytes ? t->memory_bytes : most.memory_bytes;
        most.cores = t->cores > most.cores ? t->cores : most.cores;
        most.cpus = t->cpus > most.cpus ? t->cpus : most.cpus;
        most.gpu_milli = t->gpu_milli > most.gpu_milli ? t->gpu_milli : most.gpu_milli;
    }
    return most;
}

static bool refuse_what_never_fits(struct step *step)
{
    const struct core *core = step->core;
    const struct core_submit *submit = &step->event->as.submit;
    const struct resource_request *r = &submit->request;
    struct shape_key key = {.request = *r, .tenant = r->flags & RESOURCE_ISOLATED ? submit->principal.v : 0};
    uint32_t shape = shape_find(core, &key), known = shape ? core->shapes[shape].known : 0;
    for (uint32_t slot = 1; !shape && slot <= core->h->facts.node_count; slot++)
        known += node_fits(&core->nodes[slot], &key, true);
    if (known >= submit->instance_count)
        return false;
    if (known)
        return refuse(step, CORE_REFUSED_FEW_NODES, 0, submit->instance_count, known);
    struct caps most = most_known(core);
    if (r->gpu_milli > most.gpu_milli)
        return refuse(step, CORE_REFUSED_NEVER_FITS, RESOURCE_GPUS, r->gpu_milli, most.gpu_milli);
    if (r->memory_bytes > most.memory_bytes)
        return refuse(step, CORE_REFUSED_NEVER_FITS, RESOURCE_MEMORY, r->memory_bytes, most.memory_bytes);
    if (r->cores > most.cores)
        return refuse(step, CORE_REFUSED_NEVER_FITS, RESOURCE_CORES, r->cores, most.cores);
    if (r->cpus > most.cpus)
        return refuse(step, CORE_REFUSED_NEVER_FITS, RESOURCE_CPUS, r->cpus, most.cpus);
    return refuse(step, CORE_REFUSED_NO_COMBINATION, 0, 0, 0);
}

static bool refuse_by_quota(struct step *step, const struct job_tenant *whose)
{
    const struct core *core = step->core;
    const struct core_submit *s = &step->event->as.submit;
    uint32_t slot = tenant_find_in(core, whose->scope, whose->id, whose->family), limits[4];
    struct tenant fresh = {.facts = {.scope = whose->scope, .id = whose->id, .family = whose->family}};
    const struct tenant *t = slot ? &core->tenants[slot] : &fresh;
    uint64_t cores = (uint64_t)(s->request.cores ? s->request.cores : s->request.cpus) * s->instance_count;
    uint64_t gpus = (uint64_t)s->request.gpu_milli * s->instance_count;
    tenant_limits(core, t, limits);
    if (limits[3] && t->queued >= limits[3])
        return refuse(step, CORE_REFUSED_QUOTA, refused_quota_code(whose, CORE_QUOTA_QUEUED), t->queued + 1,
                      limits[3]);
    if (limits[0] && cores > limits[0])
        return refuse(step, CORE_REFUSED_QUOTA, refused_quota_code(whose, CORE_QUOTA_CORES), cores,
                      limits[0]);
    if (limits[1] && gpus > limits[1])
        return refuse(step, CORE_REFUSED_QUOTA, refused_quota_code(whose, CORE_QUOTA_GPUS), gpus, limits[1]);
    return false;
}

static bool refuse_by_quotas(struct step *step)
{
    const struct core_submit *s = &step->event->as.submit;
    struct job_tenant all[TENANTS_OF_JOB_MAX];
    uint32_t count = job_tenants(s->principal.v, s->workspace, s->family, all);
    for (uint32_t i = 0; i < count; i++) {
        if (refuse_by_quota(step, &all[i]))
            return true;
    }
    return false;
}

static bool refuse_by_licences(struct step *step)
{
    const struct resource_licences *l = &step->event->as.submit.licences;
    for (uint32_t i = 0; i < RESOURCE_LICENCE_KINDS_MAX && l->amount[i]; i++) {
        uint32_t total = step->core->h->facts.licence_total[l->id[i]];
        if (l->amount[i] > total)
            return refuse(step, CORE_REFUSED_LICENCES, l->id[i], l->amount[i], total);
    }
    return false;
}

static bool refuse_by_caps(struct step *step)
{
    uint32_t resource;
    uint64_t wanted, best;
    return caps_refuse(step->core, &step->event->as.submit, &resource, &wanted, &best) &&
           refuse(step, CORE_REFUSED_CAP, resource, wanted, best);
}

static bool reserve_refuses_job(struct step *step)
{
    const struct core_submit *s = &step->event->as.submit;
    uint64_t wanted = 0, best = 0;
    uint32_t why = s->reservation ? reserve_refuses(step->core, s, &wanted, &best) : 0;
    return why && refuse(step, CORE_REFUSED_RESERVATION, why, wanted, best);
}

static void on_submit(struct step *step)
{
    struct core *core = step->core;
    const struct core_submit *submit = &step->event->as.submit;
    if (job_find(core, submit->job.v)) {
        refuse(step, CORE_REFUSED_DUPLICATE, 0, 0, 0);
        return;
    }
    if (core->h->facts.job_count == core->h->capacity.jobs ||
        core->h->need_capacity - core->h->need_count < submit->dependency_count ||
        core->h->tenant_capacity - core->h->facts.tenant_count < TENANTS_OF_JOB_MAX) {
        refuse(step, CORE_REFUSED_FULL, 0, 0, 0);
        return;
    }
    if ((core->h->facts.node_count && refuse_what_never_fits(step)) || refuse_by_caps(step) ||
        refuse_by_licences(step) || reserve_refuses_job(step) || refuse_by_quotas(step))
        return;
    bool open = false, lost = false;
    for (uint32_t i = 0; i < submit->dependency_count; i++) {
        uint32_t on;
        enum need_outcome outcome = need_at_submit(core, submit, i, &on);
        open = open || outcome == NEED_OPEN;
        lost = lost || outcome == NEED_LOST;
    }
    bool later = submit->begin_ms > core->h->facts.now_ms;
    struct core_decision d = {.kind = CORE_DECISION_JOB_STATE};
    d.as.job.job = submit->job;
    d.as.job.state = JOB_QUEUED;
    d.as.job.reason = submit->held   ? CORE_REASON_HELD
                      : open || lost ? CORE_REASON_DEPENDENCY
                      : later        ? CORE_REASON_BEGIN
                                     : CORE_REASON_WAITING;
    step_emit(step, &d);
    uint32_t slot = job_find(core, submit->job.v);
    if (lost) {
        job_ends(step, slot, JOB_CANCELED, CORE_REASON_DEPENDENCY, (struct core_end){.kind = END_CANCELED});
        return;
    }
    share_follow(step, core->jobs[slot].tenants[0]);
    step->want_place =
        core->jobs[slot].klass && (core->klasses[core->jobs[slot].klass].ordered || submit->reservation);
}

/* ---- cancel, update ---- */

void job_cancel(struct step *step, uint32_t slot, bool force)
{
    struct core *core = step->core;
    const struct job_facts *job = &core->jobs[slot].facts;
    if (job->state == JOB_QUEUED) {
        job_ends(step, slot, JOB_CANCELED, CORE_REASON_CANCEL, (struct core_end){.kind = END_CANCELED});
        step->want_place = true; /* it may have been the head */
        return;
    }
    bool again = job->state == JOB_CANCEL_REQUESTED;
    if (!again)
        job_goes(step, slot, JOB_CANCEL_REQUESTED, CORE_REASON_CANCEL);
    uint64_t id = job->id;
    uint32_t attempt = job->attempt;
    for (uint32_t t = core->jobs[slot].first_task, next; t; t = next) {
        const struct task *task = &core->tasks[t];
        next = task->job_next;
        if (task->facts.attempt != attempt || task->facts.abandoned)
            continue;
        bool due = force ? !task->facts.forced : !again && task->facts.state != TASK_EXITED;
        if (due)
            task_stops(step, t, CORE_STOP_CANCEL, force);
        if (force && !core->nodes[task->node_slot].facts.up)
            task_give_up(step, t);
        if (job_find(core, id) != slot)
            return;
    }
}

static void on_cancel(struct step *step)
{
    const struct core *core = step->core;
    uint32_t slot = job_find(core, step->event->as.cancel.job.v);
    if (!slot)
        array_cancel_element(step);
    else if (job_state_is_final(core->jobs[slot].facts.state))
        return;
    else if (core->jobs[slot].facts.array_count)
        array_cancel(step, slot);
    else
        job_cancel(step, slot, step->event->as.cancel.force);
}

static void on_update(struct step *step)
{
    uint32_t slot = job_find(step->core, step->event->as.update.job.v);
    if (slot && step->core->jobs[slot].facts.hold_ms)
        promise_void(step, slot, CORE_VOID_ADMIN);
    if (slot && step->event->as.update.set_time_limit) /* a plan may have rested on it */
        promises_void_all(step, CORE_VOID_ADMIN);
    step->want_place = slot != 0;
}

/* ---- tasks ---- */

static void task_freed(struct step *step, uint32_t slot)
{
    struct core *core = step->core;
    if (core->tasks[slot].facts.released)
        return;
    uint32_t principal = core->jobs[core->tasks[slot].job_slot].facts.principal;
    task_decides(step, CORE_DECISION_LEASE_FREED, slot);
    step->want_place = true;
    share_follow(step, tenant_find(core, CORE_QUOTA_PRINCIPAL, principal));
}

static void on_task(struct step *step)
{
    bool first_exit = step->first_exit;
    struct core *core = step->core;
    const struct core_event *event = step->event;
    uint32_t slot = task_find(core, event->as.task.task);
    if (!slot || core->tasks[slot].facts.node != event->as.task.node.v)
        return;
    const struct task_facts *task = &core->tasks[slot].facts;
    uint32_t job_slot = core->tasks[slot].job_slot;
    if (event->kind == CORE_EVENT_TASK_RELEASED || event->kind == CORE_EVENT_TASK_OVER)
        task_freed(step, slot);
    if (!task->abandoned) {
        const struct job_facts *job = &core->jobs[job_slot].facts;
        bool early =
            job->state == JOB_PREPARING || job->state == JOB_STARTING || job->state == JOB_NOT_RESPONDING;
        bool fenced = first_exit && task->end_kind == END_NODE_LOST && job->on_node_loss == CORE_LOSS_REQUEUE;
        if (first_exit && !fenced)
            job_after_exit(step, job_slot, task);
        if (fenced)
            task_give_up(step, slot);
        else if (first_exit && !event->as.task.as.exit.ran && early && !job->requeue &&
                 job->instance_count == 1)
            job_goes(step, job_slot, JOB_FAILED, CORE_REASON_ENDED);
        else
            job_follows(step, job_slot);
    }
    if (task->state == TASK_EXITED && task->released && task->collected) {
        task_decides(step, CORE_DECISION_RELEASE_TASK, slot);
        step->want_place = true; /* tables of tasks have an end, too */
    }
}

/* ---- time ---- */

static void job_wakes(struct step *step, uint32_t slot)
{
    const struct job_facts *job = &step->core->jobs[slot].facts;
    if (!job->begin_ms) {
        struct core_decision d = {.kind = CORE_DECISION_WAKE_JOB}; /* it ages */
        d.as.plan.job.v = job->id;
        step_emit(step, &d);
    }
    /* Its begin time is over with this state's time. */
    enum core_reason reason = job->held        ? CORE_REASON_HELD
                              : job->waits_on  ? CORE_REASON_DEPENDENCY
                              : job_ready(job) ? (enum core_reason)job->reason
                                               : CORE_REASON_WAITING;
    job_goes(step, slot, job->state, reason);
    step->want_place = true;
}

static void on_tick(struct step *step)
{
    struct core *core = step->core;
    while (core->h->heap_count && step->work > CORE_STEP_WORK / 2) {
        uint32_t entry = core->heap[1];
        if (wake_time(core, entry) > core->h->facts.now_ms)
            break;
        if (entry & WAKE_JOB)
            job_wakes(step, entry & ~WAKE_JOB);
        else
            task_give_up(step, entry); /* takes it out of the heap */
    }
    step->want_place = step->want_place || step->look_due;
    for (uint32_t i = 0; i < core->h->promised_count; i++)
        step->want_place =
            step->want_place || core->jobs[core->h->promised[i]].facts.hold_ms <= core->h->facts.now_ms;
}

static void on_rules(struct step *step)
{
    promises_void_all(step, CORE_VOID_ADMIN);
    step->want_place = true;
}

static void on_weight(struct step *step)
{
    uint32_t slot = tenant_find(step->core, CORE_QUOTA_PRINCIPAL, step->event->as.weight.principal.v);
    step->want_place = share_follow(step, slot) || step->want_place;
}

static void decide(struct step *step)
{
    switch (step->event->kind) {
    case CORE_EVENT_CONFIG:
    case CORE_EVENT_LICENCES:
    case CORE_EVENT_QUOTA:
    case CORE_EVENT_CAPS:
    case CORE_EVENT_FAMILY:
        on_rules(step);
        break;
    case CORE_EVENT_WEIGHT:
        on_weight(step);
        break;
    case CORE_EVENT_NODE_UP:
    case CORE_EVENT_NODE_RESUME:
    case CORE_EVENT_NODE_DRAIN:
    case CORE_EVENT_NODE_FAULT:
    case CORE_EVENT_NODE_HEALED:
        on_node_changed(step);
        break;
    case CORE_EVENT_NODE_DOWN:
    case CORE_EVENT_NODE_LOST:
        on_node_gone(step);
        break;
    case CORE_EVENT_JOB_SUBMIT:
        on_submit(step);
        break;
    case CORE_EVENT_JOB_CANCEL:
        on_cancel(step);
        break;
    case CORE_EVENT_JOB_UPDATE:
        on_update(step);
        break;
    case CORE_EVENT_TASK_STATE:
    case CORE_EVENT_TASK_EXIT:
    case CORE_EVENT_TASK_RELEASED:
    case CORE_EVENT_TASK_COLLECTED:
    case CORE_EVENT_TASK_OVER:
        on_task(step);
        break;
    case CORE_EVENT_TICK:
        on_tick(step);
        reserve_tick(step);
        break;
    case CORE_EVENT_RESERVE:
        reserve_decide(step);
        break;
    default:
        break;
    }
    /* Its time is a timer's no more once it has come, so that any event brings the look. */
    uint64_t room = (uint64_t)step->core->order->look_ms;
    bool due = policy_of(step->core)->learns && room && room <= step->core->h->facts.now_ms;
    step->want_place = step->want_place || step->core->h->stir_first || due;
}

static void pass_time(struct core *core, uint64_t now_ms)
{
    if (now_ms > core->h->facts.now_ms)
        core->h->facts.now_ms = now_ms;
}

void core_step(struct core *core, uint64_t now_ms, const struct core_event *event, struct core_decisions *out)
{
    CORE_ASSERT(!core_event_check(event));
    struct plan_memory memory;
    struct step step = {.core = core,
                        .memory = &memory,
                        .event = event,
                        .out = out,
                        .work = CORE_STEP_WORK,
                        .due = core->h->facts.pass_due && !event->defer};
    uint64_t timer = core_timer_at(core), before = core->h->facts.now_ms;
    if (event->kind == CORE_EVENT_TASK_EXIT || event->kind == CORE_EVENT_TASK_OVER) {
        uint32_t slot = task_find(core, event->as.task.task);
        const struct job_facts *job = &core->jobs[core->tasks[slot].job_slot].facts;
        step.first_exit = slot && core->tasks[slot].facts.state != TASK_EXITED;
        step.first_bad = step.first_exit && !(job->ended && job->end_kind != END_NONE);
    }
    memory.count = 0;
    out->count = 0;
    pass_time(core, now_ms);
    step.look_due = event->kind == CORE_EVENT_TICK && core->h->facts.look_at_ms &&
                    core->h->facts.look_at_ms <= core->h->facts.now_ms;
    CORE_ASSERT(!apply_event(core, event));
    decide(&step);
    shares_follow_time(&step, before);
    pass_run(&step);
    if (core_timer_at(core) != timer || (event->kind == CORE_EVENT_TICK && core_timer_at(core))) {
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
