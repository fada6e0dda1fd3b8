/*
 * What is decided of reservations: which nodes they get, when they begin and end, and another node for one
 * that is lost or draining. Where any node will do, those are taken on which nobody is in the way.
 */
#include "scheduler/core/step.h"

#include <string.h>

#include "scheduler/core/reserve.h"

/* How good a node is for it; the lowest goes first. */
enum rank { RANK_FREE = 0, RANK_PROMISED, RANK_WAITS, RANK_UNKNOWN, RANK_AWAY, RANK_NOT };

static void decide(struct step *step, enum core_reserved what, uint32_t id, uint32_t node_slot)
{
    struct core_decision d = {.kind = CORE_DECISION_RESERVATION};
    d.as.reserved.what = what;
    d.as.reserved.reservation = id;
    d.as.reserved.node.v = node_slot ? step->core->nodes[node_slot].facts.id : 0;
    step->memory->count = 0;
    step_emit(step, &d);
}

/* ---- where ---- */

/* The record that a request would become, for questions. */
static struct resv like(const struct core *core, const struct core_reserve *r)
{
    struct resv resv;
    memset(&resv, 0, sizeof resv);
    struct resv_facts *f = &resv.facts;
    f->id = r->reservation;
    f->begin_ms = r->begin_ms > core->h->facts.now_ms ? r->begin_ms : core->h->facts.now_ms;
    f->end_ms = r->end_ms;
    f->request = r->request;
    f->count = r->count;
    f->user_count = r->user_count;
    for (uint32_t i = 0; i < r->user_count; i++)
        f->users[i] = r->users[i].v;
    return resv;
}

static bool is_user(const struct resv *resv, uint32_t principal)
{
    for (uint32_t i = 0; i < resv->facts.user_count; i++) {
        if (resv->facts.users[i] == principal)
            return true;
    }
    return false;
}

static bool caps_within(const struct caps *want, const struct caps *have)
{
    return want->cores <= have->cores && want->cpus <= have->cpus &&
           want->memory_bytes <= have->memory_bytes && want->gpu_milli <= have->gpu_milli;
}

static bool take_all(struct caps *left, const struct caps *gone)
{
    if (!caps_within(gone, left))
        return false;
    left->cores -= gone->cores;
    left->cpus -= gone->cpus;
    left->memory_bytes -= gone->memory_bytes;
    left->gpu_milli -= gone->gpu_milli;
    return true;
}

/* Whether the empty node holds it beside all others that are there at that moment; *other is one of them. */
static bool beside_at(const struct core *core, const struct node *node, const struct resv *resv,
                      uint64_t at_ms, uint32_t *other)
{
    struct caps left = node->total, mine = reserve_amounts(node, resv);
    if (!take_all(&left, &mine))
        return false;
    for (uint32_t s = node->first_seat; s; s = core->seats[s].node_next) {
        const struct resv *o = &core->resvs[core->seats[s].resv_slot];
        struct caps theirs = reserve_amounts(node, o);
        if (o->facts.id == resv->facts.id || o->facts.begin_ms > at_ms || o->facts.end_ms <= at_ms)
            continue;
        if (!take_all(&left, &theirs)) {
            *other = o->facts.id;
            return false;
        }
    }
    return true;
}

static bool beside_others(const struct core *core, const struct node *node, const struct resv *resv,
                          uint32_t *other)
{
    const struct resv_facts *f = &resv->facts;
    if (!beside_at(core, node, resv, f->begin_ms, other))
        return false;
    for (uint32_t s = node->first_seat; s; s = core->seats[s].node_next) {
        uint64_t at = core->resvs[core->seats[s].resv_slot].facts.begin_ms;
        if (at > f->begin_ms && at < f->end_ms && !beside_at(core, node, resv, at, other))
            return false;
    }
    return true;
}

static bool has_all(const struct caps *want, const struct node *node, enum resource_kind *kind,
                    uint64_t *wanted, uint64_t *best)
{
    const uint64_t wants[RESOURCE_KIND_COUNT] = {want->cores, want->cpus, want->memory_bytes,
                                                 want->gpu_milli};
    const uint64_t has[RESOURCE_KIND_COUNT] = {node->total.cores, node->total.cpus, node->total.memory_bytes,
                                               node->total.gpu_milli};
    for (int i = 0; i < RESOURCE_KIND_COUNT; i++) {
        if (wants[i] <= has[i])
            continue;
        *kind = (enum resource_kind)i;
        *wanted = wants[i];
        *best = has[i];
        return false;
    }
    return node->total.cores != 0;
}

/* At its begin tasks of its users aren't in the way: they will count for it. */
static enum rank waiting(const struct core *core, const struct node *node, const struct resv *resv)
{
    uint64_t begin = resv->facts.begin_ms, now = core->h->facts.now_ms;
    begin = begin > now ? begin : now;
    struct caps have = reserve_free(core, node, PLAN_DECLARED, begin), mine = reserve_amounts(node, resv);
    bool forever = false;
    for (uint32_t t = node->first_task; t; t = core->tasks[t].node_next) {
        const struct task_facts *task = &core->tasks[t].facts;
        if (!reserve_holds(core, task, PLAN_DECLARED, begin))
            continue;
        struct caps theirs = reserve_lease(node, task);
        bool ours = !task->reservation && is_user(resv, core->jobs[core->tasks[t].job_slot].facts.principal);
        forever = forever || (!ours && plan_end(core, task, PLAN_DECLARED) == CORE_NEVER);
        if (!ours)
            continue;
        have.cores += theirs.cores;
        have.cpus += theirs.cpus;
        have.memory_bytes += theirs.memory_bytes;
        have.gpu_milli += theirs.gpu_milli;
    }
    bool room = true;
    for (uint32_t s = node->first_seat; room && s; s = core->seats[s].node_next) {
        const struct resv_facts *f = &core->resvs[core->seats[s].resv_slot].facts;
        struct caps rest = reserve_rest(core, s, PLAN_DECLARED, begin);
        if (f->id != resv->facts.id && f->begin_ms <= begin && begin < f->end_ms)
            room = take_all(&have, &rest);
    }
    if (room && caps_within(&mine, &have))
        return node->first_hold ? RANK_PROMISED : RANK_FREE;
    return forever ? RANK_UNKNOWN : RANK_WAITS;
}

static enum rank rank_of(const struct core *core, const struct node *node, const struct resv *resv,
                         uint32_t *other)
{
    if (node->facts.lost || node->facts.draining || !node->total.cores ||
        !beside_others(core, node, resv, other))
        return RANK_NOT;
    return node_usable(&node->facts) ? waiting(core, node, resv) : RANK_AWAY;
}

/* Up to `want` nodes that could hold it, the best first; returns how many there are. */
static uint32_t choose(const struct core *core, const struct resv *resv, uint32_t want, uint32_t *nodes,
                       uint32_t *other)
{
    uint8_t ranks[CORE_NODES_MAX + 1];
    uint32_t count = 0, known = core->h->facts.node_count;
    uint32_t resv_slot = reserve_find(core, resv->facts.id);
    for (uint32_t n = 1; n <= known; n++)
        ranks[n] = resv_slot && reserve_seat(core, resv_slot, n)
                       ? RANK_NOT
                       : (uint8_t)rank_of(core, &core->nodes[n], resv, other);
    for (int rank = RANK_FREE; rank < RANK_NOT; rank++) {
        for (uint32_t n = 1; n <= known && count < want; n++) {
            if (ranks[n] == rank)
                nodes[count++] = n;
        }
    }
    return count;
}

static void refuses_node(const struct core *core, const struct resv *resv, struct node_id id,
                         struct core_reserve_answer *out)
{
    uint32_t slot = node_find(core, id.v);
    const struct node *node = &core->nodes[slot];
    out->node = id;
    if (!slot || node->facts.lost || node->facts.draining) {
        out->refusal = CORE_RESERVE_NO_NODE;
        return;
    }
    struct caps mine = reserve_amounts(node, resv);
    if (!has_all(&mine, node, &out->resource, &out->wanted, &out->best)) {
        out->refusal = CORE_RESERVE_SMALL;
        if (resv->facts.request.cpus && out->resource <= RESOURCE_CPUS) { /* in the unit that was asked for */
            out->resource = RESOURCE_CPUS;
            out->wanted = resv->facts.request.cpus;
            out->best = node->total.cpus;
        }
    } else if (!beside_others(core, node, resv, &out->other))
        out->refusal = CORE_RESERVE_OVERLAPS;
}

void core_reserve_refuses(const struct core *core, const struct core_reserve *r,
                          struct core_reserve_answer *out)
{
    const struct header *h = core->h;
    uint32_t nodes[CORE_INSTANCES_MAX];
    *out = (struct core_reserve_answer){0};
    struct resv resv = like(core, r);
    if (reserve_find(core, r->reservation)) {
        out->refusal = CORE_RESERVE_EXISTS;
    } else if (h->resv_count == CORE_RESERVATIONS_MAX || CORE_SEATS_MAX - h->seat_count < r->count) {
        out->refusal = CORE_RESERVE_FULL;
    } else if (r->end_ms <= h->facts.now_ms) {
        out->refusal = CORE_RESERVE_PAST;
    } else if (r->nodes) {
        for (uint32_t i = 0; i < r->count && !out->refusal; i++)
            refuses_node(core, &resv, r->nodes[i], out);
    } else {
        out->wanted = r->count;
        out->best = choose(core, &resv, r->count, nodes, &out->other);
        if (out->best < r->count)
            out->refusal = CORE_RESERVE_FEW_NODES;
    }
}

/* ---- their life ---- */

static void make(struct step *step, const struct core_reserve *r)
{
    const struct core *core = step->core;
    struct core_reserve_answer answer;
    uint32_t nodes[CORE_INSTANCES_MAX] = {0};
    core_reserve_refuses(core, r, &answer);
    if (answer.refusal || core->h->resv_capacity - core->h->resv_count < 1 ||
        core->h->seat_capacity - core->h->seat_count < r->count)
        return;
    struct resv resv = like(core, r);
    uint32_t other;
    for (uint32_t i = 0; r->nodes && i < r->count; i++)
        nodes[i] = node_find(core, r->nodes[i].v);
    if (!r->nodes)
        CORE_ASSERT(choose(core, &resv, r->count, nodes, &other) == r->count);
    decide(step, CORE_RESERVED_MADE, r->reservation, 0);
    for (uint32_t i = 0; i < r->count; i++)
        decide(step, CORE_RESERVED_SEAT, r->reservation, nodes[i]);
    for (uint32_t i = 0; i < r->count; i++)
        promises_recheck(step, nodes[i], CORE_VOID_RESERVATION);
}

static void end(struct step *step, uint32_t slot)
{
    const struct core *core = step->core;
    uint32_t nodes[CORE_INSTANCES_MAX], count = 0;
    for (uint32_t s = core->resvs[slot].first_seat; s; s = core->seats[s].resv_next)
        nodes[count++] = core->seats[s].node_slot;
    decide(step, CORE_RESERVED_OVER, core->resvs[slot].facts.id, 0);
    for (uint32_t i = 0; i < count; i++)
        promises_recheck(step, nodes[i], CORE_VOID_RESERVATION);
    step->want_place = true;
}

void reserve_tick(struct step *step)
{
    const struct core *core = step->core;
    uint64_t now = core->h->facts.now_ms;
    for (uint32_t slot = 1; slot <= core->h->resv.high && core->h->resv_wake_ms; slot++) {
        const struct resv_facts *f = &core->resvs[slot].facts;
        if (core->h->resv_wake_ms > now || step->work <= 0)
            return;
        if (!core->resvs[slot].present)
            continue;
        if (f->end_ms <= now)
            end(step, slot);
        else if (!f->begun && f->begin_ms <= now)
            decide(step, CORE_RESERVED_BEGUN, f->id, 0);
        step->want_place = true;
    }
}

void reserve_decide(struct step *step)
{
    const struct core_reserve *r = &step->event->as.reserve;
    uint32_t slot = reserve_find(step->core, r->reservation);
    step->want_place = true;
    if (r->remove && slot)
        end(step, slot);
    else if (!r->remove)
        make(step, r);
    reserve_tick(step);
}

/* ---- another node ---- */

static bool seat_lost(const struct core *core, uint32_t seat)
{
    const struct node *node = &core->nodes[core->seats[seat].node_slot];
    struct caps amounts = reserve_amounts(node, &core->resvs[core->seats[seat].resv_slot]);
    return node->facts.lost || node->facts.draining || !node->total.cores ||
           !caps_within(&amounts, &node->total);
}

/* A seat that is lost stays where it is until another node is free for it. */
static bool refill_one(struct step *step, uint32_t slot)
{
    const struct core *core = step->core;
    uint32_t id = core->resvs[slot].facts.id, lost[CORE_INSTANCES_MAX] = {0}, nodes[CORE_INSTANCES_MAX];
    uint32_t count = 0, other = 0;
    for (uint32_t s = core->resvs[slot].first_seat; s; s = core->seats[s].resv_next) {
        if (seat_lost(core, s))
            lost[count++] = core->seats[s].node_slot;
    }
    if (!count)
        return true;
    uint32_t found = choose(core, &core->resvs[slot], count, nodes, &other);
    for (uint32_t i = 0; i < found; i++) {
        if (step->work <= 0)
            return false;
        if (!node_usable(&core->nodes[nodes[i]].facts))
            continue;
        decide(step, CORE_RESERVED_UNSEAT, id, lost[i]);
        decide(step, CORE_RESERVED_SEAT, id, nodes[i]);
        promises_recheck(step, lost[i], CORE_VOID_RESERVATION);
        promises_recheck(step, nodes[i], CORE_VOID_RESERVATION);
    }
    return true;
}

bool reserve_refill(struct step *step)
{
    const struct core *core = step->core;
    if (!core->h->facts.refill_due)
        return true;
    for (uint32_t slot = 1; slot <= core->h->resv.high; slot++) {
        if (core->resvs[slot].present && !core->resvs[slot].facts.named && !refill_one(step, slot))
            return false;
    }
    decide(step, CORE_RESERVED_FILLED, 0, 0);
    return true;
}
