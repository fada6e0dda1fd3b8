/*
 * What owners may do with their own jobs. An administrator may do everything; what he has set of a job its
 * owner can only make stricter. Owners raise a class or a time limit up to the caps that hold for them, and
 * a running job's limit never into a reservation on its nodes. Owns the caps of tenants and of everyone, and
 * what they make of jobs that wait: asked_class is kept, so that a cap which is raised again gives it back.
 */
#include "scheduler/core/reserve.h"

static void note_caps(struct core *core, const struct core_caps *caps)
{
    uint32_t class_cap = caps->set_class ? 1 + (uint32_t)caps->priority_class : 0;
    if (caps->scope == CORE_QUOTA_PRINCIPAL && !caps->id) {
        core->h->facts.everyone_class = class_cap;
        core->h->facts.everyone_time_limit_ms = caps->time_limit_ms;
        return;
    }
    struct tenant *t = &core->tenants[tenant_get(core, caps->scope, caps->id, 0)];
    tenant_changes(core, t);
    t->facts.cap_class = class_cap;
    t->facts.cap_time_limit_ms = caps->time_limit_ms;
    t->facts.own_caps = class_cap || caps->time_limit_ms;
}

/* Its class under the caps as they are now. */
static uint8_t class_under_caps(const struct core *core, const struct job_facts *job)
{
    struct core_caps caps;
    if (job->by_operator & (SET_PRIORITY | SET_SUBMIT))
        return job->asked_class;
    core_caps_in_force(core, job->principal, job->workspace, &caps);
    return caps.set_class && job->asked_class > caps.priority_class ? (uint8_t)caps.priority_class
                                                                    : job->asked_class;
}

bool caps_hold_back(const struct core *core, const struct job_facts *job)
{
    struct core_caps caps;
    if (job->by_operator & (SET_TIME_LIMIT | SET_SUBMIT))
        return false;
    core_caps_in_force(core, job->principal, job->workspace, &caps);
    return caps.time_limit_ms && (!job->time_limit_ms || job->time_limit_ms > caps.time_limit_ms);
}

void caps_settle(const struct core *core, struct job_facts *job)
{
    job->priority_class = class_under_caps(core, job);
    job->over_cap = caps_hold_back(core, job);
}

void apply_caps(struct core *core, const struct core_caps *caps)
{
    note_caps(core, caps);
    for (uint32_t slot = 1; slot <= core->h->job.high; slot++) {
        struct job *job = &core->jobs[slot];
        if (!job->facts.present || !job_waits(&job->facts) ||
            (class_under_caps(core, &job->facts) == job->facts.priority_class &&
             caps_hold_back(core, &job->facts) == job->facts.over_cap))
            continue;
        queue_leave(core, slot);
        job_changes(core, job);
        caps_settle(core, &job->facts);
        job_set_wake(core, slot);
        queue_enter(core, slot);
    }
}

/* Of two caps, 0 being none, the stricter one. */
static uint64_t stricter(uint64_t a, uint64_t b)
{
    return !a || (b && b < a) ? b : a;
}

void core_caps_in_force(const struct core *core, uint32_t principal, uint32_t workspace,
                        struct core_caps *out)
{
    const struct header_facts *h = &core->h->facts;
    const struct tenant_facts *p = &core->tenants[tenant_find(core, CORE_QUOTA_PRINCIPAL, principal)].facts;
    const struct tenant_facts *w = &core->tenants[tenant_find(core, CORE_QUOTA_WORKSPACE, workspace)].facts;
    uint64_t class_cap = p->cap_class ? p->cap_class : h->everyone_class;
    uint64_t time_cap = p->cap_time_limit_ms ? p->cap_time_limit_ms : h->everyone_time_limit_ms;
    class_cap = stricter(class_cap, w->cap_class);
    *out =
        (struct core_caps){.scope = CORE_QUOTA_PRINCIPAL,
                           .id = principal,
                           .set_class = class_cap != 0,
                           .priority_class = class_cap ? (enum priority_class)(class_cap - 1) : PRIORITY_LOW,
                           .time_limit_ms = stricter(time_cap, w->cap_time_limit_ms)};
}

void core_caps_get(const struct core *core, enum core_quota_scope scope, uint32_t id, struct core_caps *out)
{
    const struct header_facts *h = &core->h->facts;
    const struct tenant_facts *t = &core->tenants[tenant_find(core, scope, id)].facts;
    bool everyone = scope == CORE_QUOTA_PRINCIPAL && !id;
    uint32_t class_cap = everyone ? h->everyone_class : t->cap_class;
    *out =
        (struct core_caps){.scope = scope,
                           .id = id,
                           .set_class = class_cap != 0,
                           .priority_class = class_cap ? (enum priority_class)(class_cap - 1) : PRIORITY_LOW,
                           .time_limit_ms = everyone ? h->everyone_time_limit_ms : t->cap_time_limit_ms};
}

bool caps_refuse(const struct core *core, const struct core_submit *s, uint32_t *resource, uint64_t *wanted,
                 uint64_t *best)
{
    struct core_caps caps;
    core_caps_in_force(core, s->principal.v, s->workspace, &caps);
    bool high = caps.set_class && s->priority_class > caps.priority_class;
    bool longer = caps.time_limit_ms && (!s->time_limit_ms || s->time_limit_ms > caps.time_limit_ms);
    if (s->by_operator || (!high && !longer))
        return false;
    *resource = high ? 0 : 1;
    *wanted = *resource ? s->time_limit_ms : (uint64_t)s->priority_class;
    *best = *resource ? caps.time_limit_ms : (uint64_t)caps.priority_class;
    return true;
}

uint8_t update_marks(const struct core_update *u)
{
    if (!u->by_operator)
        return 0;
    return (uint8_t)((u->set_priority ? SET_PRIORITY : 0) | (u->set_time_limit ? SET_TIME_LIMIT : 0) |
                     (u->set_begin ? SET_BEGIN : 0) | (u->set_array_limit ? SET_ARRAY_LIMIT : 0));
}

/* Longer than it is; 0 is for ever. */
static bool is_longer(uint64_t limit_ms, uint64_t than_ms)
{
    return than_ms && (!limit_ms || limit_ms > than_ms);
}

/* The first reservation for others, on a node of a running job, that its new end would run into: where the
 * node has not both what is reserved and what the job holds. */
static uint32_t reservation_in_the_way(const struct core *core, uint32_t slot, uint64_t limit_ms)
{
    const struct job *job = &core->jobs[slot];
    for (uint32_t t = job->first_task; t; t = core->tasks[t].job_next) {
        const struct task *task = &core->tasks[t];
        const struct node *node = &core->nodes[task->node_slot];
        if (task->facts.attempt != job->facts.attempt || task->facts.released)
            continue;
        uint64_t end_ms = limit_ms ? task->facts.began_ms + limit_ms + job->facts.grace_ms : CORE_NEVER;
        struct caps sum = reserve_lease(node, &task->facts);
        for (uint32_t s = node->first_seat; s; s = core->seats[s].node_next) {
            const struct resv *resv = &core->resvs[core->seats[s].resv_slot];
            if (resv->facts.begin_ms >= end_ms || resv->facts.end_ms <= core->h->facts.now_ms ||
                resv->facts.id == task->facts.reservation ||
                reserve_admits(core, core->seats[s].resv_slot, job->facts.principal))
                continue;
            struct caps amounts = reserve_amounts(node, resv);
            sum.cores += amounts.cores;
            sum.cpus += amounts.cpus;
            sum.memory_bytes += amounts.memory_bytes;
            sum.gpu_milli += amounts.gpu_milli;
            if (!caps_fit(&sum, &node->total))
                return core->seats[s].resv_slot;
        }
    }
    return 0;
}

static bool priority_refused(const struct core *core, const struct job_facts *f, const struct core_update *u,
                             struct core_update_answer *out)
{
    struct core_caps caps;
    bool class_up = u->priority_class > f->priority_class;
    bool up = class_up || (u->priority_class == f->priority_class && u->priority > f->priority);
    /* A number above 0 neither rises nor goes along to a higher class, by whatever way. */
    bool level_up = u->priority > 0 && (class_up || u->priority > f->priority);
    if (!u->set_priority || (!up && !level_up))
        return false;
    core_caps_in_force(core, f->principal, f->workspace, &caps);
    out->highest = caps.priority_class;
    out->refusal = up && (f->by_operator & SET_PRIORITY) ? CORE_UPDATE_PRIORITY_SET
                   : caps.set_class && u->priority_class > caps.priority_class && class_up
                       ? CORE_UPDATE_PRIORITY_CAP
                   : level_up ? CORE_UPDATE_LEVEL
                              : CORE_UPDATE_TAKEN;
    return out->refusal != CORE_UPDATE_TAKEN;
}

static bool time_limit_refused(const struct core *core, uint32_t slot, const struct core_update *u,
                               struct core_update_answer *out)
{
    const struct job_facts *f = &core->jobs[slot].facts;
    struct core_caps caps;
    if (!u->set_time_limit || !is_longer(u->time_limit_ms, f->time_limit_ms))
        return false;
    core_caps_in_force(core, f->principal, f->workspace, &caps);
    out->max_ms = caps.time_limit_ms;
    uint32_t resv = job_runs(f) && !f->array_count ? reservation_in_the_way(core, slot, u->time_limit_ms) : 0;
    if (f->by_operator & SET_TIME_LIMIT)
        out->refusal = CORE_UPDATE_TIME_SET;
    else if (caps.time_limit_ms && is_longer(u->time_limit_ms, caps.time_limit_ms))
        out->refusal = CORE_UPDATE_TIME_CAP;
    else if (resv)
        out->refusal = CORE_UPDATE_TIME_RESERVED;
    if (resv) {
        out->reservation = core->resvs[resv].facts.id;
        out->begin_ms = core->resvs[resv].facts.begin_ms;
    }
    return out->refusal != CORE_UPDATE_TAKEN;
}

bool core_update_refuses(const struct core *core, const struct core_update *u, struct core_update_answer *out)
{
    uint32_t slot = job_find(core, u->job.v);
    *out = (struct core_update_answer){0};
    if (!slot || u->by_operator)
        return false;
    const struct job_facts *f = &core->jobs[slot].facts;
    if (u->set_held && !u->held && (f->held & HELD_BY_OPERATOR))
        out->refusal = CORE_UPDATE_HELD;
    else if (u->set_begin && (f->by_operator & SET_BEGIN) && f->begin_ms && u->begin_ms < f->begin_ms)
        out->refusal = CORE_UPDATE_BEGIN_SET;
    else if (u->set_array_limit && (f->by_operator & SET_ARRAY_LIMIT) && f->array_count &&
             (!u->array_limit || u->array_limit > f->array_limit))
        out->refusal = CORE_UPDATE_ARRAY_SET;
    else if (!priority_refused(core, f, u, out))
        time_limit_refused(core, slot, u, out);
    return out->refusal != CORE_UPDATE_TAKEN;
}
