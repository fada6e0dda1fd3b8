/*
 * Principals and workspaces, and both within a family of sizes: what their jobs hold (links, summed up as
 * jobs come and go), and what they may hold (quotas). Owns tenant records; they are never forgotten. What
 * they have used lately is share.c's.
 */
#include <string.h>

#include "scheduler/core/arena.h"

uint32_t tenant_get(struct core *core, enum core_quota_scope scope, uint32_t id, uint32_t family)
{
    uint32_t slot = tenant_find_in(core, scope, id, family);
    if (slot)
        return slot;
    CORE_ASSERT(core->h->facts.tenant_count < core->h->tenant_capacity);
    slot = ++core->h->facts.tenant_count;
    struct tenant *t = &core->tenants[slot];
    tenant_clear(core, t);
    t->facts.id = id;
    t->facts.scope = scope;
    t->facts.family = family;
    t->facts.use_at_ms = core->h->facts.now_ms;
    idmap_put(core, IDMAP_TENANT, slot);
    return slot;
}

void tenant_amounts(const struct job_facts *job, uint64_t *cores, uint64_t *gpu_milli)
{
    const struct resource_request *r = &job->request;
    uint64_t share = r->gpu_memory_bytes && !r->gpu_milli ? RESOURCE_GPU_WHOLE : r->gpu_milli;
    *cores = (uint64_t)(r->cores ? r->cores : r->cpus) * job->instance_count;
    *gpu_milli = share * job->instance_count;
}

void tenant_enter(struct core *core, struct job *job)
{
    struct job_tenant all[TENANTS_OF_JOB_MAX];
    uint32_t count = job_tenants(job->facts.principal, job->facts.workspace, job->facts.family, all);
    for (uint32_t i = 0; i < count; i++)
        job->tenants[i] = tenant_get(core, all[i].scope, all[i].id, all[i].family);
}

enum tenant_part tenant_part(const struct job_facts *job)
{
    if (job_waits(job)) /* an array is one that waits, for as long as some of it does */
        return TENANT_PART_QUEUED;
    return job_runs(job) ? TENANT_PART_RUNNING : TENANT_PART_NONE;
}

static void count_part(struct core *core, const struct job *job, enum tenant_part part, int sign)
{
    uint64_t cores, gpus;
    tenant_amounts(&job->facts, &cores, &gpus);
    for (uint32_t i = 0; i < TENANTS_OF_JOB_MAX && job->tenants[i]; i++) {
        struct tenant *t = &core->tenants[job->tenants[i]];
        if (part == TENANT_PART_QUEUED) {
            t->queued += (uint32_t)sign;
        } else {
            t->running += (uint32_t)sign;
            t->cores += (uint64_t)(int64_t)sign * cores;
            t->gpu_milli += (uint64_t)(int64_t)sign * gpus;
        }
    }
}

void tenant_count(struct core *core, const struct job *job, enum tenant_part was)
{
    enum tenant_part is = tenant_part(&job->facts);
    if (is == was)
        return;
    if (was != TENANT_PART_NONE)
        count_part(core, job, was, -1);
    if (is != TENANT_PART_NONE)
        count_part(core, job, is, 1);
}

void tenant_limits(const struct core *core, const struct tenant *t, uint32_t limits[4])
{
    const struct tenant_facts *f = &t->facts;
    if (f->own_limits) {
        memcpy(limits,
               (const uint32_t[4]){f->limit_cores, f->limit_gpu_milli, f->limit_running, f->limit_queued},
               4 * sizeof *limits);
    } else if (f->scope == CORE_QUOTA_PRINCIPAL && !f->family) {
        memcpy(limits, core->h->facts.everyone, 4 * sizeof *limits);
    } else {
        memset(limits, 0, 4 * sizeof *limits);
    }
}

bool tenant_allows(const struct core *core, const struct klass *klass)
{
    const struct job *job = &core->jobs[klass->head];
    uint64_t cores, gpus;
    tenant_amounts(&job->facts, &cores, &gpus);
    return job_permitted(core, &job->facts) && tenants_allow(core, job, cores, gpus);
}

void tenant_attach(struct core *core, uint32_t klass)
{
    struct klass *k = &core->klasses[klass];
    struct tenant *t = &core->tenants[tenant_find(core, CORE_QUOTA_PRINCIPAL, k->key.principal)];
    k->tenant_next = t->first_klass;
    k->tenant_prev = 0;
    if (t->first_klass)
        core->klasses[t->first_klass].tenant_prev = klass;
    t->first_klass = klass;
}

void tenant_detach(struct core *core, uint32_t klass)
{
    const struct klass *k = &core->klasses[klass];
    struct tenant *t = &core->tenants[tenant_find(core, CORE_QUOTA_PRINCIPAL, k->key.principal)];
    *(k->tenant_prev ? &core->klasses[k->tenant_prev].tenant_next : &t->first_klass) = k->tenant_next;
    if (k->tenant_next)
        core->klasses[k->tenant_next].tenant_prev = k->tenant_prev;
}
