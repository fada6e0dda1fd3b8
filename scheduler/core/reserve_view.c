/*
 * Questions about reservations. Changes nothing.
 */
#include "scheduler/core/reserve.h"

static void view(const struct core *core, uint32_t slot, struct core_reservation_view *out)
{
    const struct resv_facts *f = &core->resvs[slot].facts;
    *out = (struct core_reservation_view){.reservation = f->id,
                                          .begin_ms = f->begin_ms,
                                          .end_ms = f->end_ms,
                                          .request = f->request,
                                          .count = f->count,
                                          .named = f->named,
                                          .begun = f->begun,
                                          .user_count = f->user_count};
    for (uint32_t i = 0; i < f->user_count; i++)
        out->users[i].v = f->users[i];
    for (uint32_t s = core->resvs[slot].first_seat; s; s = core->seats[s].resv_next)
        out->usable += node_usable(&core->nodes[core->seats[s].node_slot].facts);
}

bool core_reservation_next(const struct core *core, uint32_t *cursor, struct core_reservation_view *out)
{
    while (*cursor < core->h->resv.high) {
        uint32_t slot = ++*cursor;
        if (core->resvs[slot].present) {
            view(core, slot, out);
            return true;
        }
    }
    return false;
}

bool core_reservation_get(const struct core *core, uint32_t reservation, struct core_reservation_view *out)
{
    uint32_t slot = reserve_find(core, reservation);
    if (slot)
        view(core, slot, out);
    return slot != 0;
}

uint32_t core_reservation_nodes(const struct core *core, uint32_t reservation, struct node_id *out,
                                uint32_t max)
{
    uint32_t slot = reserve_find(core, reservation), count = 0;
    for (uint32_t s = slot ? core->resvs[slot].first_seat : 0; s; s = core->seats[s].resv_next) {
        if (count < max)
            out[count].v = core->nodes[core->seats[s].node_slot].facts.id;
        count++;
    }
    return count;
}

/* Whether less than the rest of it is free at its begin (or now). */
static bool is_short(const struct core *core, uint32_t seat, uint64_t at_ms)
{
    const struct node *node = &core->nodes[core->seats[seat].node_slot];
    struct caps rest = reserve_rest(core, seat, PLAN_DECLARED, at_ms);
    struct caps free = reserve_free(core, node, PLAN_DECLARED, at_ms);
    return rest.cores > free.cores || rest.cpus > free.cpus || rest.memory_bytes > free.memory_bytes ||
           rest.gpu_milli > free.gpu_milli;
}

uint32_t core_reservation_obstacles(const struct core *core, uint32_t reservation,
                                    struct core_reservation_obstacle *out, uint32_t max)
{
    uint32_t slot = reserve_find(core, reservation), count = 0;
    if (!slot)
        return 0;
    uint64_t begin = core->resvs[slot].facts.begin_ms, now = core->h->facts.now_ms;
    uint64_t at = begin > now ? begin : now;
    for (uint32_t s = core->resvs[slot].first_seat; s; s = core->seats[s].resv_next) {
        const struct node *node = &core->nodes[core->seats[s].node_slot];
        if (!is_short(core, s, at))
            continue;
        for (uint32_t t = node->first_task; t; t = core->tasks[t].node_next) {
            const struct task_facts *task = &core->tasks[t].facts;
            if (task->reservation == reservation || !reserve_holds(core, task, PLAN_DECLARED, at))
                continue;
            uint64_t until = plan_end(core, task, PLAN_DECLARED);
            if (count < max)
                out[count] = (struct core_reservation_obstacle){
                    {task->job}, {node->facts.id}, until == CORE_NEVER ? 0 : until};
            count++;
        }
    }
    return count;
}

uint32_t reserve_refuses(const struct core *core, const struct core_submit *s, uint64_t *wanted,
                         uint64_t *best)
{
    uint32_t slot = reserve_find(core, s->reservation), fit = 0;
    uint64_t now = core->h->facts.now_ms;
    if (!slot || core->resvs[slot].facts.end_ms <= now)
        return CORE_RESERVED_UNKNOWN;
    if (!reserve_admits(core, slot, s->principal.v))
        return CORE_RESERVED_USER;
    const struct resv_facts *f = &core->resvs[slot].facts;
    uint64_t from = f->begin_ms > now ? f->begin_ms : now;
    from = s->begin_ms > from ? s->begin_ms : from;
    *wanted = s->time_limit_ms;
    *best = f->end_ms > from ? f->end_ms - from : 0;
    if (!s->time_limit_ms || from + s->time_limit_ms > f->end_ms + PLAN_SLACK_MS)
        return CORE_RESERVED_TIME;
    for (uint32_t seat = core->resvs[slot].first_seat; seat; seat = core->seats[seat].resv_next) {
        const struct node *node = &core->nodes[core->seats[seat].node_slot];
        struct caps have = reserve_amounts(node, &core->resvs[slot]), want = caps_of(node, &s->request);
        uint32_t gpus = want.share ? RESOURCE_GPU_WHOLE : want.gpu_milli;
        fit += (!have.cores || (want.cores <= have.cores && want.cpus <= have.cpus)) &&
               (!have.memory_bytes || want.memory_bytes <= have.memory_bytes) &&
               (!have.gpu_milli || gpus <= have.gpu_milli);
    }
    *wanted = s->instance_count;
    *best = fit;
    return fit < s->instance_count ? CORE_RESERVED_AMOUNTS : 0;
}

/* ---- why ---- */

static void name(const struct core *core, uint32_t slot, struct core_why_reserved *out)
{
    if (!out)
        return;
    out->reservation = core->resvs[slot].facts.id;
    out->begin_ms = core->resvs[slot].facts.begin_ms;
    out->end_ms = core->resvs[slot].facts.end_ms;
}

static enum core_why_reservation with_its_own(const struct core *core, const struct job_facts *job,
                                              struct core_why_reserved *out)
{
    uint64_t now = core->h->facts.now_ms;
    uint32_t slot = reserve_find(core, job->reservation);
    if (out)
        out->reservation = job->reservation;
    if (!slot || !reserve_admits(core, slot, job->principal))
        return CORE_WHY_RESERVATION_GONE;
    const struct resv_facts *f = &core->resvs[slot].facts;
    name(core, slot, out);
    if (f->end_ms <= now)
        return CORE_WHY_RESERVATION_GONE;
    uint64_t from = f->begin_ms > now ? f->begin_ms : now;
    if (!job->time_limit_ms || from + job->time_limit_ms > f->end_ms + PLAN_SLACK_MS)
        return CORE_WHY_RESERVATION_SHORT;
    return f->begun ? CORE_WHY_RESERVATION_FULL : CORE_WHY_RESERVATION_LATER;
}

/* The first of those, of a node with room, that the job may not start on for them. */
static void name_keeper(const struct core *core, const struct job_facts *job, uint32_t node_slot,
                        uint64_t end_ms, struct core_why_reserved *out)
{
    for (uint32_t s = core->nodes[node_slot].first_seat; s; s = core->seats[s].node_next) {
        uint32_t resv = core->seats[s].resv_slot;
        const struct resv_facts *f = &core->resvs[resv].facts;
        if (f->begin_ms >= end_ms || f->end_ms <= core->h->facts.now_ms ||
            reserve_admits(core, resv, job->principal))
            continue;
        name(core, resv, out);
        out->node.v = core->nodes[node_slot].facts.id;
        return;
    }
}

enum core_why_reservation reserve_why(const struct core *core, const struct job_facts *job,
                                      struct core_why_reserved *out)
{
    if (job->reservation)
        return with_its_own(core, job, out);
    struct shape_key key = shape_key_of(job);
    uint64_t end = CORE_NEVER;
    if (job->time_limit_ms)
        end = core->h->facts.now_ms + job->time_limit_ms + job->grace_ms;
    for (uint32_t n = core->h->seat_count ? tree_find(core, &key, 1) : 0; n;
         n = tree_find(core, &key, n + 1)) {
        if (reserve_allows(core, job, n, end, NULL))
            continue;
        if (!out->reservation)
            name_keeper(core, job, n, end, out);
        out->nodes++;
    }
    return out->nodes ? CORE_WHY_RESERVATION_KEPT : CORE_WHY_RESERVATION_NONE;
}
