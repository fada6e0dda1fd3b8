/*
 * What jobs teach: from job records to order.h and back. Learned cells are hashed into the sum as they
 * change; the rest of the order's state is small and hashed whole.
 */
#include "scheduler/core/arena.h"

#include <string.h>

#define AGAIN_MAX 256 /* waiting jobs that are looked at again when one of their user ends */

enum { KIND_ORDER = 21, KIND_CELL, KIND_SHORT_JOBS };

static uint64_t cell_hash(const struct core *core, uint32_t at)
{
    const struct order_cell *cell = &core->learned->cell[at];
    return cell->n ? core_hash_bytes((uint64_t)at << 8 | KIND_CELL, cell, sizeof *cell) : 0;
}

uint64_t learn_hash(const struct core *core)
{
    return core_hash_bytes(KIND_ORDER, core->order, sizeof *core->order) +
           core_hash_bytes(KIND_SHORT_JOBS, core->h->short_shapes, sizeof core->h->short_shapes);
}

enum { CORES, CPUS, GPUS, MEMORY, AMOUNTS };

static void amounts_of(const struct caps_sum *sum, uint64_t amounts[AMOUNTS])
{
    const uint64_t all[] = {sum->cores, sum->cpus, sum->gpu_milli, sum->memory_bytes >> 20};
    memcpy(amounts, all, sizeof all);
}

static void wanted_by(const struct resource_request *r, uint32_t tasks, uint64_t amounts[AMOUNTS])
{
    uint64_t gpus = r->gpu_memory_bytes && !r->gpu_milli ? RESOURCE_GPU_WHOLE / 2 : r->gpu_milli;
    const uint64_t all[] = {r->cores, r->cpus, gpus, r->memory_bytes >> 20};
    for (int i = 0; i < AMOUNTS; i++)
        amounts[i] = all[i] * tasks;
}

/* Its largest part of what the usable nodes have together, in 1/2^32, and of which amount that is. */
static uint32_t dominant(const struct core *core, const struct resource_request *r, uint32_t tasks,
                         int *which)
{
    uint64_t want[AMOUNTS], have[AMOUNTS], most = 0;
    wanted_by(r, tasks, want);
    amounts_of(&core->h->pool, have);
    *which = -1;
    for (int i = 0; i < AMOUNTS; i++) {
        uint64_t part = !have[i] ? 0 : want[i] >= have[i] ? UINT32_MAX : (want[i] << 20) / have[i] << 12;
        if (part <= most)
            continue;
        most = part < UINT32_MAX ? part : UINT32_MAX;
        *which = i;
    }
    return (uint32_t)most;
}

uint32_t learn_share(const struct core *core, const struct resource_request *r, uint32_t tasks)
{
    int which;
    return dominant(core, r, tasks, &which);
}

int learn_dominant(const struct core *core, const struct job_facts *job)
{
    int which;
    dominant(core, &job->request, job->instance_count, &which);
    return which;
}

uint64_t learn_wants(const struct job_facts *job, int which)
{
    uint64_t want[AMOUNTS];
    wanted_by(&job->request, job->instance_count, want);
    return want[which];
}

bool learn_wants_of(const struct resource_request *r, int which)
{
    if (which == GPUS)
        return r->gpu_milli || r->gpu_memory_bytes;
    return which == MEMORY ? r->memory_bytes != 0 : which >= 0;
}

uint64_t learn_pool(const struct core *core, int which)
{
    uint64_t have[AMOUNTS];
    amounts_of(&core->h->pool, have);
    return have[which];
}

uint64_t learn_idle(const struct core *core, int which)
{
    uint64_t idle[AMOUNTS];
    amounts_of(&core->h->idle, idle);
    return idle[which];
}

uint64_t learn_left(const struct core *core, const struct job_facts *job)
{
    uint64_t want[AMOUNTS], have[AMOUNTS], idle[AMOUNTS];
    int which;
    if (!dominant(core, &job->request, job->instance_count, &which))
        return UINT64_C(1) << 32;
    wanted_by(&job->request, job->instance_count, want);
    amounts_of(&core->h->pool, have);
    amounts_of(&core->h->idle, idle);
    return idle[which] > want[which] ? ((idle[which] - want[which]) << 20) / have[which] << 12 : 0;
}

void learn_submit(struct core *core, struct job_facts *job)
{
    static const uint64_t unit[AMOUNTS] = {1, 1, RESOURCE_GPU_WHOLE, 1024};
    uint64_t want[AMOUNTS];
    int which;
    uint32_t share = dominant(core, &job->request, job->instance_count, &which);
    wanted_by(&job->request, job->instance_count, want);
    uint32_t amount = which < 0 ? 1 : (uint32_t)((want[which] + unit[which] - 1) / unit[which]);
    if (!core->order->at_ms)
        order_init(core->order, core->learned, (int64_t)core->h->facts.now_ms);
    order_submit(core->order, core->learned, job->principal, (int64_t)job->time_limit_ms, amount, share,
                 (int64_t)core->h->facts.now_ms, &job->order);
    short_jobs_note(core, job);
    learn_scale(core, job);
}

/* What an array counts as at most: 8 years of the whole pool. */
#define ARRAY_LOAD_MAX (UINT64_C(1) << 46)

uint64_t learn_load(const struct job_facts *job)
{
    uint64_t one = order_load(&job->order), left = job->array_count ? array_left(job) : 1;
    return one && left > ARRAY_LOAD_MAX / one ? ARRAY_LOAD_MAX : one * left;
}

void learn_rescale(struct core *core, struct job_facts *job)
{
    uint64_t load = learn_load(job);
    core->order->load += load - job->order.load;
    job->order.load = load;
}

void learn_scale(struct core *core, struct job_facts *job)
{
    if (job->array_count)
        learn_rescale(core, job);
}

void learn_leave(struct core *core, struct job_facts *job, bool starts)
{
    order_leave(core->order, &job->order, starts ? (int64_t)(core->h->facts.now_ms - job->submitted_ms) : 0);
}

/* Ends that tell how long such a job runs: its own, and at its limit. */
static bool tells(const struct job_facts *job)
{
    switch ((enum end_kind)job->end_kind) {
    case END_NONE:
    case END_EXIT:
    case END_SIGNAL:
    case END_OOM:
    case END_TIME_LIMIT:
        return job->began_ms != 0;
    default:
        return false;
    }
}

void learn_end(struct core *core, const struct job_facts *job)
{
    if (!tells(job))
        return;
    core->h->sum -= cell_hash(core, 0);
    for (int i = 0; i < ORDER_LEVELS; i++)
        core->h->sum -= cell_hash(core, job->order.cell[i]);
    order_end(core->order, core->learned, &job->order, (int64_t)(core->h->facts.now_ms - job->began_ms));
    core->h->sum += cell_hash(core, 0);
    for (int i = 0; i < ORDER_LEVELS; i++)
        core->h->sum += cell_hash(core, job->order.cell[i]);
}

/* Jobs of a class are expected to be alike; what is left over at the limit keeps its place until the next
 * end. */
void learn_again(struct core *core, uint32_t principal)
{
    struct treap members = {core, false};
    uint32_t jobs[AGAIN_MAX], count = 0;
    const struct tenant *t = &core->tenants[tenant_find(core, CORE_QUOTA_PRINCIPAL, principal)];
    for (uint32_t k = t->first_klass; k && count < AGAIN_MAX; k = core->klasses[k].tenant_next) {
        for (uint32_t j = core->klasses[k].head; j && count < AGAIN_MAX;
             j = treap_next(members, core->klasses[k].root, j))
            jobs[count++] = j;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct job *job = &core->jobs[jobs[i]];
        job_changes(core, job);
        bool moved = order_expect(core->order, core->learned, &job->facts.order);
        learn_scale(core, &job->facts);
        if (!moved)
            continue;
        queue_leave(core, jobs[i]);
        queue_enter(core, jobs[i]);
    }
}

const char *check_learned(const struct core *core, uint64_t *sum)
{
    uint64_t load = 0;
    for (uint32_t slot = 1; slot <= core->h->job.high; slot++) {
        const struct job_facts *f = &core->jobs[slot].facts;
        load += f->order.load;
        if (!job_waits(f) && (f->order.start_ms || f->order.after_ms || f->order.turn))
            return "order: a job is in the plan and doesn't wait";
        for (int i = 0; f->present && i < ORDER_LEVELS; i++) {
            if (f->order.cell[i] >= ORDER_CELLS)
                return "order: a cell that isn't there";
        }
    }
    if (load != core->order->load)
        return "order: the load is not the sum of what waits";
    const char *kept = check_short_jobs(core);
    if (kept)
        return kept;
    for (uint32_t at = 0; at < ORDER_CELLS; at++)
        *sum += cell_hash(core, at);
    return NULL;
}
