/*
 * The model's word on capacity that is kept for short jobs: never from a job that can be stopped, and only on
 * nodes that a job which came before could use. Which of those are short, only the core knows.
 */
#include "sim.h"

#define KEPT_PERCENT 22 /* of the pool: what the core keeps at most, and 1 for its rounding */

struct amounts {
    uint64_t cores, cpus, gpu_milli, memory_bytes;
};

static struct amounts pool_of(const struct sim *sim)
{
    struct amounts pool = {0};
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct mnode *node = &sim->mnodes[n];
        if (!node->known || !node->up || node->draining || node->lost)
            continue;
        for (uint32_t i = 0; i < node->inventory.core_count; i++)
            pool.cpus += node->inventory.cores[i].threads;
        pool.cores += node->inventory.core_count;
        pool.gpu_milli += (uint64_t)node->inventory.gpu_count * RESOURCE_GPU_WHOLE;
        pool.memory_bytes += node->inventory.memory_bytes;
    }
    return pool;
}

static bool within(uint64_t wanted, uint64_t have)
{
    return !have || wanted * 100 <= have * KEPT_PERCENT;
}

static bool fits_what_is_kept(const struct amounts *pool, const struct core_submit *s)
{
    const struct resource_request *r = &s->request;
    return within((uint64_t)s->instance_count * r->cores, pool->cores) &&
           within((uint64_t)s->instance_count * r->cpus, pool->cpus) &&
           within((uint64_t)s->instance_count * r->gpu_milli, pool->gpu_milli) &&
           within(s->instance_count * (r->memory_bytes >> 20), pool->memory_bytes >> 20);
}

/* Whether capacity on the node could be kept for anyone but the job itself. */
static bool usable_by_others(const struct sim *sim, const struct mnode *node, const struct mjob *kept)
{
    struct amounts pool = pool_of(sim);
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        const struct mjob *job = &sim->jobs[i];
        if (job != kept && job->accepted && model_node_free(node, &job->submit) &&
            fits_what_is_kept(&pool, &job->submit) &&
            model_nodes(sim, &job->submit, MODEL_FREE) >= job->submit.instance_count)
            return true;
    }
    return false;
}

void model_kept_check(struct sim *sim, const struct mjob *job, const struct core_why *why)
{
    uint32_t open = 0;
    if (!why->kept_until_ms || why->planned)
        return;
    sim->kept++;
    if (job->submit.preemptible)
        sim_fail(sim, "job %llu can be stopped, and is kept back", (unsigned long long)job->submit.job.v);
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct mnode *node = &sim->mnodes[n];
        open += model_node_free(node, &job->submit) && !usable_by_others(sim, node, job);
    }
    if (open >= job->submit.instance_count)
        sim_fail(sim, "job %llu is kept back from nodes that nobody else could use",
                 (unsigned long long)job->submit.job.v);
}
