/*
 * The model's books of jobs: as the decisions alone say, with everything that the core owes them checked.
 * Knows nothing of how the core does it.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

struct mnode *model_node(struct sim *sim, struct node_id id)
{
    if (id.v == 0 || id.v > sim->node_count)
        sim_fail(sim, "a decision names node %u", id.v);
    return &sim->mnodes[id.v - 1];
}

struct mjob *model_job(struct sim *sim, struct job_id id)
{
    if (id.v == 0 || id.v > sim->job_count)
        sim_fail(sim, "a decision names job %llu", (unsigned long long)id.v);
    return &sim->jobs[id.v];
}

uint32_t model_gpu_takes(const struct core_inventory_gpu *gpu, const struct resource_request *r)
{
    if ((r->gpu_models && !((r->gpu_models >> gpu->model) & 1)) ||
        ((r->gpu_models_closed >> gpu->model) & 1) || r->gpu_memory_bytes > gpu->memory_bytes)
        return 0;
    if (r->gpu_milli >= RESOURCE_GPU_WHOLE)
        return RESOURCE_GPU_WHOLE;
    uint64_t part = (r->gpu_memory_bytes * RESOURCE_GPU_WHOLE + gpu->memory_bytes - 1) / gpu->memory_bytes;
    return part > r->gpu_milli ? (uint32_t)part : r->gpu_milli;
}

bool model_fits(const struct mnode *node, const struct core_submit *submit, bool empty)
{
    const struct resource_request *r = &submit->request;
    uint32_t cores = 0, cpus = 0, gpus = 0;
    uint32_t wanted = r->gpu_milli >= RESOURCE_GPU_WHOLE    ? r->gpu_milli / RESOURCE_GPU_WHOLE
                      : r->gpu_milli || r->gpu_memory_bytes ? 1
                                                            : 0;
    if ((r->labels & ~node->inventory.labels & ~(empty ? RESOURCE_ABILITIES : 0)) ||
        (node->inventory.labels & r->labels_closed))
        return false;
    for (uint32_t i = 0; i < node->inventory.gpu_count && (r->flags & RESOURCE_EXCLUSIVE); i++) {
        if ((r->gpu_models_closed >> node->inventory.gpus[i].model) & 1)
            return false;
    }
    if (!empty && node->lease_count && (r->flags & RESOURCE_EXCLUSIVE))
        return false;
    if (!empty && node->lease_count &&
        (r->flags & RESOURCE_ISOLATED ? node->tenant != submit->principal.v : node->tenant != 0))
        return false;
    for (uint32_t i = 0; i < node->inventory.core_count; i++) {
        const struct core_inventory_core *c = &node->inventory.cores[i];
        if (empty || !node->core_owner[c->unit]) {
            cores++;
            cpus += c->threads;
        }
    }
    for (uint32_t i = 0; i < node->inventory.gpu_count; i++) {
        const struct core_inventory_gpu *g = &node->inventory.gpus[i];
        uint32_t takes = model_gpu_takes(g, r);
        gpus += takes && (empty ? 0 : node->gpu_used[g->key[1]]) + takes <= RESOURCE_GPU_WHOLE;
    }
    uint64_t used = empty ? 0 : node->memory_used;
    return cores && r->cores <= cores && r->cpus <= cpus && wanted <= gpus &&
           (!r->memory_bytes || used + r->memory_bytes <= node->inventory.memory_bytes);
}

bool model_serves(const struct mnode *node, const struct resource_request *r)
{
    return node->known && node->up && !node->draining && !node->lost &&
           !(r->labels & RESOURCE_ABILITIES & ~node->inventory.labels);
}

uint32_t model_nodes(const struct sim *sim, const struct core_submit *submit, enum model_nodes which)
{
    uint32_t count = 0;
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct mnode *node = &sim->mnodes[n];
        bool usable = model_serves(node, &submit->request);
        count +=
            node->known && (which == MODEL_KNOWN || usable) && model_fits(node, submit, which != MODEL_FREE);
    }
    return count;
}

static bool usable(const struct mnode *node)
{
    return node->known && node->up && !node->draining && !node->lost;
}

static bool ready(const struct sim *sim, const struct mjob *job)
{
    return job->accepted && model_waits(sim, job) && !model_array_full(sim, job) &&
           (job->reason == CORE_REASON_WAITING || job->reason == CORE_REASON_REQUEUED ||
            job->reason == CORE_REASON_PREEMPTED || job->reason == CORE_REASON_RETRY ||
            job->reason == CORE_REASON_NODE_FAULT);
}

static bool in_turn(const struct sim *sim, const struct mjob *job)
{
    return ready(sim, job) && model_nodes(sim, &job->submit, MODEL_EMPTY) >= job->submit.instance_count;
}

static bool before(const struct mjob *a, const struct mjob *b)
{
    if (a->submit.priority_class != b->submit.priority_class)
        return a->submit.priority_class > b->submit.priority_class;
    if (a->submit.priority != b->submit.priority)
        return a->submit.priority > b->submit.priority;
    return a->submit.seq < b->submit.seq;
}

static bool licences_free(const struct sim *sim, const struct mjob *job)
{
    for (uint32_t i = 0; i < RESOURCE_LICENCE_KINDS_MAX && job->submit.licences.amount[i]; i++) {
        uint32_t id = job->submit.licences.id[i], used = job->submit.licences.amount[i];
        for (uint32_t k = 1; k <= sim->job_count; k++) {
            const struct mjob *j = &sim->jobs[k];
            if (j == job || !j->accepted || j->state == JOB_QUEUED || j->submit.array_count ||
                job_state_is_final(j->state))
                continue;
            for (uint32_t l = 0; l < RESOURCE_LICENCE_KINDS_MAX && j->submit.licences.amount[l]; l++)
                used += j->submit.licences.id[l] == id ? j->submit.licences.amount[l] : 0;
        }
        if (used > sim->licences[id])
            return false;
    }
    return true;
}

bool model_may_hold(const struct sim *sim, const struct mjob *job)
{
    return model_permitted(sim, job) && model_quotas_allow(sim, job) && licences_free(sim, job);
}

bool model_node_free(const struct mnode *node, const struct core_submit *submit)
{
    return usable(node) && model_fits(node, submit, false);
}

bool model_may_start(const struct sim *sim, const struct mjob *job)
{
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        if (sim->jobs[i].promised_ms)
            return false;
    }
    return in_turn(sim, job) && model_may_hold(sim, job);
}

/* What a quota or a missing approval holds back blocks nobody; what waits for licences, or for room, does. */
static struct mjob *head(struct sim *sim)
{
    struct mjob *first = NULL;
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        struct mjob *job = &sim->jobs[i];
        if (!job->submit.reservation && in_turn(sim, job) && (!first || before(job, first)) &&
            model_permitted(sim, job) && model_quotas_allow(sim, job))
            first = job;
    }
    return first;
}

struct mjob *model_first(struct sim *sim)
{
    const struct core_config *c = &sim->config;
    bool by_turn = c->policy != CORE_POLICY_FCFS && c->policy != CORE_POLICY_BERTH && !c->age_ms &&
                   !c->share_weight && !sim->aged;
    struct mjob *first = by_turn ? head(sim) : NULL;
    return first && model_may_hold(sim, first) ? first : NULL;
}

/* ---- events ---- */

static void on_exit_event(struct sim *sim, const struct core_event *event)
{
    struct core_task_view view;
    struct mjob *job = model_job(sim, event->as.task.task.job);
    enum end_kind kind = event->as.task.as.exit.kind;
    if (!core_task_get(sim->main, event->as.task.task, &view) || view.node.v != event->as.task.node.v ||
        view.abandoned || view.state == TASK_EXITED || event->as.task.task.attempt != job->attempt ||
        (kind == END_NODE_LOST && job->submit.on_node_loss == CORE_LOSS_REQUEUE))
        return;
    job->exits++;
    if (job->end.kind == END_NONE)
        job->end = (struct core_end){kind, event->as.task.as.exit.code, event->as.task.as.exit.signal};
}

/* A fault is taken back by the node, what a person drained by a person alone, who takes back both. */
static void on_drain_event(struct mnode *node, enum core_event_kind kind)
{
    if (!node->known)
        return;
    if (kind == CORE_EVENT_NODE_DRAIN || kind == CORE_EVENT_NODE_RESUME)
        node->drained = kind == CORE_EVENT_NODE_DRAIN;
    if (kind != CORE_EVENT_NODE_DRAIN)
        node->faulty = kind == CORE_EVENT_NODE_FAULT;
    node->draining = node->drained || node->faulty;
}

static void on_update_event(struct sim *sim, const struct core_update *u)
{
    struct mjob *job = model_job(sim, u->job);
    if (!job->accepted || job_state_is_final(job->state))
        return;
    bool waits = model_waits(sim, job);
    if (model_update_refused(sim, job, u))
        return;
    model_update_marks(job, u, waits);
    if (u->set_array_limit && job->submit.array_count)
        job->submit.array_limit = u->array_limit;
    if (u->set_held && waits)
        job->submit.held = u->held;
    if (u->set_priority) {
        job->submit.priority_class = job->asked_class = u->priority_class;
        job->submit.priority = u->priority;
    }
    if (u->set_time_limit) {
        job->submit.time_limit_ms = u->time_limit_ms;
        model_lease_limit(sim, job);
    }
    if (waits)
        model_caps_lower(sim, job);
    if (u->set_begin && waits)
        job->submit.begin_ms = u->begin_ms;
}

void model_event(struct sim *sim, const struct core_event *event)
{
    sim->gave_up = sim->reserved_moved = false;
    /* This event may end it; and a pass that was put off is late by itself. */
    bool late =
        sim->timer_ms && sim->now_ms > sim->timer_ms + SIM_PROMISE_SLACK_MS; /* nobody told the core */
    if (model_lease_overdue(sim) || core_continue_due(sim->main) || late)
        sim->overdue_ms = sim->now_ms;
    switch (event->kind) {
    case CORE_EVENT_CONFIG:
        model_share_config(sim);
        sim->config = event->as.config;
        break;
    case CORE_EVENT_WEIGHT:
        sim->weight_milli[event->as.weight.principal.v] = event->as.weight.milli;
        break;
    case CORE_EVENT_CAPS:
        model_caps_event(sim, &event->as.caps);
        break;
    case CORE_EVENT_QUOTA:
    case CORE_EVENT_FAMILY:
        model_quota_event(sim, event);
        break;
    case CORE_EVENT_LICENCES:
        sim->licences[event->as.licences.id] = event->as.licences.total;
        break;
    case CORE_EVENT_JOB_UPDATE:
        on_update_event(sim, &event->as.update);
        break;
    case CORE_EVENT_NODE_UP: {
        struct mnode *node = model_node(sim, event->as.node.node);
        node->known = node->up = true;
        node->lost = false;
        node->inventory = *event->as.node.inventory;
        break;
    }
    case CORE_EVENT_NODE_LOST:
        model_node(sim, event->as.node.node)->lost = model_node(sim, event->as.node.node)->known;
        model_node(sim, event->as.node.node)->up = false;
        break;
    case CORE_EVENT_NODE_DOWN:
        model_node(sim, event->as.node.node)->up = false;
        break;
    case CORE_EVENT_NODE_DRAIN:
    case CORE_EVENT_NODE_RESUME:
    case CORE_EVENT_NODE_FAULT:
    case CORE_EVENT_NODE_HEALED:
        on_drain_event(model_node(sim, event->as.node.node), event->kind);
        break;
    case CORE_EVENT_TASK_EXIT:
    case CORE_EVENT_TASK_OVER:
        on_exit_event(sim, event);
        break;
    default:
        break;
    }
}

/* ---- decisions ---- */

void model_rules_kept(struct sim *sim, const struct mjob *job, bool reserved)
{
    unsigned long long id = job->submit.job.v;
    const struct core_submit *s = &job->submit;
    if (!ready(sim, job) || s->held || s->begin_ms > core_now(sim->main))
        sim_fail(sim, "job %llu starts, but is held or waits for a time", id);
    for (uint32_t i = 0; i < s->dependency_count; i++) {
        const struct mjob *on = &sim->jobs[s->dependencies[i].job.v];
        bool over = job_state_is_final(on->state);
        const bool met[CORE_DEPENDENCY_COUNT] = {on->ran, on->state == JOB_COMPLETED, on->state == JOB_FAILED,
                                                 over};
        if (!met[s->dependencies[i].kind])
            sim_fail(sim, "job %llu starts before what it waits for", id);
    }
    if (job->promised_ms && core_now(sim->main) > job->promised_ms + SIM_PROMISE_SLACK_MS)
        sim_fail(sim, "job %llu starts later than promised", id);
    bool plain = sim->config.policy == CORE_POLICY_FCFS && !sim->config.age_ms && !sim->config.share_weight;
    const struct mjob *first = plain && !sim->aged && !reserved ? head(sim) : job;
    if (first != job)
        sim_fail(sim, "job %llu starts before job %llu", id,
                 (unsigned long long)(first ? first->submit.job.v : 0));
}

static void check_may_start(struct sim *sim, const struct mjob *job, bool reserved)
{
    if (job->reason != CORE_REASON_ARRAY) /* of a fresh element, its array was looked at */
        model_rules_kept(sim, job, reserved);
    if (!model_may_hold(sim, job))
        sim_fail(sim, "job %llu starts beyond a quota or a licence", (unsigned long long)job->submit.job.v);
}

static void on_start(struct sim *sim, const struct core_decision *d)
{
    struct mjob *job = model_job(sim, d->as.start.task.job);
    uint32_t rank = d->as.start.task.rank;
    uint64_t node_bit = UINT64_C(1) << d->as.start.node.v;
    if (!usable(model_node(sim, d->as.start.node)))
        sim_fail(sim, "a start on node %u, which can't be used", d->as.start.node.v);
    if (job->state != JOB_QUEUED || d->as.start.task.attempt != job->attempt + (rank == 0))
        sim_fail(sim, "job %llu starts twice", (unsigned long long)job->submit.job.v);
    if (rank == 0) {
        if (world_job_alive(sim, job->submit.job))
            sim_fail(sim, "job %llu starts while an earlier attempt lives",
                     (unsigned long long)job->submit.job.v);
        check_may_start(sim, job, d->as.start.reservation);
        job->attempt++;
        job->exits = job->ranks = 0;
        job->nodes = 0;
        job->end = (struct core_end){0};
    }
    if (rank != job->ranks++ || (job->nodes & node_bit))
        sim_fail(sim, "job %llu: ranks out of order, or two on a node",
                 (unsigned long long)job->submit.job.v);
    job->nodes |= node_bit;
    model_lease_start(sim, job, d);
}

static void check_final(struct sim *sim, const struct mjob *job, const struct core_decision *d)
{
    unsigned long long id = job->submit.job.v;
    enum job_state state = d->as.job.state;
    if (job->submit.array_count) {
        model_array_ends(sim, job, d);
        return;
    }
    bool success = d->as.job.end.kind == END_NONE, gang = job->submit.instance_count > 1;
    bool all = job->exits == job->submit.instance_count;
    if (state == JOB_COMPLETED && !(success && all && job->end.kind == END_NONE))
        sim_fail(sim, "job %llu is Completed without good exits", id);
    if (state == JOB_FAILED && d->as.job.end.kind == END_NODE_FAULT && d->as.job.attempt < CORE_ATTEMPTS_MAX)
        sim_fail(sim, "job %llu is Failed by what its node could not do", id);
    if (state == JOB_FAILED && success)
        sim_fail(sim, "job %llu is Failed without a cause", id);
    if (state == JOB_CANCELED && d->as.job.end.kind != END_CANCELED)
        sim_fail(sim, "job %llu is Canceled with another cause", id);
    if (state != JOB_CANCELED && !gang && all && memcmp(&job->end, &d->as.job.end, sizeof job->end) != 0)
        sim_fail(sim, "job %llu ends otherwise than its first exit said", id);
}

static void check_queued_again(struct sim *sim, struct mjob *job, enum core_reason reason)
{
    unsigned long long id = job->submit.job.v;
    bool good = job->exits == job->submit.instance_count && job->end.kind == END_NONE;
    if (good)
        sim_fail(sim, "job %llu is queued again, though it ended well", id);
    if (reason == CORE_REASON_REQUEUED && job->submit.on_node_loss != CORE_LOSS_REQUEUE)
        sim_fail(sim, "job %llu is queued again, though it must wait for its node", id);
    if (reason == CORE_REASON_PREEMPTED && !job->submit.preemptible)
        sim_fail(sim, "job %llu gave way, though it is not preemptible", id);
    if (reason == CORE_REASON_NODE_FAULT && job->end.kind != END_NODE_FAULT)
        sim_fail(sim, "job %llu is queued again for a fault of a node that none said", id);
    if (reason == CORE_REASON_RETRY || reason == CORE_REASON_BEGIN) {
        if (++job->retried > job->submit.retries)
            sim_fail(sim, "job %llu is tried too often", id);
        if (!((job->submit.retry_kinds >> job->end.kind) & 1))
            sim_fail(sim, "job %llu is tried again after an end that no rule names", id);
    }
}

static void on_job_state(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    struct mjob *job = model_job(sim, d->as.job.job);
    enum job_state to = d->as.job.state;
    unsigned long long id = d->as.job.job.v;
    if (!job->accepted) {
        if (event->kind != CORE_EVENT_JOB_SUBMIT || event->as.submit.job.v != d->as.job.job.v || job->refused)
            sim_fail(sim, "a state of job %llu, which was not accepted", id);
        if (model_cap_refuses(sim, &job->submit))
            sim_fail(sim, "job %llu is accepted past a cap", id);
        job->accepted = true;
        job->state = JOB_NOT_STARTED;
        job->asked_class = job->submit.priority_class;
        model_guards_follow(sim);
    }
    if (to == job->state ? !model_waits(sim, job) : !job_state_can(job->state, to))
        sim_fail(sim, "job %llu goes from %s to %s", id, job_state_name(job->state), job_state_name(to));
    if (d->as.job.attempt != job->attempt)
        sim_fail(sim, "job %llu: a state of attempt %u, not %u", id, d->as.job.attempt, job->attempt);
    if (to == JOB_QUEUED && job->state > JOB_QUEUED)
        check_queued_again(sim, job, d->as.job.reason);
    if (to == JOB_QUEUED && job->state > JOB_QUEUED)
        model_caps_lower(sim, job);
    if (to == JOB_PREPARING && !job->submit.array_count)
        job->asked_class = job->submit.priority_class;
    if (to == JOB_PREPARING && !job->submit.array_count && job->ranks != job->submit.instance_count)
        sim_fail(sim, "job %llu starts with %u of %u tasks", id, job->ranks, job->submit.instance_count);
    if (job_state_is_final(to))
        check_final(sim, job, d);
    job->ran = job->ran || to == JOB_RUNNING || to == JOB_FINALIZING || to == JOB_PAUSED ||
               ((to == JOB_COMPLETED || to == JOB_FAILED) && job->attempt);
    job->state = to;
    job->reason = d->as.job.reason;
    if (!model_waits(sim, job))
        job->promised_ms = 0;
}

static void on_refused(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    if (event->kind != CORE_EVENT_JOB_SUBMIT || event->as.submit.job.v != d->as.refused.job.v)
        sim_fail(sim, "a refusal that nobody asked for");
    if (d->as.refused.refusal == CORE_REFUSED_DUPLICATE)
        return;
    if (d->as.refused.refusal == CORE_REFUSED_FULL)
        sim_fail(sim, "refused as full");
    bool capped = d->as.refused.refusal == CORE_REFUSED_CAP;
    if (capped && !model_cap_refuses(sim, &event->as.submit))
        sim_fail(sim, "job %llu is refused by a cap that lets it be",
                 (unsigned long long)event->as.submit.job.v);
    bool other = capped || d->as.refused.refusal == CORE_REFUSED_QUOTA ||
                 d->as.refused.refusal == CORE_REFUSED_LICENCES ||
                 d->as.refused.refusal == CORE_REFUSED_RESERVATION;
    const struct core_submit *s = &event->as.submit;
    if (!other && model_nodes(sim, s, MODEL_KNOWN) >= s->instance_count)
        sim_fail(sim, "job %llu is refused, but enough nodes could hold it", (unsigned long long)s->job.v);
    if (d->as.refused.refusal == CORE_REFUSED_QUOTA)
        model_quota_refused(sim, s, d);
    model_job(sim, d->as.refused.job)->refused = true;
}

static bool higher_exists(const struct sim *sim, const struct mjob *job)
{
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        const struct mjob *j = &sim->jobs[i];
        if (j->accepted && !job_state_is_final(j->state) &&
            (j->submit.priority_class > job->submit.priority_class || sim->config.age_ms || sim->aged ||
             (j->submit.priority_class == job->submit.priority_class &&
              j->submit.priority > job->submit.priority)))
            return true;
    }
    return false;
}

static void on_promise(struct sim *sim, const struct core_decision *d)
{
    struct mjob *job = model_job(sim, d->as.plan.job);
    if (!ready(sim, job) || (job->promised_ms && d->as.plan.at_ms >= job->promised_ms))
        sim_fail(sim, "job %llu is promised what is no better, or is not in its turn",
                 (unsigned long long)d->as.plan.job.v);
    job->promised_ms = d->as.plan.at_ms;
}

static void on_void(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    struct mjob *job = model_job(sim, d->as.plan.job);
    enum core_event_kind k = event->kind;
    bool node = (k >= CORE_EVENT_NODE_UP && k <= CORE_EVENT_NODE_RESUME) || k == CORE_EVENT_NODE_FAULT;
    bool admin = k == CORE_EVENT_CONFIG || k == CORE_EVENT_QUOTA || k == CORE_EVENT_LICENCES ||
                 k == CORE_EVENT_JOB_UPDATE || k == CORE_EVENT_FAMILY || k == CORE_EVENT_CAPS;
    const bool named[CORE_VOID_END] = {[CORE_VOID_NODE] = node || sim->gave_up,
                                       [CORE_VOID_HIGHER] = higher_exists(sim, job),
                                       [CORE_VOID_ADMIN] = admin,
                                       [CORE_VOID_OVERRUN] = sim->overdue_ms >= job->promised_ms,
                                       [CORE_VOID_QUOTA] = !model_quotas_allow(sim, job),
                                       [CORE_VOID_RESERVATION] = sim->reserved_moved};
    if (!job->promised_ms || !named[d->as.plan.why])
        sim_fail(sim, "job %llu: a promise is taken back (%d) and no event names it",
                 (unsigned long long)d->as.plan.job.v, (int)d->as.plan.why);
    job->promised_ms = 0;
}

void model_decision(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    switch (d->kind) {
    case CORE_DECISION_JOB_REFUSED:
        on_refused(sim, event, d);
        break;
    case CORE_DECISION_JOB_STATE:
        on_job_state(sim, event, d);
        break;
    case CORE_DECISION_START_TASK:
        on_start(sim, d);
        break;
    case CORE_DECISION_LEASE_FREED:
        model_lease_freed(sim, event, d);
        break;
    case CORE_DECISION_RELEASE_TASK:
        model_lease_forgotten(sim, d);
        break;
    case CORE_DECISION_ABANDON_TASK:
        sim->gave_up = true;
        model_lease_abandoned(sim, d->as.task.task);
        break;
    case CORE_DECISION_PROMISE:
        on_promise(sim, d);
        break;
    case CORE_DECISION_VOID:
        on_void(sim, event, d);
        break;
    case CORE_DECISION_WAKE_JOB:
        sim->aged = sim->aged || !d->as.plan.at_ms;
        if (d->as.plan.at_ms)
            model_job(sim, d->as.plan.job)->submit.begin_ms = d->as.plan.at_ms;
        break;
    case CORE_DECISION_ELEMENT:
        model_element(sim, event, d);
        break;
    case CORE_DECISION_REQUEUE:
        if (d->as.requeue.reason == CORE_REASON_NONE)
            model_job(sim, d->as.requeue.job)->preempting_ms = d->as.requeue.until_ms;
        break;
    case CORE_DECISION_RESERVATION:
        model_reserved(sim, event, d);
        break;
    case CORE_DECISION_SHARE:
        model_share(sim, d);
        break;
    default:
        break;
    }
}

/* ---- at rest ---- */

bool model_any_reserved(const struct sim *sim)
{
    for (uint32_t i = 0; i < SIM_RESERVATIONS; i++) {
        if (sim->reservations[i].there)
            return true;
    }
    return false;
}

/* Where no pass is under way and order is strict: the head doesn't fit; and the view tells who can't be held.
 */
static void check_queue(struct sim *sim)
{
    bool plain = sim->config.policy == CORE_POLICY_FCFS && !sim->config.age_ms && !sim->config.share_weight;
    const struct mjob *first = plain && !sim->aged ? head(sim) : NULL;
    if (first && !model_any_reserved(sim) && licences_free(sim, first) &&
        model_nodes(sim, &first->submit, MODEL_FREE) >= first->submit.instance_count)
        sim_fail(sim, "job %llu is first and fits, but waits", (unsigned long long)first->submit.job.v);
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        const struct mjob *job = &sim->jobs[i];
        struct core_job_view view;
        if (!ready(sim, job) || !core_job_get(sim->main, job->submit.job, &view))
            continue;
        if ((view.reason == CORE_REASON_APPROVAL) ==
            (model_approved(sim, job) && !model_guards_keep(sim, job)))
            sim_fail(sim, "job %u: the view is wrong about approval", i);
        bool capped = view.reason == CORE_REASON_CAP, over = model_over_cap(sim, job);
        if (view.priority_class != job->submit.priority_class || view.over_cap != over || (capped && !over))
            sim_fail(sim, "job %u: a cap holds it back, or lets it be, against the rules", i);
        if (view.reason == CORE_REASON_APPROVAL || view.reason == CORE_REASON_RESERVATION || capped)
            continue;
        if (over && view.reason != CORE_REASON_NO_NODE)
            sim_fail(sim, "job %u is over a cap, and its reason is another", i);
        bool aside = view.reason == CORE_REASON_NO_NODE || view.reason == CORE_REASON_NODE_AWAY ||
                     view.reason == CORE_REASON_FITS_NO_NODE;
        if (aside == in_turn(sim, job))
            sim_fail(sim, "job %u is %s, but %s", i, aside ? "set aside" : "in the queue",
                     aside ? "nodes could hold it" : "too few nodes could hold it");
        bool barred = view.reason == CORE_REASON_QUOTA || view.reason == CORE_REASON_LICENCE;
        if (!aside && barred == model_may_hold(sim, job))
            sim_fail(sim, "job %u: the view is wrong about quotas and licences", i);
    }
}

static void check_why(struct sim *sim)
{
    struct mjob *job = &sim->jobs[1 + rng_below(&sim->rng, sim->job_count)];
    struct core_why why;
    bool live = job->accepted && !job_state_is_final(job->state);
    bool held = core_why(sim->main, job->submit.job, &why);
    if (live && !held)
        sim_fail(sim, "job %llu is lost", (unsigned long long)job->submit.job.v);
    if (!held)
        return;
    if (ready(sim, job) && why.approval_missing == (model_approved(sim, job) && !model_guards_keep(sim, job)))
        sim_fail(sim, "why is wrong about the approval of job %llu", (unsigned long long)job->submit.job.v);
    if (why.state != job->state || why.promised_ms != job->promised_ms)
        sim_fail(sim, "why tells another state of job %llu", (unsigned long long)job->submit.job.v);
    for (uint32_t i = 0; i < why.blocker_count; i++) {
        if (why.blockers[i].wanted <= why.blockers[i].free || why.blockers[i].holder_count == 0)
            sim_fail(sim, "why names a blocker that blocks nothing, or that nobody holds");
    }
    if (why.promised_ms && why.expected_ms > why.promised_ms)
        sim_fail(sim, "job %llu is expected later than it was promised",
                 (unsigned long long)job->submit.job.v);
    bool fits = ready(sim, job) && model_may_hold(sim, job) &&
                model_nodes(sim, &job->submit, MODEL_FREE) >= job->submit.instance_count;
    fits = fits && !job->submit.reservation;
    bool kept = why.reason == CORE_REASON_KEPT || why.reason == CORE_REASON_PLANNED;
    if (ready(sim, job) && kept != (why.kept_until_ms != 0))
        sim_fail(sim, "why names another reason than that job %llu is kept back, or the other way round",
                 (unsigned long long)job->submit.job.v);
    if (ready(sim, job) && (model_any_reserved(sim) ? why.fits_now && !fits : why.fits_now != fits))
        sim_fail(sim, "why is wrong about whether job %llu fits", (unsigned long long)job->submit.job.v);
}

static void check_kept(struct sim *sim)
{
    struct core_why why;
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        const struct mjob *job = &sim->jobs[i];
        if (ready(sim, job) && core_why(sim->main, job->submit.job, &why))
            model_kept_check(sim, job, &why);
    }
}

static void check_counts(struct sim *sim)
{
    uint32_t held = 0;
    for (uint32_t n = 0; n < sim->node_count; n++) {
        struct core_node_view view;
        held += sim->mnodes[n].lease_count;
        if (core_node_get(sim->main, (struct node_id){n + 1}, &view) &&
            view.task_count < sim->mnodes[n].lease_count)
            sim_fail(sim, "a lease of node %u without a task", n + 1);
    }
    struct core_counts counts;
    core_count(sim->main, &counts);
    if (counts.tasks < held)
        sim_fail(sim, "%u leases are held by %u tasks", held, counts.tasks);
}

/* Whoever is alone in the queue and fits has been started, or is kept back for a time that a timer ends. */
static void check_alone(struct sim *sim)
{
    const struct mjob *alone = NULL;
    if (model_any_reserved(sim))
        return;
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        const struct mjob *job = &sim->jobs[i];
        if (!ready(sim, job) || !in_turn(sim, job))
            continue;
        if (alone || !model_may_hold(sim, job) || job->submit.reservation)
            return;
        alone = job;
    }
    struct core_why why;
    if (!alone || !licences_free(sim, alone) ||
        model_nodes(sim, &alone->submit, MODEL_FREE) < alone->submit.instance_count ||
        !core_why(sim->main, alone->submit.job, &why))
        return;
    bool may = sim->config.policy == CORE_POLICY_BERTH && why.kept_until_ms;
    uint64_t timer = core_timer_at(sim->main);
    if (!may)
        sim_fail(sim, "job %llu is alone and fits, but waits", (unsigned long long)alone->submit.job.v);
    model_kept_check(sim, alone, &why);
    if (!timer || timer > why.kept_until_ms) /* one that is due already is on its way, and the next follows */
        sim_fail(sim, "job %llu is kept back, and no timer ends it", (unsigned long long)alone->submit.job.v);
}

void model_settled(struct sim *sim)
{
    check_counts(sim);
    if (!core_continue_due(sim->main) && sim->steps % 2 == 0)
        check_queue(sim);
    if (!core_continue_due(sim->main) && sim->steps % 2 == 1)
        check_alone(sim);
    model_arrays_settled(sim);
    if (!core_continue_due(sim->main))
        model_preempt_check(sim);
    if (!core_continue_due(sim->main))
        model_reserved_settled(sim);
    if (!core_continue_due(sim->main) && sim->mixed)
        check_kept(sim);
    if (sim->job_count && rng_chance(&sim->rng, 25))
        check_why(sim);
}
