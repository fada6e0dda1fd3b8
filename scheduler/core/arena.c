/*
 * The arena: its layout, its growth between steps, copies and checkpoints. Owns the one block of memory.
 * Growth changes no slot, no order and no decision.
 */
#include <stdlib.h>
#include <string.h>

#include "scheduler/core/arena.h"

#define DEFAULT_JOBS 1024
#define DEFAULT_NODES 16
#define DEFAULT_TASKS (2 * CORE_STEP_STARTS_MAX)
#define ALIGN 64

uint32_t arena_pow2(uint32_t at_least)
{
    uint32_t v = 2;
    while (v < at_least)
        v *= 2;
    return v;
}

static void *place(char *base, size_t *at, size_t count, size_t size)
{
    *at = (*at + ALIGN - 1) / ALIGN * ALIGN;
    void *here = base ? base + *at : NULL;
    *at += count * size;
    return here;
}

size_t arena_layout(struct core *core, const struct core_capacity *c, void *base)
{
    struct core scratch;
    if (!core)
        core = &scratch;
    size_t at = 0;
    size_t leaves = arena_pow2(c->nodes + 1);
    core->h = place(base, &at, 1, sizeof *core->h);
    core->jobs = place(base, &at, (size_t)c->jobs + 1, sizeof *core->jobs);
    core->tasks = place(base, &at, (size_t)c->tasks + 1, sizeof *core->tasks);
    core->nodes = place(base, &at, (size_t)c->nodes + 1, sizeof *core->nodes);
    for (int k = 0; k < TREE_COUNT; k++)
        core->tree[k] = place(base, &at, 2 * leaves, sizeof *core->tree[k]);
    core->job_map = place(base, &at, arena_pow2(2 * c->jobs), sizeof *core->job_map);
    core->node_map = place(base, &at, arena_pow2(2 * c->nodes), sizeof *core->node_map);
    core->heap = place(base, &at, (size_t)c->tasks + 1, sizeof *core->heap);
    return (at + ALIGN - 1) / ALIGN * ALIGN;
}

static bool capacity_ok(const struct core_capacity *c)
{
    return c->jobs >= 1 && c->jobs <= CORE_JOBS_MAX && c->nodes >= 1 && c->nodes <= CORE_NODES_MAX &&
           c->tasks >= 1 && c->tasks <= CORE_TASKS_MAX;
}

/* A zeroed block with its header's sizes set. */
static bool block_make(struct core *core, const struct core_capacity *c)
{
    /* Views are made over a null base first only to learn the size. */
    size_t bytes = arena_layout(NULL, c, NULL);
    void *block = calloc(1, bytes);
    if (!block)
        return false;
    arena_layout(core, c, block);
    core->bytes = bytes;
    struct header *h = core->h;
    h->magic = CORE_MAGIC;
    h->arena_version = CORE_ARENA_VERSION;
    h->core_version = CORE_VERSION;
    h->bytes = bytes;
    h->capacity = *c;
    h->leaves = arena_pow2(c->nodes + 1);
    h->job_map_size = arena_pow2(2 * c->jobs);
    h->node_map_size = arena_pow2(2 * c->nodes);
    return true;
}

struct core *core_create(const struct core_capacity *wanted)
{
    struct core_capacity c = *wanted;
    c.jobs = c.jobs ? c.jobs : DEFAULT_JOBS;
    c.nodes = c.nodes ? c.nodes : DEFAULT_NODES;
    c.tasks = c.tasks ? c.tasks : DEFAULT_TASKS;
    if (!capacity_ok(&c))
        return NULL;
    struct core *core = calloc(1, sizeof *core);
    if (core && !block_make(core, &c)) {
        free(core);
        return NULL;
    }
    return core;
}

void core_destroy(struct core *core)
{
    if (core)
        free(core->h);
    free(core);
}

static bool grow(struct core *core, const struct core_capacity *c)
{
    struct core bigger;
    if (!block_make(&bigger, c))
        return false;
    const struct header *old = core->h;
    struct header *h = bigger.h;
    memcpy(bigger.jobs, core->jobs, ((size_t)old->job_high + 1) * sizeof *core->jobs);
    memcpy(bigger.tasks, core->tasks, ((size_t)old->task_high + 1) * sizeof *core->tasks);
    memcpy(bigger.nodes, core->nodes, ((size_t)old->facts.node_count + 1) * sizeof *core->nodes);
    memcpy(bigger.heap, core->heap, ((size_t)old->heap_count + 1) * sizeof *core->heap);
    h->job_free = old->job_free;
    h->job_high = old->job_high;
    h->task_free = old->task_free;
    h->task_high = old->task_high;
    h->queue_root = old->queue_root;
    h->aside_root = old->aside_root;
    h->heap_count = old->heap_count;
    h->sum = old->sum;
    h->facts = old->facts;
    free(core->h);
    *core = bigger;
    map_rebuild(core);
    tree_rebuild(core);
    return true;
}

static uint32_t doubled(uint32_t v, uint32_t max)
{
    return v > max / 2 ? max : 2 * v;
}

bool core_make_room(struct core *core, const struct core_event *event)
{
    struct core_capacity c = core->h->capacity;
    bool enough = true;
    if (event->kind == CORE_EVENT_JOB_SUBMIT && core->h->facts.job_count == c.jobs) {
        c.jobs = doubled(c.jobs, CORE_JOBS_MAX);
        enough = enough && c.jobs > core->h->facts.job_count;
    }
    if (event->kind == CORE_EVENT_NODE_UP && core->h->facts.node_count == c.nodes &&
        !node_find(core, event->as.node.node.v)) {
        c.nodes = doubled(c.nodes, CORE_NODES_MAX);
        enough = enough && c.nodes > core->h->facts.node_count;
    }
    while (c.tasks - core->h->facts.task_count < CORE_STEP_STARTS_MAX && c.tasks < CORE_TASKS_MAX)
        c.tasks = doubled(c.tasks, CORE_TASKS_MAX);
    if (memcmp(&c, &core->h->capacity, sizeof c) != 0 && !grow(core, &c))
        return false;
    return enough;
}

bool core_copy(struct core *copy, const struct core *core)
{
    if (copy->bytes != core->bytes) {
        void *block = malloc(core->bytes);
        if (!block)
            return false;
        free(copy->h);
        copy->h = block;
        copy->bytes = core->bytes;
    }
    memcpy(copy->h, core->h, core->bytes);
    arena_layout(copy, &core->h->capacity, copy->h);
    return true;
}

static uint64_t checksum(const struct header *h)
{
    struct header clean = *h;
    clean.checksum = 0;
    uint64_t sum = core_hash_bytes(1, &clean, sizeof clean);
    return core_hash_bytes(sum, h + 1, h->bytes - sizeof *h);
}

void core_checkpoint(struct core *core, const void **bytes, size_t *length)
{
    core->h->checksum = checksum(core->h);
    *bytes = core->h;
    *length = core->bytes;
}

static const char *restore_refuses(const struct header *h, size_t length)
{
    if (h->magic != CORE_MAGIC)
        return "not a checkpoint of the core, or from a machine of another byte order";
    if (h->arena_version != CORE_ARENA_VERSION)
        return h->arena_version > CORE_ARENA_VERSION ? "the checkpoint is of a newer version"
                                                     : "the checkpoint is of an older version";
    if (h->bytes != length || !capacity_ok(&h->capacity) || arena_layout(NULL, &h->capacity, NULL) != length)
        return "the checkpoint is cut or its sizes don't agree";
    if (h->leaves != arena_pow2(h->capacity.nodes + 1) ||
        h->job_map_size != arena_pow2(2 * h->capacity.jobs) ||
        h->node_map_size != arena_pow2(2 * h->capacity.nodes))
        return "the checkpoint's sizes don't agree";
    if (h->checksum != checksum(h))
        return "the checkpoint is damaged: its checksum differs";
    return NULL;
}

struct core *core_restore(const void *bytes, size_t length, const char **why)
{
    *why = "the checkpoint is cut";
    if (length < sizeof(struct header) || length % 8)
        return NULL;
    *why = "out of memory";
    struct core *core = calloc(1, sizeof *core);
    struct header *block = core ? malloc(length) : NULL;
    if (!block) {
        free(core);
        return NULL;
    }
    memcpy(block, bytes, length);
    core->h = block;
    core->bytes = length;
    *why = restore_refuses(block, length);
    if (!*why) {
        arena_layout(core, &block->capacity, block);
        block->core_version = CORE_VERSION;
        *why = core_check(core);
    }
    if (*why) {
        core_destroy(core);
        return NULL;
    }
    return core;
}

uint64_t core_hash(const struct core *core)
{
    return core->h->sum + header_hash(&core->h->facts);
}

uint64_t core_now(const struct core *core)
{
    return core->h->facts.now_ms;
}

bool core_continue_due(const struct core *core)
{
    return core->h->facts.cursor.recheck || core->h->facts.cursor.place;
}

uint64_t core_timer_at(const struct core *core)
{
    return core->h->heap_count ? core->tasks[core->heap[1]].facts.wake_ms : 0;
}
