/*
 * The model's books of authority: what an administrator set of a job its owner can't take back, and nobody
 * but he goes past a cap.
 */
#include "sim.h"

static bool longer(uint64_t limit_ms, uint64_t than_ms)
{
    return than_ms && (!limit_ms || limit_ms > than_ms);
}

static uint64_t stricter(uint64_t a, uint64_t b)
{
    return !a || (b && b < a) ? b : a;
}

/* 0: none; else 1 + the highest class. */
static uint64_t class_of(const struct core_caps *c)
{
    return c->set_class ? 1 + (uint64_t)c->priority_class : 0;
}

static void caps_of(const struct sim *sim, const struct core_submit *s, uint64_t *class_cap,
                    uint64_t *time_cap)
{
    const struct core_caps *own = &sim->caps[CORE_QUOTA_PRINCIPAL][s->principal.v];
    const struct core_caps *work = &sim->caps[CORE_QUOTA_WORKSPACE][s->workspace];
    const struct core_caps *all = &sim->caps[CORE_QUOTA_PRINCIPAL][0];
    *class_cap = stricter(class_of(own->set_class ? own : all), class_of(work));
    *time_cap = stricter(own->time_limit_ms ? own->time_limit_ms : all->time_limit_ms, work->time_limit_ms);
}

bool model_cap_refuses(const struct sim *sim, const struct core_submit *s)
{
    uint64_t class_cap, time_cap;
    caps_of(sim, s, &class_cap, &time_cap);
    return !s->by_operator &&
           ((class_cap && (uint64_t)s->priority_class >= class_cap) || longer(s->time_limit_ms, time_cap));
}

bool model_over_cap(const struct sim *sim, const struct mjob *job)
{
    uint64_t class_cap, time_cap;
    caps_of(sim, &job->submit, &class_cap, &time_cap);
    return !job->submit.by_operator && !job->set_time_limit && longer(job->submit.time_limit_ms, time_cap);
}

bool model_permitted(const struct sim *sim, const struct mjob *job)
{
    return model_approved(sim, job) && !model_over_cap(sim, job);
}

void model_caps_lower(const struct sim *sim, struct mjob *job)
{
    uint64_t class_cap, time_cap;
    caps_of(sim, &job->submit, &class_cap, &time_cap);
    bool above = class_cap && (uint64_t)job->asked_class >= class_cap;
    bool free = job->submit.by_operator || job->set_priority;
    job->submit.priority_class = above && !free ? (enum priority_class)(class_cap - 1) : job->asked_class;
}

void model_caps_event(struct sim *sim, const struct core_caps *caps)
{
    sim->caps[caps->scope][caps->id] = *caps;
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        if (sim->jobs[i].accepted && model_waits(sim, &sim->jobs[i]))
            model_caps_lower(sim, &sim->jobs[i]);
    }
}

static bool priority_refused(const struct mjob *job, const struct core_update *u, uint64_t class_cap)
{
    const struct core_submit *s = &job->submit;
    bool same = u->priority_class == s->priority_class, raised = u->priority_class > s->priority_class;
    if (!u->set_priority)
        return false;
    bool number = u->priority > 0 && (raised || u->priority > s->priority);
    return number || ((raised || (same && u->priority > s->priority)) && job->set_priority) ||
           (raised && class_cap && (uint64_t)u->priority_class >= class_cap);
}

bool model_update_refused(struct sim *sim, struct mjob *job, const struct core_update *u)
{
    const struct core_submit *s = &job->submit;
    struct core_job_view view;
    uint64_t class_cap, time_cap;
    if (u->by_operator || !core_job_get(sim->main, u->job, &view))
        return false;
    caps_of(sim, s, &class_cap, &time_cap);
    bool limit = u->set_time_limit && longer(u->time_limit_ms, s->time_limit_ms);
    bool most = u->set_array_limit && s->array_count && job->set_array_limit &&
                (!u->array_limit || u->array_limit > (s->array_limit ? s->array_limit : s->array_count));
    bool sooner = u->set_begin && job->set_begin && view.begin_ms && u->begin_ms < view.begin_ms;
    return (u->set_held && !u->held && job->held_by_operator) || most || sooner ||
           (limit && (job->set_time_limit || longer(u->time_limit_ms, time_cap))) ||
           priority_refused(job, u, class_cap);
}

void model_authority_settled(struct sim *sim, const struct core_event *event)
{
    const struct core_update *u = &event->as.update;
    struct core_job_view view;
    if (event->kind != CORE_EVENT_JOB_UPDATE || !core_job_get(sim->main, u->job, &view))
        return;
    const struct mjob *job = model_job(sim, u->job);
    const struct core_submit *s = &job->submit;
    if (!job->accepted || job_state_is_final(job->state))
        return;
    if (view.priority_class != s->priority_class || view.priority != s->priority ||
        view.time_limit_ms != s->time_limit_ms)
        sim_fail(sim, "job %llu: an update is taken that its owner may not make, or is not taken",
                 (unsigned long long)u->job.v);
    if (model_waits(sim, job) && view.held_by_operator != job->held_by_operator)
        sim_fail(sim, "job %llu: the view is wrong about whose hold it is", (unsigned long long)u->job.v);
}

void model_update_marks(struct mjob *job, const struct core_update *u, bool waits)
{
    if (u->set_held && waits)
        job->held_by_operator = u->held && (job->held_by_operator || u->by_operator);
    if (!u->by_operator)
        return;
    job->set_priority = job->set_priority || u->set_priority;
    job->set_time_limit = job->set_time_limit || u->set_time_limit;
    job->set_begin = job->set_begin || u->set_begin;
    job->set_array_limit = job->set_array_limit || u->set_array_limit;
}
