/*
 * What nodes have and have free, and which could take a task. Owns the node tree: an inner node has, of each
 * amount, the most that any leaf below it has, so that a search passes over whole groups of nodes. Searches
 * go in the order of node slots and cost the same at every capacity of the arena.
 */
#include <string.h>

#include "scheduler/core/arena.h"

bool node_usable(const struct node_facts *facts)
{
    return facts->up && !facts->draining && !facts->lost;
}

bool node_serves(const struct node *node, const struct resource_request *r)
{
    return node_usable(&node->facts) && !(r->labels & RESOURCE_ABILITIES & ~node->labels);
}

uint32_t gpu_share_of(const struct node *node, uint32_t unit, const struct resource_request *r)
{
    uint64_t memory = node->gpu_memory[unit];
    if (r->gpu_models && !((r->gpu_models >> node->gpu_model[unit]) & 1))
        return 0;
    if (((r->gpu_models_closed >> node->gpu_model[unit]) & 1) || r->gpu_memory_bytes > memory)
        return 0;
    if (r->gpu_milli >= RESOURCE_GPU_WHOLE)
        return RESOURCE_GPU_WHOLE;
    uint64_t by_memory = memory ? (r->gpu_memory_bytes * RESOURCE_GPU_WHOLE + memory - 1) / memory : 0;
    return by_memory > r->gpu_milli ? (uint32_t)by_memory : r->gpu_milli;
}

bool wants_share(const struct resource_request *r)
{
    return r->gpu_milli % RESOURCE_GPU_WHOLE || (r->gpu_memory_bytes && !r->gpu_milli);
}

struct caps caps_of(const struct node *node, const struct resource_request *r)
{
    uint32_t least = node->threads_min ? node->threads_min : 1, most = node->threads_max;
    struct caps c = {.memory_bytes = r->memory_bytes,
                     .cores = r->cores ? r->cores : (r->cpus + least - 1) / least};
    /* Whole cores: with unequal ones nobody knows yet which it will be. */
    c.cpus = least == most || r->cores ? c.cores * most : r->cpus + most - 1;
    if (r->flags & RESOURCE_EXCLUSIVE)
        return node->total;
    if (wants_share(r)) {
        for (uint32_t left = node->gpu_present; left && !c.share; left &= left - 1)
            c.share = gpu_share_of(node, (uint32_t)__builtin_ctz(left), r);
        if (!c.share)
            c.share = RESOURCE_GPU_WHOLE;
    } else {
        c.gpu_milli = r->gpu_milli;
    }
    return c;
}

bool caps_fit(const struct caps *want, const struct caps *have)
{
    /* A node without a core holds nothing, whatever is wanted. */
    return have->cores && want->cores <= have->cores && want->cpus <= have->cpus &&
           want->memory_bytes <= have->memory_bytes && want->gpu_milli <= have->gpu_milli &&
           want->share <= have->share;
}

void gpu_amounts(const struct node *node, struct caps *free)
{
    free->gpu_milli = free->share = 0;
    for (uint32_t left = node->gpu_present; left; left &= left - 1) {
        uint32_t used = node->facts.gpu_used[__builtin_ctz(left)];
        free->gpu_milli += used ? 0 : RESOURCE_GPU_WHOLE;
        if (RESOURCE_GPU_WHOLE - used > free->share)
            free->share = RESOURCE_GPU_WHOLE - used;
    }
}

void node_amounts(const struct node *node, struct caps *total, struct caps *free)
{
    const struct node_facts *f = &node->facts;
    *total = (struct caps){.memory_bytes = f->memory_bytes, .cores = node->pool, .cpus = node->pool};
    *free = (struct caps){.memory_bytes =
                              f->memory_bytes > f->memory_used ? f->memory_bytes - f->memory_used : 0};
    free->cores = free->cpus = node->pool > f->pool_used ? node->pool - f->pool_used : 0;
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
    total->gpu_milli = (uint32_t)__builtin_popcount(node->gpu_present) * RESOURCE_GPU_WHOLE;
    total->share = node->gpu_present ? RESOURCE_GPU_WHOLE : 0;
    gpu_amounts(node, free);
}

/* GPUs are told apart only where the node has several kinds of them, or the request does. */
static bool gpus_fit(const struct node *node, const struct resource_request *r, bool empty)
{
    bool share = wants_share(r);
    uint32_t wanted = share ? 1 : r->gpu_milli / RESOURCE_GPU_WHOLE;
    for (uint32_t left = node->gpu_present; left && wanted; left &= left - 1) {
        uint32_t unit = (uint32_t)__builtin_ctz(left), used = empty ? 0 : node->facts.gpu_used[unit];
        uint32_t takes = gpu_share_of(node, unit, r);
        wanted -= takes && used + takes <= RESOURCE_GPU_WHOLE;
    }
    return !wanted;
}

/* All of the node is wanted, and some of its GPUs are closed. */
static bool takes_closed(const struct node *node, const struct resource_request *r)
{
    if (!r->gpu_models_closed || !(r->flags & RESOURCE_EXCLUSIVE))
        return false;
    for (uint32_t left = node->gpu_present; left; left &= left - 1)
        if ((r->gpu_models_closed >> node->gpu_model[__builtin_ctz(left)]) & 1)
            return true;
    return false;
}

bool node_fits(const struct node *node, const struct shape_key *key, bool empty)
{
    const struct resource_request *r = &key->request;
    const struct caps *have = empty ? &node->total : &node->free;
    if (!have->cores || r->cores > have->cores || r->cpus > have->cpus ||
        r->memory_bytes > have->memory_bytes)
        return false;
    if (r->gpu_milli >= RESOURCE_GPU_WHOLE && r->gpu_milli > have->gpu_milli)
        return false;
    uint64_t labels = empty ? r->labels & ~RESOURCE_ABILITIES : r->labels; /* it may get those back */
    if ((labels & node->labels) != labels || (r->labels_closed & node->labels) || takes_closed(node, r))
        return false;
    if (!empty) {
        uint32_t most = node->pool ? CORE_POOL_TASKS_MAX : CORE_NODE_TASKS_MAX;
        if (node->task_count >= most)
            return false;
        if (r->flags & RESOURCE_ISOLATED ? node->lease_count && node->facts.tenant != key->tenant
                                         : node->facts.tenant != 0)
            return false;
        if ((r->flags & RESOURCE_EXCLUSIVE) && node->lease_count)
            return false;
    }
    if (r->gpu_models || r->gpu_models_closed || r->gpu_memory_bytes || r->gpu_milli % RESOURCE_GPU_WHOLE)
        return gpus_fit(node, r, empty);
    return true;
}

/* ---- the tree ---- */

struct caps node_leaf(const struct node *node)
{
    return node->facts.present && node_usable(&node->facts) ? node->free : (struct caps){0};
}

static struct caps most(const struct caps *a, const struct caps *b)
{
    return (struct caps){.memory_bytes =
                             a->memory_bytes > b->memory_bytes ? a->memory_bytes : b->memory_bytes,
                         .cores = a->cores > b->cores ? a->cores : b->cores,
                         .cpus = a->cpus > b->cpus ? a->cpus : b->cpus,
                         .gpu_milli = a->gpu_milli > b->gpu_milli ? a->gpu_milli : b->gpu_milli,
                         .share = a->share > b->share ? a->share : b->share};
}

static void idle_count(struct core *core, const struct caps *leaf, uint64_t one)
{
    struct caps_sum *idle = &core->h->idle;
    idle->cores += one * leaf->cores;
    idle->cpus += one * leaf->cpus;
    idle->gpu_milli += one * leaf->gpu_milli;
    idle->memory_bytes += one * leaf->memory_bytes;
}

void tree_update(struct core *core, uint32_t slot)
{
    uint32_t at = core->h->leaves + slot;
    struct caps leaf = node_leaf(&core->nodes[slot]);
    if (memcmp(&core->tree[at], &leaf, sizeof leaf) == 0)
        return;
    idle_count(core, &core->tree[at], UINT64_MAX);
    idle_count(core, &leaf, 1);
    core->tree[at] = leaf;
    for (at /= 2; at; at /= 2) {
        struct caps top = most(&core->tree[2 * at], &core->tree[2 * at + 1]);
        if (memcmp(&core->tree[at], &top, sizeof top) == 0)
            return;
        core->tree[at] = top;
    }
}

void tree_rebuild(struct core *core)
{
    uint32_t leaves = core->h->leaves;
    memset(core->tree, 0, 2 * (size_t)leaves * sizeof *core->tree);
    core->h->idle = (struct caps_sum){0};
    for (uint32_t slot = 1; slot <= core->h->facts.node_count; slot++) {
        core->tree[leaves + slot] = node_leaf(&core->nodes[slot]);
        idle_count(core, &core->tree[leaves + slot], 1);
    }
    for (uint32_t at = leaves - 1; at; at--)
        core->tree[at] = most(&core->tree[2 * at], &core->tree[2 * at + 1]);
}

static bool may_fit(const struct resource_request *r, const struct caps *c)
{
    return c->cores && r->cores <= c->cores && r->cpus <= c->cpus && r->memory_bytes <= c->memory_bytes &&
           (r->gpu_milli < RESOURCE_GPU_WHOLE ? r->gpu_milli <= c->share : r->gpu_milli <= c->gpu_milli);
}

uint32_t tree_find(const struct core *core, const struct shape_key *key, uint32_t from)
{
    uint32_t leaves = core->h->leaves, width = arena_pow2(core->h->facts.node_count + 1);
    uint32_t root = leaves / width;
    if (from > core->h->facts.node_count)
        return 0;
    uint32_t at = from <= 1 ? root : leaves + from;
    for (;;) {
        if (may_fit(&key->request, &core->tree[at])) {
            if (at < leaves) {
                at *= 2;
                continue;
            }
            if (node_fits(&core->nodes[at - leaves], key, false))
                return at - leaves;
        }
        while (at != root && (at & 1))
            at /= 2;
        if (at == root)
            return 0;
        at++;
    }
}

void node_refresh(struct core *core, uint32_t slot)
{
    struct node *node = &core->nodes[slot];
    node_amounts(node, &node->total, &node->free);
    tree_update(core, slot);
}
