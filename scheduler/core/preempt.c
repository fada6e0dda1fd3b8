/*
 * Preemption: what a job of a higher class may take from preemptible ones. On each node the tasks that lose
 * the least go first, and none that isn't needed; those nodes are chosen where the least work is lost, a
 * gang's counted once and whole. Against thrash: an attempt runs for a while before it may be stopped,
 * nothing more is stopped for a job before those that were have had their time, and nothing where that isn't
 * enough.
 *
 * Bounds: a pass looks at CORE_PREEMPT_NODES nodes, from where the last look ended, and takes the best of the
 * first LOOKS_MAX that could be cleared. On a larger pool it goes round, a look a second, for as long as
 * something new comes of it. Where enough will have run their least time later, the core wakes by itself for
 * it (facts.look_at_ms).
 */
#include <stdlib.h>

#include "scheduler/core/reserve.h"
#include "scheduler/core/step.h"

#define LOOKS_MAX 256  /* nodes that could be cleared */
#define VICTIMS_MAX 32 /* on one node */
#define ROUND_MS 1000  /* between the looks at the parts of a large pool */

struct offer {
    uint64_t lost_ms; /* core-milliseconds of work */
    uint32_t turn;    /* in which it was looked at */
    uint32_t count;
    uint32_t victims[VICTIMS_MAX]; /* task slots */
};

/* It runs in what is reserved for others. */
static bool for_others(const struct core *core, const struct task *task, const struct job_facts *winner)
{
    uint32_t resv = task->facts.reservation ? reserve_find(core, task->facts.reservation) : 0;
    return resv && !reserve_admits(core, resv, winner->principal);
}

/* But for the time that it has run. */
static bool could_go(const struct core *core, const struct task *task, const struct job_facts *winner)
{
    const struct job_facts *job = &core->jobs[task->job_slot].facts;
    const struct task_facts *f = &task->facts;
    return job->preemptible && job->priority_class < winner->priority_class && !f->released &&
           !f->abandoned && !f->stop_reason && f->state != TASK_EXITED && f->attempt == job->attempt &&
           !job->requeue && !for_others(core, task, winner);
}

static bool may_go(const struct core *core, const struct task *task, const struct job_facts *winner)
{
    return could_go(core, task, winner) &&
           core->h->facts.now_ms - task->facts.began_ms >= core->h->facts.preempt_min_run_ms;
}

/* With its whole gang. */
static uint64_t lost_with(const struct core *core, const struct task *task)
{
    uint64_t ran = core->h->facts.now_ms - task->facts.began_ms;
    uint64_t width = task->width + (uint32_t)__builtin_popcount(task->facts.lease.gpus);
    return ran * width * core->jobs[task->job_slot].facts.instance_count;
}

/* Takes a lease off a copy of the node's amounts, or puts it back. */
static void lift(struct node *after, const struct node *node, const struct resource_lease *lease, bool back)
{
    for (uint32_t word = 0; word < RESOURCE_CORE_WORDS; word++) {
        if (back)
            after->facts.core_used[word] |= lease->cores[word];
        else
            after->facts.core_used[word] &= ~lease->cores[word];
    }
    for (uint32_t left = lease->gpus; left; left &= left - 1) {
        uint16_t *used = &after->facts.gpu_used[__builtin_ctz(left)];
        *used = (uint16_t)(back ? *used + lease->gpu_milli_each : *used - lease->gpu_milli_each);
    }
    after->facts.memory_used += back ? lease->memory_bytes : -lease->memory_bytes;
    after->facts.pool_used += back ? lease->pool : -lease->pool;
    after->lease_count += back ? 1u : -1u;
    after->facts.tenant = after->lease_count ? node->facts.tenant : 0;
    node_amounts(after, &after->total, &after->free);
}

static bool among(const uint32_t *tasks, uint32_t count, uint32_t slot)
{
    uint32_t i = 0;
    while (i < count && tasks[i] != slot)
        i++;
    return i < count;
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

static bool enough(const struct core *core, uint32_t node_slot, const struct node *after,
                   const struct job_facts *winner)
{
    struct shape_key key = shape_key_of(winner);
    return node_fits(after, &key, false) && reservations_allow(core, node_slot, &after->free, winner);
}

/* Puts back what the others make needless, the most work first. */
static void spare_needless(const struct core *core, uint32_t node_slot, const struct job_facts *winner,
                           struct node *after, struct offer *o)
{
    const struct node *node = &core->nodes[node_slot];
    for (uint32_t i = o->count; i-- > 0;) {
        const struct task *task = &core->tasks[o->victims[i]];
        lift(after, node, &task->facts.lease, true);
        if (enough(core, node_slot, after, winner)) {
            o->lost_ms -= lost_with(core, task);
            for (uint32_t k = i + 1; k < o->count; k++)
                o->victims[k - 1] = o->victims[k];
            o->count--;
        } else {
            lift(after, node, &task->facts.lease, false);
        }
    }
}

/* Frees as little as will do, in a copy of the node's amounts. False: it isn't enough. */
static bool offer_of(const struct core *core, uint32_t node_slot, const struct job_facts *winner,
                     struct offer *out)
{
    const struct node *node = &core->nodes[node_slot];
    struct node after = *node;
    *out = (struct offer){0};
    while (!enough(core, node_slot, &after, winner)) {
        uint32_t best = 0;
        for (uint32_t t = node->first_task; t; t = core->tasks[t].node_next) {
            if (!may_go(core, &core->tasks[t], winner) || among(out->victims, out->count, t))
                continue;
            if (!best || lost_with(core, &core->tasks[t]) < lost_with(core, &core->tasks[best]))
                best = t;
        }
        if (!best || out->count == VICTIMS_MAX)
            return false;
        out->victims[out->count++] = best;
        out->lost_ms += lost_with(core, &core->tasks[best]);
        lift(&after, node, &core->tasks[best].facts.lease, false);
    }
    spare_needless(core, node_slot, winner, &after, out);
    return true;
}

/* When the node could be cleared: those that began first may go first. CORE_NEVER: by time alone never.
 * *lifts: how many of them must. */
static uint64_t clear_at(const struct core *core, uint32_t node_slot, const struct job_facts *winner,
                         uint32_t *lifts)
{
    const struct node *node = &core->nodes[node_slot];
    struct node after = *node;
    uint32_t lifted[VICTIMS_MAX], count = 0;
    uint64_t at = core->h->facts.now_ms;
    while (!enough(core, node_slot, &after, winner)) {
        uint32_t next = 0;
        for (uint32_t t = node->first_task; t; t = core->tasks[t].node_next) {
            if (could_go(core, &core->tasks[t], winner) && !among(lifted, count, t) &&
                (!next || core->tasks[t].facts.began_ms < core->tasks[next].facts.began_ms))
                next = t;
        }
        if (!next || count == VICTIMS_MAX)
            return CORE_NEVER;
        uint64_t due = core->tasks[next].facts.began_ms + core->h->facts.preempt_min_run_ms;
        at = due > at ? due : at;
        lifted[count++] = next;
        lift(&after, node, &core->tasks[next].facts.lease, false);
    }
    *lifts = count;
    return at;
}

/* ---- which part of the pool ---- */

static uint32_t span_of(const struct core *core)
{
    uint32_t count = core->h->facts.node_count;
    return count < CORE_PREEMPT_NODES ? count : CORE_PREEMPT_NODES;
}

/* The n-th node of the part that is looked at now. */
static uint32_t nth(const struct core *core, uint32_t n)
{
    return 1 + (core->h->facts.look_from + n) % core->h->facts.node_count;
}

static bool worth_a_look(const struct core *core, uint32_t node_slot, const struct shape_key *key)
{
    const struct node *node = &core->nodes[node_slot];
    return node_serves(node, &key->request) && node_fits(node, key, true);
}

/* Whether any of a lower class may be stopped at all, and the job would start if there were room. */
static bool may_preempt(const struct core *core, uint32_t job_slot)
{
    const struct job_facts *job = &core->jobs[job_slot].facts;
    uint32_t klass = core->jobs[job_slot].klass, spot = 0;
    for (uint32_t c = 0; c < job->priority_class; c++)
        spot += core->h->spot_running[c];
    return core->h->facts.preempt && spot && !job->preemptible && klass &&
           licences_free(core, &job->licences) && tenant_allows(core, &core->klasses[klass]);
}

/* ---- the choice ---- */

/* The jobs of all victims, sorted: how often one is there says how many nodes its end clears. */
struct victims {
    uint32_t count, wanted;
    uint32_t jobs[LOOKS_MAX * VICTIMS_MAX];
};

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t first_at_least(const struct victims *v, uint32_t job)
{
    uint32_t low = 0, high = v->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (v->jobs[middle] < job)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A victim's part of the price of one node: a gang is lost once, for all the nodes that it clears. */
static uint64_t price_of(const struct core *core, const struct victims *v, const struct task *task)
{
    uint32_t nodes = first_at_least(v, task->job_slot + 1) - first_at_least(v, task->job_slot);
    CORE_ASSERT(nodes && v->wanted);
    return lost_with(core, task) / (nodes < v->wanted ? nodes : v->wanted);
}

static void price_offers(const struct core *core, struct victims *v, struct offer *offers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < offers[i].count; k++)
            v->jobs[v->count++] = core->tasks[offers[i].victims[k]].job_slot;
    qsort(v->jobs, v->count, sizeof *v->jobs, by_number);
    for (uint32_t i = 0; i < count; i++) {
        offers[i].lost_ms = 0;
        for (uint32_t k = 0; k < offers[i].count; k++)
            offers[i].lost_ms += price_of(core, v, &core->tasks[offers[i].victims[k]]);
    }
}

static bool cheaper(const struct offer *a, const struct offer *b)
{
    return a->lost_ms != b->lost_ms ? a->lost_ms < b->lost_ms : a->turn < b->turn;
}

static bool has_victim_of(const struct core *core, const struct offer *o, uint32_t job)
{
    uint32_t k = 0;
    while (k < o->count && core->tasks[o->victims[k]].job_slot != job)
        k++;
    return k < o->count;
}

/* What is stopped for one node costs nothing more on the others: those before `taken` are taken, too. */
static void pay_once(const struct core *core, const struct victims *v, struct offer *offers, uint32_t taken,
                     uint32_t count)
{
    for (uint32_t t = 0; t < offers[taken].count; t++) {
        const struct task *task = &core->tasks[offers[taken].victims[t]];
        uint32_t job = task->job_slot;
        bool paid = core->jobs[job].facts.instance_count == 1;
        for (uint32_t i = 0; i < taken && !paid; i++)
            paid = has_victim_of(core, &offers[i], job);
        for (uint32_t i = taken + 1; !paid && i < count; i++) {
            for (uint32_t k = 0; k < offers[i].count; k++) {
                const struct task *theirs = &core->tasks[offers[i].victims[k]];
                offers[i].lost_ms -= theirs->job_slot == job ? price_of(core, v, theirs) : 0;
            }
        }
    }
}

/* Brings the cheapest to the front, one after the other. */
static void choose(const struct core *core, struct offer *offers, uint32_t count, uint32_t wanted)
{
    struct victims all;
    all.count = 0;
    all.wanted = wanted;
    price_offers(core, &all, offers, count);
    for (uint32_t n = 0; n < wanted; n++) {
        uint32_t best = n;
        for (uint32_t i = n + 1; i < count; i++)
            best = cheaper(&offers[i], &offers[best]) ? i : best;
        struct offer taken = offers[best];
        offers[best] = offers[n];
        offers[n] = taken;
        pay_once(core, &all, offers, n, count);
    }
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

/* Of a node that has room for it: a promise to another one keeps it out, which nothing that it could stop
 * changes. */
static bool promised_away(struct step *step, uint32_t job_slot, uint32_t node_slot)
{
    const struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    uint64_t limit = job->time_limit_ms;
    uint64_t end = limit ? core->h->facts.now_ms + limit + job->grace_ms : CORE_NEVER;
    return !plan_allows(step->memory, core, job_slot, node_slot, end, 0);
}

bool preempt_for(struct step *step, uint32_t job_slot)
{
    struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    struct offer offers[LOOKS_MAX];
    uint64_t now = core->h->facts.now_ms;
    if (!may_preempt(core, job_slot) || now < job->preempted_ms)
        return false;
    struct shape_key key = shape_key_of(job);
    uint32_t count = 0, wanted = job->instance_count;
    for (uint32_t n = 0; n < span_of(core) && count < LOOKS_MAX; n++) {
        uint32_t slot = nth(core, n);
        if (worth_a_look(core, slot, &key) && offer_of(core, slot, job, &offers[count]) &&
            (offers[count].count || !promised_away(step, job_slot, slot)))
            offers[count++].turn = n;
    }
    if (count < wanted)
        return false;
    choose(core, offers, count, wanted);
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

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* When enough nodes of this part could be cleared, or as many as it takes are free; CORE_NEVER. */
static uint64_t part_clear_at(struct step *step, uint32_t job_slot)
{
    const struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    uint64_t times[CORE_PREEMPT_NODES];
    struct shape_key key = shape_key_of(job);
    uint32_t count = 0;
    for (uint32_t n = 0; n < span_of(core); n++) {
        uint32_t slot = nth(core, n);
        uint32_t lifts = 0;
        uint64_t at = worth_a_look(core, slot, &key) ? clear_at(core, slot, job, &lifts) : CORE_NEVER;
        if (at != CORE_NEVER && (lifts || !promised_away(step, job_slot, slot)))
            times[count++] = at;
    }
    if (count < job->instance_count)
        return CORE_NEVER;
    qsort(times, count, sizeof *times, by_time);
    return times[job->instance_count - 1];
}

void preempt_wake(struct step *step, uint32_t job_slot, uint32_t tried, bool stopped)
{
    struct core *core = step->core;
    const struct header_facts *f = &core->h->facts;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    if (!may_preempt(core, job_slot))
        return;
    uint64_t at = part_clear_at(step, job_slot);
    if (at != CORE_NEVER && at < job->preempted_ms)
        at = job->preempted_ms;
    if (at == CORE_NEVER)
        at = 0;
    else if (at <= f->now_ms) /* for one that was tried it went, or isn't what it waits for */
        at = job_slot == tried ? 0 : f->now_ms;
    struct core_decision d = {.kind = CORE_DECISION_LOOK};
    d.as.look.from =
        stopped && f->node_count > LOOKS_MAX ? (f->look_from + LOOKS_MAX) % f->node_count : f->look_from;
    d.as.look.at_ms = d.as.look.best_ms = at;
    uint32_t span = span_of(core);
    if (span < f->node_count) {
        uint32_t left = f->look_left ? f->look_left : f->node_count;
        uint64_t best = f->look_left ? f->look_best_ms : 0;
        best = best <= f->now_ms || (at && at < best) ? at : best;
        d.as.look.from = (f->look_from + span) % f->node_count;
        d.as.look.left = stopped || left <= span ? 0 : left - span;
        d.as.look.best_ms = best;
        d.as.look.at_ms = d.as.look.left ? f->now_ms + ROUND_MS : best;
    }
    if (d.as.look.at_ms != f->look_at_ms || d.as.look.best_ms != f->look_best_ms ||
        d.as.look.from != f->look_from || d.as.look.left != f->look_left)
        step_emit(step, &d);
}
