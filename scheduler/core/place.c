/*
 * Which cores and GPUs of a node a task gets: all of one NUMA node where that can be, cores beside their GPUs
 * else. Also the only place that takes units and gives them back.
 */
#include <string.h>

#include "scheduler/core/arena.h"

struct numa_free {
    uint32_t cores;
    uint32_t cpus;
    uint32_t gpus;
};

static bool core_free(const struct node *node, uint32_t unit)
{
    return resource_bit(node->core_present, unit) && !resource_bit(node->facts.core_used, unit);
}

static bool gpu_free(const struct node *node, uint32_t unit)
{
    return ((node->gpu_present >> unit) & 1) && !node->facts.gpu_used[unit];
}

static void count_numa(const struct node *node, struct numa_free free[RESOURCE_NUMA_MAX])
{
    memset(free, 0, RESOURCE_NUMA_MAX * sizeof *free);
    for (uint32_t unit = 0; unit < RESOURCE_CORES_MAX; unit++) {
        if (core_free(node, unit)) {
            free[node->core_numa[unit]].cores++;
            free[node->core_numa[unit]].cpus += node->core_threads[unit];
        }
    }
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        if (gpu_free(node, unit))
            free[node->gpu_numa[unit]].gpus++;
    }
}

/* Higher is better. Holding the GPUs in one place counts more than holding the cores; then the place with the
 * least left over, so that large holes stay whole; then the lowest id. */
static uint64_t numa_worth(const struct numa_free *free, const struct job_facts *job, uint32_t gpus)
{
    bool cores = job->cores <= free->cores && job->cpus <= free->cpus;
    bool all_gpus = gpus <= free->gpus;
    uint64_t worth = (uint64_t)all_gpus << 41 | (uint64_t)cores << 40;
    if (gpus && !all_gpus)
        return worth | (uint64_t)free->gpus << 20 | free->cores; /* the biggest piece */
    uint64_t left_gpus = free->gpus - gpus;
    if (!cores)
        return worth | (uint64_t)(RESOURCE_GPUS_MAX - left_gpus) << 20 | free->cores;
    return worth | (uint64_t)(RESOURCE_GPUS_MAX - left_gpus) << 20 | (RESOURCE_CORES_MAX - free->cores);
}

static uint32_t best_numa(const struct numa_free *free, const struct job_facts *job, uint32_t gpus)
{
    uint32_t best = 0;
    for (uint32_t numa = 1; numa < RESOURCE_NUMA_MAX; numa++) {
        if (free[numa].cores + free[numa].gpus &&
            numa_worth(&free[numa], job, gpus) > numa_worth(&free[best], job, gpus))
            best = numa;
    }
    return best;
}

static uint32_t pick_gpus(const struct node *node, uint64_t numas, uint32_t wanted, uint32_t picked)
{
    uint32_t have = (uint32_t)__builtin_popcount(picked);
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX && have < wanted; unit++) {
        if (gpu_free(node, unit) && ((numas >> node->gpu_numa[unit]) & 1) && !((picked >> unit) & 1)) {
            picked |= UINT32_C(1) << unit;
            have++;
        }
    }
    return picked;
}

/* Takes free cores of those NUMA nodes until the job has enough; *cores and *cpus are what it still wants. */
static void pick_cores(const struct node *node, uint64_t numas, uint64_t lease[RESOURCE_CORE_WORDS],
                       uint32_t *cores, uint32_t *cpus)
{
    for (uint32_t unit = 0; unit < RESOURCE_CORES_MAX && (*cores || *cpus); unit++) {
        if (!core_free(node, unit) || !((numas >> node->core_numa[unit]) & 1) || resource_bit(lease, unit))
            continue;
        resource_bit_set(lease, unit);
        *cores -= *cores ? 1 : 0;
        *cpus -= *cpus < node->core_threads[unit] ? *cpus : node->core_threads[unit];
    }
}

void place_pick(const struct node *node, const struct job_facts *job, struct resource_lease *lease)
{
    struct numa_free free[RESOURCE_NUMA_MAX];
    uint32_t gpus = job->gpu_milli / RESOURCE_GPU_WHOLE, cores = job->cores, cpus = job->cpus;
    memset(lease, 0, sizeof *lease);
    count_numa(node, free);
    uint64_t near = UINT64_C(1) << best_numa(free, job, gpus);
    lease->gpus = pick_gpus(node, near, gpus, 0);
    lease->gpus = pick_gpus(node, ~UINT64_C(0), gpus, lease->gpus);
    lease->gpu_milli_each = gpus ? RESOURCE_GPU_WHOLE : 0;
    pick_cores(node, near, lease->cores, &cores, &cpus);
    for (uint32_t left = lease->gpus; left; left &= left - 1)
        near |= UINT64_C(1) << node->gpu_numa[__builtin_ctz(left)];
    pick_cores(node, near, lease->cores, &cores, &cpus);
    pick_cores(node, ~UINT64_C(0), lease->cores, &cores, &cpus);
    lease->memory_bytes = job->memory_bytes;
    CORE_ASSERT(!cores && !cpus && (uint32_t)__builtin_popcount(lease->gpus) == gpus);
}

bool lease_fits(const struct node *node, const struct resource_lease *lease)
{
    const struct node_facts *f = &node->facts;
    uint64_t any = 0;
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
        if ((lease->cores[word] & ~node->core_present[word]) || (lease->cores[word] & f->core_used[word]))
            return false;
        any |= lease->cores[word];
    }
    for (uint32_t left = lease->gpus; left; left &= left - 1) {
        if (!gpu_free(node, (uint32_t)__builtin_ctz(left)))
            return false;
    }
    return any && f->memory_used <= f->memory_bytes &&
           lease->memory_bytes <= f->memory_bytes - f->memory_used &&
           (lease->gpus ? lease->gpu_milli_each > 0 && lease->gpu_milli_each <= RESOURCE_GPU_WHOLE
                        : lease->gpu_milli_each == 0);
}

bool lease_take(struct node *node, const struct resource_lease *lease)
{
    if (!lease_fits(node, lease))
        return false;
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++)
        node->facts.core_used[word] |= lease->cores[word];
    for (uint32_t left = lease->gpus; left; left &= left - 1)
        node->facts.gpu_used[__builtin_ctz(left)] += (uint16_t)lease->gpu_milli_each;
    node->facts.memory_used += lease->memory_bytes;
    return true;
}

void lease_return(struct node *node, const struct resource_lease *lease)
{
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
        CORE_ASSERT((node->facts.core_used[word] & lease->cores[word]) == lease->cores[word]);
        node->facts.core_used[word] &= ~lease->cores[word];
    }
    for (uint32_t left = lease->gpus; left; left &= left - 1) {
        uint16_t *used = &node->facts.gpu_used[__builtin_ctz(left)];
        CORE_ASSERT(*used >= lease->gpu_milli_each);
        *used -= (uint16_t)lease->gpu_milli_each;
    }
    CORE_ASSERT(node->facts.memory_used >= lease->memory_bytes);
    node->facts.memory_used -= lease->memory_bytes;
}
