/*
 * Slots and hashes of records. Owns the free lists, the lists of changed records and the sum of hashes: the
 * sum is that of all records that are not in a list of changed ones. Slots are given out in an order that
 * depends on the history alone, never on the arena's size.
 */
#include <string.h>

#include "scheduler/core/arena.h"

_Static_assert(sizeof(struct job_facts) == 416, "no padding: the hash reads every byte");
_Static_assert(sizeof(struct task_facts) == 16 + sizeof(struct resource_lease) + 24 + 40,
               "no padding: the hash reads every byte");
_Static_assert(sizeof(struct node_facts) == 32 + 8 * RESOURCE_CORE_WORDS + 2 * RESOURCE_GPUS_MAX + 16,
               "no padding: the hash reads every byte");
_Static_assert(sizeof(struct header_facts) ==
                   40 + 32 + 4 * RESOURCE_LICENCES_MAX + 16 + 24 + 8 + 8 + CORE_FAMILIES_MAX / 8,
               "no padding");
_Static_assert(sizeof(struct tenant_facts) == 96, "no padding");
_Static_assert(sizeof(struct shape_key) == 72 && sizeof(struct klass_key) == 72,
               "no padding: keys are compared");
_Static_assert(sizeof(struct job) == 512, "a pending job's cost");

_Static_assert(sizeof(struct order_job) == 80 && sizeof(struct order_state) % 8 == 0 &&
                   sizeof(struct order_cell) == 24,
               "no padding");

enum {
    KIND_JOB = 1,
    KIND_TASK,
    KIND_NODE,
    KIND_HEADER,
    KIND_INVENTORY,
    KIND_TENANT,
    KIND_NEED,
    KIND_HOLD,
    KIND_RESV,
    KIND_SEAT
};

uint64_t core_mix(uint64_t v)
{
    v ^= v >> 33;
    v *= UINT64_C(0xff51afd7ed558ccd);
    v ^= v >> 33;
    v *= UINT64_C(0xc4ceb9fe1a85ec53);
    return v ^ (v >> 33);
}

__extension__ typedef unsigned __int128 wide;

/* Both halves of a product, as Wang Yi's wyhash folds them: two words in one step of a
 * chain, whose length is what hashing costs. */
static uint64_t folded(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t core_hash_bytes(uint64_t seed, const void *bytes, size_t length)
{
    const char *at = bytes;
    uint64_t h = core_mix(seed + UINT64_C(0x9e3779b97f4a7c15)), word[2];
    size_t i = 0;
    for (; i + sizeof word <= length; i += sizeof word) {
        memcpy(word, at + i, sizeof word);
        h ^= folded(word[0] ^ h, word[1] ^ UINT64_C(0xa0761d6478bd642f));
    }
    if (i < length) {
        memcpy(word, at + i, 8);
        h ^= folded(word[0] ^ h, UINT64_C(0xe7037ed1a0b428db));
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

uint64_t tenant_hash(const struct tenant *tenant)
{
    return core_hash_bytes(KIND_TENANT, &tenant->facts, sizeof tenant->facts);
}

uint64_t need_hash(const struct need *need)
{
    return core_mix(core_mix(need->waiter + KIND_NEED) ^ core_mix(need->on) ^ need->kind);
}

uint64_t hold_hash(const struct core *core, const struct hold *hold)
{
    return core_mix(core_mix(core->jobs[hold->job_slot].facts.id + KIND_HOLD) ^
                    core->nodes[hold->node_slot].facts.id);
}

_Static_assert(sizeof(struct resv_facts) == 16 + 64 + 24 + 4 * CORE_RESERVATION_USERS_MAX, "no padding");

uint64_t resv_hash(const struct resv *resv)
{
    return resv->present ? core_hash_bytes(KIND_RESV, &resv->facts, sizeof resv->facts) : 0;
}

uint64_t seat_hash(const struct core *core, const struct seat *seat)
{
    return core_mix(core_mix(core->resvs[seat->resv_slot].facts.id + KIND_SEAT) ^
                    core->nodes[seat->node_slot].facts.id);
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
    h = core_hash_bytes(h, node->gpu_link, sizeof node->gpu_link);
    h = core_hash_bytes(h, node->gpu_numa, sizeof node->gpu_numa);
    h = core_hash_bytes(h, node->gpu_model, sizeof node->gpu_model);
    h = core_mix(h ^ node->labels);
    return core_mix(h ^ node->gpu_present ^ (uint64_t)node->fabric << 32) ^ core_mix(node->pool);
}

#define CHANGED_LAST UINT32_MAX /* a record's changed_next where no other follows */

/* A record goes into the list once, however often it changes before the next state hash. */
#define CHANGES(type)                                                                                        \
    void type##_changes(struct core *core, struct type *record)                                              \
    {                                                                                                        \
        if (record->changed_next)                                                                            \
            return;                                                                                          \
        core->h->sum -= record->hash;                                                                        \
        record->changed_next = core->h->type##_changed ? core->h->type##_changed : CHANGED_LAST;             \
        core->h->type##_changed = (uint32_t)(record - core->type##s);                                        \
    }                                                                                                        \
    void type##_clear(struct core *core, struct type *record)                                                \
    {                                                                                                        \
        type##_changes(core, record);                                                                        \
        uint32_t changed_next = record->changed_next;                                                        \
        memset(record, 0, sizeof *record);                                                                   \
        record->changed_next = changed_next;                                                                 \
    }                                                                                                        \
    static void type##s_hash(struct core *core)                                                              \
    {                                                                                                        \
        for (uint32_t slot = core->h->type##_changed, next; slot; slot = next) {                             \
            struct type *record = &core->type##s[slot];                                                      \
            next = record->changed_next == CHANGED_LAST ? 0 : record->changed_next;                          \
            record->changed_next = 0;                                                                        \
            record->hash = type##_hash(record);                                                              \
            core->h->sum += record->hash;                                                                    \
        }                                                                                                    \
        core->h->type##_changed = 0;                                                                         \
    }

CHANGES(job)
CHANGES(task)
CHANGES(node)
CHANGES(tenant)
CHANGES(resv)

void records_hash(struct core *core)
{
    jobs_hash(core);
    tasks_hash(core);
    nodes_hash(core);
    tenants_hash(core);
    resvs_hash(core);
}

/* ---- slots ---- */

uint32_t job_take(struct core *core, uint64_t id)
{
    struct header *h = core->h;
    uint32_t slot = h->job.free;
    if (slot)
        h->job.free = core->jobs[slot].next_free;
    else if (h->job.high < h->capacity.jobs)
        slot = ++h->job.high;
    else
        return 0;
    struct job *job = &core->jobs[slot];
    job_clear(core, job);
    job->facts.id = id;
    job->facts.present = 1;
    idmap_put(core, IDMAP_JOB, slot);
    h->facts.job_count++;
    return slot;
}

void job_give(struct core *core, uint32_t slot)
{
    struct header *h = core->h;
    struct job *job = &core->jobs[slot];
    CORE_ASSERT(job->facts.present && !job->first_task && !job->klass && !job->first_need &&
                !job->first_needed && !job->first_hold && !job->heap_at && !job->facts.stirred);
    CORE_ASSERT(!job->first_element && !job->element_prev && !job->element_next);
    h->array_jobs -= job->facts.array_count != 0;
    idmap_drop(core, IDMAP_JOB, slot);
    job_clear(core, job);
    job->next_free = h->job.free;
    h->job.free = slot;
    h->facts.job_count--;
}

uint32_t tasks_room(const struct core *core)
{
    return core->h->capacity.tasks - core->h->facts.task_count;
}

uint32_t lease_width(const struct resource_lease *lease)
{
    uint32_t width = lease->pool;
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++)
        width += (uint32_t)__builtin_popcountll(lease->cores[word]);
    return width;
}

/* Earlier ends first, then narrower ones, then by id: plans free them in this order. */
static bool ends_before(const struct task *a, uint64_t ends_ms, uint32_t width, uint64_t job, uint32_t rank)
{
    if (a->facts.ends_ms != ends_ms)
        return a->facts.ends_ms < ends_ms;
    if (a->width != width)
        return a->width < width;
    return a->facts.job != job ? a->facts.job < job : a->facts.rank < rank;
}

static void node_link(struct core *core, uint32_t slot, uint64_t ends_ms, uint32_t width, uint64_t job,
                      uint32_t rank)
{
    struct task *task = &core->tasks[slot];
    struct node *node = &core->nodes[task->node_slot];
    uint32_t after = node->last_task;
    while (after && !ends_before(&core->tasks[after], ends_ms, width, job, rank))
        after = core->tasks[after].node_prev;
    task->node_prev = after;
    task->node_next = after ? core->tasks[after].node_next : node->first_task;
    *(after ? &core->tasks[after].node_next : &node->first_task) = slot;
    *(task->node_next ? &core->tasks[task->node_next].node_prev : &node->last_task) = slot;
}

static void node_unlink(struct core *core, uint32_t slot)
{
    struct task *task = &core->tasks[slot];
    struct node *node = &core->nodes[task->node_slot];
    *(task->node_prev ? &core->tasks[task->node_prev].node_next : &node->first_task) = task->node_next;
    *(task->node_next ? &core->tasks[task->node_next].node_prev : &node->last_task) = task->node_prev;
}

void task_resort(struct core *core, uint32_t slot, uint64_t ends_ms)
{
    struct task *task = &core->tasks[slot];
    node_unlink(core, slot);
    node_link(core, slot, ends_ms, task->width, task->facts.job, task->facts.rank);
    task->facts.ends_ms = ends_ms;
}

uint32_t task_take(struct core *core, uint32_t job_slot, uint32_t node_slot, uint32_t rank, uint64_t ends_ms,
                   uint32_t width)
{
    struct header *h = core->h;
    uint32_t slot = h->task.free;
    if (slot)
        h->task.free = core->tasks[slot].next_free;
    else if (h->task.high < h->capacity.tasks)
        slot = ++h->task.high;
    else
        return 0;
    struct task *task = &core->tasks[slot];
    struct job *job = &core->jobs[job_slot];
    task_clear(core, task);
    task->present = 1;
    task->facts.job = job->facts.id;
    task->facts.node = core->nodes[node_slot].facts.id;
    task->facts.rank = rank;
    task->facts.ends_ms = ends_ms;
    task->width = width;
    task->job_slot = job_slot;
    task->node_slot = node_slot;
    task->job_next = job->first_task;
    job->first_task = slot;
    job->task_count++;
    node_link(core, slot, ends_ms, width, task->facts.job, rank);
    core->nodes[node_slot].task_count++;
    h->facts.task_count++;
    return slot;
}

void task_give(struct core *core, uint32_t slot)
{
    struct header *h = core->h;
    struct task *task = &core->tasks[slot];
    struct job *job = &core->jobs[task->job_slot];
    CORE_ASSERT(task->present && task->facts.released && !task->heap_at);
    uint32_t *link = &job->first_task;
    while (*link != slot)
        link = &core->tasks[*link].job_next;
    *link = task->job_next;
    job->task_count--;
    node_unlink(core, slot);
    core->nodes[task->node_slot].task_count--;
    task_clear(core, task);
    task->next_free = h->task.free;
    h->task.free = slot;
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
    node_clear(core, node);
    node->facts.id = id;
    node->facts.present = 1;
    idmap_put(core, IDMAP_NODE, slot);
    return slot;
}
