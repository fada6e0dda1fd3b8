/*
 * The model's books of leases: nothing is leased twice, each lease is what was asked for, and it is free
 * again by its node's word alone.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static const struct core_inventory_core *core_of(const struct mnode *node, uint32_t unit)
{
    for (uint32_t i = 0; i < node->inventory.core_count; i++) {
        if (node->inventory.cores[i].unit == unit)
            return &node->inventory.cores[i];
    }
    return NULL;
}

static struct mlease *lease_find(struct sim *sim, struct task_id task)
{
    for (uint32_t i = sim->lease_count; i-- > 0;) {
        if (task_id_equal(sim->leases[i].task, task))
            return &sim->leases[i];
    }
    return NULL;
}

static const struct core_inventory_gpu *gpu_of(struct sim *sim, struct node_id id, uint32_t unit)
{
    uint8_t key[RESOURCE_GPU_KEY_BYTES];
    struct mnode *node = model_node(sim, id);
    if (!core_node_gpu_key(sim->main, id, unit, key))
        sim_fail(sim, "GPU unit %u of node %u has no key", unit, id.v);
    for (uint32_t i = 0; i < node->inventory.gpu_count; i++) {
        if (memcmp(node->inventory.gpus[i].key, key, sizeof key) == 0)
            return &node->inventory.gpus[i];
    }
    sim_fail(sim, "a GPU is leased that node %u doesn't have now", id.v);
}

static void take_cores(struct sim *sim, const struct mjob *job, struct mnode *node,
                       const struct resource_lease *lease)
{
    const struct resource_request *r = &job->submit.request;
    uint32_t cores = 0, cpus = 0;
    for (uint32_t unit = 0; unit < RESOURCE_CORES_MAX; unit++) {
        if (!resource_bit(lease->cores, unit))
            continue;
        const struct core_inventory_core *c = core_of(node, unit);
        if (!c || node->core_owner[unit])
            sim_fail(sim, "core %u is leased twice or isn't there", unit);
        node->core_owner[unit] = sim->lease_count;
        cores++;
        cpus += c->threads;
    }
    bool all = r->flags & RESOURCE_EXCLUSIVE;
    if (all        ? cores != node->inventory.core_count
        : r->cores ? cores != r->cores
                   : cpus < r->cpus || cpus - r->cpus >= RESOURCE_CORE_THREADS_MAX)
        sim_fail(sim, "%u cores with %u CPUs for one that wants %u cores, %u CPUs", cores, cpus, r->cores,
                 r->cpus);
}

static void take_gpus(struct sim *sim, const struct mjob *job, struct mnode *node, struct node_id id,
                      const struct resource_lease *lease)
{
    const struct resource_request *r = &job->submit.request;
    uint32_t gpus = 0;
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        if (!((lease->gpus >> unit) & 1))
            continue;
        const struct core_inventory_gpu *g = gpu_of(sim, id, unit);
        uint32_t at = g->key[1];
        node->gpu_used[at] += lease->gpu_milli_each;
        if (node->gpu_used[at] > RESOURCE_GPU_WHOLE)
            sim_fail(sim, "GPU %u of node %u is leased beyond the whole of it", at, id.v);
        if ((r->gpu_models_closed >> g->model) & 1)
            sim_fail(sim, "GPU %u of node %u is for those alone who are approved", at, id.v);
        if (!(r->flags & RESOURCE_EXCLUSIVE) && model_gpu_takes(g, r) != lease->gpu_milli_each)
            sim_fail(sim, "GPU %u of node %u is not of the kind that was asked for, or another share", at,
                     id.v);
        gpus++;
    }
    bool share = r->gpu_milli % RESOURCE_GPU_WHOLE || (r->gpu_memory_bytes && !r->gpu_milli);
    uint32_t wanted = r->flags & RESOURCE_EXCLUSIVE ? node->inventory.gpu_count
                      : share                       ? 1
                                                    : r->gpu_milli / RESOURCE_GPU_WHOLE;
    if (gpus != wanted)
        sim_fail(sim, "%u GPUs for one that wants %u", gpus, wanted);
}

void model_lease_start(struct sim *sim, const struct mjob *job, const struct core_decision *d)
{
    struct mnode *node = model_node(sim, d->as.start.node);
    const struct resource_lease *lease = &d->as.start.lease;
    const struct resource_request *r = &job->submit.request;
    bool isolated = r->flags & RESOURCE_ISOLATED;
    if (node->lease_count && ((r->flags & RESOURCE_EXCLUSIVE) ||
                              (isolated ? node->tenant != job->submit.principal.v : node->tenant != 0)))
        sim_fail(sim, "node %u is not this tenant's alone", d->as.start.node.v);
    model_reserved_start(sim, job, d);
    if (sim->lease_count == sim->lease_room) {
        sim->lease_room = sim->lease_room ? 2 * sim->lease_room : 64;
        sim->leases = realloc(sim->leases, sim->lease_room * sizeof *sim->leases);
    }
    uint64_t limit = job->submit.time_limit_ms;
    sim->leases[sim->lease_count++] =
        (struct mlease){.task = d->as.start.task,
                        .node = d->as.start.node,
                        .lease = *lease,
                        .held = true,
                        .began_ms = core_now(sim->main),
                        .reservation = d->as.start.reservation,
                        .ends_ms = limit ? core_now(sim->main) + limit + job->submit.grace_ms : UINT64_MAX};
    node->lease_count++;
    node->tenant = isolated ? job->submit.principal.v : 0;
    take_cores(sim, job, node, lease);
    take_gpus(sim, job, node, d->as.start.node, lease);
    node->memory_used += lease->memory_bytes;
    if (!(r->flags & RESOURCE_EXCLUSIVE) && lease->memory_bytes != r->memory_bytes)
        sim_fail(sim, "a lease that isn't what was asked for");
    if (lease->memory_bytes && node->memory_used > node->inventory.memory_bytes)
        sim_fail(sim, "memory of node %u is leased beyond what it has", d->as.start.node.v);
}

bool model_lease_lift(const struct sim *sim, struct mnode *node, const struct mlease *lease)
{
    uint64_t owner = (uint64_t)(lease - sim->leases) + 1;
    bool same = true;
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        uint8_t key[RESOURCE_GPU_KEY_BYTES];
        if (!((lease->lease.gpus >> unit) & 1))
            continue;
        if (core_node_gpu_key(sim->main, lease->node, unit, key) &&
            node->gpu_used[key[1]] >= lease->lease.gpu_milli_each)
            node->gpu_used[key[1]] -= lease->lease.gpu_milli_each;
        else
            same = false;
    }
    for (uint32_t unit = 0; unit < RESOURCE_CORES_MAX; unit++) {
        if (node->core_owner[unit] == owner)
            node->core_owner[unit] = 0;
    }
    node->memory_used -= lease->lease.memory_bytes;
    if (!--node->lease_count)
        node->tenant = 0;
    return same;
}

void model_lease_freed(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    if ((event->kind != CORE_EVENT_TASK_RELEASED && event->kind != CORE_EVENT_TASK_OVER) ||
        !task_id_equal(event->as.task.task, d->as.task.task) || event->as.task.node.v != d->as.task.node.v)
        sim_fail(sim, "a lease is freed without its node's word");
    struct mlease *lease = lease_find(sim, d->as.task.task);
    if (!lease || !lease->held || lease->node.v != d->as.task.node.v)
        sim_fail(sim, "a lease is freed that nobody holds");
    if (world_task_alive(sim, d->as.task.task))
        sim_fail(sim, "a lease is freed while its payload lives");
    struct mnode *node = model_node(sim, lease->node);
    if (!model_lease_lift(sim, node, lease))
        sim_fail(sim, "a leased GPU's unit became another GPU");
    lease->held = false;
    model_share_freed(sim, lease);
}

void model_lease_forgotten(struct sim *sim, const struct core_decision *d)
{
    const struct mlease *lease = lease_find(sim, d->as.task.task);
    if (!lease || lease->held)
        sim_fail(sim, "a task is forgotten with its lease held");
}

void model_lease_limit(struct sim *sim, const struct mjob *job)
{
    for (uint32_t i = 0; i < sim->lease_count; i++) {
        struct mlease *l = &sim->leases[i];
        uint64_t limit = job->submit.time_limit_ms;
        if (l->task.job.v == job->submit.job.v && l->task.attempt == job->attempt)
            l->ends_ms = limit ? l->began_ms + limit + job->submit.grace_ms : UINT64_MAX;
    }
}

bool model_lease_overdue(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->lease_count; i++) {
        if (sim->leases[i].held && sim->leases[i].ends_ms <= sim->now_ms)
            return true;
    }
    return false;
}

void model_lease_abandoned(struct sim *sim, struct task_id task)
{
    struct mlease *lease = lease_find(sim, task);
    if (lease)
        lease->abandoned = true;
}
