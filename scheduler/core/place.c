/*
 * Which cores and GPUs of a node a task gets: the GPUs that are best linked, cores and memory beside them,
 * all of one NUMA node where that can be; and of equals those that leave the most useful rest. Also the only
 * place that takes units and gives them back.
 */
#include <string.h>

#include "scheduler/core/arena.h"

#define EXACT_GPUS_MAX 12 /* up to so many candidates every subset is tried */

struct numa_free {
    uint32_t cores;
    uint32_t cpus;
};

static void count_numa(const struct node *node, struct numa_free free[RESOURCE_NUMA_MAX])
{
    memset(free, 0, RESOURCE_NUMA_MAX * sizeof *free);
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
        uint64_t left = node->core_present[word] & ~node->facts.core_used[word];
        for (; left; left &= left - 1) {
            uint32_t unit = word * 64 + (uint32_t)__builtin_ctzll(left);
            free[node->core_numa[unit]].cores++;
            free[node->core_numa[unit]].cpus += node->core_threads[unit];
        }
    }
}

/* ---- GPUs ---- */

/* How good a set of GPUs is to be had, and to be left: the sum of its links, its weakest one first. */
static uint64_t links_of(const struct node *node, uint32_t set)
{
    uint64_t sum = 0, weakest = 255;
    for (uint32_t a = set; a; a &= a - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(a);
        for (uint32_t b = a & (a - 1); b; b &= b - 1) {
            uint32_t j = (uint32_t)__builtin_ctz(b);
            uint32_t link = node->gpu_link[i][j];
            if (!link)
                link = node->gpu_numa[i] == node->gpu_numa[j] ? 2 : 1; /* the driver doesn't say: NUMA does */
            weakest = link < weakest ? link : weakest;
            sum += link;
        }
    }
    return set & (set - 1) ? weakest << 20 | sum : 0;
}

/* Of those that are as well linked: with its cores beside it, then the one that leaves the best rest. */
static uint64_t set_worth(const struct node *node, const struct numa_free *free, uint32_t cores, uint32_t set,
                          uint32_t rest)
{
    uint32_t beside = 0;
    uint64_t numas = 0;
    for (uint32_t left = set; left; left &= left - 1)
        numas |= UINT64_C(1) << node->gpu_numa[__builtin_ctz(left)];
    for (uint64_t left = numas; left; left &= left - 1)
        beside += free[__builtin_ctzll(left)].cores;
    uint64_t spread = RESOURCE_NUMA_MAX - (uint64_t)__builtin_popcountll(numas);
    uint64_t left_links = links_of(node, rest) >> 4;
    return links_of(node, set) << 32 | spread << 25 | (uint64_t)(beside >= cores) << 24 |
           (left_links < (1 << 24) ? left_links : (1 << 24) - 1);
}

static uint32_t best_subset(const struct node *node, const struct numa_free *free, uint32_t cores,
                            uint32_t candidates, uint32_t wanted)
{
    uint32_t unit[RESOURCE_GPUS_MAX], count = 0, best = 0;
    uint64_t most = 0;
    for (uint32_t left = candidates; left; left &= left - 1)
        unit[count++] = (uint32_t)__builtin_ctz(left);
    for (uint32_t bits = 0; bits < UINT32_C(1) << count; bits++) {
        if ((uint32_t)__builtin_popcount(bits) != wanted)
            continue;
        uint32_t set = 0;
        for (uint32_t left = bits; left; left &= left - 1)
            set |= UINT32_C(1) << unit[__builtin_ctz(left)];
        uint64_t worth = set_worth(node, free, cores, set, candidates & ~set);
        if (!best || worth > most) {
            best = set;
            most = worth;
        }
    }
    return best;
}

/* From each seed, the closest next one again and again; the best of these sets. */
static uint32_t grown_set(const struct node *node, const struct numa_free *free, uint32_t cores,
                          uint32_t candidates, uint32_t wanted)
{
    uint32_t best = 0;
    uint64_t most = 0;
    for (uint32_t seeds = candidates; seeds; seeds &= seeds - 1) {
        uint32_t set = seeds & -seeds;
        while ((uint32_t)__builtin_popcount(set) < wanted) {
            uint32_t next = 0;
            uint64_t closest = 0;
            for (uint32_t left = candidates & ~set; left; left &= left - 1) {
                uint64_t links = links_of(node, set | (left & -left));
                if (!next || links > closest) {
                    next = left & -left;
                    closest = links;
                }
            }
            set |= next;
        }
        uint64_t worth = set_worth(node, free, cores, set, candidates & ~set);
        if (!best || worth > most) {
            best = set;
            most = worth;
        }
    }
    return best;
}

static uint32_t pick_gpus(const struct node *node, const struct numa_free *free, const struct job_facts *job)
{
    uint32_t wanted = job->request.gpu_milli / RESOURCE_GPU_WHOLE, candidates = 0;
    uint32_t cores = job->request.cores ? job->request.cores : job->request.cpus;
    if (!wanted)
        return 0;
    for (uint32_t left = node->gpu_present; left; left &= left - 1) {
        uint32_t unit = (uint32_t)__builtin_ctz(left);
        if (!node->facts.gpu_used[unit] && gpu_share_of(node, unit, &job->request))
            candidates |= UINT32_C(1) << unit;
    }
    uint32_t count = (uint32_t)__builtin_popcount(candidates);
    CORE_ASSERT(count >= wanted);
    if (count == wanted)
        return candidates;
    return count <= EXACT_GPUS_MAX ? best_subset(node, free, cores, candidates, wanted)
                                   : grown_set(node, free, cores, candidates, wanted);
}

/* A share goes to the GPU that is fullest after it: holes stay large. */
static void pick_share(const struct node *node, const struct job_facts *job, struct resource_lease *lease)
{
    uint32_t fullest = 0;
    for (uint32_t left = node->gpu_present; left; left &= left - 1) {
        uint32_t unit = (uint32_t)__builtin_ctz(left), used = node->facts.gpu_used[unit];
        uint32_t takes = gpu_share_of(node, unit, &job->request);
        if (!takes || used + takes > RESOURCE_GPU_WHOLE || (fullest && used + takes <= fullest))
            continue;
        fullest = used + takes;
        lease->gpus = UINT32_C(1) << unit;
        lease->gpu_milli_each = takes;
    }
    CORE_ASSERT(lease->gpus);
}

/* ---- cores ---- */

/* The NUMA node that holds all of it with the least left over; else the one with the most. */
static uint64_t best_numa(const struct numa_free *free, const struct job_facts *job)
{
    uint32_t best = 0;
    uint64_t most = 0;
    for (uint32_t numa = 0; numa < RESOURCE_NUMA_MAX; numa++) {
        bool holds = job->request.cores <= free[numa].cores && job->request.cpus <= free[numa].cpus;
        uint64_t worth = holds ? 2 * RESOURCE_CORES_MAX - free[numa].cores : free[numa].cores;
        if (free[numa].cores && worth > most) {
            best = numa;
            most = worth;
        }
    }
    return UINT64_C(1) << best;
}

/* Takes free cores of those NUMA nodes until the job has enough; *cores and *cpus are what it still wants. */
static void pick_cores(const struct node *node, uint64_t numas, uint64_t lease[RESOURCE_CORE_WORDS],
                       uint32_t *cores, uint32_t *cpus)
{
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
        uint64_t left = node->core_present[word] & ~node->facts.core_used[word] & ~lease[word];
        for (; left && (*cores || *cpus); left &= left - 1) {
            uint32_t unit = word * 64 + (uint32_t)__builtin_ctzll(left);
            if (!((numas >> node->core_numa[unit]) & 1))
                continue;
            resource_bit_set(lease, unit);
            *cores -= *cores ? 1 : 0;
            *cpus -= *cpus < node->core_threads[unit] ? *cpus : node->core_threads[unit];
        }
    }
}

void place_units(const struct node *node, const struct job_facts *job, struct resource_lease *lease)
{
    struct numa_free free[RESOURCE_NUMA_MAX];
    const struct resource_request *r = &job->request;
    uint32_t cores = r->cores, cpus = r->cpus;
    memset(lease, 0, sizeof *lease);
    lease->memory_bytes = r->memory_bytes;
    if (node->pool) {
        lease->pool = r->flags & RESOURCE_EXCLUSIVE ? node->pool : r->cores ? r->cores : r->cpus;
        return;
    }
    if (r->flags & RESOURCE_EXCLUSIVE) {
        memcpy(lease->cores, node->core_present, sizeof lease->cores);
        lease->memory_bytes = node->facts.memory_bytes;
        lease->gpus = node->gpu_present;
        lease->gpu_milli_each = lease->gpus ? RESOURCE_GPU_WHOLE : 0;
        return;
    }
    count_numa(node, free);
    if (r->gpu_milli % RESOURCE_GPU_WHOLE || (r->gpu_memory_bytes && !r->gpu_milli)) {
        pick_share(node, job, lease);
    } else if (r->gpu_milli) {
        lease->gpus = pick_gpus(node, free, job);
        lease->gpu_milli_each = RESOURCE_GPU_WHOLE;
    }
    uint64_t near = 0;
    for (uint32_t left = lease->gpus; left; left &= left - 1)
        near |= UINT64_C(1) << node->gpu_numa[__builtin_ctz(left)];
    if (!near)
        near = best_numa(free, job);
    pick_cores(node, near, lease->cores, &cores, &cpus);
    pick_cores(node, ~UINT64_C(0), lease->cores, &cores, &cpus);
    CORE_ASSERT(!cores && !cpus);
}

/* ---- leases ---- */

bool lease_fits(const struct node *node, const struct resource_lease *lease)
{
    const struct node_facts *f = &node->facts;
    uint64_t any = lease->pool;
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
        if ((lease->cores[word] & ~node->core_present[word]) || (lease->cores[word] & f->core_used[word]))
            return false;
        any |= lease->cores[word];
    }
    for (uint32_t left = lease->gpus; left; left &= left - 1) {
        uint32_t unit = (uint32_t)__builtin_ctz(left);
        if (!((node->gpu_present >> unit) & 1) ||
            f->gpu_used[unit] + lease->gpu_milli_each > RESOURCE_GPU_WHOLE)
            return false;
    }
    if (lease->pool > (node->pool > f->pool_used ? node->pool - f->pool_used : 0))
        return false;
    uint64_t memory = f->memory_bytes > f->memory_used ? f->memory_bytes - f->memory_used : 0;
    return any && lease->memory_bytes <= memory &&
           (lease->gpus ? lease->gpu_milli_each > 0 && lease->gpu_milli_each <= RESOURCE_GPU_WHOLE
                        : lease->gpu_milli_each == 0);
}

/* What a lease takes from, or (sign -1) gives back to, what is used; the free amounts follow. */
static void use(struct node *node, const struct resource_lease *lease, int sign)
{
    struct node_facts *f = &node->facts;
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++)
        f->core_used[word] ^= lease->cores[word];
    for (uint32_t left = lease->gpus; left; left &= left - 1) {
        uint16_t *used = &f->gpu_used[__builtin_ctz(left)];
        *used = (uint16_t)(*used + sign * (int)lease->gpu_milli_each);
    }
    f->memory_used += (uint64_t)(int64_t)sign * lease->memory_bytes;
    f->pool_used += (uint32_t)sign * lease->pool;
    node->lease_count += (uint32_t)sign;
}

void lease_amounts(const struct node *node, const struct resource_lease *lease, struct caps *sum)
{
    bool alike = node->threads_min == node->threads_max;
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
        uint64_t there = lease->cores[word] & node->core_present[word];
        if (!there)
            continue;
        uint32_t count = (uint32_t)__builtin_popcountll(there);
        sum->cores += count;
        sum->cpus += alike ? count * node->threads_max : 0;
        for (uint64_t left = alike ? 0 : there; left; left &= left - 1)
            sum->cpus += node->core_threads[word * 64 + (uint32_t)__builtin_ctzll(left)];
    }
}

/* The free amounts after a change of what is used: only what the lease touched is counted anew. */
static void follow(struct core *core, struct node *node, const struct resource_lease *lease, int sign)
{
    const struct node_facts *f = &node->facts;
    struct caps *free = &node->free;
    free->memory_bytes = f->memory_bytes > f->memory_used ? f->memory_bytes - f->memory_used : 0;
    if (node->pool)
        free->cores = free->cpus = node->pool > f->pool_used ? node->pool - f->pool_used : 0;
    struct caps cores = {0};
    lease_amounts(node, lease, &cores);
    free->cores -= (uint32_t)sign * cores.cores;
    free->cpus -= (uint32_t)sign * cores.cpus;
    if (lease->gpus)
        gpu_amounts(node, free);
    tree_update(core, (uint32_t)(node - core->nodes));
}

void lease_take(struct core *core, struct node *node, const struct job_facts *job,
                const struct resource_lease *lease)
{
    if (job->request.flags & RESOURCE_ISOLATED)
        node->facts.tenant = job->principal;
    use(node, lease, 1);
    follow(core, node, lease, 1);
}

void lease_return(struct core *core, struct node *node, const struct resource_lease *lease)
{
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++)
        CORE_ASSERT((node->facts.core_used[word] & lease->cores[word]) == lease->cores[word]);
    for (uint32_t left = lease->gpus; left; left &= left - 1)
        CORE_ASSERT(node->facts.gpu_used[__builtin_ctz(left)] >= lease->gpu_milli_each);
    CORE_ASSERT(node->facts.memory_used >= lease->memory_bytes && node->facts.pool_used >= lease->pool);
    use(node, lease, -1);
    if (!node->lease_count)
        node->facts.tenant = 0;
    follow(core, node, lease, -1);
}
