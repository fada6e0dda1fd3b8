/*
 * On which nodes a job starts: for one task the node whose free GPUs lose the least use for the jobs that are
 * usual here (the fragmentation gradient of Weng et al., "Beware of Fragmentation", USENIX ATC 2023), then
 * the fullest; for a gang as few switches as possible, and of their nodes the same way.
 */
#include <stdlib.h>
#include <string.h>

#include "scheduler/core/step.h"

#define FITS_SMALL 64 /* nodes that are compared for one task on a large pool */
#define NODES_ALL 256 /* on a pool of so many nodes all are */
#define FITS_MAX 4096

struct option {
    int64_t loss;  /* what the usual jobs can't use any more */
    uint64_t left; /* what stays free on it; less is better */
    uint32_t node;
    uint32_t fabric;
};

static void find_typical(struct step *step)
{
    const struct core *core = step->core;
    step->typical_known = true;
    for (uint32_t s = core->h->shape_first; s; s = core->shapes[s].next) {
        const struct shape *shape = &core->shapes[s];
        if (!shape->key.request.gpu_milli)
            continue;
        uint32_t at = step->typical_count;
        while (at && (core->shapes[step->typical[at - 1]].seen < shape->seen ||
                      (core->shapes[step->typical[at - 1]].seen == shape->seen &&
                       memcmp(&core->shapes[step->typical[at - 1]].key, &shape->key, sizeof shape->key) > 0)))
            at--;
        if (at == TYPICAL_MAX)
            continue;
        uint32_t keep = step->typical_count < TYPICAL_MAX ? step->typical_count : TYPICAL_MAX - 1;
        memmove(&step->typical[at + 1], &step->typical[at], (keep - at) * sizeof *step->typical);
        step->typical[at] = s;
        step->typical_count = keep + 1;
    }
}

/* Thousandths of its free GPUs that a usual job can't use, weighed by how usual each is. */
static int64_t fragments(const struct step *step, const struct node *node, const struct caps *free)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < step->typical_count; i++) {
        const struct shape *shape = &step->core->shapes[step->typical[i]];
        struct caps want = caps_of(node, &shape->key.request);
        int64_t unused = free->gpu_milli;
        if (caps_fit(&want, free) && want.gpu_milli)
            unused = free->gpu_milli % want.gpu_milli;
        else if (caps_fit(&want, free))
            unused = 0;
        sum += unused * shape->seen;
    }
    return sum;
}

static struct option judge(struct step *step, uint32_t slot, const struct job_facts *job)
{
    const struct node *node = &step->core->nodes[slot];
    struct caps want = caps_of(node, &job->request), after = node->free;
    struct option o = {.node = slot, .fabric = node->fabric};
    if (!node->gpu_present) {
        o.left = node->free.cores > want.cores ? node->free.cores - want.cores : 0;
        return o;
    }
    after.cores -= want.cores < after.cores ? want.cores : after.cores;
    after.cpus -= want.cpus < after.cpus ? want.cpus : after.cpus;
    after.memory_bytes -= want.memory_bytes;
    if (want.share) {
        uint32_t used = RESOURCE_GPU_WHOLE - node->free.share;
        after.gpu_milli -= !used && after.gpu_milli ? RESOURCE_GPU_WHOLE : 0;
    } else {
        after.gpu_milli -= want.gpu_milli;
    }
    if (!step->typical_known)
        find_typical(step);
    o.loss = fragments(step, node, &after) - fragments(step, node, &node->free);
    o.left = (uint64_t)after.gpu_milli << 32 | after.cores;
    if (!job->request.gpu_milli && !want.share)
        o.left |= UINT64_C(1) << 63; /* a node without GPUs would do as well */
    return o;
}

static int by_worth(const void *a, const void *b)
{
    const struct option *x = a, *y = b;
    if (x->loss != y->loss)
        return x->loss < y->loss ? -1 : 1;
    if (x->left != y->left)
        return x->left < y->left ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static int by_fabric(const void *a, const void *b)
{
    const struct option *x = a, *y = b;
    if (x->fabric != y->fabric)
        return x->fabric < y->fabric ? -1 : 1;
    return by_worth(a, b);
}

/* The smallest switch that holds all of it; else the largest ones, as few as that takes. */
static void choose_gang(struct option *options, uint32_t count, uint32_t want, uint32_t *nodes)
{
    uint32_t taken = 0;
    qsort(options, count, sizeof *options, by_fabric);
    while (taken < want) {
        uint32_t best = count, best_size = 0, left = want - taken;
        for (uint32_t i = 0, end; i < count; i = end) {
            for (end = i; end < count && options[end].fabric == options[i].fabric; end++)
                ;
            uint32_t size = end - i;
            if (!options[i].node)
                continue; /* used up */
            bool better = best_size >= left ? size >= left && size < best_size : size > best_size;
            if (best == count || better) {
                best = i;
                best_size = size;
            }
        }
        for (uint32_t i = best; i < best + best_size; i++) {
            if (taken < want)
                nodes[taken++] = options[i].node;
            options[i].node = 0;
        }
    }
}

bool pick_nodes(struct step *step, uint32_t job_slot, pick_allowed allowed, const void *context,
                uint32_t nodes[CORE_INSTANCES_MAX])
{
    const struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    const struct shape *shape = &core->shapes[core->klasses[core->jobs[job_slot].klass].key.shape];
    uint32_t want = job->instance_count, count = 0;
    uint32_t most = core->h->facts.node_count <= NODES_ALL ? NODES_ALL : want > 1 ? 4 * want : FITS_SMALL;
    struct option options[FITS_MAX];
    most = most < FITS_SMALL ? FITS_SMALL : most > FITS_MAX ? FITS_MAX : most;
    for (uint32_t at = tree_find(core, &shape->key, 1); at && count < most;
         at = tree_find(core, &shape->key, at + 1)) {
        if (!allowed(context, at))
            continue;
        options[count++] = judge(step, at, job);
    }
    if (!count || count < want)
        return false;
    if (want > 1) {
        choose_gang(options, count, want, nodes);
        return true;
    }
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        best = by_worth(&options[i], &options[best]) < 0 ? i : best;
    nodes[0] = options[best].node;
    return true;
}
