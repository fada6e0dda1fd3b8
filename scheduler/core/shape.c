/*
 * Shapes: requests that are alike for every node, each with the number of nodes that have room for one more
 * task of it now, that could hold one if they were empty, and of all that are known. Whoever changes a node
 * calls shapes_forget_node before and shapes_count_node after. A shape that no waiting job has is kept for a
 * while: the next job that has it finds it counted.
 */
#include <string.h>

#include "scheduler/core/arena.h"

#define SEEN_MAX (1u << 20)
#define IDLE_LEAST 8

struct shape_key shape_key_of(const struct job_facts *job)
{
    struct shape_key key = {.request = job->request};
    if (job->request.flags & RESOURCE_ISOLATED)
        key.tenant = job->principal;
    return key;
}

static void count(struct shape *shape, const struct node *node, uint32_t one)
{
    if (!node_fits(node, &shape->key, true))
        return;
    shape->known += one;
    if (!node_serves(node, &shape->key.request))
        return;
    shape->usable += one;
    if (node_fits(node, &shape->key, false))
        shape->fit += one;
}

void shapes_forget_fit(struct core *core, const struct node *node)
{
    for (uint32_t s = node_usable(&node->facts) ? core->h->shape_first : 0; s; s = core->shapes[s].next)
        core->shapes[s].fit -= node_fits(node, &core->shapes[s].key, false);
}

void shapes_count_fit(struct core *core, const struct node *node)
{
    for (uint32_t s = node_usable(&node->facts) ? core->h->shape_first : 0; s; s = core->shapes[s].next)
        core->shapes[s].fit += node_fits(node, &core->shapes[s].key, false);
}

static void pool_count(struct core *core, const struct node *node, uint64_t one)
{
    struct caps_sum *pool = &core->h->pool;
    if (!node_usable(&node->facts))
        return;
    pool->cores += one * node->total.cores;
    pool->cpus += one * node->total.cpus;
    pool->gpu_milli += one * node->total.gpu_milli;
    pool->memory_bytes += one * node->total.memory_bytes;
}

void shapes_forget_node(struct core *core, const struct node *node)
{
    pool_count(core, node, UINT64_MAX);
    for (uint32_t s = core->h->shape_first; s; s = core->shapes[s].next)
        count(&core->shapes[s], node, UINT32_MAX);
}

void shapes_count_node(struct core *core, const struct node *node)
{
    pool_count(core, node, 1);
    for (uint32_t s = core->h->shape_first; s; s = core->shapes[s].next)
        count(&core->shapes[s], node, 1);
}

static void unlink_shape(struct core *core, uint32_t slot)
{
    struct shape *shape = &core->shapes[slot];
    *(shape->prev ? &core->shapes[shape->prev].next : &core->h->shape_first) = shape->next;
    *(shape->next ? &core->shapes[shape->next].prev : &core->h->shape_last) = shape->prev;
}

static void link_shape(struct core *core, uint32_t slot, bool at_end)
{
    struct header *h = core->h;
    struct shape *shape = &core->shapes[slot];
    shape->prev = at_end ? h->shape_last : 0;
    shape->next = at_end ? 0 : h->shape_first;
    *(shape->prev ? &core->shapes[shape->prev].next : &h->shape_first) = slot;
    *(shape->next ? &core->shapes[shape->next].prev : &h->shape_last) = slot;
}

/* The idle ones stand behind the others, the latest to become idle last. */
static uint32_t oldest_idle(const struct core *core)
{
    uint32_t slot = core->h->shape_last;
    for (uint32_t n = 1; n < core->h->shape_idle; n++)
        slot = core->shapes[slot].prev;
    return slot;
}

static void forget_shape(struct core *core, uint32_t slot)
{
    idmap_drop(core, IDMAP_SHAPE, slot);
    unlink_shape(core, slot);
    memset(&core->shapes[slot], 0, sizeof core->shapes[slot]);
    core->shapes[slot].next_free = core->h->shape.free;
    core->h->shape.free = slot;
    core->h->shape_idle--;
}

uint32_t shape_use(struct core *core, const struct shape_key *key)
{
    struct header *h = core->h;
    uint32_t slot = shape_find(core, key);
    if (slot) {
        struct shape *shape = &core->shapes[slot];
        shape->seen += shape->seen < SEEN_MAX;
        if (!shape->klasses) {
            unlink_shape(core, slot);
            link_shape(core, slot, false);
            h->shape_idle--;
        }
        return slot;
    }
    slot = h->shape.free;
    if (slot)
        h->shape.free = core->shapes[slot].next_free;
    else
        slot = ++h->shape.high;
    struct shape *shape = &core->shapes[slot];
    memset(shape, 0, sizeof *shape);
    shape->key = *key;
    shape->present = 1;
    shape->seen = 1;
    idmap_put(core, IDMAP_SHAPE, slot);
    link_shape(core, slot, false);
    for (uint32_t node = 1; node <= h->facts.node_count; node++)
        count(shape, &core->nodes[node], 1);
    return slot;
}

void shape_attach(struct core *core, uint32_t slot, uint32_t klass)
{
    struct shape *shape = &core->shapes[slot];
    shape->klasses++;
    core->klasses[klass].shape_prev = 0;
    core->klasses[klass].shape_next = shape->first_klass;
    if (shape->first_klass)
        core->klasses[shape->first_klass].shape_prev = klass;
    shape->first_klass = klass;
}

/* Counting a new shape costs a look at every node; keeping an idle one, a look at each change of a node. */
static uint32_t idle_most(const struct core *core)
{
    uint32_t most = core->h->facts.node_count / 8;
    return most < IDLE_LEAST ? IDLE_LEAST : most < CORE_SHAPES_IDLE_MAX ? most : CORE_SHAPES_IDLE_MAX;
}

void shape_detach(struct core *core, uint32_t slot, uint32_t klass)
{
    struct shape *shape = &core->shapes[slot];
    const struct klass *k = &core->klasses[klass];
    *(k->shape_prev ? &core->klasses[k->shape_prev].shape_next : &shape->first_klass) = k->shape_next;
    if (k->shape_next)
        core->klasses[k->shape_next].shape_prev = k->shape_prev;
    if (--shape->klasses)
        return;
    unlink_shape(core, slot);
    link_shape(core, slot, true);
    core->h->shape_idle++;
    while (core->h->shape_idle > idle_most(core))
        forget_shape(core, oldest_idle(core));
}
