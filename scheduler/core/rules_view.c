/*
 * Questions about rules: the quotas and licences in force, when a job will have ended or might start, and
 * what smaller request the policy would start now. Changes nothing.
 */
#include <string.h>

#include "scheduler/core/reserve.h"
#include "scheduler/core/step.h"

/* ---- quotas and licences ---- */

static void set_limits(struct core_quota *quota, const uint32_t limits[4])
{
    quota->cores = limits[0];
    quota->gpu_milli = limits[1];
    quota->running = limits[2];
    quota->queued = limits[3];
}

static bool limits_anything(const uint32_t limits[4])
{
    return limits[0] || limits[1] || limits[2] || limits[3];
}

static void view_tenant(const struct core *core, const struct tenant *t, struct core_quota_view *out)
{
    static const uint32_t none[4];
    uint32_t limits[4];
    *out = (struct core_quota_view){
        .quota = {.scope = (enum core_quota_scope)t->facts.scope,
                  .id = t->facts.id,
                  .family = t->facts.family,
                  .approved = t->facts.approved != 0},
        .cores = t->cores,
        .gpu_milli = t->gpu_milli,
        .running = t->running,
        .queued = t->queued,
    };
    tenant_limits(core, t, limits);
    set_limits(&out->quota, t->facts.own_limits ? limits : none);
}

bool core_quota_next(const struct core *core, uint32_t *cursor, struct core_quota_view *out)
{
    const struct header_facts *f = &core->h->facts;
    if (*cursor == 0) {
        ++*cursor;
        *out = (struct core_quota_view){.quota = {.scope = CORE_QUOTA_PRINCIPAL}};
        set_limits(&out->quota, f->everyone);
        if (limits_anything(f->everyone) || f->everyone_class || f->everyone_time_limit_ms)
            return true;
    }
    while (*cursor <= f->tenant_count) {
        const struct tenant *t = &core->tenants[(*cursor)++];
        view_tenant(core, t, out);
        const struct core_quota *q = &out->quota;
        bool everyones = q->scope == CORE_QUOTA_PRINCIPAL && !q->family && !t->facts.own_limits &&
                         limits_anything(f->everyone) && (t->running || t->queued);
        if (everyones)
            set_limits(&out->quota, f->everyone);
        out->everyones = everyones;
        if (q->approved || t->facts.own_caps ||
            limits_anything((const uint32_t[4]){q->cores, q->gpu_milli, q->running, q->queued}))
            return true;
    }
    return false;
}

void core_quota_get(const struct core *core, enum core_quota_scope scope, uint32_t id, uint32_t family,
                    struct core_quota_view *out)
{
    bool everyone = scope == CORE_QUOTA_PRINCIPAL && !id;
    uint32_t slot = everyone ? 0 : tenant_find_in(core, scope, id, family);
    *out = (struct core_quota_view){.quota = {.scope = scope, .id = id, .family = family}};
    if (slot)
        view_tenant(core, &core->tenants[slot], out);
    else if (everyone)
        set_limits(&out->quota, core->h->facts.everyone);
}

uint64_t core_preempt_at(const struct core *core)
{
    const struct header_facts *f = &core->h->facts;
    return f->look_left || f->look_at_ms <= f->now_ms ? 0 : f->look_at_ms;
}

void core_licence_get(const struct core *core, uint32_t id, uint32_t *total, uint32_t *used)
{
    CORE_ASSERT(id < RESOURCE_LICENCES_MAX);
    *total = core->h->facts.licence_total[id];
    *used = core->h->licence_used[id];
}

/* ---- times ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Not declared: plans take something, which is no estimate for people. */
static bool only_assumed(const struct task_facts *task)
{
    return task->ends_ms == CORE_NEVER;
}

void core_job_ends(const struct core *core, struct job_id id, uint64_t *declared_ms, uint64_t *expected_ms)
{
    uint32_t slot = job_find(core, id.v);
    *declared_ms = *expected_ms = 0;
    for (uint32_t t = slot ? core->jobs[slot].first_task : 0; t; t = core->tasks[t].job_next) {
        const struct task_facts *task = &core->tasks[t].facts;
        if (task->released || task->attempt != core->jobs[slot].facts.attempt)
            continue;
        *declared_ms = later(*declared_ms, plan_end(core, task, PLAN_DECLARED));
        *expected_ms =
            later(*expected_ms, only_assumed(task) ? CORE_NEVER : plan_end(core, task, PLAN_EXPECTED));
    }
    *declared_ms = *declared_ms == CORE_NEVER ? 0 : *declared_ms;
    *expected_ms = *expected_ms == CORE_NEVER ? 0 : *expected_ms;
}

/* Whether it rests on an end that is only assumed. */
static bool plan_assumes(const struct core *core, const struct plan_start *plan)
{
    for (uint32_t i = 0; i < plan->count && plan->at_ms > core->h->facts.now_ms; i++) {
        for (uint32_t t = core->nodes[plan->nodes[i]].first_task; t; t = core->tasks[t].node_next) {
            const struct task_facts *task = &core->tasks[t].facts;
            if (!task->released && only_assumed(task) && plan_end(core, task, PLAN_EXPECTED) <= plan->at_ms)
                return true;
        }
    }
    return false;
}

uint64_t core_expected_start(const struct core *core, struct job_id id)
{
    uint32_t slot = job_find(core, id.v);
    if (!slot || !core->jobs[slot].klass || core->jobs[slot].facts.over_cap)
        return 0;
    uint64_t promised = core->jobs[slot].facts.hold_ms;
    uint64_t planned = queue_plan_start(core, &core->jobs[slot].facts);
    if (planned > core->h->facts.now_ms && !promised && queue_plan_stands(core))
        return planned;
    struct plan_start plan;
    plan_reserve(core, slot, PLAN_EXPECTED, &plan);
    if (promised && promised < plan.at_ms)
        return promised;
    if (plan.at_ms == CORE_NEVER || plan_assumes(core, &plan))
        return 0;
    return later(plan.at_ms, queue_kept_until(core, slot));
}

/* ---- what else would start now ---- */

/* The head of the queue where nothing is promised to it: when and where it presumably starts. */
struct head {
    uint32_t job; /* slot; 0: nothing of it is in the way */
    struct plan_start plan;
};

struct wishing {
    const struct core *core;
    const struct core_wish *wish;
    uint32_t job; /* slot of the waiting one */
    uint64_t end_ms, head_end_ms;
    struct head head;
};

/* Amounts say all of whether others can stand beside it. */
static bool plain(const struct resource_request *r)
{
    return !r->gpu_models && !r->gpu_models_closed && !r->gpu_memory_bytes && !r->flags &&
           r->gpu_milli % RESOURCE_GPU_WHOLE == 0;
}

/* Whether the node has room for it beside the job that stands there from at_ms on, and the promised ones that
 * overlap with that. */
static bool spares(const struct wishing *w, uint32_t other, uint32_t node_slot, uint64_t at_ms,
                   enum plan_times times)
{
    const struct core *core = w->core;
    const struct node *node = &core->nodes[node_slot];
    struct caps spare, mine = caps_of(node, &w->wish->request);
    if (!plain(&w->wish->request) || !plain(&core->jobs[other].facts.request) ||
        !plan_spare(core, other, node_slot, at_ms, times, &spare))
        return false;
    for (uint32_t h = node->first_hold; h; h = core->holds[h].node_next) {
        const struct job_facts *job = &core->jobs[core->holds[h].job_slot].facts;
        struct caps theirs = caps_of(node, &job->request);
        bool counts = core->holds[h].job_slot != other && core->holds[h].job_slot != w->job;
        if (counts && (!plain(&job->request) || !caps_take(&spare, &theirs)))
            return false;
    }
    return caps_take(&spare, &mine);
}

static bool keeps_promises(const struct wishing *w, uint32_t node_slot)
{
    const struct core *core = w->core;
    for (uint32_t h = core->nodes[node_slot].first_hold; h; h = core->holds[h].node_next) {
        uint32_t other = core->holds[h].job_slot;
        const struct job_facts *job = &core->jobs[other].facts;
        uint64_t at = later(job->hold_ms, core->h->facts.now_ms);
        bool binds = other != w->job && job_tier(&core->jobs[w->job].facts) >= job_tier(job);
        if (binds && at < w->end_ms && !spares(w, other, node_slot, at, PLAN_DECLARED))
            return false;
    }
    return true;
}

static bool keeps_head(const struct wishing *w, uint32_t node_slot)
{
    const struct head *head = &w->head;
    if (!head->job || w->head_end_ms <= head->plan.at_ms)
        return true;
    uint32_t i = 0;
    while (i < head->plan.count && head->plan.nodes[i] != node_slot)
        i++;
    return i == head->plan.count || spares(w, head->job, node_slot, head->plan.at_ms, PLAN_EXPECTED);
}

/* False: nothing at all may pass the head, and the job isn't it. */
static bool find_head(struct wishing *w)
{
    const struct core *core = w->core;
    uint32_t klass = policy_head(core), head = klass ? core->klasses[klass].head : 0;
    w->head.job = 0;
    if (!head || head == w->job)
        return true;
    if (policy_of(core)->strict)
        return false;
    if (core->jobs[head].facts.hold_ms || policy_of(core)->promises_all)
        return true; /* it has what it needs by its promise */
    plan_reserve(core, head, PLAN_EXPECTED, &w->head.plan);
    w->head.job = w->head.plan.at_ms == CORE_NEVER ? 0 : head;
    return true;
}

static void find_ends(struct wishing *w)
{
    const struct core *core = w->core;
    const struct job_facts *job = &core->jobs[w->job].facts;
    uint64_t now = core->h->facts.now_ms, limit = w->wish->time_limit_ms;
    w->end_ms = limit ? now + limit + job->grace_ms : CORE_NEVER;
    if (limit)
        w->head_end_ms = now + limit;
    else
        w->head_end_ms =
            now + (policy_of(core)->learns ? (uint64_t)ORDER_EST_NONE_MS : (uint64_t)job->order.mean_ms);
}

static bool limits_allow(const struct wishing *w)
{
    const struct core *core = w->core;
    const struct job_facts *job = &core->jobs[w->job].facts;
    struct job_facts like = *job;
    uint64_t cores, gpus;
    like.request = w->wish->request;
    like.instance_count = w->wish->instance_count;
    like.time_limit_ms = w->wish->time_limit_ms;
    tenant_amounts(&like, &cores, &gpus);
    return job_approved(core, job) && !caps_hold_back(core, &like) &&
           tenants_allow(core, &core->jobs[w->job], cores, gpus) && licences_free(core, &job->licences);
}

bool core_fits_now(const struct core *core, const struct core_wish *wish)
{
    struct wishing w = {.core = core, .wish = wish, .job = job_find(core, wish->job.v)};
    if (!w.job || !core->jobs[w.job].klass || core->jobs[w.job].facts.reservation || !wish->instance_count ||
        !limits_allow(&w))
        return false;
    bool planned = queue_plan_applies(core);
    if (!planned && !find_head(&w))
        return false;
    struct job_facts like = core->jobs[w.job].facts;
    like.request = wish->request;
    like.instance_count = wish->instance_count;
    like.order.share = learn_share(core, &like.request, like.instance_count);
    like.time_limit_ms = wish->time_limit_ms;
    if (planned ? !queue_plan_would_start(core, w.job, &like) : policy_kept_until(core, &like) != 0)
        return false;
    struct shape_key key = shape_key_of(&like);
    uint32_t found = 0;
    bool kept = !planned && policy_keeps_until(core, &like);
    find_ends(&w);
    for (uint32_t slot = tree_find(core, &key, 1); slot && found < wish->instance_count;
         slot = tree_find(core, &key, slot + 1))
        found += reserve_allows(core, &like, slot, w.end_ms, NULL) && keeps_promises(&w, slot) &&
                 keeps_head(&w, slot) && (!kept || policy_node_open(core, &like, slot));
    return found >= wish->instance_count;
}
