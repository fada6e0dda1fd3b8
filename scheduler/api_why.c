/* GET /v1/jobs/JOB/why: the core's answer, in words (why_*.c). */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "scheduler/arrays.h"
#include "scheduler/engine.h"
#include "scheduler/forecast.h"
#include "scheduler/smaller.h"
#include "scheduler/why_begun.h"
#include "scheduler/why_queued.h"
#include "scheduler/why_words.h"

#include <stdlib.h>

static void explain_array(const struct job *job, cJSON *text)
{
    const struct job_array *a = job->array;
    why_say(text, "of its %u elements %u wait, %u are under way, %u have completed, %u failed, %u canceled",
            a->indices.count, a->waiting, a->live, a->completed, a->failed, a->canceled);
    if (job->reason == CORE_REASON_ARRAY && a->waiting)
        why_say(text, "no more than %u may be under way at once (berth update %s --array-limit N)", a->limit,
                job->name);
}

/* ---- the answer ---- */

/* A waiting job's start and smaller requests are worked out in the thread pool, on a copy of the core. */
struct question {
    uv_work_t work;
    struct daemon *daemon;
    struct http_request *req;
    struct forecast *forecast;
    struct forecast_job start;
    struct smaller smaller;
    bool any_smaller;
    uint64_t job;
    int64_t
        element; /* of the job, an array: the index of one that has not begun; -1: it is asked about itself */
};

static void answer_why(struct daemon *d, struct http_request *req, struct job *job, int64_t element,
                       uint64_t start_ms, const struct smaller *smaller)
{
    struct core_why why = {0};
    struct core_job_view view = {0};
    struct job_id id = {job->id};
    engine_look(d, job);
    bool known = core_why(d->core, id, &why) && core_job_get(d->core, id, &view);
    bool waits = known && view.waits;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "state", job_state_name(element < 0 ? job->state : JOB_QUEUED));
    json_add_str(o, "reason", job_reason_text(job));
    cJSON *text = cJSON_AddArrayToObject(o, "text");
    if (element >= 0)
        why_say(text, "it has not begun: it waits in the array %s, whose elements begin in their order",
                job->name);
    why.expected_ms = waits ? start_ms : 0;
    if (job->array)
        explain_array(job, text);
    if (waits) {
        if (!job->array || job->reason != CORE_REASON_ARRAY)
            why_say(text, "it %s", job_reason_text(job));
        why_queued(d, &why, &view, smaller, o, text);
    } else {
        cJSON_AddArrayToObject(o, "blockers");
        if (!job->array || job_is_final(job))
            why_begun(d, job, text);
    }
    why_add_time(o, "expected_start_ms", why.expected_ms);
    why_add_time(o, "promised_start_ms", why.promised_ms);
    why_add_time(o, "kept_until_ms", why.kept_until_ms);
    cJSON_AddBoolToObject(o, "planned", why.planned);
    engine_answer_view(d, req, json_text(o));
}

static void work_out(uv_work_t *work)
{
    struct question *q = container_of(work, struct question, work);
    struct job_id id = {q->job};
    q->any_smaller = smaller_find(forecast_core(q->forecast), id, &q->smaller);
    forecast_run(q->forecast, &q->start, 1);
}

static void worked_out(uv_work_t *work, int status)
{
    (void)status;
    struct question *q = container_of(work, struct question, work);
    struct error err = {0};
    daemon_work_done(q->daemon);
    struct job *job = jobs_find_id(&q->daemon->jobs, q->daemon->reader, q->job);
    if (job)
        answer_why(q->daemon, q->req, job, q->element, q->start.start_ms,
                   q->any_smaller ? &q->smaller : NULL);
    else {
        error_set(&err, ERROR_NOT_FOUND, "there is no job %llu", (unsigned long long)q->job);
        http_respond_error(q->req, &err);
    }
    forecast_end(q->forecast);
    free(q);
}

void api_get_why(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct job *job = api_own_job(d, req, "ask why of");
    if (!job)
        return;
    struct job_id asked = {job->id};
    struct job *array = job->unborn && !job_is_final(job) ? jobs_get(&d->jobs, job->array_job) : NULL;
    int64_t element = array ? (int64_t)job->array_index : -1;
    job = array ? array : job; /* what keeps it is what keeps its array */
    struct job_id id = {job->id};
    struct smaller smaller;
    struct core_job_view view;
    engine_look(d, job);
    if (!core_job_get(d->core, id, &view) || !view.waits) {
        answer_why(d, req, job, element, 0, NULL);
        return;
    }
    struct forecast *forecast = forecast_begin(d->core, (uint64_t)clock_wall_ms());
    if (!forecast) {
        bool any = smaller_find(d->core, id, &smaller);
        answer_why(d, req, job, element, array ? 0 : core_expected_start(d->core, id), any ? &smaller : NULL);
        return;
    }
    arrays_tell_forecast(&d->jobs, forecast);
    struct question *q = xcalloc(1, sizeof *q);
    q->daemon = d;
    q->req = req;
    q->forecast = forecast;
    q->job = id.v;
    q->element = element;
    q->start.job = asked;
    daemon_work_for(d, api_caller(d, req).principal, &q->work, work_out, worked_out);
}
