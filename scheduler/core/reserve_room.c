/*
 * What a job may have of a node beside the reservations there. Amounts alone count, not units. The moments
 * that matter are the one at which it begins and those at which a reservation does: in between, what tasks
 * of a reservation give back its rest takes, and nothing else gets less.
 */
#include "scheduler/core/reserve.h"

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void caps_less(struct caps *have, const struct caps *gone)
{
    have->cores = (uint32_t)less(have->cores, gone->cores);
    have->cpus = (uint32_t)less(have->cpus, gone->cpus);
    have->memory_bytes = less(have->memory_bytes, gone->memory_bytes);
    have->gpu_milli = (uint32_t)less(have->gpu_milli, gone->gpu_milli);
}

static void caps_more(struct caps *have, const struct caps *more)
{
    have->cores += more->cores;
    have->cpus += more->cpus;
    have->memory_bytes += more->memory_bytes;
    have->gpu_milli += more->gpu_milli;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void caps_most(struct caps *have, const struct caps *other)
{
    have->cores = (uint32_t)larger(have->cores, other->cores);
    have->cpus = (uint32_t)larger(have->cpus, other->cpus);
    have->memory_bytes = larger(have->memory_bytes, other->memory_bytes);
    have->gpu_milli = (uint32_t)larger(have->gpu_milli, other->gpu_milli);
}

static bool caps_none(const struct caps *c)
{
    return !c->cores && !c->cpus && !c->memory_bytes && !c->gpu_milli;
}

/* ---- one node at one time ---- */

struct caps reserve_amounts(const struct node *node, const struct resv *resv)
{
    const struct resource_request *r = &resv->facts.request;
    struct caps amounts = node->total;
    amounts.share = 0;
    if (!r->cores && !r->cpus && !r->gpu_milli && !r->memory_bytes)
        return amounts;
    amounts = caps_of(node, r);
    if (!r->cores && !r->cpus)
        amounts.cores = amounts.cpus = 0;
    return amounts;
}

/* A moment, and how it is seen. What has outlived its time holds its lease still; a plan takes it as ended,
 * here as in what it takes to be free: else the same amount would count twice. */
struct moment {
    enum plan_times times;
    uint64_t at_ms;
    bool planned;
};

static bool holds_at(const struct core *core, const struct task_facts *task, struct moment m)
{
    bool still = !m.planned && m.at_ms <= core->h->facts.now_ms;
    return !task->released && (still || plan_end(core, task, m.times) > m.at_ms);
}

bool reserve_holds(const struct core *core, const struct task_facts *task, enum plan_times times,
                   uint64_t at_ms)
{
    return holds_at(core, task, (struct moment){times, at_ms, false});
}

static void lease_caps(const struct node *node, const struct resource_lease *lease, struct caps *sum)
{
    lease_amounts(node, lease, sum);
    sum->cores += lease->pool;
    sum->cpus += lease->pool;
    sum->memory_bytes += lease->memory_bytes;
}

struct caps reserve_lease(const struct node *node, const struct task_facts *task)
{
    struct caps sum = {0};
    lease_caps(node, &task->lease, &sum);
    if (task->lease.gpu_milli_each == RESOURCE_GPU_WHOLE)
        sum.gpu_milli =
            (uint32_t)__builtin_popcount(task->lease.gpus & node->gpu_present) * RESOURCE_GPU_WHOLE;
    return sum;
}

static struct caps free_at(const struct core *core, const struct node *node, struct moment m)
{
    struct caps free = node->free;
    uint64_t memory = node->facts.memory_used;
    uint32_t pool = node->facts.pool_used, gpus = 0;
    if (!m.planned && m.at_ms <= core->h->facts.now_ms)
        return free;
    for (uint32_t t = node->first_task; t; t = core->tasks[t].node_next) {
        const struct task_facts *task = &core->tasks[t].facts;
        if (task->released)
            continue;
        if (holds_at(core, task, m)) {
            gpus |= task->lease.gpus;
            continue;
        }
        lease_amounts(node, &task->lease, &free);
        memory -= task->lease.memory_bytes;
        pool -= task->lease.pool;
    }
    free.memory_bytes = less(node->facts.memory_bytes, memory);
    if (node->pool)
        free.cores = free.cpus = (uint32_t)less(node->pool, pool);
    free.gpu_milli = (uint32_t)__builtin_popcount(node->gpu_present & ~gpus) * RESOURCE_GPU_WHOLE;
    return free;
}

struct caps reserve_free(const struct core *core, const struct node *node, enum plan_times times,
                         uint64_t at_ms)
{
    return free_at(core, node, (struct moment){times, at_ms, false});
}

/* A GPU counts as the reservation's where nobody else has a part of it. */
static struct caps rest_at(const struct core *core, uint32_t seat, struct moment m)
{
    const struct resv *resv = &core->resvs[core->seats[seat].resv_slot];
    const struct node *node = &core->nodes[core->seats[seat].node_slot];
    struct caps rest = reserve_amounts(node, resv), used = {0};
    uint32_t mine = 0, others = 0;
    for (uint32_t t = node->first_task; t; t = core->tasks[t].node_next) {
        const struct task_facts *task = &core->tasks[t].facts;
        if (!holds_at(core, task, m))
            continue;
        bool counts = task->reservation == resv->facts.id;
        *(counts ? &mine : &others) |= task->lease.gpus;
        if (counts)
            lease_caps(node, &task->lease, &used);
    }
    used.gpu_milli = (uint32_t)__builtin_popcount(mine & ~others & node->gpu_present) * RESOURCE_GPU_WHOLE;
    caps_less(&rest, &used);
    return rest;
}

struct caps reserve_rest(const struct core *core, uint32_t seat, enum plan_times times, uint64_t at_ms)
{
    return rest_at(core, seat, (struct moment){times, at_ms, false});
}

static bool active(const struct core *core, uint32_t seat, uint64_t at_ms)
{
    const struct resv_facts *f = &core->resvs[core->seats[seat].resv_slot].facts;
    return f->begin_ms <= at_ms && at_ms < f->end_ms;
}

static struct moment seen(const struct reserve_ask *ask, uint64_t at_ms)
{
    return (struct moment){ask->times, at_ms, ask->planned};
}

/* The rests then: of `own` (a slot of a reservation; 0: none), and of all others together. */
static void rests(const struct reserve_ask *ask, uint32_t own, uint64_t at_ms, struct caps *mine,
                  struct caps *others)
{
    const struct core *core = ask->core;
    *mine = *others = (struct caps){0};
    for (uint32_t s = core->nodes[ask->node_slot].first_seat; s; s = core->seats[s].node_next) {
        uint32_t resv = core->seats[s].resv_slot;
        if (!active(core, s, at_ms))
            continue;
        struct caps rest = rest_at(core, s, seen(ask, at_ms));
        if (ask->also_of == core->resvs[resv].facts.id)
            caps_less(&rest, &ask->also);
        caps_more(resv == own ? mine : others, &rest);
    }
}

/* ---- a job ---- */

/* Of what is free it may have what its own reservation has left, or what nobody else's claims. */
static bool room_at(const struct reserve_ask *ask, uint32_t own, uint64_t at_ms)
{
    const struct node *node = &ask->core->nodes[ask->node_slot];
    struct caps free = ask->free, mine, others;
    rests(ask, own, at_ms, &mine, &others);
    if (caps_none(&others))
        return true; /* who asks knows that there is room */
    if (at_ms > ask->at_ms) {
        struct caps then = free_at(ask->core, node, seen(ask, at_ms));
        struct caps before = free_at(ask->core, node, seen(ask, ask->at_ms));
        caps_less(&then, &before);
        caps_more(&free, &then);
    }
    if (ask->job->request.flags) /* nobody else could be there */
        return false;
    struct caps left = free;
    caps_less(&left, &others);
    caps_most(&left, &mine);
    left.cores = left.cores < free.cores ? left.cores : free.cores;
    left.cpus = left.cpus < free.cpus ? left.cpus : free.cpus;
    left.memory_bytes = left.memory_bytes < free.memory_bytes ? left.memory_bytes : free.memory_bytes;
    left.gpu_milli = left.gpu_milli < free.gpu_milli ? left.gpu_milli : free.gpu_milli;
    /* A share may fall on a GPU that is the others' alone, and then costs them the whole of it. */
    bool share = !others.gpu_milli || left.gpu_milli >= RESOURCE_GPU_WHOLE;
    const struct caps *want = &ask->want;
    return want->cores <= left.cores && want->cpus <= left.cpus && want->memory_bytes <= left.memory_bytes &&
           want->gpu_milli <= left.gpu_milli && (!want->share || (share && want->share <= free.share));
}

static bool room_with(const struct reserve_ask *ask, uint32_t own)
{
    const struct core *core = ask->core;
    if (!room_at(ask, own, ask->at_ms))
        return false;
    for (uint32_t s = core->nodes[ask->node_slot].first_seat; s; s = core->seats[s].node_next) {
        uint64_t begin = core->resvs[core->seats[s].resv_slot].facts.begin_ms;
        if (begin > ask->at_ms && begin < ask->end_ms && !room_at(ask, own, begin))
            return false;
    }
    return true;
}

/* A partly used GPU that has room for the share: it is the one that is taken. */
static bool share_beside(const struct node *node, const struct caps *want)
{
    for (uint32_t left = node->gpu_present; left; left &= left - 1) {
        uint32_t used = node->facts.gpu_used[__builtin_ctz(left)];
        if (used && used + want->share <= RESOURCE_GPU_WHOLE)
            return true;
    }
    return false;
}

/* Whether all that it wants of what the reservation has an amount of is left there. One that names it must
 * also end in time, but for what a node may take to end it. */
static bool inside(const struct reserve_ask *ask, uint32_t seat)
{
    const struct core *core = ask->core;
    const struct node *node = &core->nodes[ask->node_slot];
    const struct resv *resv = &core->resvs[core->seats[seat].resv_slot];
    const struct job_facts *job = ask->job;
    if (!active(core, seat, ask->at_ms))
        return false;
    if (job->reservation &&
        (!job->time_limit_ms || ask->at_ms + job->time_limit_ms > resv->facts.end_ms + PLAN_SLACK_MS))
        return false;
    struct caps amounts = reserve_amounts(node, resv), mine, others;
    rests(ask, core->seats[seat].resv_slot, ask->at_ms, &mine, &others);
    bool share = mine.gpu_milli >= RESOURCE_GPU_WHOLE || share_beside(node, &ask->want);
    const struct caps *want = &ask->want;
    return (!amounts.cores || (want->cores <= mine.cores && want->cpus <= mine.cpus)) &&
           (!amounts.memory_bytes || want->memory_bytes <= mine.memory_bytes) &&
           (!amounts.gpu_milli || (want->gpu_milli <= mine.gpu_milli && (!want->share || share)));
}

bool reserve_room(const struct reserve_ask *ask, uint32_t *counts_for)
{
    const struct core *core = ask->core;
    const struct job_facts *job = ask->job;
    uint32_t ignored, *out = counts_for ? counts_for : &ignored;
    for (uint32_t s = core->nodes[ask->node_slot].first_seat; s; s = core->seats[s].node_next) {
        uint32_t slot = core->seats[s].resv_slot;
        const struct resv_facts *f = &core->resvs[slot].facts;
        bool named = job->reservation == f->id;
        if (f->begin_ms >= ask->end_ms || f->end_ms <= ask->at_ms || (job->reservation && !named) ||
            !reserve_admits(core, slot, job->principal) || !room_with(ask, slot) ||
            (named && !inside(ask, s)))
            continue;
        *out = f->id;
        return true;
    }
    *out = 0;
    return !job->reservation && (!core->nodes[ask->node_slot].first_seat || room_with(ask, 0));
}

static struct reserve_ask ask_now(const struct core *core, const struct job_facts *job, uint32_t node_slot,
                                  uint64_t end_ms)
{
    const struct node *node = &core->nodes[node_slot];
    return (struct reserve_ask){.core = core,
                                .job = job,
                                .node_slot = node_slot,
                                .times = PLAN_DECLARED,
                                .at_ms = core->h->facts.now_ms,
                                .end_ms = end_ms,
                                .want = caps_of(node, &job->request),
                                .free = node->free};
}

bool reserve_allows(const struct core *core, const struct job_facts *job, uint32_t node_slot, uint64_t end_ms,
                    uint32_t *counts_for)
{
    struct reserve_ask ask = ask_now(core, job, node_slot, end_ms);
    return reserve_room(&ask, counts_for);
}

bool reserve_inside(const struct core *core, const struct job_facts *job, uint32_t node_slot, uint64_t end_ms,
                    uint32_t resv_slot)
{
    uint32_t seat = reserve_seat(core, resv_slot, node_slot);
    struct reserve_ask ask = ask_now(core, job, node_slot, end_ms);
    return seat && reserve_admits(core, resv_slot, job->principal) && inside(&ask, seat) &&
           room_with(&ask, resv_slot);
}

void reserve_less(const struct core *core, const struct job_facts *job, uint32_t node_slot,
                  enum plan_times times, uint64_t at_ms, uint64_t end_ms, struct caps *spare)
{
    struct caps most = {0};
    for (uint32_t s = core->nodes[node_slot].first_seat; s; s = core->seats[s].node_next) {
        uint64_t begin = core->resvs[core->seats[s].resv_slot].facts.begin_ms;
        uint64_t at = begin > at_ms ? begin : at_ms;
        struct caps sum = {0};
        for (uint32_t o = at < end_ms ? core->nodes[node_slot].first_seat : 0; o;
             o = core->seats[o].node_next) {
            if (!active(core, o, at) || reserve_admits(core, core->seats[o].resv_slot, job->principal))
                continue;
            struct caps rest = rest_at(core, o, (struct moment){times, at, true});
            caps_more(&sum, &rest);
        }
        caps_most(&most, &sum);
    }
    caps_less(spare, &most);
}
