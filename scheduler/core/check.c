/*
 * The full pass: every hash, index, list and sum is made anew and compared. Safe on an arena whose contents
 * are anybody's guess (its sizes are checked before): no index is followed before it is known to be in range.
 */
#include <string.h>

#include "scheduler/core/arena.h"

#define TREAP_DEPTH_MAX 512 /* of a million the expected depth is under 60 */

static const char *check_header(const struct core *core)
{
    const struct header *h = core->h;
    const struct cursor *c = &h->facts.cursor;
    if (h->job_high > h->capacity.jobs || h->task_high > h->capacity.tasks ||
        h->facts.node_count > h->capacity.nodes || h->heap_count > h->task_high)
        return "header: a count is beyond the capacity";
    if (h->job_free > h->job_high || h->task_free > h->task_high || h->queue_root > h->job_high ||
        h->aside_root > h->job_high)
        return "header: a link is beyond the records";
    if (h->facts.policy >= CORE_POLICY_COUNT || c->recheck >= RECHECK_COUNT || c->place >= PLACE_COUNT ||
        c->again > AGAIN_ALL)
        return "header: an unknown policy or cursor";
    if (core->jobs[0].size || core->jobs[0].facts.present || core->tasks[0].present ||
        core->nodes[0].facts.present)
        return "header: slot 0 is in use";
    return NULL;
}

static const char *check_job(const struct core *core, uint32_t slot)
{
    const struct job *job = &core->jobs[slot];
    const struct job_facts *f = &job->facts;
    if (f->present > 1 || f->state >= JOB_STATE_COUNT || f->reason >= CORE_REASON_COUNT ||
        f->priority_class >= PRIORITY_CLASS_COUNT || f->on_node_loss >= CORE_LOSS_COUNT ||
        f->end_kind >= END_KIND_COUNT || f->ended > 1 || f->forced > 1)
        return "job: a value is out of range";
    if (job->hash != job_hash(job))
        return "job: its hash differs";
    if (job->left > core->h->job_high || job->right > core->h->job_high ||
        job->first_task > core->h->task_high)
        return "job: a link is beyond the records";
    if (queue_of(f) == QUEUE_NONE && (job->left || job->right || job->size))
        return "job: links of a queue that it is not in";
    uint32_t tasks = 0;
    bool current = false;
    for (uint32_t t = job->first_task; t; t = core->tasks[t].job_next, tasks++) {
        if (tasks == job->task_count || t > core->h->task_high || !core->tasks[t].present ||
            core->tasks[t].job_slot != slot || core->tasks[t].facts.job != f->id)
            return "job: its list of tasks is wrong";
        current = current || (core->tasks[t].facts.attempt == f->attempt && !core->tasks[t].facts.abandoned);
    }
    if (tasks != job->task_count)
        return "job: its count of tasks is wrong";
    if (job_state_is_final(f->state) ? tasks == 0 : current == (f->state == JOB_QUEUED))
        return "job: its state doesn't go with its tasks";
    if (f->state == JOB_NOT_STARTED || job_find(core, f->id) != slot)
        return "job: not found by its id, or half made";
    return NULL;
}

/* Every entry of a map is a distinct record when there are as many as records and each record is found. */
static const char *check_map(const uint32_t *map, uint32_t size, uint32_t high, uint32_t wanted)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < size; i++) {
        if (map[i] > high)
            return "map: an entry is beyond the records";
        used += map[i] != 0;
    }
    return used == wanted ? NULL : "map: the count of entries is wrong";
}

static const char *check_jobs(const struct core *core, uint64_t *sum)
{
    const struct header *h = core->h;
    uint32_t present = 0, links = 0;
    for (uint32_t slot = 1; slot <= h->job_high; slot++)
        present += core->jobs[slot].facts.present != 0;
    if (present != h->facts.job_count)
        return "jobs: their count is wrong";
    const char *why = check_map(core->job_map, h->job_map_size, h->job_high, present);
    for (uint32_t slot = 1; !why && slot <= h->job_high; slot++) {
        if (core->jobs[slot].facts.present) {
            why = check_job(core, slot);
            *sum += core->jobs[slot].hash;
        }
    }
    for (uint32_t slot = h->job_free; !why && slot; slot = core->jobs[slot].next_free) {
        if (slot > h->job_high || core->jobs[slot].facts.present || ++links > h->job_high - present)
            return "jobs: the list of free slots is wrong";
    }
    return why ? why : links == h->job_high - present ? NULL : "jobs: a slot is lost";
}

/* In order, without recursion. */
static const char *check_queue(const struct core *core, uint32_t root, int queue, uint32_t *members)
{
    uint32_t stack[TREAP_DEPTH_MAX], depth = 0, at = root, seen = 0;
    uint64_t last[3] = {0};
    while (at || depth) {
        while (at) {
            if (depth == TREAP_DEPTH_MAX || at > core->h->job_high ||
                queue_of(&core->jobs[at].facts) != queue)
                return "queue: a member that doesn't belong, or too deep";
            stack[depth++] = at;
            at = core->jobs[at].left;
        }
        const struct job *job = &core->jobs[stack[--depth]];
        uint64_t key[3], weight = queue_weight(job->facts.id);
        queue_key(&job->facts, key);
        if (queue_compare(last, key) >= 0)
            return "queue: out of order";
        if (job->size != 1 + core->jobs[job->left].size + core->jobs[job->right].size)
            return "queue: a size is wrong";
        if ((job->left && queue_weight(core->jobs[job->left].facts.id) > weight) ||
            (job->right && queue_weight(core->jobs[job->right].facts.id) > weight))
            return "queue: a weight is wrong";
        memcpy(last, key, sizeof last);
        seen++;
        at = job->right;
    }
    *members = seen;
    return NULL;
}

static const char *check_queues(const struct core *core)
{
    uint32_t turn = 0, aside = 0, queued = 0;
    const char *why = check_queue(core, core->h->queue_root, QUEUE_TURN, &turn);
    if (!why)
        why = check_queue(core, core->h->aside_root, QUEUE_ASIDE, &aside);
    for (uint32_t slot = 1; slot <= core->h->job_high; slot++)
        queued += queue_of(&core->jobs[slot].facts) != QUEUE_NONE;
    return why ? why : queued == turn + aside ? NULL : "queue: a waiting job is in none";
}

static const char *check_task(const struct core *core, uint32_t slot)
{
    const struct header *h = core->h;
    const struct task *task = &core->tasks[slot];
    const struct task_facts *f = &task->facts;
    if (task->present != 1 || f->state >= TASK_STATE_COUNT || f->end_kind >= END_KIND_COUNT ||
        f->stop_reason >= CORE_STOP_REASON_END || f->silent > 1 || f->forced > 1 || f->abandoned > 1 ||
        f->released > 1 || f->collected > 1)
        return "task: a value is out of range";
    if (task->hash != task_hash(task))
        return "task: its hash differs";
    if (!task->job_slot || task->job_slot > h->job_high || !task->node_slot ||
        task->node_slot > h->facts.node_count || core->jobs[task->job_slot].facts.id != f->job ||
        core->nodes[task->node_slot].facts.id != f->node)
        return "task: it belongs to no job or no node";
    if (f->attempt == 0 || f->attempt > core->jobs[task->job_slot].facts.attempt)
        return "task: of an attempt that wasn't made";
    if ((f->wake_ms != 0) != (task->heap_at != 0) || task->heap_at > h->heap_count ||
        (task->heap_at && core->heap[task->heap_at] != slot))
        return "task: its wake time isn't in the heap";
    if (f->state == TASK_EXITED && f->released && f->collected)
        return "task: over, but not forgotten";
    return NULL;
}

static const char *check_tasks(const struct core *core, uint64_t *sum)
{
    const struct header *h = core->h;
    uint32_t present = 0, links = 0, woken = 0;
    const char *why = NULL;
    for (uint32_t slot = 1; !why && slot <= h->task_high; slot++) {
        if (!core->tasks[slot].present)
            continue;
        present++;
        woken += core->tasks[slot].heap_at != 0;
        why = check_task(core, slot);
        *sum += core->tasks[slot].hash;
    }
    if (why)
        return why;
    if (present != h->facts.task_count || woken != h->heap_count)
        return "tasks: a count is wrong";
    for (uint32_t i = 2; i <= h->heap_count; i++) {
        if (wake_before(core, core->heap[i], core->heap[i / 2]))
            return "tasks: the heap is out of order";
    }
    for (uint32_t slot = h->task_free; slot; slot = core->tasks[slot].next_free) {
        if (slot > h->task_high || core->tasks[slot].present || ++links > h->task_high - present)
            return "tasks: the list of free slots is wrong";
    }
    return links == h->task_high - present ? NULL : "tasks: a slot is lost";
}

/* What is used must be the sum of the leases, and nothing leased twice. */
static const char *check_leases(const struct core *core, uint32_t slot)
{
    const struct node *node = &core->nodes[slot];
    uint64_t cores[RESOURCE_CORE_WORDS] = {0}, memory = 0;
    uint32_t gpus[RESOURCE_GPUS_MAX] = {0}, tasks = 0, last = 0;
    for (uint32_t t = node->first_task; t; last = t, t = core->tasks[t].node_next, tasks++) {
        if (tasks == node->task_count || t > core->h->task_high || !core->tasks[t].present ||
            core->tasks[t].node_slot != slot || core->tasks[t].node_prev != last)
            return "node: its list of tasks is wrong";
        const struct resource_lease *lease = &core->tasks[t].facts.lease;
        if (core->tasks[t].facts.released)
            continue;
        for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
            if (cores[word] & lease->cores[word])
                return "node: a core is leased twice";
            cores[word] |= lease->cores[word];
        }
        for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++)
            gpus[unit] += (lease->gpus >> unit) & 1 ? lease->gpu_milli_each : 0;
        memory += lease->memory_bytes;
    }
    if (tasks != node->task_count || last != node->last_task)
        return "node: its count of tasks is wrong";
    if (memcmp(cores, node->facts.core_used, sizeof cores) != 0 || memory != node->facts.memory_used)
        return "node: what is used is not the sum of its leases";
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        if (gpus[unit] != node->facts.gpu_used[unit] || gpus[unit] > RESOURCE_GPU_WHOLE)
            return "node: a GPU's use is not the sum of its leases, or more than the GPU";
    }
    return NULL;
}

static const char *check_node(const struct core *core, uint32_t slot)
{
    const struct node *node = &core->nodes[slot];
    const struct node_facts *f = &node->facts;
    if (f->present != 1 || f->up > 1 || f->draining > 1 || f->lost > 1 ||
        node->first_task > core->h->task_high || node->last_task > core->h->task_high)
        return "node: a value is out of range";
    for (uint32_t unit = 0; unit < RESOURCE_CORES_MAX; unit++) {
        if (node->core_numa[unit] >= RESOURCE_NUMA_MAX ||
            node->core_threads[unit] > RESOURCE_CORE_THREADS_MAX)
            return "node: a core's value is out of range";
    }
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        if (node->gpu_numa[unit] >= RESOURCE_NUMA_MAX)
            return "node: a GPU's value is out of range";
    }
    if (f->inventory_hash != node_inventory_hash(node) || node->hash != node_hash(node))
        return "node: its hash differs";
    struct caps total, free;
    node_amounts(node, &total, &free);
    if (memcmp(&total, &node->total, sizeof total) != 0 || memcmp(&free, &node->free, sizeof free) != 0)
        return "node: its amounts are wrong";
    for (int kind = 0; kind < TREE_COUNT; kind++) {
        struct caps leaf = node_leaf(node, kind);
        if (memcmp(&leaf, &core->tree[kind][core->h->leaves + slot], sizeof leaf) != 0)
            return "node: its leaf in an index is wrong";
    }
    if (node_find(core, f->id) != slot)
        return "node: not found by its id";
    return check_leases(core, slot);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static const char *check_trees(const struct core *core)
{
    static const struct caps nothing;
    uint32_t leaves = core->h->leaves;
    for (int kind = 0; kind < TREE_COUNT; kind++) {
        const struct caps *tree = core->tree[kind];
        for (uint32_t leaf = core->h->facts.node_count + 1; leaf < leaves; leaf++) {
            if (memcmp(&tree[leaves + leaf], &nothing, sizeof nothing) != 0)
                return "index: a leaf of no node";
        }
        for (uint32_t at = 1; at < leaves; at++) {
            const struct caps *a = &tree[2 * at], *b = &tree[2 * at + 1], *top = &tree[at];
            if (top->cores != larger(a->cores, b->cores) || top->cpus != larger(a->cpus, b->cpus) ||
                top->gpu_milli != larger(a->gpu_milli, b->gpu_milli) ||
                top->memory_bytes != larger(a->memory_bytes, b->memory_bytes))
                return "index: an inner amount is wrong";
        }
    }
    return NULL;
}

static const char *check_nodes(const struct core *core, uint64_t *sum)
{
    const struct header *h = core->h;
    const char *why = check_map(core->node_map, h->node_map_size, h->facts.node_count, h->facts.node_count);
    for (uint32_t slot = 1; !why && slot <= h->facts.node_count; slot++) {
        why = check_node(core, slot);
        *sum += core->nodes[slot].hash;
    }
    return why ? why : check_trees(core);
}

const char *core_check(const struct core *core)
{
    uint64_t sum = 0;
    const char *why = check_header(core);
    if (!why)
        why = check_jobs(core, &sum);
    if (!why)
        why = check_queues(core);
    if (!why)
        why = check_tasks(core, &sum);
    if (!why)
        why = check_nodes(core, &sum);
    if (!why && sum != core->h->sum)
        why = "the state hash is not the sum of its records";
    return why;
}
