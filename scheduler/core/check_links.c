/*
 * The first part of the full pass, on an arena whose contents are anybody's guess: every link is within its
 * table and every small value within its range, so that the parts behind it may follow them.
 */
#include "scheduler/core/arena.h"

static bool job_links(const struct header *h, const struct job *j)
{
    const struct job_facts *f = &j->facts;
    bool in_range = true;
    for (uint32_t i = 0; i < RESOURCE_LICENCE_KINDS_MAX; i++)
        in_range = in_range && f->licences.id[i] < RESOURCE_LICENCES_MAX;
    for (uint32_t i = 0; i < TENANTS_OF_JOB_MAX; i++)
        in_range = in_range && j->tenants[i] <= h->facts.tenant_count;
    return in_range && j->left <= h->job.high && j->right <= h->job.high && j->klass <= h->klass.high &&
           j->first_task <= h->task.high && j->first_need <= h->need.high &&
           j->first_needed <= h->need.high && j->first_hold <= h->hold.high && j->stir_next <= h->job.high &&
           j->next_free <= h->job.high && j->heap_at <= h->heap_count && f->present <= 1 &&
           j->first_element <= h->job.high && j->element_prev <= h->job.high &&
           j->element_next <= h->job.high && !j->changed_next;
}

static bool task_links(const struct header *h, const struct task *t)
{
    return t->job_slot <= h->job.high && t->node_slot <= h->facts.node_count && t->job_next <= h->task.high &&
           t->node_prev <= h->task.high && t->node_next <= h->task.high && t->heap_at <= h->heap_count &&
           t->next_free <= h->task.high && t->present <= 1 && !t->changed_next;
}

static bool klass_links(const struct header *h, const struct klass *k)
{
    return k->key.shape <= h->shape.high && k->left <= h->klass.high && k->right <= h->klass.high &&
           k->root <= h->job.high && k->head <= h->job.high && k->shape_prev <= h->klass.high &&
           k->shape_next <= h->klass.high && k->tenant_prev <= h->klass.high &&
           k->tenant_next <= h->klass.high && k->present <= 1 && k->ordered <= 1;
}

static bool shape_links(const struct header *h, const struct shape *s)
{
    return s->first_klass <= h->klass.high && s->prev <= h->shape.high && s->next <= h->shape.high &&
           s->present <= 1;
}

static bool need_links(const struct header *h, const struct need *n)
{
    return n->waiter_slot <= h->job.high && n->on_slot <= h->job.high && n->waiter_next <= h->need.high &&
           n->on_prev <= h->need.high && n->on_next <= h->need.high && n->present <= 1;
}

static bool hold_links(const struct header *h, const struct hold *x)
{
    return x->job_slot <= h->job.high && x->node_slot <= h->facts.node_count && x->job_next <= h->hold.high &&
           x->node_prev <= h->hold.high && x->node_next <= h->hold.high && x->present <= 1;
}

static bool node_links(const struct header *h, const struct node *n)
{
    for (uint32_t unit = 0; unit < RESOURCE_CORES_MAX; unit++) {
        if (n->core_numa[unit] >= RESOURCE_NUMA_MAX || n->core_threads[unit] > RESOURCE_CORE_THREADS_MAX)
            return false;
    }
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        if (n->gpu_numa[unit] >= RESOURCE_NUMA_MAX || n->gpu_model[unit] >= RESOURCE_LABELS_MAX)
            return false;
    }
    return n->first_task <= h->task.high && n->last_task <= h->task.high && n->first_hold <= h->hold.high &&
           n->facts.present <= 1 && !n->changed_next;
}

static bool tenant_links(const struct header *h, const struct tenant *t)
{
    return t->first_klass <= h->klass.high && !t->changed_next;
}

static bool map_links(const uint32_t *map, uint32_t size, uint32_t high)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < size; i++) {
        used += map[i] != 0;
        if (map[i] > high)
            return false;
    }
    return used < size; /* a full map is searched for ever */
}

#define ALL(records, high, links)                                                                            \
    for (uint32_t slot = 0; slot <= (high); slot++) {                                                        \
        if (!links(h, &core->records[slot]))                                                                 \
            return #records ": a link or a value is out of range";                                           \
    }

const char *check_links(const struct core *core)
{
    const struct header *h = core->h;
    ALL(jobs, h->job.high, job_links)
    ALL(tasks, h->task.high, task_links)
    ALL(klasses, h->klass.high, klass_links)
    ALL(shapes, h->shape.high, shape_links)
    ALL(needs, h->need.high, need_links)
    ALL(holds, h->hold.high, hold_links)
    ALL(nodes, h->facts.node_count, node_links)
    ALL(tenants, h->facts.tenant_count, tenant_links)
    for (uint32_t i = 0; i < CORE_PROMISES_MAX; i++) {
        if (h->promised[i] > h->job.high)
            return "header: a promised job is beyond the records";
    }
    for (uint32_t i = 1; i <= h->heap_count; i++) {
        uint32_t slot = core->heap[i] & ~WAKE_JOB;
        if (slot > (core->heap[i] & WAKE_JOB ? h->job.high : h->task.high))
            return "heap: an entry is beyond the records";
    }
    if (!map_links(core->job_map, h->job_map_size, h->job.high) ||
        !map_links(core->shape_map, h->job_map_size, h->shape.high) ||
        !map_links(core->klass_map, h->job_map_size, h->klass.high) ||
        !map_links(core->node_map, h->node_map_size, h->facts.node_count) ||
        !map_links(core->tenant_map, h->tenant_map_size, h->facts.tenant_count))
        return "map: an entry is beyond the records, or it is full";
    return NULL;
}
