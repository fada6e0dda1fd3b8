/*
 * Promised starts: made where all that they rest on has declared times, improved when something ends early,
 * taken back by named events alone.
 */
#include "scheduler/core/step.h"

static struct core_decision about(const struct core *core, enum core_decision_kind kind, uint32_t job_slot)
{
    struct core_decision d = {.kind = kind};
    d.as.plan.job.v = core->jobs[job_slot].facts.id;
    return d;
}

void promise_void(struct step *step, uint32_t job_slot, enum core_void why)
{
    struct core_decision d = about(step->core, CORE_DECISION_VOID, job_slot);
    d.as.plan.why = why;
    step->memory->count = 0;
    step_emit(step, &d);
}

static bool all_kept(const struct core *core, uint32_t node_slot)
{
    for (uint32_t hold = core->nodes[node_slot].first_hold; hold; hold = core->holds[hold].node_next) {
        if (!plan_holds(core, hold))
            return false;
    }
    return true;
}

void promises_yield(struct step *step, uint32_t node_slot, uint64_t tier)
{
    const struct core *core = step->core;
    while (!all_kept(core, node_slot)) {
        uint32_t last = 0;
        uint64_t last_tier = tier;
        for (uint32_t hold = core->nodes[node_slot].first_hold; hold; hold = core->holds[hold].node_next) {
            uint64_t theirs = job_tier(&core->jobs[core->holds[hold].job_slot].facts);
            if (theirs > tier && theirs >= last_tier) {
                last = core->holds[hold].job_slot;
                last_tier = theirs;
            }
        }
        if (!last)
            return;
        promise_void(step, last, CORE_VOID_HIGHER);
    }
}

void promise_make(struct step *step, uint32_t job_slot, const struct plan_start *start)
{
    const struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    struct core_decision d = about(core, CORE_DECISION_PROMISE, job_slot);
    d.as.plan.at_ms = start->at_ms;
    /* It may start a little late, and must not run into who comes after it then. */
    d.as.plan.end_ms = CORE_NEVER;
    if (job->time_limit_ms)
        d.as.plan.end_ms = start->at_ms + job->time_limit_ms + job->grace_ms + PLAN_SLACK_MS;
    step->memory->count = 0;
    step_emit(step, &d);
    for (uint32_t i = 0; i < start->count; i++) {
        struct core_decision hold = about(core, CORE_DECISION_HOLD, job_slot);
        hold.as.plan.node.v = core->nodes[start->nodes[i]].facts.id;
        step_emit(step, &hold);
    }
    for (uint32_t i = 0; i < start->count; i++)
        promises_yield(step, start->nodes[i], job_tier(job));
}

void promises_recheck(struct step *step, uint32_t node_slot, enum core_void why)
{
    const struct core *core = step->core;
    for (uint32_t hold = core->nodes[node_slot].first_hold, next; hold; hold = next) {
        next = core->holds[hold].node_next;
        if (plan_holds(core, hold))
            continue;
        promise_void(step, core->holds[hold].job_slot, why);
        next = core->nodes[node_slot].first_hold;
    }
}

void promises_void_node(struct step *step, uint32_t node_slot)
{
    const struct core *core = step->core;
    while (core->nodes[node_slot].first_hold)
        promise_void(step, core->holds[core->nodes[node_slot].first_hold].job_slot, CORE_VOID_NODE);
}

void promises_void_all(struct step *step, enum core_void why)
{
    while (step->core->h->promised_count)
        promise_void(step, step->core->h->promised[0], why);
}

void promises_check(struct step *step)
{
    const struct header *h = step->core->h;
    for (uint32_t i = 0; i < h->promised_count;) {
        const struct job *job = &step->core->jobs[h->promised[i]];
        if (h->facts.now_ms > job->facts.hold_ms + PLAN_SLACK_MS)
            promise_void(step, h->promised[i], CORE_VOID_OVERRUN);
        else if (job->klass && !tenant_allows(step->core, &step->core->klasses[job->klass]))
            promise_void(step, h->promised[i], CORE_VOID_QUOTA);
        else
            i++;
    }
}
