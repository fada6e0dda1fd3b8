/*
 * The full pass: every hash, index, list and sum is made anew and compared. Safe on an arena whose contents
 * are anybody's guess (its sizes are checked before): no index is followed before it is known to be in range.
 */
#include <string.h>

#include "scheduler/core/reserve.h"

static const char *check_header(const struct core *core)
{
    const struct header *h = core->h;
    if (h->job.high > h->capacity.jobs || h->task.high > h->capacity.tasks ||
        h->klass.high > h->capacity.jobs || h->shape.high > h->capacity.jobs + CORE_SHAPES_IDLE_MAX ||
        h->need.high > h->need_capacity || h->hold.high > h->hold_capacity ||
        h->facts.tenant_count > h->tenant_capacity || h->facts.node_count > h->capacity.nodes ||
        h->heap_count > h->task.high + h->job.high)
        return "header: a count is beyond the capacity";
    if (h->job.free > h->job.high || h->task.free > h->task.high || h->klass_root > h->klass.high ||
        h->shape_first > h->shape.high || h->shape_last > h->shape.high || h->stir_first > h->job.high ||
        h->stir_last > h->job.high || h->promised_count > CORE_PROMISES_MAX)
        return "header: a link is beyond the records";
    if (h->facts.policy >= CORE_POLICY_COUNT || h->facts.pass_due > 1)
        return "header: an unknown policy";
    if (h->job_changed || h->task_changed || h->node_changed || h->tenant_changed || h->resv_changed)
        return "header: records have changed since the last core_hash";
    if (core->jobs[0].size || core->jobs[0].facts.present || core->klasses[0].size ||
        core->tasks[0].present || core->nodes[0].facts.present)
        return "header: slot 0 is in use";
    return NULL;
}

static const char *check_job(const struct core *core, uint32_t slot)
{
    const struct job *job = &core->jobs[slot];
    const struct job_facts *f = &job->facts;
    if (f->present > 1 || f->state >= JOB_STATE_COUNT || f->reason >= CORE_REASON_COUNT ||
        f->priority_class > f->asked_class || f->asked_class >= PRIORITY_CLASS_COUNT || f->over_cap > 1 ||
        f->lowered > 1 || f->on_node_loss >= CORE_LOSS_COUNT || f->end_kind >= END_KIND_COUNT ||
        f->requeue >= CORE_REASON_COUNT || f->ended > 1 || f->forced > 1 ||
        f->held > (HELD_BY_OWNER | HELD_BY_OPERATOR) || f->by_operator > SET_ALL ||
        f->family >= CORE_FAMILIES_MAX || f->aged > 1 || f->forlorn > 1 || f->stirred > 1 ||
        f->preemptible > 1)
        return "job: a value is out of range";
    if (job->hash != job_hash(job))
        return "job: its hash differs";
    if (job_ready(f) != (job->klass != 0) || (!job->klass && (job->left || job->right || job->size)))
        return "job: in its turn and in no class, or the other way round";
    if ((f->hold_ms != 0) != (job->first_hold != 0) || (f->hold_ms && !job_waits(f)))
        return "job: a promise without nodes, or nodes without a promise";
    if ((f->wake_ms != 0) != (job->heap_at != 0) || job->heap_at > core->h->heap_count ||
        (job->heap_at && core->heap[job->heap_at] != (slot | WAKE_JOB)))
        return "job: its wake time isn't in the heap";
    uint32_t tasks = 0;
    bool current = false;
    for (uint32_t t = job->first_task; t; t = core->tasks[t].job_next, tasks++) {
        if (tasks == job->task_count || t > core->h->task.high || !core->tasks[t].present ||
            core->tasks[t].job_slot != slot || core->tasks[t].facts.job != f->id)
            return "job: its list of tasks is wrong";
        current = current || (core->tasks[t].facts.attempt == f->attempt && !core->tasks[t].facts.abandoned);
    }
    if (tasks != job->task_count)
        return "job: its count of tasks is wrong";
    if (f->array_count                 ? tasks != 0 || job_state_is_final(f->state)
        : job_state_is_final(f->state) ? (tasks == 0) != array_keeps(core, slot)
                                       : current == (f->state == JOB_QUEUED))
        return "job: its state doesn't go with its tasks";
    if (f->state == JOB_NOT_STARTED || job_find(core, f->id) != slot)
        return "job: not found by its id, or half made";
    return NULL;
}

/* Every entry of a map is a distinct record when there are as many as records and each record is found. */
static const char *check_map(const uint32_t *map, uint32_t size, uint32_t wanted)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < size; i++)
        used += map[i] != 0;
    return used == wanted ? NULL : "map: the count of entries is wrong";
}

static const char *check_jobs(const struct core *core, uint64_t *sum)
{
    const struct header *h = core->h;
    uint32_t present = 0, links = 0;
    for (uint32_t slot = 1; slot <= h->job.high; slot++)
        present += core->jobs[slot].facts.present != 0;
    if (present != h->facts.job_count)
        return "jobs: their count is wrong";
    const char *why = check_map(core->job_map, h->job_map_size, present);
    for (uint32_t slot = 1; !why && slot <= h->job.high; slot++) {
        if (core->jobs[slot].facts.present) {
            why = check_job(core, slot);
            *sum += core->jobs[slot].hash;
        }
    }
    for (uint32_t slot = h->job.free; !why && slot; slot = core->jobs[slot].next_free) {
        if (slot > h->job.high || core->jobs[slot].facts.present || ++links > h->job.high - present)
            return "jobs: the list of free slots is wrong";
    }
    return why ? why : links == h->job.high - present ? NULL : "jobs: a slot is lost";
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
    if (!task->job_slot || task->job_slot > h->job.high || !task->node_slot ||
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
    for (uint32_t slot = 1; !why && slot <= h->task.high; slot++) {
        if (!core->tasks[slot].present)
            continue;
        present++;
        woken += core->tasks[slot].heap_at != 0;
        why = check_task(core, slot);
        *sum += core->tasks[slot].hash;
    }
    if (why)
        return why;
    for (uint32_t slot = 1; slot <= h->job.high; slot++)
        woken += core->jobs[slot].heap_at != 0;
    if (present != h->facts.task_count || woken != h->heap_count)
        return "tasks: a count is wrong";
    for (uint32_t i = 2; i <= h->heap_count; i++) {
        if (wake_before(core, core->heap[i], core->heap[i / 2]))
            return "tasks: the heap is out of order";
    }
    for (uint32_t slot = h->task.free; slot; slot = core->tasks[slot].next_free) {
        if (slot > h->task.high || core->tasks[slot].present || ++links > h->task.high - present)
            return "tasks: the list of free slots is wrong";
    }
    return links == h->task.high - present ? NULL : "tasks: a slot is lost";
}

/* What is used must be the sum of the leases, and nothing leased twice. */
static const char *check_leases(const struct core *core, uint32_t slot)
{
    const struct node *node = &core->nodes[slot];
    uint64_t cores[RESOURCE_CORE_WORDS] = {0}, memory = 0;
    uint32_t gpus[RESOURCE_GPUS_MAX] = {0}, tasks = 0, last = 0, pool = 0, held = 0;
    for (uint32_t t = node->first_task; t; last = t, t = core->tasks[t].node_next, tasks++) {
        if (tasks == node->task_count || t > core->h->task.high || !core->tasks[t].present ||
            core->tasks[t].node_slot != slot || core->tasks[t].node_prev != last)
            return "node: its list of tasks is wrong";
        const struct resource_lease *lease = &core->tasks[t].facts.lease;
        if (last && core->tasks[last].facts.ends_ms > core->tasks[t].facts.ends_ms)
            return "node: its tasks don't stand by their ends";
        if (core->tasks[t].facts.released)
            continue;
        held++;
        pool += lease->pool;
        for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
            if (cores[word] & lease->cores[word])
                return "node: a core is leased twice";
            cores[word] |= lease->cores[word];
        }
        for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++)
            gpus[unit] += (lease->gpus >> unit) & 1 ? lease->gpu_milli_each : 0;
        memory += lease->memory_bytes;
    }
    if (tasks != node->task_count || last != node->last_task || held != node->lease_count)
        return "node: its count of tasks is wrong";
    if (memcmp(cores, node->facts.core_used, sizeof cores) != 0 || memory != node->facts.memory_used ||
        pool != node->facts.pool_used)
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
    if (f->present != 1 || f->up > 1 || f->draining > (DRAIN_BY_PERSON | DRAIN_BY_FAULT) || f->lost > 1)
        return "node: a value is out of range";
    if (f->inventory_hash != node_inventory_hash(node) || node->hash != node_hash(node))
        return "node: its hash differs";
    struct caps total, free;
    node_amounts(node, &total, &free);
    if (memcmp(&total, &node->total, sizeof total) != 0 || memcmp(&free, &node->free, sizeof free) != 0)
        return "node: its amounts are wrong";
    if (node_find(core, f->id) != slot)
        return "node: not found by its id";
    return check_leases(core, slot);
}

static const char *check_nodes(const struct core *core, uint64_t *sum)
{
    const struct header *h = core->h;
    const char *why = check_map(core->node_map, h->node_map_size, h->facts.node_count);
    for (uint32_t slot = 1; !why && slot <= h->facts.node_count; slot++) {
        why = check_node(core, slot);
        *sum += core->nodes[slot].hash;
    }
    return why ? why : check_tree(core);
}

const char *core_check(const struct core *core)
{
    uint64_t sum = 0;
    const char *why = check_header(core);
    if (!why)
        why = check_links(core);
    if (!why)
        why = check_jobs(core, &sum);
    if (!why)
        why = check_tasks(core, &sum);
    if (!why)
        why = check_nodes(core, &sum);
    if (!why)
        why = check_shapes(core);
    if (!why)
        why = check_queues(core);
    if (!why)
        why = check_needs(core, &sum);
    if (!why)
        why = check_holds(core, &sum);
    if (!why)
        why = check_tenants(core, &sum);
    if (!why)
        why = check_learned(core, &sum);
    if (!why)
        why = check_arrays(core);
    if (!why)
        why = check_reservations(core, &sum);
    if (!why && sum != core->h->sum)
        why = "the state hash is not the sum of its records";
    return why;
}
