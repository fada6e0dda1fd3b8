/*
 * The full pass over reservations: their records, seats, and the tasks that count for them.
 */
#include "scheduler/core/reserve.h"

static const char *check_resv(const struct core *core, uint32_t slot)
{
    const struct resv *resv = &core->resvs[slot];
    const struct resv_facts *f = &resv->facts;
    uint32_t listed = 0;
    if (resv->present != 1 || !f->id || f->begin_ms >= f->end_ms || f->begun > 1 || f->named > 1 ||
        !f->count || f->count > CORE_INSTANCES_MAX || !f->user_count ||
        f->user_count > CORE_RESERVATION_USERS_MAX)
        return "reservation: a value is out of range";
    if (resv->hash != resv_hash(resv) || reserve_find(core, f->id) != slot)
        return "reservation: its hash differs, or its id is there twice";
    for (uint32_t s = resv->first_seat; s; s = core->seats[s].resv_next) {
        if (s > core->h->seat.high || core->seats[s].resv_slot != slot || listed++ == resv->seat_count)
            return "reservation: its list of seats is wrong";
    }
    return listed == resv->seat_count && listed == f->count
               ? NULL
               : "reservation: it hasn't as many nodes as it wants";
}

static const char *check_node_seats(const struct core *core, uint32_t n, uint32_t *listed)
{
    uint32_t last = 0;
    for (uint32_t s = core->nodes[n].first_seat; s; last = s, s = core->seats[s].node_next) {
        if (s > core->h->seat.high || core->seats[s].node_slot != n || core->seats[s].node_prev != last ||
            (*listed)++ == core->h->seat_count)
            return "seat: its node's list is wrong";
        if (last && core->resvs[core->seats[last].resv_slot].facts.begin_ms >
                        core->resvs[core->seats[s].resv_slot].facts.begin_ms)
            return "seat: a node's seats are out of order";
    }
    for (uint32_t t = core->nodes[n].first_task; t; t = core->tasks[t].node_next) {
        uint32_t id = core->tasks[t].facts.reservation, resv = id ? reserve_find(core, id) : 0;
        uint32_t principal = core->jobs[core->tasks[t].job_slot].facts.principal;
        if (id && (!resv || !reserve_seat(core, resv, n) || !reserve_admits(core, resv, principal)))
            return "task: it counts for a reservation that isn't there, or not for its user";
    }
    return NULL;
}

const char *check_reservations(const struct core *core, uint64_t *sum)
{
    const struct header *h = core->h;
    uint32_t count = 0, begun = 0, seats = 0, listed = 0;
    const char *why = NULL;
    if (h->resv.high > h->resv_capacity || h->seat.high > h->seat_capacity || h->facts.refill_due > 1)
        return "reservations: a count is beyond the capacity";
    for (uint32_t slot = 1; !why && slot <= h->resv.high; slot++) {
        if (core->resvs[slot].changed_next)
            return "reservation: its hash waits to be made";
        if (!core->resvs[slot].present)
            continue;
        count++;
        begun += core->resvs[slot].facts.begun;
        *sum += core->resvs[slot].hash;
        why = check_resv(core, slot);
    }
    for (uint32_t slot = 1; !why && slot <= h->seat.high; slot++) {
        const struct seat *seat = &core->seats[slot];
        if (!seat->present)
            continue;
        seats++;
        if (!seat->resv_slot || seat->resv_slot > h->resv.high || !core->resvs[seat->resv_slot].present ||
            !seat->node_slot || seat->node_slot > h->facts.node_count)
            return "seat: of a reservation or a node that isn't there";
        *sum += seat_hash(core, seat);
    }
    for (uint32_t n = 1; !why && n <= h->facts.node_count; n++)
        why = check_node_seats(core, n, &listed);
    if (why)
        return why;
    return count == h->resv_count && begun == h->resv_begun && seats == h->seat_count && listed == seats &&
                   reserve_wake(core) == h->resv_wake_ms
               ? NULL
               : "reservations: a count is wrong";
}
