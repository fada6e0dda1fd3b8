/*
 * The policies: what each makes of a job when it comes, and whose turn it is. A policy is a row of the table;
 * pass.c does what the rows say.
 */
#include <string.h>

#include "scheduler/core/step.h"

static const struct policy policies[CORE_POLICY_COUNT] = {
    [CORE_POLICY_FCFS] = {.name = "fcfs", .strict = true},
    [CORE_POLICY_EASY] = {.name = "easy"},
    [CORE_POLICY_EASY_SJBF] = {.name = "easy-sjbf", .shortest = true},
    [CORE_POLICY_CONSERVATIVE] = {.name = "conservative", .promises_all = true},
    [CORE_POLICY_BERTH] = {.name = "berth", .learns = true},
};

const char *core_policy_name(enum core_policy policy)
{
    return (unsigned)policy < CORE_POLICY_COUNT ? policies[policy].name : "?";
}

bool core_policy_parse(const char *name, enum core_policy *out)
{
    for (int i = 0; i < CORE_POLICY_COUNT; i++) {
        if (strcmp(name, policies[i].name) == 0) {
            *out = (enum core_policy)i;
            return true;
        }
    }
    return false;
}

const struct policy *policy_of(const struct core *core)
{
    return &policies[core->h->facts.policy];
}

/* A base and a pace (order.h) in one number, so that classes of one score stand side by side: the base with
 * the principal's share in the upper part, the pace below. Where the policy learns nothing, the share alone.
 */
#define PLACE_PACE_BITS 8
#define PLACE_ZERO 32768

uint32_t policy_place(const struct core *core, const struct job_facts *job, uint32_t share_place)
{
    uint32_t base = policy_of(core)->learns ? (uint32_t)(job->order.base + PLACE_ZERO) : 0;
    uint32_t pace = policy_of(core)->learns ? job->order.pace : 0;
    return (base + share_place) << PLACE_PACE_BITS | pace;
}

int64_t policy_score(const struct core *core, const struct klass_key *key, uint32_t job_slot)
{
    int32_t base = (int32_t)(key->place >> PLACE_PACE_BITS) - PLACE_ZERO;
    uint16_t pace = key->place & ((1 << PLACE_PACE_BITS) - 1);
    uint64_t wait = core->h->facts.now_ms - core->jobs[job_slot].facts.submitted_ms;
    return order_score(core->order, (int16_t)(base < INT16_MAX ? base : INT16_MAX), pace, (int64_t)wait);
}

uint64_t policy_keeps_until(const struct core *core, const struct job_facts *job)
{
    /* A promise is a promise, and what is urgent waits for nobody's sake. */
    if (!policy_of(core)->learns || job->hold_ms || job->priority_class >= PRIORITY_HIGH)
        return 0;
    uint64_t now = core->h->facts.now_ms, planned = queue_plan_start(core, job);
    if (planned) { /* no longer than until it is promised a start */
        uint64_t strict = job->submitted_ms + (uint64_t)order_strict_wait(core->order);
        uint64_t until = planned < strict ? planned : strict;
        return until > now ? until : 0;
    }
    if (job->preemptible)
        return 0; /* it can be stopped */
    /* Where nothing would be left is the most: it tells of nearly all that they aren't kept. */
    if (job->submitted_ms + (uint64_t)order_keeps_back(core->order, &job->order, 0) <= now)
        return 0;
    int64_t wait = order_keeps_back(core->order, &job->order, learn_left(core, job));
    uint64_t until = job->submitted_ms + (uint64_t)wait;
    return wait && until > now ? until : 0;
}

uint64_t policy_kept_until(const struct core *core, const struct job_facts *job)
{
    uint64_t until = policy_keeps_until(core, job);
    return until && (queue_plan_start(core, job) || !short_jobs_leave_enough(core, job)) ? until : 0;
}

bool policy_node_open(const struct core *core, const struct job_facts *job, uint32_t node_slot)
{
    return !queue_plan_start(core, job) && !short_jobs_keep_node(core, job, node_slot);
}

/* Has room, but leaves it to others: it is nobody's head. */
static bool kept_back(const struct core *core, const struct klass *k)
{
    const struct job_facts *job = &core->jobs[k->head].facts;
    return policy_keeps_until(core, job) && pass_class_fits(core, k) && policy_kept_until(core, job);
}

/* The first of its place that its quotas let run, and that isn't kept back. */
static uint32_t first_allowed(const struct core *core, uint32_t klass)
{
    struct treap order = {(struct core *)(uintptr_t)core, true};
    uint64_t tier = core->klasses[klass].key.tier;
    uint32_t place = core->klasses[klass].key.place;
    while (klass && core->klasses[klass].key.tier == tier && core->klasses[klass].key.place == place) {
        if (tenant_allows(core, &core->klasses[klass]) && !kept_back(core, &core->klasses[klass]))
            return klass;
        klass = treap_next(order, core->h->klass_root, klass);
    }
    return 0;
}

/* Of one tier: the lowest score among the first of each place. */
static uint32_t best_of_tier(const struct core *core, uint64_t tier)
{
    uint32_t best = 0;
    int64_t lowest = 0;
    for (uint32_t at = treap_seek(core, tier, 0); at;
         at = treap_seek(core, tier, core->klasses[at].key.place + 1)) {
        uint32_t klass = first_allowed(core, at);
        if (!klass)
            continue;
        int64_t score = policy_score(core, &core->klasses[klass].key, core->klasses[klass].head);
        bool earlier = score == lowest && best &&
                       treap_before(core, false, core->klasses[klass].head, core->klasses[best].head);
        if (!best || score < lowest || earlier) {
            best = klass;
            lowest = score;
        }
    }
    return best;
}

uint32_t policy_head(const struct core *core)
{
    struct treap order = {(struct core *)(uintptr_t)core, true};
    uint32_t first = treap_first(order, core->h->klass_root);
    while (first) {
        uint64_t tier = core->klasses[first].key.tier;
        uint32_t best = 0;
        if (policy_of(core)->learns) {
            best = best_of_tier(core, tier);
            if (best)
                return best;
        } else if (tenant_allows(core, &core->klasses[first])) {
            return first;
        }
        /* All of its tier (of its place, where order is by place) are held back by quotas, or kept back: the
         * next ones. */
        first = policy_of(core)->learns ? treap_after_tier(core, tier)
                                        : treap_next(order, core->h->klass_root, first);
    }
    return 0;
}

bool policy_strict(const struct core *core, uint32_t job_slot)
{
    uint64_t wait = core->h->facts.now_ms - core->jobs[job_slot].facts.submitted_ms;
    return !policy_of(core)->learns || order_strict(core->order, (int64_t)wait);
}
