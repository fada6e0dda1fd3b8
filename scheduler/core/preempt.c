/*
 * Preemption: what a job of a higher class may take from preemptible ones. On each node the tasks that began
 * last go first; those nodes are chosen where the least work is lost. Against thrash: an attempt runs for a
 * while before it may be stopped, nothing more is stopped for a job before those that were have had their
 * time, and nothing where that isn't enough.
 */
#include <stdlib.h>

#include "scheduler/core/reserve.h"
#include "scheduler/core/step.h"

#define LOOKS_MAX 256  /* nodes */
#define VICTIMS_MAX 32 /* on one node */

struct offer {
    uint64_t lost_ms; /* core-milliseconds of work */
    uint32_t node;
    uint32_t count;
    uint32_t victims[VICTIMS_MAX]; /* task slots */
};

static bool may_go(const struct core *core, const struct task *task, const struct job_facts *winner)
{
    const struct job_facts *job = &core->jobs[task->job_slot].facts;
    const struct task_facts *f = &task->facts;
    return job->preemptible && job->priority_class < winner->priority_class && !f->released &&
           !f->abandoned && !f->stop_reason && f->state != TASK_EXITED && f->attempt == job->attempt &&
           !job->requeue && core->h->facts.now_ms - f->began_ms >= core->h->facts.preempt_min_run_ms;
}

static uint64_t lost_with(const struct core *core, const struct task *task)
{
    uint64_t ran = core->h->facts.now_ms - task->facts.began_ms;
    uint64_t width = lease_width(&task->facts.lease) + (uint32_t)__builtin_popcount(task->facts.lease.gpus);
    return ran * width * core->jobs[task->job_slot].facts.instance_count;
}

/* It runs in what is reserved for others. */
static bool for_others(const struct core *core, const struct task *task, const struct job_facts *winner)
{
    uint32_t resv = task->facts.reservation ? reserve_find(core, task->facts.reservation) : 0;
    return resv && !reserve_admits(core, resv, winner->principal);
}

/* Whether reservations leave the winner its room once those are gone. */
static bool reservations_allow(const struct core *core, uint32_t node_slot, const struct caps *free,
                               const struct job_facts *winner)
{
    uint64_t now = core->h->facts.now_ms, limit = winner->time_limit_ms;
    struct reserve_ask ask = {.core = core,
                              .job = winner,
                              .node_slot = node_slot,
                              .times = PLAN_DECLARED,
                              .at_ms = now,
                              .end_ms = limit ? now + limit + winner->grace_ms : CORE_NEVER,
                              .want = caps_of(&core->nodes[node_slot], &winner->request),
                              .free = *free};
    return reserve_room(&ask, NULL);
}

/* Frees as little as will do, in a copy of the node's amounts. False: it isn't enough. */
static bool offer_of(const struct core *core, uint32_t node_slot, const struct job_facts *winner,
                     struct offer *out)
{
    const struct node *node = &core->nodes[node_slot];
    struct shape_key key = shape_key_of(winner);
    struct node after = *node;
    *out = (struct offer){.node = node_slot};
    while (!node_fits(&after, &key, false) || !reservations_allow(core, node_slot, &after.free, winner)) {
        uint32_t best = 0;
        for (uint32_t t = node->first_task; t; t = core->tasks[t].node_next) {
            bool taken = false;
            for (uint32_t i = 0; i < out->count && !taken; i++)
                taken = out->victims[i] == t;
            if (taken || !may_go(core, &core->tasks[t], winner) || for_others(core, &core->tasks[t], winner))
                continue;
            if (!best || lost_with(core, &core->tasks[t]) < lost_with(core, &core->tasks[best]))
                best = t;
        }
        if (!best || out->count == VICTIMS_MAX)
            return false;
        out->victims[out->count++] = best;
        out->lost_ms += lost_with(core, &core->tasks[best]);
        const struct resource_lease *lease = &core->tasks[best].facts.lease;
        for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++)
            after.facts.core_used[word] &= ~lease->cores[word];
        for (uint32_t left = lease->gpus; left; left &= left - 1) {
            uint16_t *used = &after.facts.gpu_used[__builtin_ctz(left)];
            *used = (uint16_t)(*used - lease->gpu_milli_each);
        }
        after.facts.memory_used -= lease->memory_bytes;
        after.facts.pool_used -= lease->pool;
        after.facts.tenant = --after.lease_count ? after.facts.tenant : 0;
        node_amounts(&after, &after.total, &after.free);
    }
    return true;
}

static int by_loss(const void *a, const void *b)
{
    const struct offer *x = a, *y = b;
    if (x->lost_ms != y->lost_ms)
        return x->lost_ms < y->lost_ms ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static void stop_job(struct step *step, uint32_t job_slot)
{
    struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    if (job->requeue)
        return;
    struct core_decision d = {.kind = CORE_DECISION_REQUEUE};
    d.as.requeue.job.v = job->id;
    d.as.requeue.reason = CORE_REASON_PREEMPTED;
    step_emit(step, &d);
    for (uint32_t t = core->jobs[job_slot].first_task; t; t = core->tasks[t].job_next) {
        const struct task_facts *f = &core->tasks[t].facts;
        if (f->attempt == job->attempt && !f->abandoned && f->state != TASK_EXITED && !f->stop_reason)
            task_stops(step, t, CORE_STOP_PREEMPT, false);
    }
}

bool preempt_for(struct step *step, uint32_t job_slot)
{
    struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    struct offer offers[LOOKS_MAX];
    uint64_t now = core->h->facts.now_ms;
    if (job->preemptible || job->priority_class == PRIORITY_LOW || now < job->preempted_ms ||
        !core->jobs[job_slot].klass)
        return false;
    struct shape_key key = shape_key_of(job);
    uint32_t count = 0;
    for (uint32_t n = 1; n <= core->h->facts.node_count && count < LOOKS_MAX; n++) {
        const struct node *node = &core->nodes[n];
        if (node_usable(&node->facts) && node_fits(node, &key, true) &&
            offer_of(core, n, job, &offers[count]))
            count++;
    }
    if (count < job->instance_count)
        return false;
    qsort(offers, count, sizeof *offers, by_loss);
    uint32_t wanted = job->instance_count;
    uint32_t victims = 0;
    uint64_t grace = 0;
    for (uint32_t i = 0; i < wanted; i++) {
        victims += offers[i].count;
        for (uint32_t v = 0; v < offers[i].count; v++) {
            uint32_t theirs = core->jobs[core->tasks[offers[i].victims[v]].job_slot].facts.grace_ms;
            grace = theirs > grace ? theirs : grace;
        }
    }
    if (!victims)
        return false; /* there is room already; something else holds it back */
    struct core_decision d = {.kind = CORE_DECISION_REQUEUE};
    d.as.requeue.job.v = job->id;
    d.as.requeue.reason = CORE_REASON_NONE;
    d.as.requeue.until_ms = now + grace + PLAN_SLACK_MS;
    step_emit(step, &d);
    for (uint32_t i = 0; i < wanted; i++) {
        for (uint32_t v = 0; v < offers[i].count; v++)
            stop_job(step, core->tasks[offers[i].victims[v]].job_slot);
    }
    return true;
}
