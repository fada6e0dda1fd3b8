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

void apply_family(struct core *core, const struct core_family *family)
{
    uint64_t *word = &core->h->facts.restricted[family->id / 64], bit = UINT64_C(1) << (family->id % 64);
    *word = family->restricted ? *word | bit : *word & ~bit;
    for (uint32_t slot = 1; slot <= core->h->facts.tenant_count; slot++) {
        const struct tenant_facts *t = &core->tenants[slot].facts;
        if (t->scope == CORE_QUOTA_PRINCIPAL && t->family == family->id)
            approvals_settle(core, t->id);
    }
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
