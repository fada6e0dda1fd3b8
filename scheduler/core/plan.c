/*
 * What will be free when, of one node and of all. Amounts alone are planned, not units; with cores of unequal
 * thread counts the least count is taken, so that a plan errs on the late side.
 */
#include "scheduler/core/reserve.h"

#include <stdlib.h>
#include <string.h>

/* A node as it will be: what is free grows as tasks end. */
struct walk {
    const struct core *core;
    const struct node *node;
    struct caps free;
    uint64_t memory_used;
    uint32_t leases;
    uint16_t gpu_used[RESOURCE_GPUS_MAX];
};

static void walk_begin(struct walk *w, const struct core *core, const struct node *node)
{
    w->core = core;
    w->node = node;
    w->free = node->free;
    w->memory_used = node->facts.memory_used;
    w->leases = node->lease_count;
    if (node->gpu_present)
        memcpy(w->gpu_used, node->facts.gpu_used, sizeof w->gpu_used);
}

static void walk_end_task(struct walk *w, const struct task_facts *task)
{
    const struct resource_lease *lease = &task->lease;
    const struct node *node = w->node;
    w->leases--;
    w->memory_used -= lease->memory_bytes;
    w->free.memory_bytes =
        node->facts.memory_bytes > w->memory_used ? node->facts.memory_bytes - w->memory_used : 0;
    if (lease->pool) {
        w->free.cores += lease->pool;
        w->free.cpus += lease->pool;
        return;
    }
    lease_amounts(node, lease, &w->free);
    for (uint32_t left = lease->gpus & node->gpu_present; left; left &= left - 1) {
        uint16_t *used = &w->gpu_used[__builtin_ctz(left)];
        *used = (uint16_t)(*used - lease->gpu_milli_each);
        w->free.gpu_milli += *used ? 0 : RESOURCE_GPU_WHOLE;
        if (RESOURCE_GPU_WHOLE - (uint32_t)*used > w->free.share)
            w->free.share = RESOURCE_GPU_WHOLE - *used;
    }
}

bool caps_take(struct caps *have, const struct caps *want)
{
    uint32_t gpus = want->gpu_milli + (want->share ? RESOURCE_GPU_WHOLE : 0);
    if (want->cores > have->cores || want->cpus > have->cpus || want->memory_bytes > have->memory_bytes ||
        gpus > have->gpu_milli)
        return false;
    have->cores -= want->cores;
    have->cpus -= want->cpus;
    have->memory_bytes -= want->memory_bytes;
    have->gpu_milli -= gpus;
    return true;
}

/* Room for the job in what is free, labels, GPUs of the right kind and tenants included. */
static bool walk_fits(const struct walk *w, const struct job_facts *job, const struct caps *want,
                      const struct caps *free)
{
    const struct resource_request *r = &job->request;
    if (!caps_fit(want, free) || (r->labels & w->node->labels) != r->labels ||
        (r->labels_closed & w->node->labels))
        return false;
    bool isolated = r->flags & RESOURCE_ISOLATED;
    if (w->leases && (isolated ? w->node->facts.tenant != job->principal : w->node->facts.tenant != 0))
        return false;
    if ((r->flags & RESOURCE_EXCLUSIVE) && w->leases)
        return false;
    if (!r->gpu_models && !r->gpu_models_closed && !r->gpu_memory_bytes)
        return true;
    uint32_t wanted = r->gpu_milli >= RESOURCE_GPU_WHOLE ? r->gpu_milli / RESOURCE_GPU_WHOLE : 1;
    wanted += (w->free.gpu_milli - free->gpu_milli) / RESOURCE_GPU_WHOLE; /* others may get the right ones */
    for (uint32_t left = w->node->gpu_present; left && wanted; left &= left - 1) {
        uint32_t unit = (uint32_t)__builtin_ctz(left), takes = gpu_share_of(w->node, unit, r);
        wanted -= takes && w->gpu_used[unit] + takes <= RESOURCE_GPU_WHOLE;
    }
    return !wanted;
}

uint64_t plan_end(const struct core *core, const struct task_facts *task, enum plan_times times)
{
    uint64_t now = core->h->facts.now_ms;
    if (task->abandoned)
        return CORE_NEVER; /* its lease is suspect until the node speaks of it */
    if (times == PLAN_DECLARED)
        return task->ends_ms > now ? task->ends_ms : now;
    int64_t declared = task->ends_ms == CORE_NEVER ? INT64_MAX : (int64_t)task->ends_ms;
    return (uint64_t)order_ending((int64_t)task->began_ms, (int64_t)(task->guess_ms - task->began_ms),
                                  declared, (int64_t)now);
}

/* ---- the order of ends ---- */

struct ending {
    uint64_t at_ms;
    uint32_t task;
    uint32_t width;
};

static int by_end(const void *a, const void *b)
{
    const struct ending *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    if (x->width != y->width)
        return x->width < y->width ? -1 : 1;
    return x->task < y->task ? -1 : x->task > y->task;
}

/* The node's tasks that hold a lease, by their ends. Declared ones stand in the node's list in that order. */
static uint32_t list_ends(const struct core *core, const struct node *node, enum plan_times times,
                          struct ending *out)
{
    uint32_t count = 0;
    for (uint32_t t = node->first_task; t && count < PLAN_TASKS_MAX; t = core->tasks[t].node_next) {
        const struct task_facts *task = &core->tasks[t].facts;
        if (task->released)
            continue;
        uint64_t at = plan_end(core, task, times);
        if (at == CORE_NEVER)
            continue;
        out[count++] = (struct ending){at, t, core->tasks[t].width};
    }
    if (times == PLAN_EXPECTED)
        qsort(out, count, sizeof *out, by_end);
    return count;
}

/* ---- holds ---- */

static const struct job_facts *hold_job(const struct core *core, uint32_t hold)
{
    return &core->jobs[core->holds[hold].job_slot].facts;
}

static uint64_t hold_time(const struct core *core, uint32_t hold)
{
    uint64_t at = hold_job(core, hold)->hold_ms, now = core->h->facts.now_ms;
    return at > now ? at : now;
}

static bool binds(const struct core *core, uint32_t hold, uint32_t job_slot)
{
    return core->holds[hold].job_slot != job_slot &&
           job_tier(&core->jobs[job_slot].facts) >= job_tier(hold_job(core, hold));
}

/* Whether two may be on one node at the same time at all. */
static bool together(const struct job_facts *a, const struct job_facts *b)
{
    uint32_t flags = a->request.flags | b->request.flags;
    if (!flags)
        return true;
    return !(flags & RESOURCE_EXCLUSIVE) && (a->request.flags & b->request.flags & RESOURCE_ISOLATED) &&
           a->principal == b->principal;
}

/* Whether reservations leave the hold's job its room, in what is free then. */
static bool reserved_leave(const struct core *core, uint32_t hold, const struct caps *free,
                           const struct caps *also, uint32_t also_of)
{
    uint32_t node = core->holds[hold].node_slot;
    if (!core->nodes[node].first_seat)
        return true;
    struct reserve_ask ask = {.core = core,
                              .job = hold_job(core, hold),
                              .node_slot = node,
                              .times = PLAN_DECLARED,
                              .planned = true,
                              .at_ms = hold_time(core, hold),
                              .end_ms = hold_job(core, hold)->hold_end_ms,
                              .free = *free,
                              .also_of = also ? also_of : 0};
    ask.want = caps_of(&core->nodes[node], &ask.job->request);
    if (also) {
        ask.also = *also;
        ask.also.gpu_milli += also->share ? RESOURCE_GPU_WHOLE : 0;
    }
    return reserve_room(&ask, NULL);
}

/* What is free at the hold's time: ends before it, and of those at it as many as the hold needs; less what
 * holds before it have then, less `also` (may be NULL), less the hold itself. `job_slot` is who asks: holds
 * that don't bind it don't count; 0: all do. More ends of the same moment are only for one that has a promise
 * of its own. *spare (may be NULL) is what is left. */
static bool room_at_hold(const struct core *core, uint32_t hold, uint32_t job_slot, const struct caps *also,
                         uint32_t also_of, struct caps *spare)
{
    const struct node *node = &core->nodes[core->holds[hold].node_slot];
    const struct job_facts *job = hold_job(core, hold);
    struct caps want = caps_of(node, &job->request);
    bool promised = job_slot && core->jobs[job_slot].facts.hold_ms;
    if (also && !together(job, &core->jobs[job_slot].facts))
        return false;
    uint64_t at = hold_time(core, hold);
    struct walk w;
    walk_begin(&w, core, node);
    uint32_t t = node->first_task;
    for (; t; t = core->tasks[t].node_next) {
        const struct task_facts *task = &core->tasks[t].facts;
        if (task->ends_ms >= at && task->ends_ms > core->h->facts.now_ms)
            break;
        if (!task->released && !task->abandoned)
            walk_end_task(&w, task);
    }
    for (;;) {
        struct caps free = w.free;
        bool ok = true;
        for (uint32_t other = node->first_hold; ok && other != hold; other = core->holds[other].node_next) {
            const struct job_facts *before = hold_job(core, other);
            if (before->hold_end_ms <= at || (job_slot && !binds(core, other, job_slot)))
                continue;
            struct caps theirs = caps_of(node, &before->request);
            ok = together(job, before) && caps_take(&free, &theirs);
        }
        bool alone = ok && walk_fits(&w, job, &want, &free) && reserved_leave(core, hold, &free, NULL, 0);
        bool both = alone && (!also || (caps_take(&free, also) && walk_fits(&w, job, &want, &free) &&
                                        reserved_leave(core, hold, &free, also, also_of)));
        if (both || (alone && !promised)) {
            if (spare)
                *spare = free;
            return both && (!spare || caps_take(spare, &want));
        }
        while (t && (core->tasks[t].facts.released || core->tasks[t].facts.abandoned))
            t = core->tasks[t].node_next;
        if (!t || core->tasks[t].facts.ends_ms > at)
            return false;
        walk_end_task(&w, &core->tasks[t].facts);
        t = core->tasks[t].node_next;
    }
}

/* Amounts say all of whether two can stand beside each other there. */
static bool plain(const struct resource_request *r)
{
    return !r->gpu_models && !r->gpu_models_closed && !r->gpu_memory_bytes && !r->flags &&
           r->gpu_milli % RESOURCE_GPU_WHOLE == 0;
}

/* The hold's spare amounts in this pass; NULL: there is no more room to remember it, or it has no room now.
 */
static struct plan_spare *spare_of(struct plan_memory *m, const struct core *core, uint32_t hold)
{
    for (uint32_t i = 0; i < m->count; i++) {
        if (m->spares[i].hold == hold)
            return &m->spares[i];
    }
    struct plan_spare *s = &m->spares[m->count];
    if (m->count == PLAN_MEMORY_MAX || !room_at_hold(core, hold, 0, NULL, 0, &s->spare))
        return NULL;
    s->hold = hold;
    m->count++;
    return s;
}

void plan_began(struct plan_memory *m, const struct core *core, uint32_t node_slot,
                const struct resource_request *request, uint64_t end_ms)
{
    struct caps mine = caps_of(&core->nodes[node_slot], request);
    for (uint32_t i = 0; i < m->count; i++) {
        struct plan_spare *s = &m->spares[i];
        if (core->holds[s->hold].node_slot == node_slot && hold_time(core, s->hold) < end_ms &&
            !(plain(request) && caps_take(&s->spare, &mine)))
            m->count = 0;
    }
}

bool plan_holds(const struct core *core, uint32_t hold)
{
    return room_at_hold(core, hold, 0, NULL, 0, NULL);
}

bool plan_allows(struct plan_memory *m, const struct core *core, uint32_t job_slot, uint32_t node_slot,
                 uint64_t end_ms, uint32_t counts_for)
{
    const struct node *node = &core->nodes[node_slot];
    const struct job_facts *job = &core->jobs[job_slot].facts;
    if (!node->first_hold)
        return true;
    struct caps mine = caps_of(node, &job->request);
    bool exact = job->hold_ms || node->first_seat || !plain(&job->request);
    for (uint32_t hold = node->first_hold; hold; hold = core->holds[hold].node_next)
        exact = exact || !binds(core, hold, job_slot) || !plain(&hold_job(core, hold)->request);
    for (uint32_t hold = node->first_hold; hold; hold = core->holds[hold].node_next) {
        if (!binds(core, hold, job_slot) || hold_time(core, hold) >= end_ms)
            continue;
        const struct plan_spare *s = exact ? NULL : spare_of(m, core, hold);
        struct caps left = s ? s->spare : mine;
        if (s ? !caps_take(&left, &mine) : !room_at_hold(core, hold, job_slot, &mine, counts_for, NULL))
            return false;
    }
    return true;
}

/* ---- the earliest start ---- */

/* Whether the job has room from at_ms on for as long as it may run, beside the holds that bind it. */
static bool room_from(const struct walk *w, uint32_t job_slot, const struct caps *want, enum plan_times times,
                      uint64_t at_ms)
{
    const struct core *core = w->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    struct caps free = w->free;
    uint64_t end = CORE_NEVER;
    if (job->time_limit_ms)
        end = at_ms + job->time_limit_ms + job->grace_ms + PLAN_SLACK_MS;
    for (uint32_t hold = w->node->first_hold; hold; hold = core->holds[hold].node_next) {
        const struct job_facts *other = hold_job(core, hold);
        if (!binds(core, hold, job_slot) || hold_time(core, hold) >= end || other->hold_end_ms <= at_ms)
            continue;
        /* It overlaps: what it takes is gone for all of the time. That errs on the late side. */
        struct caps theirs = caps_of(w->node, &other->request);
        if (!together(job, other) || !caps_take(&free, &theirs))
            return false;
    }
    if (!walk_fits(w, job, want, &free))
        return false;
    if (!w->node->first_seat)
        return true;
    struct reserve_ask ask = {.core = core,
                              .job = job,
                              .node_slot = (uint32_t)(w->node - core->nodes),
                              .times = times,
                              .planned = true,
                              .at_ms = at_ms,
                              .end_ms = end,
                              .want = *want,
                              .free = free};
    return reserve_room(&ask, NULL);
}

/* Where reservations begin or end it may have room, too. Returns how many there are with them. */
static uint32_t add_seats(const struct core *core, const struct node *node, struct ending *out,
                          uint32_t count)
{
    uint32_t before = count;
    for (uint32_t s = node->first_seat; s; s = core->seats[s].node_next) {
        const struct resv_facts *f = &core->resvs[core->seats[s].resv_slot].facts;
        if (!f->begun)
            out[count++] = (struct ending){.at_ms = f->begin_ms};
        out[count++] = (struct ending){.at_ms = f->end_ms};
    }
    if (count > before)
        qsort(out, count, sizeof *out, by_end);
    return count;
}

static void walk_end(struct walk *w, uint32_t task)
{
    if (task) /* else: a reservation's time */
        walk_end_task(w, &w->core->tasks[task].facts);
}

/* From from_ms on; CORE_NEVER: not foreseeable. */
static uint64_t earliest(const struct core *core, uint32_t job_slot, const struct node *node,
                         enum plan_times times, uint64_t from_ms)
{
    const struct job_facts *job = &core->jobs[job_slot].facts;
    struct caps want = caps_of(node, &job->request);
    struct ending ends[PLAN_TASKS_MAX + 2 * CORE_RESERVATIONS_MAX];
    struct walk w;
    walk_begin(&w, core, node);
    bool now = from_ms <= core->h->facts.now_ms;
    /* Amounts don't say which of a node's unlike GPUs will be free. */
    if (times == PLAN_DECLARED && node->gpu_mixed &&
        (job->request.gpu_models || job->request.gpu_models_closed || job->request.gpu_memory_bytes))
        return CORE_NEVER;
    if (job->reservation && !node->first_seat)
        return CORE_NEVER;
    if (now && room_from(&w, job_slot, &want, times, from_ms))
        return from_ms;
    uint32_t count = add_seats(core, node, ends, list_ends(core, node, times, ends)), i = 0;
    uint64_t last_hold = from_ms;
    for (uint32_t hold = node->first_hold; hold; hold = core->holds[hold].node_next) {
        uint64_t end = hold_job(core, hold)->hold_end_ms;
        if (binds(core, hold, job_slot) && end > last_hold)
            last_hold = end;
    }
    for (; !now && i < count && ends[i].at_ms <= from_ms; i++)
        walk_end(&w, ends[i].task);
    if (!now && room_from(&w, job_slot, &want, times, from_ms))
        return from_ms;
    for (; i < count; i++) {
        walk_end(&w, ends[i].task);
        if (room_from(&w, job_slot, &want, times, ends[i].at_ms))
            return ends[i].at_ms;
    }
    /* Behind all holds, if they end. */
    return last_hold != CORE_NEVER && last_hold > from_ms && room_from(&w, job_slot, &want, times, last_hold)
               ? last_hold
               : CORE_NEVER;
}

struct candidate {
    uint64_t at_ms;
    uint32_t node;
};

static int by_time(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* The first time at which enough of them have room at once. Without holds a node that has room keeps it; with
 * some it is asked again for each time that comes into question. */
static void common_time(const struct core *core, uint32_t job_slot, enum plan_times times,
                        struct candidate *found, uint32_t count, struct plan_start *out)
{
    uint32_t want = core->jobs[job_slot].facts.instance_count;
    CORE_ASSERT(want && want <= count);
    for (uint32_t round = 0; round < PLAN_ROUNDS_MAX; round++) {
        if (count > 1)
            qsort(found, count, sizeof *found, by_time);
        uint64_t at = found[want - 1].at_ms;
        if (at == CORE_NEVER)
            return;
        out->count = 0;
        for (uint32_t i = 0; i < count && found[i].at_ms <= at && out->count < want; i++) {
            const struct node *node = &core->nodes[found[i].node];
            if (found[i].at_ms < at && (node->first_hold || node->first_seat))
                found[i].at_ms = earliest(core, job_slot, node, times, at);
            if (found[i].at_ms <= at)
                out->nodes[out->count++] = found[i].node;
        }
        if (out->count == want) {
            out->at_ms = at;
            return;
        }
    }
}

void plan_reserve(const struct core *core, uint32_t job_slot, enum plan_times times, struct plan_start *out)
{
    const struct job_facts *job = &core->jobs[job_slot].facts;
    struct candidate found[PLAN_NODES_MAX + 2 * CORE_INSTANCES_MAX];
    struct shape_key key = shape_key_of(job);
    uint32_t nodes = core->h->facts.node_count, count = 0, want = job->instance_count;
    uint32_t most = 2 * want > PLAN_NODES_MAX ? 2 * want : PLAN_NODES_MAX;
    /* On a large pool it looks at a part of the nodes, the same for a job at every moment. */
    uint32_t at = nodes > most ? (uint32_t)(core_mix(job->id) % nodes) : 0;
    for (uint32_t i = 0; i < nodes && count < most; i++, at = at + 1 == nodes ? 0 : at + 1) {
        const struct node *node = &core->nodes[at + 1];
        if (!node_serves(node, &job->request) || !node_fits(node, &key, true))
            continue;
        uint64_t when = earliest(core, job_slot, node, times, core->h->facts.now_ms);
        if (when != CORE_NEVER)
            found[count++] = (struct candidate){when, at + 1};
    }
    out->at_ms = CORE_NEVER;
    out->count = 0;
    if (count >= want)
        common_time(core, job_slot, times, found, count, out);
}

bool plan_spare(const struct core *core, uint32_t job_slot, uint32_t node_slot, uint64_t at_ms,
                enum plan_times times, struct caps *spare)
{
    const struct node *node = &core->nodes[node_slot];
    const struct job_facts *job = &core->jobs[job_slot].facts;
    struct caps want = caps_of(node, &job->request);
    struct ending ends[PLAN_TASKS_MAX];
    struct walk w;
    walk_begin(&w, core, node);
    uint32_t count = list_ends(core, node, times, ends), i = 0;
    for (; i < count && ends[i].at_ms < at_ms; i++)
        walk_end_task(&w, &core->tasks[ends[i].task].facts);
    while (!walk_fits(&w, job, &want, &w.free)) {
        if (i == count || ends[i].at_ms > at_ms)
            return false;
        walk_end_task(&w, &core->tasks[ends[i++].task].facts);
    }
    *spare = w.free;
    if (!caps_take(spare, &want))
        return false;
    if (node->first_seat) {
        uint64_t end = job->time_limit_ms ? at_ms + job->time_limit_ms + job->grace_ms : CORE_NEVER;
        reserve_less(core, job, node_slot, times, at_ms, end, spare);
    }
    return true;
}
