/*
 * The model's books of reservations: nobody starts where what is reserved for others would be missing at any
 * moment until its declared end, and who has all it wants in what is reserved for it doesn't wait.
 */
#include <string.h>

#include "sim.h"

enum { CORES, GPUS, MEMORY, KINDS };

struct amounts {
    uint64_t of[KINDS];
};

bool model_reserved_for(const struct mresv *r, uint32_t principal)
{
    for (uint32_t i = 0; i < r->asked.user_count; i++) {
        if (r->asked.users[i].v == principal)
            return true;
    }
    return false;
}

static bool seated(const struct mresv *r, struct node_id node)
{
    return r->there && ((r->seats >> node.v) & 1);
}

static bool active(const struct mresv *r, uint64_t at_ms)
{
    return r->begin_ms <= at_ms && at_ms < r->asked.end_ms;
}

static bool holds(const struct sim *sim, const struct mlease *l, uint64_t at_ms)
{
    return l->held && (at_ms <= core_now(sim->main) || l->abandoned || l->ends_ms > at_ms);
}

static uint32_t least_threads(const struct core_inventory *inv)
{
    uint32_t least = 0;
    for (uint32_t i = 0; i < inv->core_count; i++)
        least = !least || inv->cores[i].threads < least ? inv->cores[i].threads : least;
    return least ? least : 1;
}

static struct amounts asked(const struct mnode *node, const struct mresv *r)
{
    const struct core_inventory *inv = &node->inventory;
    const struct resource_request *q = &r->asked.request;
    uint32_t least = least_threads(inv);
    if (!q->cores && !q->cpus && !q->gpu_milli && !q->memory_bytes)
        return (struct amounts){{inv->core_count, inv->gpu_count, inv->memory_bytes}};
    return (struct amounts){{q->cores ? q->cores : (q->cpus + least - 1) / least,
                             q->gpu_milli / RESOURCE_GPU_WHOLE, q->memory_bytes}};
}

/* Positions in the hardware of the GPUs of a lease. */
static uint32_t gpus_of(const struct sim *sim, const struct mlease *l)
{
    uint32_t bits = 0;
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        uint8_t key[RESOURCE_GPU_KEY_BYTES];
        if (((l->lease.gpus >> unit) & 1) && core_node_gpu_key(sim->main, l->node, unit, key))
            bits |= 1u << key[1];
    }
    return bits;
}

static uint32_t gpus_present(const struct mnode *node)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < node->inventory.gpu_count; i++)
        bits |= 1u << node->inventory.gpus[i].key[1];
    return bits;
}

static uint64_t cores_of(const struct mnode *node, const struct resource_lease *lease)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < node->inventory.core_count; i++)
        count += resource_bit(lease->cores, node->inventory.cores[i].unit);
    return count;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* What is free of the node then, or (of a reservation) what of it nobody of its own will have. */
static struct amounts left_at(const struct sim *sim, struct node_id id, const struct mresv *r, uint64_t at_ms)
{
    const struct mnode *node = &sim->mnodes[id.v - 1];
    struct amounts used = {0}, total = {{node->inventory.core_count, 0, node->inventory.memory_bytes}};
    uint32_t mine = 0, others = 0;
    for (uint32_t i = 0; i < sim->lease_count; i++) {
        const struct mlease *l = &sim->leases[i];
        if (l->node.v != id.v || !holds(sim, l, at_ms))
            continue;
        bool counts = !r || l->reservation == r->asked.reservation;
        *(counts ? &mine : &others) |= gpus_of(sim, l);
        if (!counts)
            continue;
        used.of[CORES] += cores_of(node, &l->lease);
        used.of[MEMORY] += l->lease.memory_bytes;
    }
    uint32_t present = gpus_present(node);
    if (r)
        total = asked(node, r);
    else
        total.of[GPUS] = (uint32_t)__builtin_popcount(present);
    used.of[GPUS] = (uint32_t)__builtin_popcount(mine & ~others & present);
    for (int k = 0; k < KINDS; k++)
        total.of[k] = minus(total.of[k], used.of[k]);
    return total;
}

static void check_at(struct sim *sim, const struct mjob *job, const struct core_decision *d, uint64_t at_ms)
{
    struct node_id node = d->as.start.node;
    const struct mnode *mnode = &sim->mnodes[node.v - 1];
    const struct resource_lease *lease = &d->as.start.lease;
    struct amounts free = left_at(sim, node, NULL, at_ms), own = {0}, others = {0};
    struct amounts want = {
        {cores_of(mnode, lease), (uint32_t)__builtin_popcount(lease->gpus), lease->memory_bytes}};
    for (uint32_t i = 0; i < SIM_RESERVATIONS; i++) {
        const struct mresv *r = &sim->reservations[i];
        if (!seated(r, node) || !active(r, at_ms))
            continue;
        struct amounts rest = left_at(sim, node, r, at_ms);
        for (int k = 0; k < KINDS; k++)
            (r->asked.reservation == d->as.start.reservation ? &own : &others)->of[k] += rest.of[k];
    }
    for (int k = 0; k < KINDS; k++) {
        if (others.of[k] && job->submit.request.flags)
            sim_fail(sim, "job %llu wants node %u for itself, which is reserved for others",
                     (unsigned long long)job->submit.job.v, node.v);
        if (want.of[k] && others.of[k] && want.of[k] > own.of[k] && want.of[k] + others.of[k] > free.of[k])
            sim_fail(sim, "job %llu takes what is reserved of node %u for others at %llu (%d)",
                     (unsigned long long)job->submit.job.v, node.v, (unsigned long long)at_ms, k);
    }
}

void model_reserved_start(struct sim *sim, const struct mjob *job, const struct core_decision *d)
{
    uint64_t now = core_now(sim->main), limit = job->submit.time_limit_ms;
    uint64_t end = limit ? now + limit + job->submit.grace_ms : UINT64_MAX;
    uint32_t in = d->as.start.reservation;
    const struct mresv *own = in && in <= SIM_RESERVATIONS ? &sim->reservations[in - 1] : NULL;
    if (in && (!own || !seated(own, d->as.start.node) || !model_reserved_for(own, job->submit.principal.v)))
        sim_fail(sim, "job %llu starts in a reservation that isn't there, or not for it",
                 (unsigned long long)job->submit.job.v);
    if (job->submit.reservation) {
        if (job->submit.reservation != in || !active(own, now) || !limit ||
            now + limit > own->asked.end_ms + SIM_PROMISE_SLACK_MS)
            sim_fail(sim, "job %llu starts outside the reservation that it names",
                     (unsigned long long)job->submit.job.v);
    }
    check_at(sim, job, d, now);
    for (uint32_t i = 0; i < SIM_RESERVATIONS; i++) {
        const struct mresv *r = &sim->reservations[i];
        if (seated(r, d->as.start.node) && r->begin_ms > now && r->begin_ms < end)
            check_at(sim, job, d, r->begin_ms);
    }
}

/* ---- what is decided of them ---- */

static void join(struct sim *sim, struct node_id node)
{
    for (uint32_t i = 0; i < sim->lease_count; i++) {
        struct mlease *l = &sim->leases[i];
        const struct mresv *first = NULL;
        for (uint32_t k = 0; l->held && !l->reservation && l->node.v == node.v && k < SIM_RESERVATIONS; k++) {
            const struct mresv *r = &sim->reservations[k];
            if (seated(r, node) && l->ends_ms > r->begin_ms &&
                model_reserved_for(r, sim->jobs[l->task.job.v].submit.principal.v) &&
                (!first || r->begin_ms < first->begin_ms))
                first = r;
        }
        if (first)
            l->reservation = first->asked.reservation;
    }
}

static void leave(struct sim *sim, struct mresv *r, struct node_id node)
{
    r->seats &= ~(UINT64_C(1) << node.v);
    for (uint32_t i = 0; i < sim->lease_count; i++) {
        struct mlease *l = &sim->leases[i];
        if (l->node.v == node.v && l->reservation == r->asked.reservation)
            l->reservation = 0;
    }
    join(sim, node);
}

void model_reserved(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    uint32_t id = d->as.reserved.reservation;
    struct node_id node = d->as.reserved.node;
    if (d->as.reserved.what == CORE_RESERVED_FILLED)
        return;
    if (!id || id > SIM_RESERVATIONS)
        sim_fail(sim, "a decision names reservation %u", id);
    struct mresv *r = &sim->reservations[id - 1];
    sim->reserved_moved = true;
    switch (d->as.reserved.what) {
    case CORE_RESERVED_MADE:
        if (r->there || event->kind != CORE_EVENT_RESERVE)
            sim_fail(sim, "reservation %u is made twice, or unasked", id);
        *r = (struct mresv){.there = true, .asked = event->as.reserve, .named = event->as.reserve.nodes};
        r->begin_ms = r->asked.begin_ms > core_now(sim->main) ? r->asked.begin_ms : core_now(sim->main);
        break;
    case CORE_RESERVED_SEAT:
        if (seated(r, node) || (r->named && event->kind != CORE_EVENT_RESERVE))
            sim_fail(sim, "reservation %u gets node %u twice, or another than was named", id, node.v);
        r->seats |= UINT64_C(1) << node.v;
        join(sim, node);
        break;
    case CORE_RESERVED_UNSEAT:
        if (!seated(r, node) || r->named || node.v > sim->node_count)
            sim_fail(sim, "reservation %u loses node %u", id, node.v);
        leave(sim, r, node);
        break;
    case CORE_RESERVED_BEGUN:
        if (r->begun || core_now(sim->main) < r->begin_ms)
            sim_fail(sim, "reservation %u begins twice, or too soon", id);
        r->begun = true;
        break;
    default:
        if (core_now(sim->main) < r->asked.end_ms && event->kind != CORE_EVENT_RESERVE)
            sim_fail(sim, "reservation %u is over too soon", id);
        r->there = false;
        for (uint32_t n = 1; n <= sim->node_count; n++) {
            if ((r->seats >> n) & 1)
                leave(sim, r, (struct node_id){n});
        }
        break;
    }
}

/* ---- at rest ---- */

/* On a node that no other one has a part of, which has room, all that the job wants is left of this one. */
static bool inside(const struct sim *sim, const struct mjob *job, const struct mresv *r, uint32_t n)
{
    const struct resource_request *q = &job->submit.request;
    struct node_id id = {n};
    const struct mnode *node = &sim->mnodes[n - 1];
    for (uint32_t i = 0; i < SIM_RESERVATIONS; i++) {
        if (&sim->reservations[i] != r && seated(&sim->reservations[i], id))
            return false;
    }
    if (!seated(r, id) || !model_node_free(node, &job->submit))
        return false;
    struct amounts all = asked(node, r), rest = left_at(sim, id, r, core_now(sim->main));
    uint32_t least = least_threads(&node->inventory);
    uint64_t cores = q->cores ? q->cores : (q->cpus + least - 1) / least;
    if (q->flags || q->gpu_memory_bytes || q->gpu_milli % RESOURCE_GPU_WHOLE || q->cpus)
        return false; /* how many cores or GPUs it will take isn't known before */
    return (!all.of[CORES] || (cores <= rest.of[CORES] && r->asked.request.cores)) &&
           (!all.of[GPUS] || q->gpu_milli / RESOURCE_GPU_WHOLE <= rest.of[GPUS]) &&
           (!all.of[MEMORY] || q->memory_bytes <= rest.of[MEMORY]);
}

void model_reserved_settled(struct sim *sim)
{
    uint64_t now = core_now(sim->main);
    for (uint32_t i = 0; i < SIM_RESERVATIONS; i++) {
        const struct mresv *r = &sim->reservations[i];
        uint32_t seats = (uint32_t)__builtin_popcountll(r->seats);
        if (r->there && seats != r->asked.count)
            sim_fail(sim, "reservation %u has %u of %u nodes", i + 1, seats, r->asked.count);
        for (uint32_t k = 1; r->there && r->begun && now < r->asked.end_ms && k <= sim->job_count; k++) {
            const struct mjob *job = &sim->jobs[k];
            const struct core_submit *s = &job->submit;
            bool late = !s->time_limit_ms || now + s->time_limit_ms > r->asked.end_ms;
            uint32_t nodes = 0;
            if (!model_may_start(sim, job) || !model_reserved_for(r, s->principal.v) ||
                (s->reservation && (s->reservation != r->asked.reservation || late)))
                continue;
            for (uint32_t n = 1; n <= sim->node_count; n++)
                nodes += inside(sim, job, r, n);
            if (nodes >= s->instance_count)
                sim_fail(sim, "job %u waits, though what it wants is reserved for it and free", k);
        }
    }
}

/* ---- what people ask for ---- */

void submit_reserve(struct sim *sim)
{
    struct rng *rng = &sim->rng;
    struct node_id nodes[SIM_NODES_MAX];
    struct core_event event = {.kind = CORE_EVENT_RESERVE};
    struct core_reserve *r = &event.as.reserve;
    r->reservation = 1 + (uint32_t)rng_below(rng, SIM_RESERVATIONS);
    r->remove = rng_chance(rng, 20);
    r->begin_ms = sim->now_ms + (rng_chance(rng, 40) ? 0 : rng_below(rng, 200000));
    r->end_ms = r->begin_ms + 1 + rng_below(rng, rng_chance(rng, 50) ? 100000 : 2000000);
    r->count = 1 + (uint32_t)rng_below(rng, rng_chance(rng, 70) ? 2 : sim->node_count + 1);
    if (!rng_chance(rng, 30)) {
        *(rng_chance(rng, 70) ? &r->request.cores : &r->request.cpus) = (uint32_t)rng_below(rng, 8);
        r->request.gpu_milli = rng_chance(rng, 50) ? 0 : RESOURCE_GPU_WHOLE * (uint32_t)rng_below(rng, 5);
        r->request.memory_bytes = rng_chance(rng, 50) ? 0 : rng_below(rng, UINT64_C(8) << 30);
    }
    if (rng_chance(rng, 30) && r->count <= sim->node_count) {
        uint32_t first = (uint32_t)rng_below(rng, sim->node_count);
        for (uint32_t i = 0; i < r->count; i++)
            nodes[i].v = 1 + (first + i) % sim->node_count;
        r->nodes = nodes;
    }
    r->user_count = 1 + (uint32_t)rng_below(rng, 2);
    for (uint32_t i = 0; i < r->user_count; i++)
        r->users[i].v = 1 + (uint32_t)(r->begin_ms + i) % (SIM_TENANTS - 1);
    drive(sim, &event);
}

void submit_unreserve_all(struct sim *sim)
{
    for (uint32_t i = 1; i <= SIM_RESERVATIONS; i++) {
        struct core_event event = {.kind = CORE_EVENT_RESERVE};
        event.as.reserve.reservation = i;
        event.as.reserve.remove = true;
        drive(sim, &event);
    }
}
