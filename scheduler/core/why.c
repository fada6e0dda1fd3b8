/*
 * Why a job waits: what is missing on the node that comes nearest to holding it, who holds that, and who is
 * ahead. Changes nothing; looks at every node.
 */
#include "scheduler/core/arena.h"

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

static uint32_t nearest_node(const struct core *core, const struct caps *want)
{
    uint32_t best = 0;
    uint64_t least = UINT64_MAX;
    for (uint32_t slot = 1; slot <= core->h->facts.node_count; slot++) {
        const struct node *node = &core->nodes[slot];
        if (!node_usable(&node->facts) || !caps_fit(want, &node->total))
            continue;
        uint64_t d = distance(want, &node->free);
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

static void list_blockers(const struct core *core, const struct node *node, const struct caps *want,
                          struct core_why *out)
{
    for (int kind = 0; kind < RESOURCE_KIND_COUNT; kind++) {
        uint64_t wanted = amount(want, (enum resource_kind)kind);
        uint64_t there = amount(&node->free, (enum resource_kind)kind);
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

bool core_why(const struct core *core, struct job_id id, struct core_why *out)
{
    uint32_t slot = job_find(core, id.v);
    if (!slot)
        return false;
    const struct job_facts *job = &core->jobs[slot].facts;
    *out = (struct core_why){.state = job->state, .reason = job->reason};
    if (job->state != JOB_QUEUED) {
        for (uint32_t t = core->jobs[slot].first_task; t; t = core->tasks[t].job_next) {
            if (core->tasks[t].facts.attempt == job->attempt)
                out->node.v = core->tasks[t].facts.node;
        }
        return true;
    }
    struct caps want = request_caps(job);
    uint32_t best = nearest_node(core, &want);
    if (best) {
        out->best.v = core->nodes[best].facts.id;
        list_blockers(core, &core->nodes[best], &want, out);
        out->fits_now = out->blocker_count == 0;
    }
    if (queue_of(job) == QUEUE_TURN) {
        out->ahead_count = queue_rank(core, core->h->queue_root, slot);
        while (out->ahead_listed < out->ahead_count && out->ahead_listed < CORE_WHY_JOBS_MAX) {
            uint32_t other = queue_at(core, core->h->queue_root, out->ahead_listed);
            out->ahead[out->ahead_listed++].v = core->jobs[other].facts.id;
        }
    }
    return true;
}
