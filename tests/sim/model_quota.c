/*
 * The model's books of quotas and approvals: who may have how much at once, of which family of sizes, as the
 * events alone say. Sums are made anew from the jobs each time.
 */
#include "sim.h"

enum { WHOSE_MAX = 5, LIMITS = 4 };

/* All in whose sums a job counts: limits 0, to be looked up. */
static uint32_t whose(const struct core_submit *s, struct core_quota out[WHOSE_MAX])
{
    uint32_t count = 0;
    for (int within = 0; within < (s->family ? 2 : 1); within++) {
        uint32_t family = within ? s->family : 0;
        out[count++] =
            (struct core_quota){.scope = CORE_QUOTA_PRINCIPAL, .id = s->principal.v, .family = family};
        out[count++] =
            (struct core_quota){.scope = CORE_QUOTA_WORKSPACE, .id = s->workspace, .family = family};
    }
    if (s->family)
        out[count++] = (struct core_quota){.scope = CORE_QUOTA_FAMILY, .family = s->family};
    return count;
}

static bool counts_in(const struct core_submit *s, const struct core_quota *q)
{
    if (q->family && q->family != s->family)
        return false;
    return q->scope == CORE_QUOTA_FAMILY ||
           q->id == (q->scope == CORE_QUOTA_PRINCIPAL ? s->principal.v : s->workspace);
}

static void amounts(const struct core_submit *s, uint64_t out[LIMITS])
{
    const struct resource_request *r = &s->request;
    uint32_t gpus = r->gpu_memory_bytes && !r->gpu_milli ? RESOURCE_GPU_WHOLE : r->gpu_milli;
    out[CORE_QUOTA_CORES] = (uint64_t)(r->cores ? r->cores : r->cpus) * s->instance_count;
    out[CORE_QUOTA_GPUS] = (uint64_t)gpus * s->instance_count;
    out[CORE_QUOTA_RUNNING] = 1;
    out[CORE_QUOTA_QUEUED] = 0;
}

/* What the others of that quota have now. */
static void sum_up(const struct sim *sim, const struct mjob *but, const struct core_quota *q,
                   uint64_t have[LIMITS])
{
    for (int i = 0; i < LIMITS; i++)
        have[i] = 0;
    for (uint32_t n = 1; n <= sim->job_count; n++) {
        const struct mjob *j = &sim->jobs[n];
        uint64_t its[LIMITS];
        if (j == but || !j->accepted || job_state_is_final(j->state) || !counts_in(&j->submit, q))
            continue;
        amounts(&j->submit, its);
        bool holds = j->state != JOB_QUEUED && !j->submit.array_count;
        have[CORE_QUOTA_QUEUED] += model_waits(sim, j);
        for (int i = 0; i < CORE_QUOTA_QUEUED && holds; i++)
            have[i] += its[i];
    }
}

/* False: nothing is limited. */
static bool limits_of(const struct sim *sim, const struct core_quota *q, uint32_t limits[LIMITS])
{
    const struct core_quota *own = &sim->quotas[q->scope][q->id][q->family];
    bool any = own->cores || own->gpu_milli || own->running || own->queued;
    if (!any && q->scope == CORE_QUOTA_PRINCIPAL && !q->family)
        own = &sim->quotas[CORE_QUOTA_PRINCIPAL][0][0];
    limits[CORE_QUOTA_CORES] = own->cores;
    limits[CORE_QUOTA_GPUS] = own->gpu_milli;
    limits[CORE_QUOTA_RUNNING] = own->running;
    limits[CORE_QUOTA_QUEUED] = own->queued;
    return own->cores || own->gpu_milli || own->running || own->queued;
}

bool model_quotas_allow(const struct sim *sim, const struct mjob *job)
{
    struct core_quota all[WHOSE_MAX];
    uint32_t count = whose(&job->submit, all), limits[LIMITS];
    uint64_t have[LIMITS], more[LIMITS];
    amounts(&job->submit, more);
    for (uint32_t n = 0; n < count; n++) {
        if (!limits_of(sim, &all[n], limits))
            continue;
        sum_up(sim, job, &all[n], have);
        for (int i = 0; i < CORE_QUOTA_QUEUED; i++) {
            if (limits[i] && have[i] + more[i] > limits[i])
                return false;
        }
    }
    return true;
}

bool model_approved(const struct sim *sim, const struct mjob *job)
{
    uint32_t family = job->submit.family;
    return !sim->restricted[family] ||
           sim->quotas[CORE_QUOTA_PRINCIPAL][job->submit.principal.v][family].approved;
}

void model_quota_event(struct sim *sim, const struct core_event *event)
{
    const struct core_quota *q = &event->as.quota;
    if (event->kind == CORE_EVENT_FAMILY) {
        sim->restricted[event->as.family.id] = event->as.family.restricted;
        sim->guards[event->as.family.id] = event->as.family;
    } else {
        sim->quotas[q->scope][q->id][q->family] = *q;
    }
    model_guards_follow(sim);
}

void model_quota_refused(struct sim *sim, const struct core_submit *submit, const struct core_decision *d)
{
    struct core_quota all[WHOSE_MAX];
    uint32_t count = whose(submit, all), limits[LIMITS];
    enum core_quota_scope scope;
    enum core_quota_limit limit;
    bool in_family;
    core_refused_quota(d->as.refused.resource, &scope, &in_family, &limit);
    for (uint32_t n = 0; n < count; n++) {
        uint64_t have[LIMITS], more[LIMITS];
        if (all[n].scope != scope || (all[n].family != 0) != in_family || !limits_of(sim, &all[n], limits))
            continue;
        sum_up(sim, NULL, &all[n], have);
        amounts(submit, more);
        bool over = limit == CORE_QUOTA_QUEUED ? have[limit] >= limits[limit] : more[limit] > limits[limit];
        if (limits[limit] && over && d->as.refused.best == limits[limit])
            return;
    }
    sim_fail(sim, "job %llu is refused by a quota that leaves room for it",
             (unsigned long long)submit->job.v);
}
