/*
 * Why a job waits: what is missing on the node that comes nearest to holding it, who holds that, and who is
 * ahead. Changes nothing; looks at every node.
 */
#include "scheduler/core/reserve.h"
#include "scheduler/core/step.h"

static uint64_t amount(const struct caps *caps, enum resource_kind kind)
{
    switch (kind) {
    case RESOURCE_CORES:
        return caps->cores;
    case RESOURCE_CPUS:
        return caps->cpus;
    case RESOURCE_MEMORY:
        return caps->memory_bytes;
    default:
        return caps->gpu_milli;
    }
}

static bool holds(const struct task_facts *task, enum resource_kind kind)
{
    if (task->released)
        return false;
    if (kind == RESOURCE_GPUS)
        return task->lease.gpus != 0;
    return kind != RESOURCE_MEMORY || task->lease.memory_bytes != 0; /* a core is in every lease */
}

/* Fewer missing resources are nearer; then the least that is missing, in parts of a thousand of what is
 * wanted. */
static uint64_t distance(const struct caps *want, const struct caps *free)
{
    uint64_t missing = 0, parts = 0;
    for (int kind = 0; kind < RESOURCE_KIND_COUNT; kind++) {
        uint64_t wanted = amount(want, (enum resource_kind)kind),
                 there = amount(free, (enum resource_kind)kind);
        if (wanted > there) {
            missing++;
            parts += (wanted - there) / (wanted / 1000 + 1);
        }
    }
    return missing << 32 | parts;
}

/* In the unit that was asked for. */
static struct caps asked(const struct node *node, const struct resource_request *r)
{
    struct caps want = caps_of(node, r);
    if (!(r->flags & RESOURCE_EXCLUSIVE)) {
        want.cores = r->cores;
        want.cpus = r->cpus;
    }
    return want;
}

static uint32_t nearest_node(const struct core *core, const struct job_facts *job)
{
    struct shape_key key = shape_key_of(job);
    uint32_t best = 0;
    uint64_t least = UINT64_MAX;
    for (uint32_t slot = 1; slot <= core->h->facts.node_count; slot++) {
        const struct node *node = &core->nodes[slot];
        if (!node_serves(node, &job->request) || !node_fits(node, &key, true))
            continue;
        struct caps want = asked(node, &job->request);
        uint64_t d = node_fits(node, &key, false) ? 0 : 1 + distance(&want, &node->free);
        if (d < least) {
            least = d;
            best = slot;
        }
    }
    return best;
}

static void list_holders(const struct core *core, const struct node *node, struct core_why_blocker *b)
{
    for (uint32_t slot = node->first_task; slot; slot = core->tasks[slot].node_next) {
        if (!holds(&core->tasks[slot].facts, b->resource))
            continue;
        if (b->holder_count < CORE_WHY_JOBS_MAX)
            b->holders[b->holder_count].v = core->tasks[slot].facts.job;
        b->holder_count++;
    }
}

static void list_blockers(const struct core *core, const struct node *node, const struct job_facts *job,
                          struct core_why *out)
{
    struct caps want = asked(node, &job->request);
    bool share = want.share != 0;
    for (int kind = 0; kind < RESOURCE_KIND_COUNT; kind++) {
        uint64_t wanted = amount(&want, (enum resource_kind)kind);
        uint64_t there = amount(&node->free, (enum resource_kind)kind);
        if (kind == RESOURCE_GPUS && share) {
            wanted = want.share;
            there = node->free.share;
        }
        if (wanted <= there)
            continue;
        struct core_why_blocker *b = &out->blockers[out->blocker_count++];
        *b = (struct core_why_blocker){.resource = (enum resource_kind)kind,
                                       .wanted = wanted,
                                       .free = there,
                                       .total = amount(&node->total, (enum resource_kind)kind)};
        list_holders(core, node, b);
    }
}

static void name_ahead(struct core_why *out, uint64_t id)
{
    if (out->ahead_listed < CORE_WHY_JOBS_MAX)
        out->ahead[out->ahead_listed++].v = id;
}

/* What waits for its own quota, licence or reservation has nobody behind it; in a quota stand jobs of the
 * same user behind one another. */
static bool held_by_its_own(const struct core *core, uint32_t slot, const struct klass *klass)
{
    const struct job_facts *head = &core->jobs[klass->head].facts;
    enum core_reason why = queue_standing(core, klass->head);
    return why == CORE_REASON_LICENCE || why == CORE_REASON_RESERVATION ||
           (why == CORE_REASON_QUOTA && head->principal != core->jobs[slot].facts.principal);
}

/* Those before it in the order of classes, which is that of the policy but for how long each has waited. */
static void list_ahead(const struct core *core, uint32_t slot, struct core_why *out)
{
    const struct klass_key *mine = &core->klasses[core->jobs[slot].klass].key;
    struct treap classes = {(struct core *)(uintptr_t)core, true}, members = {classes.core, false};
    for (uint32_t k = treap_first(classes, core->h->klass_root); k;
         k = treap_next(classes, core->h->klass_root, k)) {
        const struct klass *klass = &core->klasses[k];
        bool before =
            klass->key.tier < mine->tier || (klass->key.tier == mine->tier && klass->key.place < mine->place);
        bool beside = klass->key.tier == mine->tier && klass->key.place == mine->place;
        if (!before && !beside)
            return;
        if (held_by_its_own(core, slot, klass))
            continue;
        uint32_t count = before ? core->jobs[klass->root].size : treap_rank(members, klass->root, slot);
        uint32_t job = klass->head;
        out->ahead_count += count;
        for (uint32_t n = 0; n < count && out->ahead_listed < CORE_WHY_JOBS_MAX; n++) {
            name_ahead(out, core->jobs[job].facts.id);
            job = treap_next(members, klass->root, job);
        }
    }
}

static void list_needs(const struct core *core, uint32_t slot, struct core_why *out)
{
    for (uint32_t n = core->jobs[slot].first_need; n; n = core->needs[n].waiter_next) {
        if (out->need_listed < CORE_WHY_JOBS_MAX)
            out->needs[out->need_listed++].v = core->needs[n].on;
        out->need_count++;
    }
}

/* The first of what holds it back: licences, approval, and quotas. */
static void list_limits(const struct core *core, const struct job_facts *job, struct core_why *out)
{
    for (uint32_t i = 0; i < RESOURCE_LICENCE_KINDS_MAX && job->licences.amount[i]; i++) {
        uint32_t id = job->licences.id[i], used = core->h->licence_used[id];
        if (used + job->licences.amount[i] <= core->h->facts.licence_total[id])
            continue;
        out->licence_short = true;
        out->licence = id;
        out->licence_wanted = job->licences.amount[i];
        out->licence_total = core->h->facts.licence_total[id];
        out->licence_used = used;
        break;
    }
    out->approval_missing = !job_approved(core, job);
    out->approval_family = out->approval_missing ? job->family : guards_keep(core, job);
    out->approval_missing = out->approval_family != 0;
    struct job_tenant all[TENANTS_OF_JOB_MAX];
    uint32_t count = job_tenants(job->principal, job->workspace, job->family, all);
    uint64_t cores, gpus;
    tenant_amounts(job, &cores, &gpus);
    for (uint32_t i = 0; i < count && !out->quota_reached; i++) {
        const struct tenant *t = &core->tenants[tenant_find_in(core, all[i].scope, all[i].id, all[i].family)];
        const uint64_t have[] = {t->cores, t->gpu_milli, t->running}, more[] = {cores, gpus, 1};
        uint32_t limits[4];
        tenant_limits(core, t, limits);
        for (int limit = 0; limit <= CORE_QUOTA_RUNNING && !out->quota_reached; limit++) {
            if (!limits[limit] || have[limit] + more[limit] <= limits[limit])
                continue;
            out->quota_reached = true;
            out->quota_everyones =
                all[i].scope == CORE_QUOTA_PRINCIPAL && !all[i].family && !t->facts.own_limits;
            out->quota_scope = all[i].scope;
            out->quota_family = all[i].family;
            out->quota_limit = (enum core_quota_limit)limit;
            out->quota_max = limits[limit];
            out->quota_used = have[limit];
        }
    }
}

bool core_why(const struct core *core, struct job_id id, struct core_why *out)
{
    uint32_t slot = job_find(core, id.v);
    if (!slot)
        return false;
    const struct job_facts *job = &core->jobs[slot].facts;
    *out = (struct core_why){.state = job->state, .reason = job->reason, .promised_ms = job->hold_ms};
    if (!job_waits(job)) {
        for (uint32_t t = core->jobs[slot].first_task; t; t = core->tasks[t].job_next) {
            if (core->tasks[t].facts.attempt == job->attempt)
                out->node.v = core->tasks[t].facts.node;
        }
        return true;
    }
    out->begin_ms = job->begin_ms;
    list_needs(core, slot, out);
    uint32_t best = nearest_node(core, job);
    if (best) {
        out->best.v = core->nodes[best].facts.id;
        list_blockers(core, &core->nodes[best], job, out);
    }
    uint32_t klass = core->jobs[slot].klass;
    if (!klass && job->array_count)
        out->reason = array_standing(job);
    if (!klass)
        return true;
    out->reason = queue_standing(core, slot);
    const struct shape *shape = &core->shapes[core->klasses[klass].key.shape];
    out->nodes_wanted = job->instance_count;
    out->nodes_fit = shape->fit;
    list_limits(core, job, out);
    out->reserved.kind = reserve_why(core, job, &out->reserved);
    out->nodes_fit -= out->reserved.nodes; /* they keep it for others */
    out->fits_now = out->nodes_fit >= job->instance_count && !out->licence_short && !out->quota_reached &&
                    !out->approval_missing && !job->over_cap && !job->reservation;
    out->planned = queue_plan_start(core, job) && queue_plan_stands(core);
    out->kept_until_ms = queue_kept_until(core, slot);
    if (!job->reservation)
        list_ahead(core, slot, out);
    out->expected_ms = core_expected_start(core, id);
    return true;
}
