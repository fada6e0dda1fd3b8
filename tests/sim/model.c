/*
 * The model's books: jobs and leases as the decisions alone say, with every promise of the core checked
 * against them. Knows nothing of how the core does it.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static struct mnode *node_of(struct sim *sim, struct node_id id)
{
    if (id.v == 0 || id.v > sim->node_count)
        sim_fail(sim, "a decision names node %u", id.v);
    return &sim->mnodes[id.v - 1];
}

static struct mjob *job_of(struct sim *sim, struct job_id id)
{
    if (id.v == 0 || id.v > sim->job_count)
        sim_fail(sim, "a decision names job %llu", (unsigned long long)id.v);
    return &sim->jobs[id.v];
}

static const struct core_inventory_core *core_of(const struct mnode *node, uint32_t unit)
{
    for (uint32_t i = 0; i < node->inventory.core_count; i++) {
        if (node->inventory.cores[i].unit == unit)
            return &node->inventory.cores[i];
    }
    return NULL;
}

static bool fits(const struct mnode *node, const struct resource_request *r, bool empty)
{
    uint32_t cores = 0, cpus = 0, gpus = 0;
    for (uint32_t i = 0; i < node->inventory.core_count; i++) {
        const struct core_inventory_core *c = &node->inventory.cores[i];
        if (empty || !node->core_owner[c->unit]) {
            cores++;
            cpus += c->threads;
        }
    }
    for (uint32_t i = 0; i < node->inventory.gpu_count; i++)
        gpus += empty || !node->gpu_owner[node->inventory.gpus[i].key[1]];
    uint64_t used = empty ? 0 : node->memory_used;
    return cores && r->cores <= cores && r->cpus <= cpus && r->gpu_milli <= gpus * RESOURCE_GPU_WHOLE &&
           used <= node->inventory.memory_bytes && r->memory_bytes <= node->inventory.memory_bytes - used;
}

bool model_fits_empty(const struct mnode *node, const struct resource_request *request)
{
    return fits(node, request, true);
}

static bool usable(const struct mnode *node)
{
    return node->known && node->up && !node->draining && !node->lost;
}

static bool in_turn(const struct mjob *job)
{
    return job->accepted && job->state == JOB_QUEUED &&
           (job->reason == CORE_REASON_WAITING || job->reason == CORE_REASON_REQUEUED);
}

static bool before(const struct mjob *a, const struct mjob *b)
{
    if (a->submit.priority_class != b->submit.priority_class)
        return a->submit.priority_class > b->submit.priority_class;
    if (a->submit.priority != b->submit.priority)
        return a->submit.priority > b->submit.priority;
    return a->submit.seq < b->submit.seq;
}

static struct mjob *head(struct sim *sim)
{
    struct mjob *first = NULL;
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        struct mjob *job = &sim->jobs[i];
        if (in_turn(job) && (!first || before(job, first)))
            first = job;
    }
    return first;
}

void model_event(struct sim *sim, const struct core_event *event)
{
    switch (event->kind) {
    case CORE_EVENT_NODE_UP: {
        struct mnode *node = node_of(sim, event->as.node.node);
        node->known = node->up = true;
        node->lost = false;
        node->inventory = *event->as.node.inventory;
        break;
    }
    case CORE_EVENT_NODE_LOST:
        node_of(sim, event->as.node.node)->lost = node_of(sim, event->as.node.node)->known;
        node_of(sim, event->as.node.node)->up = false;
        break;
    case CORE_EVENT_NODE_DOWN:
        node_of(sim, event->as.node.node)->up = false;
        break;
    case CORE_EVENT_NODE_DRAIN:
    case CORE_EVENT_NODE_RESUME:
        node_of(sim, event->as.node.node)->draining =
            node_of(sim, event->as.node.node)->known && event->kind == CORE_EVENT_NODE_DRAIN;
        break;
    case CORE_EVENT_TASK_EXIT: {
        struct core_task_view view;
        struct mjob *job = job_of(sim, event->as.task.task.job);
        if (core_task_get(sim->main, event->as.task.task, &view) && view.node.v == event->as.task.node.v &&
            !view.abandoned && view.state != TASK_EXITED && event->as.task.task.attempt == job->attempt &&
            (event->as.task.as.exit.kind != END_NODE_LOST || job->submit.on_node_loss == CORE_LOSS_WAIT)) {
            job->exit_known = true;
            job->end = (struct core_end){event->as.task.as.exit.kind, event->as.task.as.exit.code,
                                         event->as.task.as.exit.signal};
        }
        break;
    }
    default:
        break;
    }
}

static struct mlease *lease_find(struct sim *sim, struct task_id task)
{
    for (uint32_t i = sim->lease_count; i-- > 0;) {
        if (task_id_equal(sim->leases[i].task, task))
            return &sim->leases[i];
    }
    return NULL;
}

static uint32_t gpu_position(struct sim *sim, struct node_id id, uint32_t unit)
{
    uint8_t key[RESOURCE_GPU_KEY_BYTES];
    struct mnode *node = node_of(sim, id);
    if (!core_node_gpu_key(sim->main, id, unit, key))
        sim_fail(sim, "GPU unit %u of node %u has no key", unit, id.v);
    for (uint32_t i = 0; i < node->inventory.gpu_count; i++) {
        if (memcmp(node->inventory.gpus[i].key, key, sizeof key) == 0)
            return key[1];
    }
    sim_fail(sim, "a GPU is leased that node %u doesn't have now", id.v);
}

static void check_start_order(struct sim *sim, const struct mjob *job)
{
    const struct mjob *first = head(sim);
    if (first != job)
        sim_fail(sim, "job %llu starts before job %llu", (unsigned long long)job->submit.job.v,
                 (unsigned long long)(first ? first->submit.job.v : 0));
}

static void on_start(struct sim *sim, const struct core_decision *d)
{
    struct mjob *job = job_of(sim, d->as.start.task.job);
    struct mnode *node = node_of(sim, d->as.start.node);
    const struct resource_lease *lease = &d->as.start.lease;
    const struct resource_request *r = &job->submit.request;
    if (!usable(node))
        sim_fail(sim, "a start on node %u, which can't be used", d->as.start.node.v);
    if (job->state != JOB_QUEUED || d->as.start.task.attempt != job->attempt + 1)
        sim_fail(sim, "job %llu starts twice", (unsigned long long)job->submit.job.v);
    if (world_job_alive(sim, job->submit.job))
        sim_fail(sim, "job %llu starts while an earlier attempt lives",
                 (unsigned long long)job->submit.job.v);
    check_start_order(sim, job);
    job->attempt++;
    job->exit_known = false;
    if (sim->lease_count == sim->lease_room) {
        sim->lease_room = sim->lease_room ? 2 * sim->lease_room : 64;
        sim->leases = realloc(sim->leases, sim->lease_room * sizeof *sim->leases);
    }
    sim->leases[sim->lease_count++] =
        (struct mlease){.task = d->as.start.task, .node = d->as.start.node, .lease = *lease, .held = true};
    node->lease_count++;
    uint32_t cores = 0, cpus = 0, gpus = 0, thinnest = UINT32_MAX;
    for (uint32_t unit = 0; unit < RESOURCE_CORES_MAX; unit++) {
        if (!resource_bit(lease->cores, unit))
            continue;
        const struct core_inventory_core *c = core_of(node, unit);
        if (!c || node->core_owner[unit])
            sim_fail(sim, "core %u of node %u is leased twice or isn't there", unit, d->as.start.node.v);
        node->core_owner[unit] = sim->lease_count;
        cores++;
        cpus += c->threads;
        thinnest = c->threads < thinnest ? c->threads : thinnest;
    }
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        if (!((lease->gpus >> unit) & 1))
            continue;
        uint32_t at = gpu_position(sim, d->as.start.node, unit);
        if (node->gpu_owner[at])
            sim_fail(sim, "GPU %u of node %u is leased twice", at, d->as.start.node.v);
        node->gpu_owner[at] = sim->lease_count;
        gpus++;
    }
    node->memory_used += lease->memory_bytes;
    if (r->cores ? cores != r->cores : cpus < r->cpus || cpus - r->cpus >= RESOURCE_CORE_THREADS_MAX)
        sim_fail(sim, "%u cores with %u CPUs for one that wants %u cores, %u CPUs", cores, cpus, r->cores,
                 r->cpus);
    if (gpus * RESOURCE_GPU_WHOLE != r->gpu_milli || lease->memory_bytes != r->memory_bytes)
        sim_fail(sim, "a lease that isn't what was asked for");
    if (node->memory_used > node->inventory.memory_bytes)
        sim_fail(sim, "memory of node %u is leased beyond what it has", d->as.start.node.v);
}

static void on_freed(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    if (event->kind != CORE_EVENT_TASK_RELEASED || !task_id_equal(event->as.task.task, d->as.task.task) ||
        event->as.task.node.v != d->as.task.node.v)
        sim_fail(sim, "a lease is freed without its node's word");
    struct mlease *lease = lease_find(sim, d->as.task.task);
    if (!lease || !lease->held || lease->node.v != d->as.task.node.v)
        sim_fail(sim, "a lease is freed that nobody holds");
    if (world_task_alive(sim, d->as.task.task))
        sim_fail(sim, "a lease is freed while its payload lives");
    struct mnode *node = node_of(sim, lease->node);
    uint64_t owner = (uint64_t)(lease - sim->leases) + 1;
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        uint8_t key[RESOURCE_GPU_KEY_BYTES];
        if (((lease->lease.gpus >> unit) & 1) &&
            (!core_node_gpu_key(sim->main, lease->node, unit, key) || node->gpu_owner[key[1]] != owner))
            sim_fail(sim, "a leased GPU's unit became another GPU");
    }
    for (uint32_t unit = 0; unit < RESOURCE_CORES_MAX; unit++) {
        if (node->core_owner[unit] == owner)
            node->core_owner[unit] = 0;
    }
    for (uint32_t i = 0; i < SIM_GPUS_MAX; i++) {
        if (node->gpu_owner[i] == owner)
            node->gpu_owner[i] = 0;
    }
    node->memory_used -= lease->lease.memory_bytes;
    node->lease_count--;
    lease->held = false;
}

static void check_final(struct sim *sim, const struct mjob *job, const struct core_decision *d)
{
    enum job_state state = d->as.job.state;
    bool success = d->as.job.end.kind == END_NONE;
    if (state == JOB_COMPLETED && !(success && job->exit_known))
        sim_fail(sim, "job %llu is Completed without a good exit", (unsigned long long)job->submit.job.v);
    if (state == JOB_FAILED && success)
        sim_fail(sim, "job %llu is Failed without a cause", (unsigned long long)job->submit.job.v);
    if (state == JOB_CANCELED && d->as.job.end.kind != END_CANCELED)
        sim_fail(sim, "job %llu is Canceled with another cause", (unsigned long long)job->submit.job.v);
    if (job->exit_known && memcmp(&job->end, &d->as.job.end, sizeof job->end) != 0)
        sim_fail(sim, "job %llu ends otherwise than its first exit said",
                 (unsigned long long)job->submit.job.v);
}

static void on_job_state(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    struct mjob *job = job_of(sim, d->as.job.job);
    enum job_state to = d->as.job.state;
    if (!job->accepted) {
        if (event->kind != CORE_EVENT_JOB_SUBMIT || event->as.submit.job.v != d->as.job.job.v || job->refused)
            sim_fail(sim, "a state of job %llu, which was not accepted", (unsigned long long)d->as.job.job.v);
        job->accepted = true;
        job->state = JOB_NOT_STARTED;
    }
    if (to == job->state ? to != JOB_QUEUED : !job_state_can(job->state, to))
        sim_fail(sim, "job %llu goes from %s to %s", (unsigned long long)d->as.job.job.v,
                 job_state_name(job->state), job_state_name(to));
    if (d->as.job.attempt != job->attempt)
        sim_fail(sim, "job %llu: a state of attempt %u, not %u", (unsigned long long)d->as.job.job.v,
                 d->as.job.attempt, job->attempt);
    if (to == JOB_QUEUED && job->state > JOB_QUEUED &&
        (job->exit_known || job->submit.on_node_loss != CORE_LOSS_REQUEUE))
        sim_fail(sim, "job %llu is queued again, though it ended or must wait",
                 (unsigned long long)d->as.job.job.v);
    if (job_state_is_final(to))
        check_final(sim, job, d);
    job->state = to;
    job->reason = d->as.job.reason;
}

static void on_refused(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    if (event->kind != CORE_EVENT_JOB_SUBMIT || event->as.submit.job.v != d->as.refused.job.v)
        sim_fail(sim, "a refusal that nobody asked for");
    if (d->as.refused.refusal == CORE_REFUSED_DUPLICATE)
        return;
    if (d->as.refused.refusal == CORE_REFUSED_FULL)
        sim_fail(sim, "refused as full");
    for (uint32_t i = 0; i < sim->node_count; i++) {
        if (sim->mnodes[i].known && fits(&sim->mnodes[i], &event->as.submit.request, true))
            sim_fail(sim, "job %llu is refused, but node %u could hold it",
                     (unsigned long long)d->as.refused.job.v, i + 1);
    }
    job_of(sim, d->as.refused.job)->refused = true;
}

void model_decision(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    struct mlease *lease;
    switch (d->kind) {
    case CORE_DECISION_JOB_REFUSED:
        on_refused(sim, event, d);
        break;
    case CORE_DECISION_JOB_STATE:
        on_job_state(sim, event, d);
        break;
    case CORE_DECISION_START_TASK:
        on_start(sim, d);
        break;
    case CORE_DECISION_LEASE_FREED:
        on_freed(sim, event, d);
        break;
    case CORE_DECISION_RELEASE_TASK:
        lease = lease_find(sim, d->as.task.task);
        if (!lease || lease->held)
            sim_fail(sim, "a task is forgotten with its lease held");
        break;
    default:
        break;
    }
}

/* Where no pass is under way: the head doesn't fit, and exactly those are set aside that no usable node could
 * hold. */
static void check_queue(struct sim *sim)
{
    const struct mjob *first = head(sim);
    for (uint32_t n = 0; first && n < sim->node_count; n++) {
        if (usable(&sim->mnodes[n]) && fits(&sim->mnodes[n], &first->submit.request, false))
            sim_fail(sim, "job %llu is first and fits node %u, but waits",
                     (unsigned long long)first->submit.job.v, n + 1);
    }
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        const struct mjob *job = &sim->jobs[i];
        bool could = false;
        if (!job->accepted || job->state != JOB_QUEUED || (in_turn(job) && job != first))
            continue;
        for (uint32_t n = 0; !could && n < sim->node_count; n++)
            could = usable(&sim->mnodes[n]) && fits(&sim->mnodes[n], &job->submit.request, true);
        if (could != in_turn(job))
            sim_fail(sim, "job %u is %s, but %s", i, in_turn(job) ? "in the queue" : "set aside",
                     could ? "a node could hold it" : "no node could hold it");
    }
}

static void check_why(struct sim *sim)
{
    struct mjob *job = &sim->jobs[1 + rng_below(&sim->rng, sim->job_count)];
    struct core_why why;
    bool live = job->accepted && !job_state_is_final(job->state);
    bool held = core_why(sim->main, job->submit.job, &why);
    if (live && !held)
        sim_fail(sim, "job %llu is lost", (unsigned long long)job->submit.job.v);
    if (!held)
        return;
    if (why.state != job->state || why.reason != job->reason)
        sim_fail(sim, "why tells another state of job %llu", (unsigned long long)job->submit.job.v);
    uint32_t ahead = 0;
    for (uint32_t i = 1; in_turn(job) && i <= sim->job_count; i++)
        ahead += in_turn(&sim->jobs[i]) && before(&sim->jobs[i], job);
    if (ahead != why.ahead_count)
        sim_fail(sim, "why tells %u jobs ahead, not %u", why.ahead_count, ahead);
    for (uint32_t i = 0; i < why.blocker_count; i++) {
        if (why.blockers[i].wanted <= why.blockers[i].free || why.blockers[i].holder_count == 0)
            sim_fail(sim, "why names a blocker that blocks nothing, or that nobody holds");
    }
    if (in_turn(job) && !ahead && why.fits_now && !core_continue_due(sim->main))
        sim_fail(sim, "why says that the first job fits now");
}

static void check_counts(struct sim *sim)
{
    uint32_t held = 0;
    for (uint32_t n = 0; n < sim->node_count; n++) {
        struct core_node_view view;
        held += sim->mnodes[n].lease_count;
        if (core_node_get(sim->main, (struct node_id){n + 1}, &view) &&
            view.task_count < sim->mnodes[n].lease_count)
            sim_fail(sim, "a lease of node %u without a task", n + 1);
    }
    struct core_counts counts;
    core_count(sim->main, &counts);
    if (counts.tasks < held)
        sim_fail(sim, "%u leases are held by %u tasks", held, counts.tasks);
}

void model_settled(struct sim *sim)
{
    check_counts(sim);
    if (!core_continue_due(sim->main) && sim->steps % 4 == 0)
        check_queue(sim);
    if (sim->job_count && rng_chance(&sim->rng, 25))
        check_why(sim);
}
