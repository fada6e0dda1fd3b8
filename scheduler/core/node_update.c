/*
 * A node's inventory as its hello gives it. Owns the mapping of GPUs to unit ids: a key keeps its unit for as
 * long as the node is known, so that a lease means the same device before and after a driver or a cable
 * changed the order.
 */
#include <string.h>

#include "scheduler/core/arena.h"

#define NO_UNIT UINT32_MAX

static uint32_t unit_of_key(const struct node *node, const uint8_t *key)
{
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        if (memcmp(node->gpu_key[unit], key, RESOURCE_GPU_KEY_BYTES) == 0)
            return unit;
    }
    return NO_UNIT;
}

/* A unit that nobody has; else one whose GPU is gone and not leased. `taken` are those of this inventory. */
static uint32_t unit_for_new(const struct node *node, uint32_t taken)
{
    static const uint8_t nothing[RESOURCE_GPU_KEY_BYTES];
    uint32_t fallback = NO_UNIT;
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        if ((taken >> unit) & 1)
            continue;
        if (memcmp(node->gpu_key[unit], nothing, sizeof nothing) == 0)
            return unit;
        if (fallback == NO_UNIT && !node->facts.gpu_used[unit])
            fallback = unit;
    }
    return fallback;
}

static void take_links(struct node *node, const struct core_inventory *inventory,
                       const uint32_t units[RESOURCE_GPUS_MAX])
{
    memset(node->gpu_link, 0, sizeof node->gpu_link);
    for (uint32_t i = 0; i < inventory->gpu_count; i++) {
        for (uint32_t k = 0; k < inventory->gpu_count; k++) {
            if (units[i] != NO_UNIT && units[k] != NO_UNIT && i != k)
                node->gpu_link[units[i]][units[k]] = inventory->gpus[i].link[k];
        }
    }
}

static void take_gpus(struct node *node, const struct core_inventory *inventory)
{
    uint32_t units[RESOURCE_GPUS_MAX];
    uint32_t present = 0;
    /* Known ones first: a new one must not get the unit of one that comes later in the list. */
    for (uint32_t i = 0; i < inventory->gpu_count; i++) {
        units[i] = unit_of_key(node, inventory->gpus[i].key);
        if (units[i] != NO_UNIT)
            present |= UINT32_C(1) << units[i];
    }
    for (uint32_t i = 0; i < inventory->gpu_count; i++) {
        const struct core_inventory_gpu *gpu = &inventory->gpus[i];
        if (units[i] == NO_UNIT)
            units[i] = unit_for_new(node, present);
        if (units[i] == NO_UNIT)
            continue; /* every unit is leased to a GPU that is gone: this one waits for the next hello */
        present |= UINT32_C(1) << units[i];
        memcpy(node->gpu_key[units[i]], gpu->key, RESOURCE_GPU_KEY_BYTES);
        node->gpu_memory[units[i]] = gpu->memory_bytes;
        node->gpu_numa[units[i]] = gpu->numa;
        node->gpu_model[units[i]] = gpu->model;
    }
    node->gpu_present = present;
    node->gpu_mixed = 0;
    for (uint32_t left = present; left; left &= left - 1) {
        uint32_t unit = (uint32_t)__builtin_ctz(left), first = (uint32_t)__builtin_ctz(present);
        node->gpu_mixed |= node->gpu_model[unit] != node->gpu_model[first] ||
                           node->gpu_memory[unit] != node->gpu_memory[first];
    }
    take_links(node, inventory, units);
}

static void take_cores(struct node *node, const struct core_inventory *inventory)
{
    memset(node->core_present, 0, sizeof node->core_present);
    node->threads_min = node->threads_max = inventory->pool ? 1 : 0;
    for (uint32_t i = 0; i < inventory->core_count; i++) {
        const struct core_inventory_core *core = &inventory->cores[i];
        resource_bit_set(node->core_present, core->unit);
        node->core_threads[core->unit] = core->threads;
        node->core_numa[core->unit] = core->numa;
        if (!node->threads_min || core->threads < node->threads_min)
            node->threads_min = core->threads;
        if (core->threads > node->threads_max)
            node->threads_max = core->threads;
    }
}

const char *node_take_inventory(struct core *core, uint32_t id, const struct core_inventory *inventory)
{
    uint32_t slot = node_find(core, id);
    struct node *node = &core->nodes[slot];
    if (slot) {
        shapes_forget_node(core, node);
    } else {
        slot = node_take(core, id);
        node = &core->nodes[slot];
    }
    if (!slot)
        return "no room for another node";
    node_changes(core, node);
    take_cores(node, inventory);
    take_gpus(node, inventory);
    node->labels = inventory->labels;
    node->fabric = inventory->fabric;
    node->pool = inventory->pool;
    node->facts.memory_bytes = inventory->memory_bytes;
    node->facts.inventory_hash = node_inventory_hash(node);
    if (!node->facts.up)
        node->facts.since_ms = core->h->facts.now_ms;
    node->facts.up = 1;
    node->facts.lost = 0;
    node_refresh(core, slot);
    shapes_count_node(core, node);
    shapes_settle(core);
    return NULL;
}
