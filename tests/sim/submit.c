/*
 * What people ask for: jobs of every kind, and changes of rules.
 */
#include <string.h>

#include "sim.h"

static void want(struct sim *sim, struct core_submit *s)
{
    struct rng *r = &sim->rng;
    struct resource_request *q = &s->request;
    *(rng_chance(r, 50) ? &q->cores : &q->cpus) =
        1 + (uint32_t)rng_below(r, rng_chance(r, 10) ? 2 * SIM_CORES_MAX : 6);
    q->gpu_milli = rng_chance(r, 60) ? 0 : RESOURCE_GPU_WHOLE * (uint32_t)rng_below(r, SIM_GPUS_MAX + 1);
    if (rng_chance(r, 10))
        q->gpu_milli = 1 + (uint32_t)rng_below(r, RESOURCE_GPU_WHOLE - 1);
    if (rng_chance(r, 10))
        q->gpu_memory_bytes = rng_below(r, UINT64_C(90)) << 30;
    if (q->gpu_milli && rng_chance(r, 20))
        q->gpu_models = 1 + rng_below(r, 3);
    q->memory_bytes = rng_below(r, rng_chance(r, 10) ? UINT64_C(70) << 30 : UINT64_C(4) << 30);
    q->labels = rng_chance(r, 85) ? 0 : world_labels(1 + rng_below(r, 4));
    q->flags = rng_chance(r, 90) ? 0 : (uint32_t)rng_below(r, RESOURCE_FLAGS_ALL + 1);
    if (rng_chance(r, 15)) {
        s->licences.id[0] = (uint16_t)rng_below(r, 3);
        s->licences.amount[0] = (uint16_t)(1 + rng_below(r, 2));
    }
}

static void rules_of(struct sim *sim, struct core_submit *s)
{
    struct rng *r = &sim->rng;
    s->preemptible = rng_chance(r, 30);
    s->held = rng_chance(r, 4);
    s->begin_ms = rng_chance(r, 5) ? sim->now_ms + rng_below(r, 100000) : 0;
    if (rng_chance(r, 25)) {
        s->retries = (uint32_t)rng_below(r, 4);
        s->retry_kinds = (uint32_t)rng_next(r) & ((1u << END_KIND_COUNT) - 2) & ~(1u << END_CANCELED);
        s->retry_codes[0] = rng_chance(r, 30) ? 1 : 0;
        s->retry_wait_ms = rng_chance(r, 50) ? 0 : rng_below(r, 20000);
    }
    for (uint64_t id = s->job.v; s->dependency_count < 3 && id > 1 && rng_chance(r, 8);) {
        id = 1 + rng_below(r, id - 1);
        struct mjob *on = &sim->jobs[id];
        if (!on->accepted)
            break;
        uint32_t at = s->dependency_count++;
        s->dependencies[at].job.v = id;
        s->dependencies[at].kind = (enum core_dependency)rng_below(r, CORE_DEPENDENCY_COUNT);
        s->dependencies[at].ended = job_state_is_final(on->state) ? on->state : JOB_CANCELED;
        /* Of a job that the core has forgotten it knows no start: the daemon answers that one itself. */
        struct core_job_view view;
        if (s->dependencies[at].kind == CORE_AFTER_START && !core_job_get(sim->main, on->submit.job, &view))
            s->dependencies[at].kind = CORE_AFTER_END;
    }
}

/* What the whole queue is planned for: cores alone, and times so short that they count as exact. */
static void make_plain(struct sim *sim, struct core_submit *s)
{
    struct rng *r = &sim->rng;
    memset(&s->request, 0, sizeof s->request);
    memset(&s->licences, 0, sizeof s->licences);
    s->request.cores = 1 + (uint32_t)rng_below(r, rng_chance(r, 20) ? SIM_CORES_MAX : 6);
    s->priority_class = PRIORITY_MEDIUM;
    s->priority = 0;
    s->preemptible = false;
    s->instance_count = 1;
    s->family = s->array_count = s->array_limit = s->reservation = 0;
}

/* Few of each octave of limits: their ends teach the core that they are short, too. */
static void make_mixed(struct sim *sim, struct core_submit *s)
{
    struct rng *r = &sim->rng;
    bool lengthy = rng_chance(r, 8), preemptible = s->preemptible;
    struct resource_request asked = s->request;
    make_plain(sim, s);
    s->request.cores = lengthy ? 1 + (uint32_t)rng_below(r, 12) : 1 + (uint32_t)rng_below(r, 2);
    s->time_limit_ms = lengthy ? UINT64_C(1000000) << rng_below(r, 15) : 1000 * (1 + rng_below(r, 10));
    if (lengthy)
        s->preemptible = preemptible;
    if (rng_chance(r, 30)) {
        s->request.memory_bytes = asked.memory_bytes;
        s->request.gpu_milli = asked.gpu_milli;
    }
}

void submit_one(struct sim *sim)
{
    if (sim->job_count + 1 >= SIM_JOBS_MAX)
        return;
    struct rng *r = &sim->rng;
    struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT};
    struct core_submit *s = &event.as.submit;
    s->job.v = s->seq = sim->job_count + 1;
    if (sim->job_count && rng_chance(r, 2)) {
        s->job.v = 1 + rng_below(r, sim->job_count); /* perhaps a live job's id */
        struct core_job_view view;
        if (!core_job_get(sim->main, s->job, &view))
            return;
    }
    bool fresh = s->job.v > sim->job_count;
    s->principal.v = 1 + (uint32_t)rng_below(r, SIM_TENANTS - 1);
    s->workspace = (uint32_t)rng_below(r, 2);
    s->priority_class = (enum priority_class)rng_below(r, PRIORITY_CLASS_COUNT);
    s->priority = rng_chance(r, 70) ? 0 : (int32_t)rng_below(r, 7) - 3;
    s->time_limit_ms = rng_chance(r, 40) ? 0 : 1000 * (1 + rng_below(r, rng_chance(r, 50) ? 100 : 100000));
    s->grace_ms = (uint32_t)rng_below(r, 30000);
    s->instance_count = rng_chance(r, 80) ? 1 : 1 + (uint32_t)rng_below(r, 5);
    s->on_node_loss = (enum core_on_node_loss)rng_below(r, CORE_LOSS_COUNT);
    s->fence_after_ms = 1000 * rng_below(r, 120);
    want(sim, s);
    rules_of(sim, s);
    s->by_operator = sim->exact || sim->mixed || rng_chance(r, 50);
    s->family = rng_chance(r, 50) ? 0 : 1 + (uint32_t)rng_below(r, SIM_FAMILIES - 1);
    if (fresh && rng_chance(r, 8)) {
        s->array_count = 1 + (uint32_t)rng_below(r, rng_chance(r, 10) ? 60 : 8);
        s->array_limit = rng_chance(r, 40) ? 0 : 1 + (uint32_t)rng_below(r, s->array_count);
        if (sim->job_count + 1 + s->array_count >= SIM_JOBS_MAX)
            s->array_count = s->array_limit = 0;
    }
    const struct mresv *inside = &sim->reservations[rng_below(r, SIM_RESERVATIONS)];
    if (inside->there && rng_chance(r, 20)) {
        s->reservation = inside->asked.reservation;
        s->principal = rng_chance(r, 80) ? inside->asked.users[0] : s->principal;
        s->time_limit_ms = s->time_limit_ms % 100000;
    }
    if (sim->exact)
        s->time_limit_ms = 1000 * (1 + rng_below(r, 10));
    if (sim->exact && !rng_chance(r, 2))
        make_plain(sim, s);
    if (sim->mixed && !rng_chance(r, 5))
        make_mixed(sim, s);
    if (fresh)
        sim->jobs[++sim->job_count] = (struct mjob){.submit = *s};
    model_array_submitted(sim, s);
    drive(sim, &event);
}

void submit_cancel(struct sim *sim, struct job_id job, bool force)
{
    struct core_event event = {.kind = CORE_EVENT_JOB_CANCEL};
    event.as.cancel.job = job;
    event.as.cancel.force = force;
    event.as.cancel.array.v = sim->jobs[job.v].array;
    drive(sim, &event);
}

static void update(struct sim *sim)
{
    struct rng *r = &sim->rng;
    struct core_event event = {.kind = CORE_EVENT_JOB_UPDATE};
    struct core_update *u = &event.as.update;
    if (!sim->job_count)
        return;
    for (uint32_t i = 0; i < 8 && (!i || job_state_is_final(sim->jobs[u->job.v].state)); i++)
        u->job.v = 1 + rng_below(r, sim->job_count); /* one that lives, as a rule */
    u->set_held = rng_chance(r, 50);
    u->held = rng_chance(r, 20);
    u->set_priority = rng_chance(r, 30);
    u->priority_class = (enum priority_class)rng_below(r, PRIORITY_CLASS_COUNT);
    u->priority = !sim->exact && rng_chance(r, 30) ? (int32_t)rng_below(r, 7) - 3 : 0;
    u->set_time_limit = rng_chance(r, 20);
    u->time_limit_ms = 1000 * (sim->exact ? 1 + rng_below(r, 10) : rng_below(r, 1000));
    u->set_begin = rng_chance(r, 20);
    u->begin_ms = rng_chance(r, 50) ? 0 : sim->now_ms + rng_below(r, 50000);
    u->set_array_limit = rng_chance(r, 30);
    u->array_limit = (uint32_t)rng_below(r, 10);
    /* Whether a reservation is in the way of a longer limit is a unit test's; an administrator may raise it.
     */
    bool reserved = false;
    for (uint32_t i = 0; i < SIM_RESERVATIONS; i++)
        reserved = reserved || sim->reservations[i].there;
    u->by_operator = rng_chance(r, 30) || (reserved && u->set_time_limit);
    drive(sim, &event);
}

static void configure(struct sim *sim)
{
    struct rng *r = &sim->rng;
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    struct core_config *c = &event.as.config;
    c->policy = rng_chance(r, 30) ? CORE_POLICY_FCFS : (enum core_policy)rng_below(r, CORE_POLICY_COUNT);
    c->preempt = rng_chance(r, 60);
    c->preempt_min_run_ms = rng_below(r, 5000);
    c->age_ms = rng_chance(r, 60) ? 0 : 1 + rng_below(r, 300000);
    c->share_weight = rng_chance(r, 60) ? 0 : (uint32_t)rng_below(r, 9);
    c->share_half_life_ms = 1 + rng_below(r, 1000000);
    if ((sim->exact || sim->mixed) && rng_chance(r, 95)) {
        c->policy = CORE_POLICY_BERTH;
        c->share_weight = 0;
    }
    drive(sim, &event);
}

static void limit(struct sim *sim, bool none)
{
    struct rng *r = &sim->rng;
    struct core_event event = {.kind = CORE_EVENT_QUOTA};
    struct core_quota *q = &event.as.quota;
    q->scope = (enum core_quota_scope)rng_below(r, CORE_QUOTA_SCOPE_COUNT);
    q->id = q->scope == CORE_QUOTA_FAMILY
                ? 0
                : (uint32_t)rng_below(r, q->scope == CORE_QUOTA_PRINCIPAL ? SIM_TENANTS : 2);
    if (q->scope == CORE_QUOTA_FAMILY || (rng_chance(r, 50) && (q->scope != CORE_QUOTA_PRINCIPAL || q->id)))
        q->family = 1 + (uint32_t)rng_below(r, SIM_FAMILIES - 1);
    q->approved = q->scope == CORE_QUOTA_PRINCIPAL && q->family && rng_chance(r, 70);
    q->cores = none || rng_chance(r, 50) ? 0 : 1 + (uint32_t)rng_below(r, 40);
    q->gpu_milli = none || rng_chance(r, 70) ? 0 : (uint32_t)rng_below(r, 9000);
    q->running = none || rng_chance(r, 50) ? 0 : 1 + (uint32_t)rng_below(r, 10);
    q->queued = none || rng_chance(r, 80) ? 0 : 1 + (uint32_t)rng_below(r, 30);
    drive(sim, &event);
}

static void cap(struct sim *sim, bool none)
{
    struct rng *r = &sim->rng;
    struct core_event event = {.kind = CORE_EVENT_CAPS};
    struct core_caps *c = &event.as.caps;
    c->scope = rng_chance(r, 70) ? CORE_QUOTA_PRINCIPAL : CORE_QUOTA_WORKSPACE;
    c->id = (uint32_t)rng_below(r, c->scope == CORE_QUOTA_PRINCIPAL ? SIM_TENANTS : 2);
    c->set_class = !none && rng_chance(r, 50);
    c->priority_class = (enum priority_class)rng_below(r, PRIORITY_CLASS_COUNT);
    c->time_limit_ms = none || rng_chance(r, 50) ? 0 : 1000 * (1 + rng_below(r, 100000));
    drive(sim, &event);
}

static void weigh(struct sim *sim)
{
    static const uint32_t weights[] = {1, 250, CORE_WEIGHT_ONE, CORE_WEIGHT_ONE, 8000, CORE_WEIGHT_MAX};
    struct core_event event = {.kind = CORE_EVENT_WEIGHT};
    event.as.weight.principal.v = 1 + (uint32_t)rng_below(&sim->rng, SIM_TENANTS - 1);
    event.as.weight.milli = weights[rng_below(&sim->rng, sizeof weights / sizeof *weights)];
    drive(sim, &event);
}

static void restrict_family(struct sim *sim, uint32_t family, bool restricted)
{
    struct core_event event = {.kind = CORE_EVENT_FAMILY};
    event.as.family.id = family;
    event.as.family.restricted = restricted;
    event.as.family.gpu_models = rng_chance(&sim->rng, 50) ? rng_below(&sim->rng, 4) : 0;
    event.as.family.labels = rng_chance(&sim->rng, 70) ? 0 : rng_below(&sim->rng, 4);
    drive(sim, &event);
}

static void license(struct sim *sim, uint32_t id, uint32_t total)
{
    struct core_event event = {.kind = CORE_EVENT_LICENCES};
    event.as.licences.id = id;
    event.as.licences.total = total;
    drive(sim, &event);
}

void submit_rules(struct sim *sim)
{
    switch (rng_below(&sim->rng, 16)) {
    case 0:
        configure(sim);
        break;
    case 1:
        limit(sim, rng_chance(&sim->rng, 50));
        break;
    case 2:
        license(sim, (uint32_t)rng_below(&sim->rng, 3), (uint32_t)rng_below(&sim->rng, 6));
        break;
    case 3:
        restrict_family(sim, 1 + (uint32_t)rng_below(&sim->rng, SIM_FAMILIES - 1), rng_chance(&sim->rng, 60));
        break;
    case 4:
        limit(sim, rng_chance(&sim->rng, 50));
        break;
    case 5:
    case 6:
        world_label(sim, &sim->nodes[rng_below(&sim->rng, sim->node_count)]);
        break;
    case 15:
        weigh(sim);
        break;
    case 14:
        for (uint32_t i = 0; i < 4; i++) /* rules are rare, and one cap only counts beside another */
            cap(sim, rng_chance(&sim->rng, 60));
        break;
    case 7:
        if (!sim->exact || rng_chance(&sim->rng, 20))
            submit_reserve(sim);
        break;
    default:
        update(sim);
        break;
    }
}

void submit_let_go(struct sim *sim)
{
    for (uint32_t scope = 0; scope < CORE_QUOTA_SCOPE_COUNT; scope++) {
        for (uint32_t id = 0; id < SIM_TENANTS; id++) {
            struct core_event event = {.kind = CORE_EVENT_QUOTA};
            event.as.quota.scope = (enum core_quota_scope)scope;
            event.as.quota.id = scope == CORE_QUOTA_FAMILY ? 0 : id;
            for (uint32_t family = 0; family < SIM_FAMILIES; family++) {
                event.as.quota.family = family;
                if (!core_event_check(&event))
                    drive(sim, &event);
            }
        }
    }
    for (uint32_t id = 0; id < SIM_TENANTS; id++) {
        struct core_event event = {.kind = CORE_EVENT_CAPS};
        event.as.caps.id = id;
        for (int scope = CORE_QUOTA_PRINCIPAL; scope <= CORE_QUOTA_WORKSPACE; scope++) {
            event.as.caps.scope = (enum core_quota_scope)scope;
            drive(sim, &event);
        }
    }
    for (uint32_t family = 1; family < SIM_FAMILIES; family++)
        restrict_family(sim, family, false);
    submit_unreserve_all(sim);
    for (uint32_t id = 0; id < 3; id++)
        license(sim, id, 100);
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        struct core_event event = {.kind = CORE_EVENT_JOB_UPDATE, .as.update.by_operator = true};
        event.as.update.job.v = i;
        event.as.update.set_held = true;
        drive(sim, &event);
    }
}
