/*
 * The model's books of arrays: every element becomes a job at most once and in its turn, no more are under
 * way than the limit says, and an array ends as its elements did.
 */
#include <string.h>

#include "sim.h"

struct model_array model_array(const struct sim *sim, const struct mjob *array)
{
    struct model_array a = {0};
    uint64_t id = array->submit.job.v;
    bool prefix = true;
    for (uint32_t n = 1; n <= array->submit.array_count; n++) {
        const struct mjob *e = &sim->jobs[id + n];
        prefix = prefix && e->accepted;
        a.first += prefix;
        if (!e->accepted)
            continue;
        a.made++;
        a.live += !job_state_is_final(e->state);
        a.completed += e->state == JOB_COMPLETED;
        a.failed += e->state == JOB_FAILED;
        a.canceled += e->state == JOB_CANCELED;
    }
    return a;
}

bool model_waits(const struct sim *sim, const struct mjob *job)
{
    if (!job->submit.array_count)
        return job->state == JOB_QUEUED;
    bool early = job->state == JOB_QUEUED || job->state == JOB_PREPARING || job->state == JOB_STARTING ||
                 job->state == JOB_RUNNING;
    return early && model_array(sim, job).made < job->submit.array_count;
}

bool model_array_full(const struct sim *sim, const struct mjob *job)
{
    uint32_t limit = job->submit.array_limit;
    return job->submit.array_count && limit && model_array(sim, job).live >= limit;
}

void model_array_submitted(struct sim *sim, const struct core_submit *s)
{
    for (uint32_t n = 0; n < s->array_count; n++) {
        struct mjob *e = &sim->jobs[++sim->job_count];
        *e = (struct mjob){.submit = *s, .array = s->job.v};
        e->submit.job.v = e->submit.seq = sim->job_count;
        e->submit.array_count = e->submit.array_limit = 0;
    }
}

void model_element(struct sim *sim, const struct core_event *event, const struct core_decision *d)
{
    unsigned long long id = d->as.element.job.v;
    struct mjob *array = model_job(sim, d->as.element.array), *e = model_job(sim, d->as.element.job);
    bool canceled = event->kind == CORE_EVENT_JOB_CANCEL && event->as.cancel.job.v == id;
    if (e->array != array->submit.job.v || e->accepted)
        sim_fail(sim, "element %llu is another array's, or becomes a job twice", id);
    if (!model_waits(sim, array))
        sim_fail(sim, "element %llu becomes a job, but its array does not wait", id);
    if (!canceled && id != array->submit.job.v + model_array(sim, array).first + 1)
        sim_fail(sim, "element %llu becomes a job out of its turn", id);
    if (!canceled)
        model_rules_kept(sim, array,
                         model_any_reserved(sim)); /* the limit, too: it isn't ready beyond that */
    array->preempting_ms = 0;                      /* what was stopped was for this one */
    struct core_submit submit = array->submit;
    submit.job.v = submit.seq = id;
    submit.array_count = submit.array_limit = 0;
    *e = (struct mjob){.submit = submit,
                       .array = array->submit.job.v,
                       .accepted = true,
                       .state = JOB_QUEUED,
                       .reason = CORE_REASON_ARRAY,
                       .set_priority = array->set_priority,
                       .set_time_limit = array->set_time_limit,
                       .set_begin = array->set_begin,
                       .set_array_limit = array->set_array_limit,
                       .asked_class = array->asked_class};
    array->promised_ms = 0;
}

void model_array_ends(struct sim *sim, const struct mjob *array, const struct core_decision *d)
{
    unsigned long long id = array->submit.job.v;
    struct model_array a = model_array(sim, array);
    uint32_t count = array->submit.array_count;
    if (a.live)
        sim_fail(sim, "array %llu ends before %u of its elements", id, a.live);
    if ((d->as.job.state == JOB_COMPLETED) != (a.completed == count))
        sim_fail(sim, "array %llu is %s with %u of %u elements Completed", id,
                 job_state_name(d->as.job.state), a.completed, count);
    if (d->as.job.state == JOB_FAILED &&
        (a.made != count || (a.failed != 0) != (d->as.job.end.kind != END_CANCELED)))
        sim_fail(sim, "array %llu fails with %u elements made, %u Failed", id, a.made, a.failed);
    if (d->as.job.state == JOB_CANCELED && a.completed + a.failed == count)
        sim_fail(sim, "array %llu is Canceled, though all its elements had ended", id);
}

static void check_canceled(struct sim *sim, const struct mjob *array)
{
    for (uint32_t n = 1; n <= array->submit.array_count; n++) {
        const struct mjob *e = &sim->jobs[array->submit.job.v + n];
        if (e->accepted && !job_state_is_final(e->state) && e->state != JOB_CANCEL_REQUESTED)
            sim_fail(sim, "array %llu is canceled, and its element %u is left %s",
                     (unsigned long long)array->submit.job.v, n, job_state_name(e->state));
    }
}

void model_arrays_settled(struct sim *sim)
{
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        const struct mjob *job = &sim->jobs[i];
        struct core_job_view view;
        if (!job->submit.array_count || !core_job_get(sim->main, job->submit.job, &view))
            continue;
        struct model_array a = model_array(sim, job);
        if (view.array_waiting != job->submit.array_count - a.made || view.array_live != a.live ||
            view.array_completed != a.completed || view.array_failed != a.failed ||
            view.array_canceled != a.canceled || view.waits != model_waits(sim, job))
            sim_fail(sim, "the counts of array %u are wrong", i);
        if (job->state == JOB_CANCEL_REQUESTED && !core_continue_due(sim->main))
            check_canceled(sim, job);
    }
}

uint32_t model_array_kept(const struct sim *sim, const struct mjob *array)
{
    struct model_array a = model_array(sim, array);
    return a.made - a.first;
}
