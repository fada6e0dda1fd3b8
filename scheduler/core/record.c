/*
 * Slots, id maps and hashes of records. Owns the free lists and the sum of hashes: the sum is right whenever
 * no record is open. Slots are given out in an order that depends on the history alone, never on the arena's
 * size.
 */
#include <string.h>

#include "scheduler/core/arena.h"

_Static_assert(sizeof(struct job_facts) == 104, "no padding: the hash reads every byte");
_Static_assert(sizeof(struct task_facts) == 192, "no padding: the hash reads every byte");
_Static_assert(sizeof(struct node_facts) == 32 + 8 * RESOURCE_CORE_WORDS + 2 * RESOURCE_GPUS_MAX + 8,
               "no padding: the hash reads every byte");
_Static_assert(sizeof(struct cursor) == 48 && sizeof(struct header_facts) == 72, "no padding");
_Static_assert(sizeof(struct job) == 136, "a pending job's cost");

enum { KIND_JOB = 1, KIND_TASK, KIND_NODE, KIND_HEADER, KIND_INVENTORY };

uint64_t core_mix(uint64_t v)
{
    v ^= v >> 33;
    v *= UINT64_C(0xff51afd7ed558ccd);
    v ^= v >> 33;
    v *= UINT64_C(0xc4ceb9fe1a85ec53);
    return v ^ (v >> 33);
}

uint64_t core_hash_bytes(uint64_t seed, const void *bytes, size_t length)
{
    const char *at = bytes;
    uint64_t h = core_mix(seed + UINT64_C(0x9e3779b97f4a7c15));
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word;
        memcpy(&word, at + i, 8);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return core_mix(h);
}

uint64_t job_hash(const struct job *job)
{
    return job->facts.present ? core_hash_bytes(KIND_JOB, &job->facts, sizeof job->facts) : 0;
}

uint64_t task_hash(const struct task *task)
{
    return task->present ? core_hash_bytes(KIND_TASK, &task->facts, sizeof task->facts) : 0;
}

uint64_t node_hash(const struct node *node)
{
    return node->facts.present ? core_hash_bytes(KIND_NODE, &node->facts, sizeof node->facts) : 0;
}

uint64_t header_hash(const struct header_facts *facts)
{
    return core_hash_bytes(KIND_HEADER, facts, sizeof *facts);
}

uint64_t node_inventory_hash(const struct node *node)
{
    uint64_t h = core_hash_bytes(KIND_INVENTORY, node->core_present, sizeof node->core_present);
    h = core_hash_bytes(h, node->gpu_memory, sizeof node->gpu_memory);
    h = core_hash_bytes(h, node->core_threads, sizeof node->core_threads);
    h = core_hash_bytes(h, node->core_numa, sizeof node->core_numa);
    h = core_hash_bytes(h, node->gpu_key, sizeof node->gpu_key);
    h = core_hash_bytes(h, node->gpu_numa, sizeof node->gpu_numa);
    return core_mix(h ^ node->gpu_present);
}

void job_open(struct core *core, struct job *job)
{
    core->h->sum -= job->hash;
}

void job_close(struct core *core, struct job *job)
{
    job->hash = job_hash(job);
    core->h->sum += job->hash;
}

void task_open(struct core *core, struct task *task)
{
    core->h->sum -= task->hash;
}

void task_close(struct core *core, struct task *task)
{
    task->hash = task_hash(task);
    core->h->sum += task->hash;
}

void node_open(struct core *core, struct node *node)
{
    core->h->sum -= node->hash;
}

void node_close(struct core *core, struct node *node)
{
    node->hash = node_hash(node);
    core->h->sum += node->hash;
}

/* ---- id maps: linear probing, deletion by shifting back, so that no tombstone ever builds up ---- */

static uint64_t job_key(const struct core *core, uint32_t slot)
{
    return core->jobs[slot].facts.id;
}

static uint64_t node_key(const struct core *core, uint32_t slot)
{
    return core->nodes[slot].facts.id;
}

typedef uint64_t (*key_fn)(const struct core *core, uint32_t slot);

static uint32_t map_find(const struct core *core, const uint32_t *map, uint32_t size, key_fn key, uint64_t id)
{
    for (uint32_t at = (uint32_t)core_mix(id) & (size - 1); map[at]; at = (at + 1) & (size - 1)) {
        if (key(core, map[at]) == id)
            return map[at];
    }
    return 0;
}

static void map_put(uint32_t *map, uint32_t size, uint64_t id, uint32_t slot)
{
    uint32_t at = (uint32_t)core_mix(id) & (size - 1);
    while (map[at])
        at = (at + 1) & (size - 1);
    map[at] = slot;
}

static void map_drop(const struct core *core, uint32_t *map, uint32_t size, key_fn key, uint32_t slot)
{
    uint32_t hole = (uint32_t)core_mix(key(core, slot)) & (size - 1);
    while (map[hole] != slot) {
        CORE_ASSERT(map[hole]);
        hole = (hole + 1) & (size - 1);
    }
    for (uint32_t at = (hole + 1) & (size - 1); map[at]; at = (at + 1) & (size - 1)) {
        uint32_t home = (uint32_t)core_mix(key(core, map[at])) & (size - 1);
        /* It may move into the hole unless its home lies behind the hole. */
        if (((at - home) & (size - 1)) >= ((at - hole) & (size - 1))) {
            map[hole] = map[at];
            hole = at;
        }
    }
    map[hole] = 0;
}

void map_rebuild(struct core *core)
{
    struct header *h = core->h;
    memset(core->job_map, 0, h->job_map_size * sizeof *core->job_map);
    memset(core->node_map, 0, h->node_map_size * sizeof *core->node_map);
    for (uint32_t slot = 1; slot <= h->job_high; slot++) {
        if (core->jobs[slot].facts.present)
            map_put(core->job_map, h->job_map_size, job_key(core, slot), slot);
    }
    for (uint32_t slot = 1; slot <= h->facts.node_count; slot++)
        map_put(core->node_map, h->node_map_size, node_key(core, slot), slot);
}

uint32_t job_find(const struct core *core, uint64_t id)
{
    return map_find(core, core->job_map, core->h->job_map_size, job_key, id);
}

uint32_t node_find(const struct core *core, uint32_t id)
{
    return map_find(core, core->node_map, core->h->node_map_size, node_key, id);
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

/* ---- slots ---- */

uint32_t job_take(struct core *core, uint64_t id)
{
    struct header *h = core->h;
    uint32_t slot = h->job_free;
    if (slot)
        h->job_free = core->jobs[slot].next_free;
    else if (h->job_high < h->capacity.jobs)
        slot = ++h->job_high;
    else
        return 0;
    struct job *job = &core->jobs[slot];
    memset(job, 0, sizeof *job);
    job->facts.id = id;
    job->facts.present = 1;
    map_put(core->job_map, h->job_map_size, id, slot);
    h->facts.job_count++;
    return slot;
}

void job_give(struct core *core, uint32_t slot)
{
    struct header *h = core->h;
    struct job *job = &core->jobs[slot];
    CORE_ASSERT(job->facts.present && !job->first_task && queue_of(&job->facts) == QUEUE_NONE);
    map_drop(core, core->job_map, h->job_map_size, job_key, slot);
    h->sum -= job->hash;
    memset(job, 0, sizeof *job);
    job->next_free = h->job_free;
    h->job_free = slot;
    h->facts.job_count--;
}

uint32_t tasks_room(const struct core *core)
{
    return core->h->capacity.tasks - core->h->facts.task_count;
}

uint32_t task_take(struct core *core, uint32_t job_slot, uint32_t node_slot)
{
    struct header *h = core->h;
    uint32_t slot = h->task_free;
    if (slot)
        h->task_free = core->tasks[slot].next_free;
    else if (h->task_high < h->capacity.tasks)
        slot = ++h->task_high;
    else
        return 0;
    struct task *task = &core->tasks[slot];
    struct job *job = &core->jobs[job_slot];
    struct node *node = &core->nodes[node_slot];
    memset(task, 0, sizeof *task);
    task->present = 1;
    task->facts.job = job->facts.id;
    task->facts.node = node->facts.id;
    task->job_slot = job_slot;
    task->node_slot = node_slot;
    task->job_next = job->first_task;
    job->first_task = slot;
    job->task_count++;
    task->node_prev = node->last_task;
    if (node->last_task)
        core->tasks[node->last_task].node_next = slot;
    else
        node->first_task = slot;
    node->last_task = slot;
    node->task_count++;
    h->facts.task_count++;
    return slot;
}

void task_give(struct core *core, uint32_t slot)
{
    struct header *h = core->h;
    struct task *task = &core->tasks[slot];
    struct job *job = &core->jobs[task->job_slot];
    struct node *node = &core->nodes[task->node_slot];
    CORE_ASSERT(task->present && task->facts.released && !task->heap_at);
    uint32_t *link = &job->first_task;
    while (*link != slot)
        link = &core->tasks[*link].job_next;
    *link = task->job_next;
    job->task_count--;
    *(task->node_prev ? &core->tasks[task->node_prev].node_next : &node->first_task) = task->node_next;
    *(task->node_next ? &core->tasks[task->node_next].node_prev : &node->last_task) = task->node_prev;
    node->task_count--;
    h->sum -= task->hash;
    memset(task, 0, sizeof *task);
    task->next_free = h->task_free;
    h->task_free = slot;
    h->facts.task_count--;
}

/* Nodes are never forgotten, so their slots are 1..node_count. */
uint32_t node_take(struct core *core, uint32_t id)
{
    struct header *h = core->h;
    if (h->facts.node_count == h->capacity.nodes)
        return 0;
    uint32_t slot = ++h->facts.node_count;
    struct node *node = &core->nodes[slot];
    memset(node, 0, sizeof *node);
    node->facts.id = id;
    node->facts.present = 1;
    map_put(core->node_map, h->node_map_size, id, slot);
    return slot;
}
