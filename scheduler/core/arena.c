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

size_t arena_layout(struct core *core, const struct header *h, void *base)
{
    struct core scratch;
    if (!core)
        core = &scratch;
    const struct core_capacity *c = &h->capacity;
    size_t at = 0, jobs = (size_t)c->jobs + 1;
    core->h = place(base, &at, 1, sizeof *core->h);
    core->jobs = place(base, &at, jobs, sizeof *core->jobs);
    core->shapes = place(base, &at, jobs + CORE_SHAPES_IDLE_MAX, sizeof *core->shapes);
    core->klasses = place(base, &at, jobs, sizeof *core->klasses);
    core->tasks = place(base, &at, (size_t)c->tasks + 1, sizeof *core->tasks);
    core->nodes = place(base, &at, (size_t)c->nodes + 1, sizeof *core->nodes);
    core->needs = place(base, &at, (size_t)h->need_capacity + 1, sizeof *core->needs);
    core->holds = place(base, &at, (size_t)h->hold_capacity + 1, sizeof *core->holds);
    core->tenants = place(base, &at, (size_t)h->tenant_capacity + 1, sizeof *core->tenants);
    core->order = place(base, &at, 1, sizeof *core->order);
    core->learned = place(base, &at, 1, sizeof *core->learned);
    core->tree = place(base, &at, 2 * (size_t)h->leaves, sizeof *core->tree);
    core->job_map = place(base, &at, h->job_map_size, sizeof *core->job_map);
    core->shape_map = place(base, &at, h->job_map_size, sizeof *core->shape_map);
    core->klass_map = place(base, &at, h->job_map_size, sizeof *core->klass_map);
    core->node_map = place(base, &at, h->node_map_size, sizeof *core->node_map);
    core->tenant_map = place(base, &at, h->tenant_map_size, sizeof *core->tenant_map);
    core->heap = place(base, &at, (size_t)c->tasks + jobs, sizeof *core->heap);
    core->resvs = place(base, &at, (size_t)h->resv_capacity + 1, sizeof *core->resvs);
    core->seats = place(base, &at, (size_t)h->seat_capacity + 1, sizeof *core->seats);
    return (at + ALIGN - 1) / ALIGN * ALIGN;
}

static void sizes_follow(struct header *h)
{
    h->leaves = arena_pow2(h->capacity.nodes + 1);
    h->job_map_size = arena_pow2(2 * (h->capacity.jobs + CORE_SHAPES_IDLE_MAX));
    h->node_map_size = arena_pow2(2 * h->capacity.nodes);
    h->tenant_map_size = arena_pow2(2 * h->tenant_capacity);
}

static bool capacity_ok(const struct header *h)
{
    const struct core_capacity *c = &h->capacity;
    return c->jobs >= 1 && c->jobs <= CORE_JOBS_MAX && c->nodes >= 1 && c->nodes <= CORE_NODES_MAX &&
           c->tasks >= 1 && c->tasks <= CORE_TASKS_MAX && h->need_capacity <= CORE_NEEDS_MAX &&
           h->hold_capacity <= CORE_HOLDS_MAX && h->tenant_capacity >= 1 &&
           h->tenant_capacity <= CORE_TENANTS_MAX && h->resv_capacity <= CORE_RESERVATIONS_MAX &&
           h->seat_capacity <= CORE_SEATS_MAX;
}

/* A zeroed block with its header's sizes set as in `like`. */
static bool block_make(struct core *core, const struct header *like)
{
    /* Views are made over a null base first only to learn the size. */
    size_t bytes = arena_layout(NULL, like, NULL);
    void *block = calloc(1, bytes);
    if (!block)
        return false;
    arena_layout(core, like, block);
    core->bytes = bytes;
    struct header *h = core->h;
    h->magic = CORE_MAGIC;
    h->arena_version = CORE_ARENA_VERSION;
    h->core_version = CORE_VERSION;
    h->bytes = bytes;
    h->capacity = like->capacity;
    h->need_capacity = like->need_capacity;
    h->hold_capacity = like->hold_capacity;
    h->tenant_capacity = like->tenant_capacity;
    h->resv_capacity = like->resv_capacity;
    h->seat_capacity = like->seat_capacity;
    sizes_follow(h);
    return true;
}

struct core *core_create(const struct core_capacity *wanted)
{
    struct header like = {.capacity = *wanted,
                          .need_capacity = 64,
                          .hold_capacity = 64,
                          .tenant_capacity = 16,
                          .resv_capacity = 2,
                          .seat_capacity = 4};
    struct core_capacity *c = &like.capacity;
    c->jobs = c->jobs ? c->jobs : DEFAULT_JOBS;
    c->nodes = c->nodes ? c->nodes : DEFAULT_NODES;
    c->tasks = c->tasks ? c->tasks : DEFAULT_TASKS;
    sizes_follow(&like);
    if (!capacity_ok(&like))
        return NULL;
    struct core *core = calloc(1, sizeof *core);
    if (core && !block_make(core, &like)) {
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

#define CARRY(field, high) memcpy(bigger.field, core->field, ((size_t)(high) + 1) * sizeof *core->field)

static bool grow(struct core *core, const struct header *like)
{
    struct core bigger;
    if (!block_make(&bigger, like))
        return false;
    const struct header *old = core->h;
    struct header *h = bigger.h, sizes = *bigger.h;
    CARRY(jobs, old->job.high);
    CARRY(shapes, old->shape.high);
    CARRY(klasses, old->klass.high);
    CARRY(tasks, old->task.high);
    CARRY(nodes, old->facts.node_count);
    CARRY(needs, old->need.high);
    CARRY(holds, old->hold.high);
    CARRY(tenants, old->facts.tenant_count);
    CARRY(heap, old->heap_count);
    CARRY(resvs, old->resv.high);
    CARRY(seats, old->seat.high);
    *bigger.order = *core->order;
    *bigger.learned = *core->learned;
    *h = *old;
    h->bytes = sizes.bytes;
    h->capacity = sizes.capacity;
    h->need_capacity = sizes.need_capacity;
    h->hold_capacity = sizes.hold_capacity;
    h->tenant_capacity = sizes.tenant_capacity;
    h->resv_capacity = sizes.resv_capacity;
    h->seat_capacity = sizes.seat_capacity;
    sizes_follow(h);
    free(core->h);
    *core = bigger;
    idmap_rebuild(core);
    tree_rebuild(core);
    return true;
}

static uint32_t doubled(uint32_t v, uint32_t max)
{
    return v > max / 2 ? max : 2 * v;
}

/* Room for `more` records beside `used`; false: the limit is in the way. */
static bool room_for(uint32_t *capacity, uint32_t used, uint32_t more, uint32_t max)
{
    while (*capacity - used < more && *capacity < max)
        *capacity = doubled(*capacity, max);
    return *capacity - used >= more;
}

bool core_make_room(struct core *core, const struct core_event *event)
{
    const struct header *old = core->h;
    struct header like = *old;
    bool enough = true;
    if (event->kind == CORE_EVENT_JOB_SUBMIT) {
        enough =
            room_for(&like.capacity.jobs, old->facts.job_count, 1, CORE_JOBS_MAX) &&
            room_for(&like.need_capacity, old->need_count, event->as.submit.dependency_count,
                     CORE_NEEDS_MAX) &&
            room_for(&like.tenant_capacity, old->facts.tenant_count, TENANTS_OF_JOB_MAX, CORE_TENANTS_MAX);
    }
    if (old->array_jobs || (event->kind == CORE_EVENT_JOB_SUBMIT && event->as.submit.array_count)) {
        /* Elements become jobs as they begin; where even that is too much they wait. */
        uint32_t most = CORE_STEP_ELEMENTS_MAX + (event->kind == CORE_EVENT_JOB_SUBMIT);
        room_for(&like.capacity.jobs, old->facts.job_count, most, CORE_JOBS_MAX);
    }
    if (event->kind == CORE_EVENT_QUOTA || event->kind == CORE_EVENT_CAPS ||
        event->kind == CORE_EVENT_WEIGHT || event->kind == CORE_EVENT_FAMILY)
        enough = room_for(&like.tenant_capacity, old->facts.tenant_count, 1, CORE_TENANTS_MAX);
    if (event->kind == CORE_EVENT_RESERVE && !event->as.reserve.remove)
        enough = room_for(&like.resv_capacity, old->resv_count, 1, CORE_RESERVATIONS_MAX) &&
                 room_for(&like.seat_capacity, old->seat_count, event->as.reserve.count, CORE_SEATS_MAX);
    if (event->kind == CORE_EVENT_NODE_UP && !node_find(core, event->as.node.node.v))
        enough = room_for(&like.capacity.nodes, old->facts.node_count, 1, CORE_NODES_MAX);
    room_for(&like.capacity.tasks, old->facts.task_count, CORE_STEP_STARTS_MAX, CORE_TASKS_MAX);
    room_for(&like.hold_capacity, old->hold_count, CORE_INSTANCES_MAX, CORE_HOLDS_MAX);
    if (memcmp(&like, old, sizeof like) != 0) {
        sizes_follow(&like);
        if (!grow(core, &like))
            return false;
    }
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
    arena_layout(copy, copy->h, copy->h);
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
    records_hash(core);
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
    if (h->bytes != length || !capacity_ok(h))
        return "the checkpoint is cut or its sizes don't agree";
    struct header like = *h;
    sizes_follow(&like);
    if (memcmp(&like, h, sizeof like) != 0 || arena_layout(NULL, h, NULL) != length)
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
        arena_layout(core, block, block);
        block->core_version = CORE_VERSION;
        *why = core_check(core);
    }
    if (*why) {
        core_destroy(core);
        return NULL;
    }
    return core;
}

uint64_t core_hash(struct core *core)
{
    records_hash(core);
    return core->h->sum + header_hash(&core->h->facts) + learn_hash(core);
}

uint64_t core_now(const struct core *core)
{
    return core->h->facts.now_ms;
}

bool core_continue_due(const struct core *core)
{
    return core->h->facts.pass_due;
}

uint64_t core_promises_voided(const struct core *core)
{
    return core->h->facts.voided;
}

uint64_t core_timer_at(const struct core *core)
{
    uint64_t at = core->h->heap_count ? wake_time(core, core->heap[1]) : 0;
    for (uint32_t i = 0; i < core->h->promised_count; i++) {
        uint64_t hold = core->jobs[core->h->promised[i]].facts.hold_ms;
        if (hold > core->h->facts.now_ms && (!at || hold < at))
            at = hold;
    }
    if (core->h->resv_wake_ms && (!at || core->h->resv_wake_ms < at))
        at = core->h->resv_wake_ms;
    uint64_t room = (uint64_t)core->order->look_ms, look = core->h->facts.look_at_ms;
    if (room > core->h->facts.now_ms && (!at || room < at))
        at = room;
    return look && (!at || look < at) ? look : at;
}
