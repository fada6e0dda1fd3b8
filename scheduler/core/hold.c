/*
 * Nodes that are kept for promised jobs: a promise is a time on the job and a hold on each node that it will
 * get. Owns holds, each node's list of them (by time), and the list of promised jobs.
 */
#include <string.h>

#include "scheduler/core/arena.h"

static bool hold_before(const struct core *core, uint32_t a, uint32_t b)
{
    const struct job_facts *x = &core->jobs[core->holds[a].job_slot].facts;
    const struct job_facts *y = &core->jobs[core->holds[b].job_slot].facts;
    return x->hold_ms != y->hold_ms ? x->hold_ms < y->hold_ms : x->id < y->id;
}

bool hold_take(struct core *core, uint32_t job_slot, uint32_t node_slot)
{
    struct header *h = core->h;
    uint32_t slot = h->hold.free;
    if (slot)
        h->hold.free = core->holds[slot].next_free;
    else if (h->hold.high < h->hold_capacity)
        slot = ++h->hold.high;
    else
        return false;
    struct hold *hold = &core->holds[slot];
    *hold = (struct hold){.job_slot = job_slot,
                          .node_slot = node_slot,
                          .job_next = core->jobs[job_slot].first_hold,
                          .present = 1};
    core->jobs[job_slot].first_hold = slot;
    uint32_t before = 0, at = core->nodes[node_slot].first_hold;
    while (at && hold_before(core, at, slot)) {
        before = at;
        at = core->holds[at].node_next;
    }
    hold->node_prev = before;
    hold->node_next = at;
    *(before ? &core->holds[before].node_next : &core->nodes[node_slot].first_hold) = slot;
    if (at)
        core->holds[at].node_prev = slot;
    h->sum += hold_hash(core, hold);
    h->hold_count++;
    return true;
}

static void drop_one(struct core *core, uint32_t slot)
{
    struct hold *hold = &core->holds[slot];
    *(hold->node_prev ? &core->holds[hold->node_prev].node_next : &core->nodes[hold->node_slot].first_hold) =
        hold->node_next;
    if (hold->node_next)
        core->holds[hold->node_next].node_prev = hold->node_prev;
    core->jobs[hold->job_slot].first_hold = hold->job_next;
    core->h->sum -= hold_hash(core, hold);
    memset(hold, 0, sizeof *hold);
    hold->next_free = core->h->hold.free;
    core->h->hold.free = slot;
    core->h->hold_count--;
}

static void drop_all(struct core *core, uint32_t job_slot)
{
    while (core->jobs[job_slot].first_hold)
        drop_one(core, core->jobs[job_slot].first_hold);
}

static void note(struct core *core, uint32_t job_slot, uint64_t at_ms, uint64_t end_ms)
{
    struct job *job = &core->jobs[job_slot];
    job_changes(core, job);
    job->facts.hold_ms = at_ms;
    job->facts.hold_end_ms = end_ms;
}

void holds_promise(struct core *core, uint32_t job_slot, uint64_t at_ms, uint64_t end_ms)
{
    struct header *h = core->h;
    drop_all(core, job_slot);
    if (!core->jobs[job_slot].facts.hold_ms)
        h->promised[h->promised_count++] = job_slot;
    note(core, job_slot, at_ms, end_ms);
}

void holds_drop(struct core *core, uint32_t job_slot)
{
    struct header *h = core->h;
    if (!core->jobs[job_slot].facts.hold_ms)
        return;
    drop_all(core, job_slot);
    note(core, job_slot, 0, 0);
    uint32_t at = 0;
    while (h->promised[at] != job_slot)
        at++;
    memmove(&h->promised[at], &h->promised[at + 1], (--h->promised_count - at) * sizeof *h->promised);
    h->promised[h->promised_count] = 0;
}
