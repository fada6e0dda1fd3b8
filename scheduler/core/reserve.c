/*
 * Reservations and their seats: their records, each node's list of seats (by begin, then id), and which tasks
 * count for them. Owns task_facts.reservation. Changed by decisions alone.
 */
#include <string.h>

#include "scheduler/core/reserve.h"

uint32_t reserve_find(const struct core *core, uint32_t id)
{
    for (uint32_t slot = 1; slot <= core->h->resv.high; slot++) {
        if (core->resvs[slot].present && core->resvs[slot].facts.id == id)
            return slot;
    }
    return 0;
}

uint32_t reserve_seat(const struct core *core, uint32_t resv_slot, uint32_t node_slot)
{
    uint32_t seat = core->nodes[node_slot].first_seat;
    while (seat && core->seats[seat].resv_slot != resv_slot)
        seat = core->seats[seat].node_next;
    return seat;
}

bool reserve_admits(const struct core *core, uint32_t resv_slot, uint32_t principal)
{
    const struct resv_facts *f = &core->resvs[resv_slot].facts;
    for (uint32_t i = 0; i < f->user_count; i++) {
        if (f->users[i] == principal)
            return true;
    }
    return false;
}

void reserve_stir(struct core *core)
{
    if (core->h->resv_count)
        core->h->facts.refill_due = 1;
}

uint64_t reserve_wake(const struct core *core)
{
    uint64_t first = 0;
    for (uint32_t slot = 1; slot <= core->h->resv.high; slot++) {
        const struct resv_facts *f = &core->resvs[slot].facts;
        uint64_t at = f->begun ? f->end_ms : f->begin_ms;
        if (core->resvs[slot].present && (!first || at < first))
            first = at;
    }
    return first;
}

/* ---- seats ---- */

static bool seat_before(const struct core *core, uint32_t a, uint32_t b)
{
    const struct resv_facts *x = &core->resvs[core->seats[a].resv_slot].facts;
    const struct resv_facts *y = &core->resvs[core->seats[b].resv_slot].facts;
    return x->begin_ms != y->begin_ms ? x->begin_ms < y->begin_ms : x->id < y->id;
}

static uint32_t slot_take(struct table *table, uint32_t next_free, uint32_t capacity)
{
    if (table->free) {
        uint32_t slot = table->free;
        table->free = next_free;
        return slot;
    }
    return table->high < capacity ? ++table->high : 0;
}

static bool seat_take(struct core *core, uint32_t resv_slot, uint32_t node_slot)
{
    struct header *h = core->h;
    uint32_t slot = slot_take(&h->seat, core->seats[h->seat.free].next_free, h->seat_capacity);
    if (!slot)
        return false;
    struct seat *seat = &core->seats[slot];
    struct resv *resv = &core->resvs[resv_slot];
    *seat = (struct seat){
        .resv_slot = resv_slot, .node_slot = node_slot, .resv_next = resv->first_seat, .present = 1};
    resv->first_seat = slot;
    resv->seat_count++;
    uint32_t before = 0, at = core->nodes[node_slot].first_seat;
    while (at && seat_before(core, at, slot)) {
        before = at;
        at = core->seats[at].node_next;
    }
    seat->node_prev = before;
    seat->node_next = at;
    *(before ? &core->seats[before].node_next : &core->nodes[node_slot].first_seat) = slot;
    if (at)
        core->seats[at].node_prev = slot;
    h->sum += seat_hash(core, seat);
    h->seat_count++;
    return true;
}

static void seat_drop(struct core *core, uint32_t slot)
{
    struct seat *seat = &core->seats[slot];
    struct resv *resv = &core->resvs[seat->resv_slot];
    *(seat->node_prev ? &core->seats[seat->node_prev].node_next : &core->nodes[seat->node_slot].first_seat) =
        seat->node_next;
    if (seat->node_next)
        core->seats[seat->node_next].node_prev = seat->node_prev;
    uint32_t *link = &resv->first_seat;
    while (*link != slot)
        link = &core->seats[*link].resv_next;
    *link = seat->resv_next;
    resv->seat_count--;
    core->h->sum -= seat_hash(core, seat);
    memset(seat, 0, sizeof *seat);
    seat->next_free = core->h->seat.free;
    core->h->seat.free = slot;
    core->h->seat_count--;
}

/* ---- which tasks count for them ---- */

static void task_counts_for(struct core *core, uint32_t slot, uint32_t reservation)
{
    task_changes(core, &core->tasks[slot]);
    core->tasks[slot].facts.reservation = reservation;
}

/* Those of its users that count for none, and will be there when it begins. */
static void tasks_join(struct core *core, uint32_t node_slot)
{
    const struct node *node = &core->nodes[node_slot];
    for (uint32_t t = node->first_seat ? node->first_task : 0; t; t = core->tasks[t].node_next) {
        const struct task_facts *task = &core->tasks[t].facts;
        uint32_t principal = core->jobs[core->tasks[t].job_slot].facts.principal;
        for (uint32_t s = node->first_seat; s && !task->reservation && !task->released;
             s = core->seats[s].node_next) {
            const struct resv_facts *f = &core->resvs[core->seats[s].resv_slot].facts;
            if (task->ends_ms > f->begin_ms && reserve_admits(core, core->seats[s].resv_slot, principal))
                task_counts_for(core, t, f->id);
        }
    }
}

static void tasks_leave(struct core *core, uint32_t node_slot, uint32_t reservation)
{
    for (uint32_t t = core->nodes[node_slot].first_task; t; t = core->tasks[t].node_next) {
        if (core->tasks[t].facts.reservation == reservation)
            task_counts_for(core, t, 0);
    }
}

static void unseat(struct core *core, uint32_t seat)
{
    uint32_t node = core->seats[seat].node_slot;
    tasks_leave(core, node, core->resvs[core->seats[seat].resv_slot].facts.id);
    seat_drop(core, seat);
    tasks_join(core, node);
}

/* ---- what is decided ---- */

static const char *made(struct core *core, const struct core_event *event, const struct core_decision *d)
{
    struct header *h = core->h;
    const struct core_reserve *r = &event->as.reserve;
    if (event->kind != CORE_EVENT_RESERVE || r->remove || r->reservation != d->as.reserved.reservation ||
        reserve_find(core, r->reservation))
        return "a reservation that nobody asked for, or that is there";
    uint32_t slot = slot_take(&h->resv, core->resvs[h->resv.free].next_free, h->resv_capacity);
    if (!slot)
        return "no room for another reservation";
    struct resv *resv = &core->resvs[slot];
    resv_clear(core, resv);
    resv->present = 1;
    struct resv_facts *f = &resv->facts;
    f->id = r->reservation;
    f->begin_ms = r->begin_ms > h->facts.now_ms ? r->begin_ms : h->facts.now_ms;
    f->end_ms = r->end_ms;
    f->request = r->request;
    f->count = r->count;
    f->named = r->nodes != NULL;
    f->user_count = r->user_count;
    for (uint32_t i = 0; i < r->user_count; i++)
        f->users[i] = r->users[i].v;
    h->resv_count++;
    return NULL;
}

static void over(struct core *core, uint32_t slot)
{
    struct header *h = core->h;
    struct resv *resv = &core->resvs[slot];
    while (resv->first_seat)
        unseat(core, resv->first_seat);
    h->resv_begun -= resv->facts.begun;
    h->resv_count--;
    resv_clear(core, resv);
    resv->next_free = h->resv.free;
    h->resv.free = slot;
    reserve_stir(core);
}

static const char *seats(struct core *core, uint32_t resv_slot, const struct core_decision *d)
{
    uint32_t node = node_find(core, d->as.reserved.node.v);
    uint32_t seat = node ? reserve_seat(core, resv_slot, node) : 0;
    const struct resv *resv = &core->resvs[resv_slot];
    if (d->as.reserved.what == CORE_RESERVED_UNSEAT) {
        if (!seat)
            return "a node taken from a reservation that hasn't it";
        unseat(core, seat);
        return NULL;
    }
    if (!node || seat || resv->seat_count == resv->facts.count || !seat_take(core, resv_slot, node))
        return "a node for a reservation that needs none, or has it";
    tasks_join(core, node);
    return NULL;
}

const char *apply_reserved(struct core *core, const struct core_event *event, const struct core_decision *d)
{
    enum core_reserved what = d->as.reserved.what;
    if (what == CORE_RESERVED_FILLED) {
        core->h->facts.refill_due = 0;
        return NULL;
    }
    uint32_t slot = reserve_find(core, d->as.reserved.reservation);
    const char *why = NULL;
    if (what == CORE_RESERVED_MADE)
        why = made(core, event, d);
    else if (!slot)
        return "a decision about a reservation that isn't there";
    else if (what == CORE_RESERVED_SEAT || what == CORE_RESERVED_UNSEAT)
        return seats(core, slot, d);
    else if (what == CORE_RESERVED_OVER)
        over(core, slot);
    else if (what == CORE_RESERVED_BEGUN && !core->resvs[slot].facts.begun) {
        resv_changes(core, &core->resvs[slot]);
        core->resvs[slot].facts.begun = 1;
        core->h->resv_begun++;
    } else
        return "a reservation that begins twice";
    core->h->resv_wake_ms = reserve_wake(core);
    return why;
}
