/*
 * From an id or a key to a slot: open addressing with linear probing; deletion shifts back, so that no
 * tombstone ever builds up. What a map finds follows from its members alone.
 */
#include <string.h>

#include "scheduler/core/arena.h"

static uint64_t shape_mix(const struct shape_key *key)
{
    return core_hash_bytes(11, key, sizeof *key);
}

static uint64_t klass_mix(const struct klass_key *key)
{
    return core_hash_bytes(12, key, sizeof *key);
}

static uint64_t tenant_mix(uint32_t scope, uint32_t id, uint32_t family)
{
    return core_mix((uint64_t)family << 40 | (uint64_t)scope << 32 | id);
}

static uint64_t hash_of(const struct core *core, enum idmap map, uint32_t slot)
{
    switch (map) {
    case IDMAP_JOB:
        return core_mix(core->jobs[slot].facts.id);
    case IDMAP_NODE:
        return core_mix(core->nodes[slot].facts.id);
    case IDMAP_SHAPE:
        return shape_mix(&core->shapes[slot].key);
    case IDMAP_KLASS:
        return klass_mix(&core->klasses[slot].key);
    default:
        return tenant_mix(core->tenants[slot].facts.scope, core->tenants[slot].facts.id,
                          core->tenants[slot].facts.family);
    }
}

static uint32_t *map_of(const struct core *core, enum idmap map, uint32_t *size)
{
    const struct header *h = core->h;
    *size = map == IDMAP_NODE ? h->node_map_size : map == IDMAP_TENANT ? h->tenant_map_size : h->job_map_size;
    uint32_t *const maps[] = {core->job_map, core->node_map, core->shape_map, core->klass_map,
                              core->tenant_map};
    return maps[map];
}

uint32_t job_find(const struct core *core, uint64_t id)
{
    uint32_t mask = core->h->job_map_size - 1;
    for (uint32_t at = (uint32_t)core_mix(id) & mask; core->job_map[at]; at = (at + 1) & mask) {
        if (core->jobs[core->job_map[at]].facts.id == id)
            return core->job_map[at];
    }
    return 0;
}

uint32_t node_find(const struct core *core, uint32_t id)
{
    uint32_t mask = core->h->node_map_size - 1;
    for (uint32_t at = (uint32_t)core_mix(id) & mask; core->node_map[at]; at = (at + 1) & mask) {
        if (core->nodes[core->node_map[at]].facts.id == id)
            return core->node_map[at];
    }
    return 0;
}

uint32_t tenant_find_in(const struct core *core, enum core_quota_scope scope, uint32_t id, uint32_t family)
{
    uint32_t mask = core->h->tenant_map_size - 1;
    for (uint32_t at = (uint32_t)tenant_mix(scope, id, family) & mask; core->tenant_map[at];
         at = (at + 1) & mask) {
        const struct tenant_facts *f = &core->tenants[core->tenant_map[at]].facts;
        if (f->id == id && f->scope == scope && f->family == family)
            return core->tenant_map[at];
    }
    return 0;
}

uint32_t tenant_find(const struct core *core, enum core_quota_scope scope, uint32_t id)
{
    return tenant_find_in(core, scope, id, 0);
}

uint32_t shape_find(const struct core *core, const struct shape_key *key)
{
    uint32_t mask = core->h->job_map_size - 1;
    for (uint32_t at = (uint32_t)shape_mix(key) & mask; core->shape_map[at]; at = (at + 1) & mask) {
        if (memcmp(&core->shapes[core->shape_map[at]].key, key, sizeof *key) == 0)
            return core->shape_map[at];
    }
    return 0;
}

uint32_t klass_find(const struct core *core, const struct klass_key *key)
{
    uint32_t mask = core->h->job_map_size - 1;
    for (uint32_t at = (uint32_t)klass_mix(key) & mask; core->klass_map[at]; at = (at + 1) & mask) {
        if (memcmp(&core->klasses[core->klass_map[at]].key, key, sizeof *key) == 0)
            return core->klass_map[at];
    }
    return 0;
}

uint32_t task_find(const struct core *core, struct task_id id)
{
    uint32_t job = job_find(core, id.job.v);
    if (!job)
        return 0;
    for (uint32_t slot = core->jobs[job].first_task; slot; slot = core->tasks[slot].job_next) {
        if (core->tasks[slot].facts.attempt == id.attempt && core->tasks[slot].facts.rank == id.rank)
            return slot;
    }
    return 0;
}

void idmap_put(struct core *core, enum idmap which, uint32_t slot)
{
    uint32_t size, *map = map_of(core, which, &size);
    uint32_t at = (uint32_t)hash_of(core, which, slot) & (size - 1);
    while (map[at])
        at = (at + 1) & (size - 1);
    map[at] = slot;
}

void idmap_drop(struct core *core, enum idmap which, uint32_t slot)
{
    uint32_t size, *map = map_of(core, which, &size);
    uint32_t hole = (uint32_t)hash_of(core, which, slot) & (size - 1);
    while (map[hole] != slot) {
        CORE_ASSERT(map[hole]);
        hole = (hole + 1) & (size - 1);
    }
    for (uint32_t at = (hole + 1) & (size - 1); map[at]; at = (at + 1) & (size - 1)) {
        uint32_t home = (uint32_t)hash_of(core, which, map[at]) & (size - 1);
        /* It may move into the hole unless its home lies behind the hole. */
        if (((at - home) & (size - 1)) >= ((at - hole) & (size - 1))) {
            map[hole] = map[at];
            hole = at;
        }
    }
    map[hole] = 0;
}

void idmap_rebuild(struct core *core)
{
    const struct header *h = core->h;
    memset(core->job_map, 0, h->job_map_size * sizeof *core->job_map);
    memset(core->shape_map, 0, h->job_map_size * sizeof *core->shape_map);
    memset(core->klass_map, 0, h->job_map_size * sizeof *core->klass_map);
    memset(core->node_map, 0, h->node_map_size * sizeof *core->node_map);
    memset(core->tenant_map, 0, h->tenant_map_size * sizeof *core->tenant_map);
    for (uint32_t slot = 1; slot <= h->job.high; slot++) {
        if (core->jobs[slot].facts.present)
            idmap_put(core, IDMAP_JOB, slot);
    }
    for (uint32_t slot = 1; slot <= h->shape.high; slot++) {
        if (core->shapes[slot].present)
            idmap_put(core, IDMAP_SHAPE, slot);
    }
    for (uint32_t slot = 1; slot <= h->klass.high; slot++) {
        if (core->klasses[slot].present)
            idmap_put(core, IDMAP_KLASS, slot);
    }
    for (uint32_t slot = 1; slot <= h->facts.node_count; slot++)
        idmap_put(core, IDMAP_NODE, slot);
    for (uint32_t slot = 1; slot <= h->facts.tenant_count; slot++)
        idmap_put(core, IDMAP_TENANT, slot);
}
