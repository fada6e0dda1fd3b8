/*
 * Families of sizes: whose quotas a job counts against, and who may run what is restricted. Whether a family
 * is restricted is a bit in the header; who is approved in it is a fact of the tenant (principal, family).
 * Invariant: a job that is in the core has a tenant record for each that job_tenants names, the principal
 * first.
 */
#include "scheduler/core/arena.h"

#define SCOPE_FACTOR 256 /* a refusal's `resource`: limit, then scope, then whether it is of a family */
#define IN_FAMILY_FACTOR (16 * SCOPE_FACTOR)

uint32_t job_tenants(uint32_t principal, uint32_t workspace, uint32_t family,
                     struct job_tenant out[TENANTS_OF_JOB_MAX])
{
    out[0] = (struct job_tenant){CORE_QUOTA_PRINCIPAL, principal, 0};
    out[1] = (struct job_tenant){CORE_QUOTA_WORKSPACE, workspace, 0};
    if (!family)
        return 2;
    out[2] = (struct job_tenant){CORE_QUOTA_PRINCIPAL, principal, family};
    out[3] = (struct job_tenant){CORE_QUOTA_WORKSPACE, workspace, family};
    out[4] = (struct job_tenant){CORE_QUOTA_FAMILY, 0, family};
    return TENANTS_OF_JOB_MAX;
}

bool job_counts_in(const struct job_facts *job, const struct tenant_facts *t)
{
    struct job_tenant all[TENANTS_OF_JOB_MAX];
    uint32_t count = job_tenants(job->principal, job->workspace, job->family, all);
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].scope == t->scope && all[i].id == t->id && all[i].family == t->family)
            return true;
    }
    return false;
}

bool core_family_restricted(const struct core *core, uint32_t family)
{
    return family < CORE_FAMILIES_MAX && resource_bit(core->h->facts.restricted, family);
}

bool job_approved(const struct core *core, const struct job_facts *job)
{
    if (!job->family || !core_family_restricted(core, job->family))
        return true;
    return core->tenants[tenant_find_in(core, CORE_QUOTA_PRINCIPAL, job->principal, job->family)]
        .facts.approved;
}

bool job_permitted(const struct core *core, const struct job_facts *job)
{
    return !job->over_cap && job_approved(core, job);
}

static bool within(uint64_t have, uint64_t more, uint32_t limit)
{
    return !limit || have + more <= limit;
}

bool tenants_allow(const struct core *core, const struct job *job, uint64_t cores, uint64_t gpu_milli)
{
    for (uint32_t i = 0; i < TENANTS_OF_JOB_MAX && job->tenants[i]; i++) {
        const struct tenant *t = &core->tenants[job->tenants[i]];
        uint32_t limits[4];
        tenant_limits(core, t, limits);
        if (!within(t->cores, cores, limits[CORE_QUOTA_CORES]) ||
            !within(t->gpu_milli, gpu_milli, limits[CORE_QUOTA_GPUS]) ||
            !within(t->running, 1, limits[CORE_QUOTA_RUNNING]))
            return false;
    }
    return true;
}

static bool closed_to(const struct core *core, uint32_t family, uint32_t principal)
{
    return core_family_restricted(core, family) &&
           !core->tenants[tenant_find_in(core, CORE_QUOTA_PRINCIPAL, principal, family)].facts.approved;
}

void guards_close(const struct core *core, struct job_facts *job)
{
    job->request.gpu_models_closed = job->request.labels_closed = 0;
    for (uint32_t word = 0; word < CORE_FAMILIES_MAX / 64; word++) {
        for (uint64_t left = core->h->facts.restricted[word]; left; left &= left - 1) {
            uint32_t family = word * 64 + (uint32_t)__builtin_ctzll(left);
            const struct tenant_facts *t =
                &core->tenants[tenant_find_in(core, CORE_QUOTA_FAMILY, 0, family)].facts;
            if (!(t->guard_models | t->guard_labels) || !closed_to(core, family, job->principal))
                continue;
            job->request.gpu_models_closed |= t->guard_models;
            job->request.labels_closed |= t->guard_labels;
        }
    }
}

/* Approvals and guards have changed: what is closed to live jobs follows. What runs goes on. */
static void guards_settle(struct core *core, uint32_t principal)
{
    for (uint32_t slot = 1; slot <= core->h->job.high; slot++) {
        struct job_facts *f = &core->jobs[slot].facts, fresh = *f;
        if (!f->present || job_state_is_final(f->state) || (principal && f->principal != principal))
            continue;
        guards_close(core, &fresh);
        if (fresh.request.gpu_models_closed == f->request.gpu_models_closed &&
            fresh.request.labels_closed == f->request.labels_closed)
            continue;
        queue_leave(core, slot);
        job_changes(core, &core->jobs[slot]);
        f->request = fresh.request;
        queue_enter(core, slot);
    }
}

void apply_approval(struct core *core, uint32_t principal)
{
    guards_settle(core, principal);
    approvals_settle(core, principal);
}

/* The GPU models that it could get there, as bits. */
static uint64_t models_wanted(const struct node *node, const struct resource_request *r)
{
    uint64_t models = 0,
             wanted = r->flags & RESOURCE_EXCLUSIVE || !r->gpu_models ? UINT64_MAX : r->gpu_models;
    if (!r->gpu_milli && !r->gpu_memory_bytes && !(r->flags & RESOURCE_EXCLUSIVE))
        return 0;
    for (uint32_t left = node->gpu_present; left; left &= left - 1)
        models |= UINT64_C(1) << node->gpu_model[__builtin_ctz(left)];
    return models & wanted;
}

uint32_t guards_keep(const struct core *core, const struct job_facts *job)
{
    struct job_facts open = *job;
    if (!(job->request.gpu_models_closed | job->request.labels_closed))
        return 0;
    open.request.gpu_models_closed = open.request.labels_closed = 0;
    struct shape_key closed_key = shape_key_of(job), open_key = shape_key_of(&open);
    uint32_t could = 0, may = 0, family = 0;
    uint64_t models = 0, labels = 0;
    for (uint32_t n = 1; n <= core->h->facts.node_count; n++) {
        const struct node *node = &core->nodes[n];
        if (!node_fits(node, &open_key, true))
            continue;
        could++;
        if (node_fits(node, &closed_key, true)) {
            may++;
            continue;
        }
        labels |= node->labels;
        models |= models_wanted(node, &job->request);
    }
    if (could < job->instance_count || may >= job->instance_count)
        return 0;
    for (uint32_t id = 1; id < CORE_FAMILIES_MAX && !family; id++) {
        const struct tenant_facts *t = &core->tenants[tenant_find_in(core, CORE_QUOTA_FAMILY, 0, id)].facts;
        if (closed_to(core, id, job->principal) && ((t->guard_models & models) | (t->guard_labels & labels)))
            family = id;
    }
    return family;
}

void core_family_get(const struct core *core, uint32_t id, struct core_family *out)
{
    const struct tenant_facts *t = &core->tenants[tenant_find_in(core, CORE_QUOTA_FAMILY, 0, id)].facts;
    *out = (struct core_family){id, core_family_restricted(core, id), t->guard_models, t->guard_labels};
}

void apply_family(struct core *core, const struct core_family *family)
{
    struct tenant *guard = &core->tenants[tenant_get(core, CORE_QUOTA_FAMILY, 0, family->id)];
    tenant_changes(core, guard);
    guard->facts.guard_models = family->gpu_models;
    guard->facts.guard_labels = family->labels;
    uint64_t *word = &core->h->facts.restricted[family->id / 64], bit = UINT64_C(1) << (family->id % 64);
    *word = family->restricted ? *word | bit : *word & ~bit;
    for (uint32_t slot = 1; slot <= core->h->facts.tenant_count; slot++) {
        const struct tenant_facts *t = &core->tenants[slot].facts;
        if (t->scope == CORE_QUOTA_PRINCIPAL && t->family == family->id)
            approvals_settle(core, t->id);
    }
    guards_settle(core, 0);
}

uint32_t refused_quota_code(const struct job_tenant *tenant, enum core_quota_limit limit)
{
    return (uint32_t)limit + SCOPE_FACTOR * (uint32_t)tenant->scope +
           (tenant->family ? IN_FAMILY_FACTOR : 0u);
}

void core_refused_quota(uint32_t resource, enum core_quota_scope *scope, bool *in_family,
                        enum core_quota_limit *limit)
{
    *limit = (enum core_quota_limit)(resource % SCOPE_FACTOR);
    *scope = (enum core_quota_scope)(resource % IN_FAMILY_FACTOR / SCOPE_FACTOR);
    *in_family = resource >= IN_FAMILY_FACTOR;
}
