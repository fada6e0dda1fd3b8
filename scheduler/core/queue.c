/*
 * Waiting jobs. Those in their turn stand in classes (jobs that are alike in every field that a policy reads,
 * but for arrival); a class that a usable number of nodes could hold, and whose principal is approved in its
 * family, stands in the order of classes by its head. Owns classes and their two treaps.
 */
#include <string.h>

#include "scheduler/core/reserve.h"
#include "scheduler/core/step.h"

bool job_ready(const struct job_facts *facts)
{
    return facts->present && job_waits(facts) && !array_full(facts) &&
           (facts->reason == CORE_REASON_WAITING || facts->reason == CORE_REASON_REQUEUED ||
            facts->reason == CORE_REASON_PREEMPTED || facts->reason == CORE_REASON_RETRY ||
            facts->reason == CORE_REASON_NODE_FAULT);
}

uint64_t job_tier(const struct job_facts *facts)
{
    uint32_t urgency = UINT32_MAX - ((uint32_t)facts->priority ^ UINT32_C(0x80000000));
    uint32_t level = facts->priority_class + (facts->aged && facts->priority_class < PRIORITY_HIGH);
    return (uint64_t)(PRIORITY_CLASS_COUNT - level) << 32 | urgency;
}

/* Up to the next of eight steps within a doubling. */
static uint64_t rounded_up(uint64_t ms)
{
    if (ms < 16)
        return ms;
    uint64_t step = UINT64_C(1) << (60 - (unsigned)__builtin_clzll(ms));
    return (ms + step - 1) / step * step;
}

struct klass_key klass_key_of(const struct core *core, const struct job_facts *job, uint32_t shape)
{
    struct klass_key key = {.tier = job_tier(job),
                            .time_limit_ms = job->time_limit_ms,
                            .licences = job->licences,
                            .shape = shape,
                            .instance_count = job->instance_count,
                            .principal = job->principal,
                            .workspace = job->workspace,
                            .preemptible = job->preemptible,
                            .family = job->family,
                            .over_cap = job->over_cap,
                            .reservation = job->reservation};
    if (core->h->klass_count >= CORE_KLASSES_EXACT)
        key.time_limit_ms = rounded_up(key.time_limit_ms);
    uint32_t tenant = tenant_find(core, CORE_QUOTA_PRINCIPAL, job->principal);
    key.place = policy_place(core, job, core->tenants[tenant].facts.place);
    return key;
}

static struct treap order(struct core *core)
{
    return (struct treap){core, true};
}

static struct treap members(struct core *core)
{
    return (struct treap){core, false};
}

bool klass_stands(const struct core *core, const struct klass *k)
{
    return !k->key.reservation && core->shapes[k->key.shape].usable >= k->key.instance_count &&
           job_permitted(core, &core->jobs[k->head].facts);
}

static void into_order(struct core *core, uint32_t slot)
{
    struct klass *k = &core->klasses[slot];
    if (!k->ordered && k->head && klass_stands(core, k)) {
        treap_add(order(core), &core->h->klass_root, slot);
        k->ordered = 1;
    }
}

static void out_of_order(struct core *core, uint32_t slot)
{
    if (core->klasses[slot].ordered)
        treap_remove(order(core), &core->h->klass_root, slot);
    core->klasses[slot].ordered = 0;
}

void shapes_settle(struct core *core)
{
    for (uint32_t s = core->h->shape_first; s; s = core->shapes[s].next) {
        for (uint32_t k = core->shapes[s].first_klass; k; k = core->klasses[k].shape_next) {
            if (klass_stands(core, &core->klasses[k]))
                into_order(core, k);
            else
                out_of_order(core, k);
        }
    }
}

void approvals_settle(struct core *core, uint32_t principal)
{
    uint32_t tenant = tenant_find(core, CORE_QUOTA_PRINCIPAL, principal);
    for (uint32_t k = tenant ? core->tenants[tenant].first_klass : 0; k; k = core->klasses[k].tenant_next) {
        if (klass_stands(core, &core->klasses[k]))
            into_order(core, k);
        else
            out_of_order(core, k);
    }
}

static uint32_t klass_use(struct core *core, const struct job_facts *job)
{
    struct header *h = core->h;
    struct shape_key shape_key = shape_key_of(job);
    uint32_t shape = shape_use(core, &shape_key);
    struct klass_key key = klass_key_of(core, job, shape);
    uint32_t slot = klass_find(core, &key);
    if (slot)
        return slot;
    slot = h->klass.free;
    if (slot)
        h->klass.free = core->klasses[slot].next_free;
    else
        slot = ++h->klass.high;
    struct klass *k = &core->klasses[slot];
    memset(k, 0, sizeof *k);
    k->key = key;
    k->present = 1;
    idmap_put(core, IDMAP_KLASS, slot);
    shape_attach(core, shape, slot);
    tenant_attach(core, slot);
    h->klass_count++;
    return slot;
}

static void klass_give(struct core *core, uint32_t slot)
{
    struct klass *k = &core->klasses[slot];
    idmap_drop(core, IDMAP_KLASS, slot);
    tenant_detach(core, slot);
    shape_detach(core, k->key.shape, slot);
    memset(k, 0, sizeof *k);
    k->next_free = core->h->klass.free;
    core->h->klass.free = slot;
    core->h->klass_count--;
}

void queue_enter(struct core *core, uint32_t slot)
{
    struct job *job = &core->jobs[slot];
    if (!job_ready(&job->facts) || job->klass)
        return;
    uint32_t klass = klass_use(core, &job->facts);
    struct klass *k = &core->klasses[klass];
    job->klass = klass;
    if (!k->head || treap_before(core, false, slot, k->head)) {
        out_of_order(core, klass);
        treap_add(members(core), &k->root, slot);
        k->head = slot;
        into_order(core, klass);
    } else {
        treap_add(members(core), &k->root, slot);
    }
    core->h->in_turn++;
}

void queue_leave(struct core *core, uint32_t slot)
{
    struct job *job = &core->jobs[slot];
    uint32_t klass = job->klass;
    if (!klass)
        return;
    struct klass *k = &core->klasses[klass];
    job->klass = 0;
    if (k->head == slot) {
        out_of_order(core, klass);
        treap_remove(members(core), &k->root, slot);
        k->head = treap_first(members(core), k->root);
        if (k->head)
            into_order(core, klass);
        else
            klass_give(core, klass);
    } else {
        treap_remove(members(core), &k->root, slot);
    }
    core->h->in_turn--;
}

bool licences_free(const struct core *core, const struct resource_licences *want)
{
    for (uint32_t i = 0; i < RESOURCE_LICENCE_KINDS_MAX && want->amount[i]; i++) {
        if (core->h->licence_used[want->id[i]] + want->amount[i] > core->h->facts.licence_total[want->id[i]])
            return false;
    }
    return true;
}

uint64_t queue_kept_until(const struct core *core, uint32_t slot)
{
    const struct job_facts *job = &core->jobs[slot].facts;
    const struct klass *k = &core->klasses[core->jobs[slot].klass];
    struct core_why_reserved reserved = {0};
    if (!core->jobs[slot].klass || job->reservation || !job_permitted(core, job) ||
        !pass_class_fits(core, k) || !policy_kept_until(core, job))
        return 0;
    if (core->h->resv_count)
        reserve_why(core, job, &reserved);
    uint32_t open = core->shapes[k->key.shape].fit - reserved.nodes;
    return open >= job->instance_count ? policy_kept_until(core, job) : 0;
}

enum core_reason queue_standing(const struct core *core, uint32_t slot)
{
    const struct job *job = &core->jobs[slot];
    const struct klass *k = &core->klasses[job->klass];
    const struct shape *shape = &core->shapes[k->key.shape];
    if (!job_approved(core, &job->facts)) /* first of all: it is what somebody can do something about */
        return CORE_REASON_APPROVAL;
    if (!core->h->facts.node_count)
        return CORE_REASON_NO_NODE;
    if (shape->known < k->key.instance_count && guards_keep(core, &job->facts))
        return CORE_REASON_APPROVAL;
    if (job->facts.over_cap)
        return CORE_REASON_CAP;
    if (shape->usable < k->key.instance_count)
        return shape->known < k->key.instance_count ? CORE_REASON_FITS_NO_NODE : CORE_REASON_NODE_AWAY;
    if (!tenant_allows(core, k))
        return CORE_REASON_QUOTA;
    if (k->key.reservation && reserve_why(core, &job->facts, NULL) != CORE_WHY_RESERVATION_FULL)
        return CORE_REASON_RESERVATION;
    if (!licences_free(core, &k->key.licences))
        return CORE_REASON_LICENCE;
    if (queue_kept_until(core, slot))
        return queue_plan_start(core, &job->facts) ? CORE_REASON_PLANNED : CORE_REASON_KEPT;
    return (enum core_reason)job->facts.reason;
}
