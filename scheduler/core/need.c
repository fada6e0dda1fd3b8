/*
 * Dependencies, and the list of waiting jobs whose standing must be looked at again because one of theirs was
 * met, or can't be met any more. Owns need records; one lives as long as its waiter waits for it.
 */
#include <string.h>

#include "scheduler/core/arena.h"

void stir(struct core *core, uint32_t slot)
{
    struct header *h = core->h;
    struct job *job = &core->jobs[slot];
    if (job->facts.stirred)
        return;
    job_changes(core, job);
    job->facts.stirred = 1;
    job->stir_next = 0;
    *(h->stir_last ? &core->jobs[h->stir_last].stir_next : &h->stir_first) = slot;
    h->stir_last = slot;
}

static void take_out(struct core *core, uint32_t slot, uint32_t before)
{
    struct header *h = core->h;
    struct job *job = &core->jobs[slot];
    *(before ? &core->jobs[before].stir_next : &h->stir_first) = job->stir_next;
    if (h->stir_last == slot)
        h->stir_last = before;
    job->stir_next = 0;
    job_changes(core, job);
    job->facts.stirred = 0;
}

void unstir(struct core *core, uint32_t slot)
{
    uint32_t before = 0;
    for (uint32_t at = core->h->stir_first; at != slot; at = core->jobs[at].stir_next)
        before = at;
    take_out(core, slot, before);
}

static void unlink_need(struct core *core, uint32_t slot)
{
    struct need *need = &core->needs[slot];
    *(need->on_prev ? &core->needs[need->on_prev].on_next : &core->jobs[need->on_slot].first_needed) =
        need->on_next;
    if (need->on_next)
        core->needs[need->on_next].on_prev = need->on_prev;
    uint32_t *link = &core->jobs[need->waiter_slot].first_need;
    while (*link != slot)
        link = &core->needs[*link].waiter_next;
    *link = need->waiter_next;
    core->h->sum -= need_hash(need);
    memset(need, 0, sizeof *need);
    need->next_free = core->h->need.free;
    core->h->need.free = slot;
    core->h->need_count--;
}

bool need_take(struct core *core, uint32_t waiter, uint32_t on, enum core_dependency kind)
{
    struct header *h = core->h;
    uint32_t slot = h->need.free;
    if (slot)
        h->need.free = core->needs[slot].next_free;
    else if (h->need.high < h->need_capacity)
        slot = ++h->need.high;
    else
        return false;
    struct need *need = &core->needs[slot];
    struct job *w = &core->jobs[waiter], *o = &core->jobs[on];
    *need = (struct need){.waiter = w->facts.id,
                          .on = o->facts.id,
                          .kind = kind,
                          .waiter_slot = waiter,
                          .on_slot = on,
                          .waiter_next = w->first_need,
                          .on_next = o->first_needed,
                          .present = 1};
    w->first_need = slot;
    if (o->first_needed)
        core->needs[o->first_needed].on_prev = slot;
    o->first_needed = slot;
    h->sum += need_hash(need);
    h->need_count++;
    return true;
}

enum need_outcome need_outcome(const struct job_facts *on, enum core_dependency kind)
{
    bool over = job_state_is_final(on->state);
    bool began = on->state == JOB_RUNNING || on->state == JOB_PAUSED || on->state == JOB_FINALIZING ||
                 (over && on->attempt && on->state != JOB_CANCELED);
    switch (kind) {
    case CORE_AFTER_START:
        return began ? NEED_MET : over ? NEED_LOST : NEED_OPEN;
    case CORE_AFTER_SUCCESS:
        return !over ? NEED_OPEN : on->state == JOB_COMPLETED ? NEED_MET : NEED_LOST;
    case CORE_AFTER_FAILURE:
        return !over ? NEED_OPEN : on->state == JOB_FAILED ? NEED_MET : NEED_LOST;
    default:
        return over ? NEED_MET : NEED_OPEN;
    }
}

enum need_outcome need_at_submit(const struct core *core, const struct core_submit *s, uint32_t n,
                                 uint32_t *on)
{
    enum core_dependency kind = s->dependencies[n].kind;
    *on = job_find(core, s->dependencies[n].job.v);
    if (*on)
        return need_outcome(&core->jobs[*on].facts, kind);
    const struct job_facts over = {.state = (uint8_t)s->dependencies[n].ended, .attempt = 1};
    return need_outcome(&over, kind);
}

void need_tell(struct core *core, uint32_t on)
{
    for (uint32_t slot = core->jobs[on].first_needed, next; slot; slot = next) {
        next = core->needs[slot].on_next;
        uint32_t waiter = core->needs[slot].waiter_slot;
        enum need_outcome outcome = need_outcome(&core->jobs[on].facts, core->needs[slot].kind);
        if (outcome == NEED_OPEN)
            continue;
        struct job *job = &core->jobs[waiter];
        unlink_need(core, slot);
        job_changes(core, job);
        job->facts.waits_on--;
        job->facts.forlorn |= outcome == NEED_LOST;
        stir(core, waiter);
    }
}

void need_drop_all(struct core *core, uint32_t waiter)
{
    struct job *job = &core->jobs[waiter];
    while (job->first_need)
        unlink_need(core, job->first_need);
    if (job->facts.stirred)
        unstir(core, waiter);
}
