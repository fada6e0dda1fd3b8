/*
 * What a well-formed event is. Everything that core_step relies on is checked here, so that nothing an
 * executor or a person sends can reach an assertion.
 */
#include <string.h>

#include "scheduler/core/arena.h"

static const char *check_inventory(const struct core_inventory *inventory)
{
    static const uint8_t nothing[RESOURCE_GPU_KEY_BYTES];
    uint64_t seen[RESOURCE_CORE_WORDS] = {0};
    if (inventory->memory_bytes > RESOURCE_MEMORY_MAX_BYTES)
        return "the inventory's memory is beyond the limit";
    if (inventory->pool > RESOURCE_POOL_MAX ||
        (inventory->pool && (inventory->core_count || inventory->gpu_count)))
        return "a pool node has too many processors, or cores and GPUs beside them";
    if (inventory->core_count > RESOURCE_CORES_MAX || inventory->gpu_count > RESOURCE_GPUS_MAX)
        return "the inventory has more cores or GPUs than the limit";
    for (uint32_t i = 0; i < inventory->core_count; i++) {
        const struct core_inventory_core *c = &inventory->cores[i];
        if (c->unit >= RESOURCE_CORES_MAX || resource_bit(seen, c->unit))
            return "a core's id in the inventory is beyond the limit or there twice";
        if (c->threads < 1 || c->threads > RESOURCE_CORE_THREADS_MAX || c->numa >= RESOURCE_NUMA_MAX)
            return "a core of the inventory has no CPU, too many, or a NUMA node beyond the limit";
        resource_bit_set(seen, c->unit);
    }
    for (uint32_t i = 0; i < inventory->gpu_count; i++) {
        const struct core_inventory_gpu *g = &inventory->gpus[i];
        if (memcmp(g->key, nothing, sizeof nothing) == 0 || g->numa >= RESOURCE_NUMA_MAX ||
            g->model >= RESOURCE_LABELS_MAX || g->memory_bytes > RESOURCE_MEMORY_MAX_BYTES)
            return "a GPU of the inventory has no key, or an amount beyond the limit";
        for (uint32_t k = 0; k < i; k++) {
            if (memcmp(g->key, inventory->gpus[k].key, sizeof g->key) == 0)
                return "a GPU is in the inventory twice";
        }
    }
    return NULL;
}

static const char *check_node(const struct core_event *event)
{
    if (event->as.node.node.v == 0)
        return "0 is no node's id";
    if (event->kind != CORE_EVENT_NODE_UP)
        return NULL;
    return event->as.node.inventory ? check_inventory(event->as.node.inventory)
                                    : "a hello without an inventory";
}

static const char *check_lists(const struct core_submit *s)
{
    const struct resource_licences *l = &s->licences;
    for (uint32_t i = 0; i < RESOURCE_LICENCE_KINDS_MAX; i++) {
        if (l->id[i] >= RESOURCE_LICENCES_MAX || (i && l->amount[i] && !l->amount[i - 1]))
            return "a licence's id is out of range, or there is a hole in their list";
        for (uint32_t k = 0; k < i; k++) {
            if (l->amount[i] && l->id[k] == l->id[i])
                return "a licence is asked for twice";
        }
    }
    if (s->dependency_count > CORE_DEPENDENCIES_MAX)
        return "too many dependencies";
    for (uint32_t i = 0; i < s->dependency_count; i++) {
        if (s->dependencies[i].job.v == 0 || s->dependencies[i].job.v > JOB_ID_MAX ||
            (unsigned)s->dependencies[i].kind >= CORE_DEPENDENCY_COUNT)
            return "a dependency's job or kind is out of range";
        if (!job_state_is_final(s->dependencies[i].ended))
            return "a dependency that has ended in no final state";
        if (s->dependencies[i].job.v == s->job.v)
            return "a job can't wait for itself";
    }
    return NULL;
}

static const char *check_submit(const struct core_event *event)
{
    const struct core_submit *s = &event->as.submit;
    const struct resource_request *r = &s->request;
    if (s->job.v == 0 || s->job.v > JOB_ID_MAX)
        return "the job's id is out of range";
    if ((unsigned)s->priority_class >= PRIORITY_CLASS_COUNT || (unsigned)s->on_node_loss >= CORE_LOSS_COUNT)
        return "an unknown priority class or rule for a lost node";
    if ((r->cores == 0) == (r->cpus == 0))
        return "exactly one of cores and cpus must be asked for";
    if (r->gpu_milli > RESOURCE_GPU_WHOLE && r->gpu_milli % RESOURCE_GPU_WHOLE)
        return "more than one GPU can be asked for in whole ones only";
    if (r->gpu_milli / RESOURCE_GPU_WHOLE > RESOURCE_POOL_MAX / RESOURCE_GPU_WHOLE ||
        r->memory_bytes > RESOURCE_MEMORY_MAX_BYTES || r->gpu_memory_bytes > RESOURCE_MEMORY_MAX_BYTES ||
        r->cores > RESOURCE_POOL_MAX || r->cpus > RESOURCE_POOL_MAX ||
        (r->flags & ~(uint32_t)RESOURCE_FLAGS_ALL))
        return "an amount is beyond the limit, or an unknown flag";
    if (s->instance_count < 1 || s->instance_count > CORE_INSTANCES_MAX)
        return "the instance count is out of range";
    if (s->time_limit_ms > CORE_DURATION_MAX_MS || s->fence_after_ms > CORE_DURATION_MAX_MS ||
        s->retry_wait_ms > CORE_DURATION_MAX_MS)
        return "a duration is beyond the limit";
    if (s->array_count > CORE_ARRAY_MAX || s->array_limit > s->array_count ||
        s->job.v > JOB_ID_MAX - s->array_count)
        return "an array has too many elements, a limit above their number or without any";
    if (s->retries > CORE_RETRIES_MAX || s->retry_kinds >> END_KIND_COUNT || (s->retry_kinds & 1))
        return "too many retries, or after an end that there isn't";
    if (s->request.gpu_models_closed || s->request.labels_closed)
        return "what is closed to a job is the core's to say";
    if (s->family >= CORE_FAMILIES_MAX)
        return "a family's id is out of range";
    return check_lists(s);
}

static const char *check_update(const struct core_event *event)
{
    const struct core_update *u = &event->as.update;
    if (u->job.v == 0 || u->job.v > JOB_ID_MAX)
        return "the job's id is out of range";
    if ((unsigned)u->priority_class >= PRIORITY_CLASS_COUNT)
        return "an unknown priority class";
    if (u->array_limit > CORE_ARRAY_MAX)
        return "a limit above the most elements that an array may have";
    return u->time_limit_ms > CORE_DURATION_MAX_MS ? "a duration is beyond the limit" : NULL;
}

static const char *check_quota(const struct core_event *event)
{
    const struct core_quota *q = &event->as.quota;
    if ((unsigned)q->scope >= CORE_QUOTA_SCOPE_COUNT)
        return "an unknown scope of a quota";
    if (q->family >= CORE_FAMILIES_MAX || (q->scope == CORE_QUOTA_FAMILY && (!q->family || q->id)))
        return "a quota's family is out of range, or missing";
    if (q->scope == CORE_QUOTA_PRINCIPAL && q->family && !q->id)
        return "a quota in a family is somebody's, not everyone's";
    if (q->approved && (q->scope != CORE_QUOTA_PRINCIPAL || !q->family))
        return "approval is a principal's, in a family";
    return NULL;
}

static const char *check_caps(const struct core_event *event)
{
    const struct core_caps *c = &event->as.caps;
    if (c->scope != CORE_QUOTA_PRINCIPAL && c->scope != CORE_QUOTA_WORKSPACE)
        return "caps are of a principal, a workspace or everyone";
    if ((unsigned)c->priority_class >= PRIORITY_CLASS_COUNT)
        return "an unknown priority class";
    return c->time_limit_ms > CORE_DURATION_MAX_MS ? "a duration is beyond the limit" : NULL;
}

static const char *check_weight(const struct core_event *event)
{
    const struct core_weight *w = &event->as.weight;
    if (!w->principal.v)
        return "0 is no principal's id";
    return w->milli < 1 || w->milli > CORE_WEIGHT_MAX ? "a weight is beyond the limits" : NULL;
}

static const char *check_family(const struct core_event *event)
{
    const struct core_family *f = &event->as.family;
    return f->id && f->id < CORE_FAMILIES_MAX ? NULL : "a family's id is out of range";
}

static const char *check_licences(const struct core_event *event)
{
    return event->as.licences.id < RESOURCE_LICENCES_MAX ? NULL : "a licence's id is out of range";
}

static const char *check_cancel(const struct core_event *event)
{
    const uint64_t job = event->as.cancel.job.v, array = event->as.cancel.array.v;
    return job == 0 || job > JOB_ID_MAX || (array && array >= job) ? "the job's id is out of range" : NULL;
}

static const char *check_task(const struct core_event *event)
{
    const struct task_id *t = &event->as.task.task;
    if (t->job.v == 0 || t->job.v > JOB_ID_MAX || t->attempt == 0 || event->as.task.node.v == 0)
        return "the task's or the node's id is out of range";
    if (event->kind == CORE_EVENT_TASK_STATE &&
        ((int)event->as.task.as.state < TASK_PREPARING || (int)event->as.task.as.state > TASK_PAUSED))
        return "a task can't report that state";
    if (event->kind == CORE_EVENT_TASK_EXIT || event->kind == CORE_EVENT_TASK_OVER) {
        unsigned kind = event->as.task.as.exit.kind;
        bool success = event->as.task.as.exit.code == 0 && event->as.task.as.exit.signal == 0;
        if (kind >= END_KIND_COUNT)
            return "an unknown kind of end";
        if (kind == END_NONE && (!success || !event->as.task.as.exit.ran))
            return "an exit with a code, a signal or without a start needs its kind";
    }
    return NULL;
}

static const char *check_config(const struct core_event *event)
{
    const struct core_config *c = &event->as.config;
    if ((unsigned)c->policy >= CORE_POLICY_COUNT)
        return "an unknown policy";
    if (c->age_ms > CORE_DURATION_MAX_MS || c->preempt_min_run_ms > CORE_DURATION_MAX_MS ||
        c->share_half_life_ms > CORE_DURATION_MAX_MS)
        return "a duration is beyond the limit";
    return c->share_weight && !c->share_half_life_ms ? "fair share needs a half-life" : NULL;
}

static const char *check_reserve(const struct core_event *event)
{
    const struct core_reserve *r = &event->as.reserve;
    const struct resource_request *q = &r->request;
    if (!r->reservation)
        return "0 is no reservation's id";
    if (r->remove)
        return NULL;
    if (r->begin_ms >= r->end_ms || r->end_ms - r->begin_ms > CORE_DURATION_MAX_MS)
        return "a reservation that ends before it begins, or is too long";
    if ((q->cores && q->cpus) || q->gpu_milli % RESOURCE_GPU_WHOLE || q->flags || q->labels ||
        q->gpu_models || q->gpu_memory_bytes)
        return "of a reservation only cores or CPUs, whole GPUs and memory count";
    if (q->cores > RESOURCE_POOL_MAX || q->cpus > RESOURCE_POOL_MAX ||
        q->gpu_milli / RESOURCE_GPU_WHOLE > RESOURCE_GPUS_MAX || q->memory_bytes > RESOURCE_MEMORY_MAX_BYTES)
        return "an amount is beyond the limit";
    if (r->count < 1 || r->count > CORE_INSTANCES_MAX || r->user_count < 1 ||
        r->user_count > CORE_RESERVATION_USERS_MAX)
        return "a reservation has too few or too many nodes or users";
    for (uint32_t i = 0; r->nodes && i < r->count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (r->nodes[k].v == r->nodes[i].v)
                return "a node is reserved twice";
        }
        if (!r->nodes[i].v)
            return "0 is no node's id";
    }
    for (uint32_t i = 0; i < r->user_count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (r->users[k].v == r->users[i].v)
                return "a user is in a reservation twice";
        }
    }
    return NULL;
}

static const char *check_nothing(const struct core_event *event)
{
    (void)event;
    return NULL;
}

const char *core_event_check(const struct core_event *event)
{
    static const char *(*const checks[CORE_EVENT_KIND_END])(const struct core_event *) = {
        [CORE_EVENT_CONFIG] = check_config,      [CORE_EVENT_NODE_UP] = check_node,
        [CORE_EVENT_NODE_DOWN] = check_node,     [CORE_EVENT_NODE_LOST] = check_node,
        [CORE_EVENT_NODE_DRAIN] = check_node,    [CORE_EVENT_NODE_RESUME] = check_node,
        [CORE_EVENT_JOB_SUBMIT] = check_submit,  [CORE_EVENT_JOB_CANCEL] = check_cancel,
        [CORE_EVENT_TASK_STATE] = check_task,    [CORE_EVENT_TASK_EXIT] = check_task,
        [CORE_EVENT_TASK_RELEASED] = check_task, [CORE_EVENT_TASK_COLLECTED] = check_task,
        [CORE_EVENT_TICK] = check_nothing,       [CORE_EVENT_CONTINUE] = check_nothing,
        [CORE_EVENT_TASK_OVER] = check_task,     [CORE_EVENT_JOB_UPDATE] = check_update,
        [CORE_EVENT_LICENCES] = check_licences,  [CORE_EVENT_QUOTA] = check_quota,
        [CORE_EVENT_FAMILY] = check_family,      [CORE_EVENT_RESERVE] = check_reserve,
        [CORE_EVENT_CAPS] = check_caps,          [CORE_EVENT_NODE_FAULT] = check_node,
        [CORE_EVENT_NODE_HEALED] = check_node,   [CORE_EVENT_WEIGHT] = check_weight,
    };
    if ((unsigned)event->kind >= CORE_EVENT_KIND_END || !checks[event->kind])
        return "an event of an unknown kind";
    return checks[event->kind](event);
}
