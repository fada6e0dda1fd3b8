/*
 * What nodes have and have free, and where a request fits. Owns the node trees: in each of them an inner node
 * has, of each amount, the most that any leaf below it has, so that a search passes over whole groups of
 * nodes. Searches go in the order of node slots and cost the same at every capacity of the arena.
 */
#include <string.h>

#include "scheduler/core/arena.h"

struct caps request_caps_of(const struct resource_request *request)
{
    return (struct caps){.memory_bytes = request->memory_bytes,
                         .cores = request->cores,
                         .cpus = request->cpus,
                         .gpu_milli = request->gpu_milli};
}

struct caps request_caps(const struct job_facts *job)
{
    return (struct caps){.memory_bytes = job->memory_bytes,
                         .cores = job->cores,
                         .cpus = job->cpus,
                         .gpu_milli = job->gpu_milli};
}

bool caps_fit(const struct caps *want, const struct caps *have)
{
    /* A node without a core holds nothing, whatever is wanted. */
    return have->cores && want->cores <= have->cores && want->cpus <= have->cpus &&
           want->memory_bytes <= have->memory_bytes && want->gpu_milli <= have->gpu_milli;
}

bool node_usable(const struct node_facts *facts)
{
    return facts->up && !facts->draining && !facts->lost;
}

void node_amounts(const struct node *node, struct caps *total, struct caps *free)
{
    const struct node_facts *f = &node->facts;
    *total = (struct caps){.memory_bytes = f->memory_bytes};
    *free = (struct caps){.memory_bytes =
                              f->memory_bytes > f->memory_used ? f->memory_bytes - f->memory_used : 0};
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
        for (uint64_t left = node->core_present[word]; left; left &= left - 1) {
            uint32_t unit = word * 64 + (uint32_t)__builtin_ctzll(left);
            total->cores++;
            total->cpus += node->core_threads[unit];
            if (!resource_bit(f->core_used, unit)) {
                free->cores++;
                free->cpus += node->core_threads[unit];
            }
        }
    }
    for (uint32_t left = node->gpu_present; left; left &= left - 1) {
        uint32_t unit = (uint32_t)__builtin_ctz(left);
        total->gpu_milli += RESOURCE_GPU_WHOLE;
        if (!f->gpu_used[unit])
            free->gpu_milli += RESOURCE_GPU_WHOLE;
    }
}

struct caps node_leaf(const struct node *node, int kind)
{
    if (!node->facts.present || (kind != TREE_KNOWN && !node_usable(&node->facts)))
        return (struct caps){0};
    if (kind == TREE_FREE && node->task_count >= CORE_NODE_TASKS_MAX)
        return (struct caps){0};
    return kind == TREE_FREE ? node->free : node->total;
}

static struct caps most(const struct caps *a, const struct caps *b)
{
    return (struct caps){.memory_bytes =
                             a->memory_bytes > b->memory_bytes ? a->memory_bytes : b->memory_bytes,
                         .cores = a->cores > b->cores ? a->cores : b->cores,
                         .cpus = a->cpus > b->cpus ? a->cpus : b->cpus,
                         .gpu_milli = a->gpu_milli > b->gpu_milli ? a->gpu_milli : b->gpu_milli};
}

void node_refresh(struct core *core, uint32_t slot)
{
    struct node *node = &core->nodes[slot];
    node_amounts(node, &node->total, &node->free);
    for (int kind = 0; kind < TREE_COUNT; kind++) {
        struct caps *tree = core->tree[kind];
        uint32_t at = core->h->leaves + slot;
        struct caps leaf = node_leaf(node, kind);
        if (memcmp(&tree[at], &leaf, sizeof leaf) == 0)
            continue;
        tree[at] = leaf;
        for (at /= 2; at; at /= 2)
            tree[at] = most(&tree[2 * at], &tree[2 * at + 1]);
    }
}

void tree_rebuild(struct core *core)
{
    uint32_t leaves = core->h->leaves;
    for (int kind = 0; kind < TREE_COUNT; kind++) {
        struct caps *tree = core->tree[kind];
        memset(tree, 0, 2 * (size_t)leaves * sizeof *tree);
        for (uint32_t slot = 1; slot <= core->h->facts.node_count; slot++)
            tree[leaves + slot] = node_leaf(&core->nodes[slot], kind);
        for (uint32_t at = leaves - 1; at; at--)
            tree[at] = most(&tree[2 * at], &tree[2 * at + 1]);
    }
}

/* The smallest subtree that holds slots 0..node_count: its shape doesn't depend on the arena's capacity. */
static uint32_t used_root(const struct core *core)
{
    uint32_t width = arena_pow2(core->h->facts.node_count + 1);
    return core->h->leaves / width;
}

struct caps tree_most(const struct core *core, int kind)
{
    return core->tree[kind][used_root(core)];
}

enum find tree_find(const struct core *core, int kind, const struct caps *want, uint32_t from, int64_t *work,
                    uint32_t *slot)
{
    const struct caps *tree = core->tree[kind];
    uint32_t leaves = core->h->leaves, root = used_root(core);
    if (from > core->h->facts.node_count)
        return FIND_NONE;
    uint32_t at = from <= 1 ? root : leaves + from;
    for (;;) {
        if (*work <= 0) {
            while (at < leaves)
                at *= 2;
            *slot = at - leaves;
            return FIND_OUT;
        }
        --*work;
        if (caps_fit(want, &tree[at])) {
            if (at >= leaves) {
                *slot = at - leaves;
                return FIND_SLOT;
            }
            at *= 2;
            continue;
        }
        while (at != root && (at & 1))
            at /= 2;
        if (at == root)
            return FIND_NONE;
        at++;
    }
}
