/*
 * Questions about single jobs, tasks and nodes. Changes nothing.
 */
#include <string.h>

#include "scheduler/core/arena.h"

void core_count(const struct core *core, struct core_counts *out)
{
    const struct header *h = core->h;
    *out = (struct core_counts){.jobs = h->facts.job_count,
                                .queued = h->in_turn,
                                .classes = h->klass_count,
                                .promised = h->promised_count,
                                .tasks = h->facts.task_count,
                                .nodes = h->facts.node_count,
                                .arena_bytes = core->bytes};
}

static void view_job(const struct core *core, uint32_t slot, struct core_job_view *out)
{
    const struct job *job = &core->jobs[slot];
    const struct job_facts *f = &job->facts;
    *out = (struct core_job_view){
        .job.v = f->id,
        .principal.v = f->principal,
        .seq = f->seq,
        .state = f->state,
        .reason = job->klass       ? queue_standing(core, slot)
                  : f->array_count ? array_standing(f)
                                   : (enum core_reason)f->reason,
        .priority_class = f->priority_class,
        .asked_class = f->asked_class,
        .over_cap = f->over_cap,
        .lowered = f->lowered,
        .priority = f->priority,
        .request = f->request,
        .time_limit_ms = f->time_limit_ms,
        .grace_ms = f->grace_ms,
        .instance_count = f->instance_count,
        .attempt = f->attempt,
        .retries_left = f->retries,
        .task_count = job->task_count,
        .workspace = f->workspace,
        .begin_ms = f->begin_ms,
        .promised_ms = f->hold_ms,
        .kept_until_ms = queue_kept_until(core, slot),
        .predicted_ms = (uint64_t)f->order.mean_ms,
        .force_canceled = f->forced,
        .submitted_ms = f->submitted_ms,
        .state_since_ms = f->state_since_ms,
        .end = {f->end_kind, f->end_code, f->end_signal},
        .family = f->family,
        .held_by_operator = f->held & HELD_BY_OPERATOR,
        .waits = job_waits(f),
        .array.v = f->array,
        .array_count = f->array_count,
        .array_limit = f->array_limit,
        .array_waiting = f->array_count ? array_left(f) : 0,
        .array_live = f->array_live,
        .array_completed = f->array_completed,
        .array_failed = f->array_failed,
        .array_canceled = f->array_canceled,
        .on_node_loss = (enum core_on_node_loss)f->on_node_loss,
        .fence_after_ms = f->fence_after_ms,
    };
}

bool core_job_get(const struct core *core, struct job_id job, struct core_job_view *out)
{
    uint32_t slot = job_find(core, job.v);
    if (slot)
        view_job(core, slot, out);
    return slot != 0;
}

bool core_job_next(const struct core *core, uint32_t *cursor, struct core_job_view *out)
{
    while (*cursor < core->h->job.high) {
        uint32_t slot = ++*cursor;
        if (core->jobs[slot].facts.present) {
            view_job(core, slot, out);
            return true;
        }
    }
    return false;
}

void core_config_get(const struct core *core, struct core_config *out)
{
    const struct header_facts *f = &core->h->facts;
    *out = (struct core_config){.policy = (enum core_policy)f->policy,
                                .preempt = f->preempt,
                                .preempt_min_run_ms = f->preempt_min_run_ms,
                                .age_ms = f->age_ms,
                                .share_weight = f->share_weight,
                                .share_half_life_ms = f->share_half_life_ms};
}

static struct task_id id_of(const struct task_facts *f)
{
    return (struct task_id){{f->job}, f->attempt, f->rank};
}

bool core_task_get(const struct core *core, struct task_id id, struct core_task_view *out)
{
    uint32_t slot = task_find(core, id);
    if (!slot)
        return false;
    const struct task_facts *f = &core->tasks[slot].facts;
    *out = (struct core_task_view){
        .task = id,
        .node.v = f->node,
        .state = f->state,
        .silent = f->silent,
        .stopping = f->stop_reason != 0,
        .forced = f->forced,
        .abandoned = f->abandoned,
        .released = f->released,
        .collected = f->collected,
        .stop_reason = f->stop_reason,
        .grace_ms = f->grace_ms,
        .end = {f->end_kind, f->end_code, f->end_signal},
        .lease = f->lease,
        .given_up_ms = f->wake_ms,
    };
    return true;
}

static struct core_amounts amounts(const struct caps *caps)
{
    return (struct core_amounts){caps->cores, caps->cpus, caps->gpu_milli, caps->memory_bytes};
}

static void view_node(const struct node *node, struct core_node_view *out)
{
    *out = (struct core_node_view){
        .node.v = node->facts.id,
        .up = node->facts.up,
        .draining = node->facts.draining != 0,
        .faulty = node->facts.draining & DRAIN_BY_FAULT,
        .drained = node->facts.draining & DRAIN_BY_PERSON,
        .lost = node->facts.lost,
        .task_count = node->task_count,
        .total = amounts(&node->total),
        .free = amounts(&node->free),
        .since_ms = node->facts.since_ms,
    };
}

bool core_node_get(const struct core *core, struct node_id id, struct core_node_view *out)
{
    uint32_t slot = node_find(core, id.v);
    if (slot)
        view_node(&core->nodes[slot], out);
    return slot != 0;
}

bool core_node_next(const struct core *core, uint32_t *cursor, struct core_node_view *out)
{
    if (*cursor >= core->h->facts.node_count)
        return false;
    view_node(&core->nodes[++*cursor], out);
    return true;
}

uint32_t core_node_tasks(const struct core *core, struct node_id id, struct task_id *out, uint32_t max)
{
    uint32_t node = node_find(core, id.v), count = 0;
    for (uint32_t slot = node ? core->nodes[node].first_task : 0; slot;
         slot = core->tasks[slot].node_next, count++) {
        if (count < max)
            out[count] = id_of(&core->tasks[slot].facts);
    }
    return count;
}

uint32_t core_job_tasks(const struct core *core, struct job_id id, struct task_id *out, uint32_t max)
{
    uint32_t job = job_find(core, id.v), count = 0;
    for (uint32_t slot = job ? core->jobs[job].first_task : 0; slot;
         slot = core->tasks[slot].job_next, count++) {
        if (count < max)
            out[count] = id_of(&core->tasks[slot].facts);
    }
    return count;
}

bool core_node_gpu_key(const struct core *core, struct node_id id, uint32_t unit,
                       uint8_t key[RESOURCE_GPU_KEY_BYTES])
{
    static const uint8_t nothing[RESOURCE_GPU_KEY_BYTES];
    uint32_t node = node_find(core, id.v);
    if (!node || unit >= RESOURCE_GPUS_MAX ||
        memcmp(core->nodes[node].gpu_key[unit], nothing, sizeof nothing) == 0)
        return false;
    memcpy(key, core->nodes[node].gpu_key[unit], RESOURCE_GPU_KEY_BYTES);
    return true;
}

bool core_could_fit(const struct core *core, const struct resource_request *request)
{
    struct shape_key key = {.request = *request};
    for (uint32_t slot = 1; slot <= core->h->facts.node_count; slot++) {
        if (node_fits(&core->nodes[slot], &key, true))
            return true;
    }
    return false;
}
