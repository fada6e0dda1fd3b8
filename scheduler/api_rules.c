/*
 * Rules: the policy, and a job's own (held, priority, begin, time limit). Every change is an event of the
 * core, so that it survives as the jobs do.
 */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/array.h"
#include "proto/units.h"
#include "scheduler/engine.h"

#include <string.h>

#define SECONDS_MAX (INT64_C(10) * 366 * 86400)

static bool respond(struct http_request *req, const struct error *err, bool ok)
{
    if (!ok)
        http_respond_error(req, err);
    return ok;
}

/* A number of seconds in `field`, to milliseconds; absent leaves *ms as it is. */
static bool take_seconds(const cJSON *body, const char *field, uint64_t *ms, struct error *err)
{
    const cJSON *item = json_get(body, field);
    if (!item)
        return true;
    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > (double)SECONDS_MAX)
        return error_field(err, field, "%s must be a number of seconds from 0 to %lld", field,
                           (long long)SECONDS_MAX);
    *ms = (uint64_t)(item->valuedouble * 1000);
    return true;
}

static bool take_bool(const cJSON *body, const char *field, bool *out, struct error *err)
{
    const cJSON *item = json_get(body, field);
    if (!item)
        return true;
    if (!cJSON_IsBool(item))
        return error_field(err, field, "%s must be true or false", field);
    *out = cJSON_IsTrue(item);
    return true;
}

static bool take_count(const cJSON *body, const char *field, int64_t max, int64_t *out, struct error *err)
{
    const cJSON *item = json_get(body, field);
    if (!item)
        return true;
    if (!cJSON_IsNumber(item) || item->valuedouble < -(double)max || item->valuedouble > (double)max ||
        item->valuedouble != (double)(int64_t)item->valuedouble)
        return error_field(err, field, "%s must be a whole number of at most %lld", field, (long long)max);
    *out = (int64_t)item->valuedouble;
    return true;
}

/* ---- the policy ---- */

static cJSON *policy_object(const struct daemon *d)
{
    struct core_config config;
    core_config_get(d->core, &config);
    cJSON *o = cJSON_CreateObject(), *known = cJSON_CreateArray();
    cJSON_AddStringToObject(o, "policy", core_policy_name(config.policy));
    cJSON_AddBoolToObject(o, "preempt", config.preempt);
    json_add_int(o, "preempt_min_run_s", (int64_t)(config.preempt_min_run_ms / 1000));
    json_add_int(o, "age_s", (int64_t)(config.age_ms / 1000));
    json_add_int(o, "share_weight", config.share_weight);
    json_add_int(o, "share_half_life_s", (int64_t)(config.share_half_life_ms / 1000));
    json_add_int(o, "promises_voided", (int64_t)core_promises_voided(d->core));
    for (int i = 0; i < CORE_POLICY_COUNT; i++)
        cJSON_AddItemToArray(known, cJSON_CreateString(core_policy_name((enum core_policy)i)));
    cJSON_AddItemToObject(o, "policies", known);
    return o;
}

void api_get_policy(struct http_request *req, void *context)
{
    struct daemon *d = context;
    _cleanup_json_ cJSON *o = policy_object(d);
    engine_answer_view(d, req, json_text(o));
}

static bool read_policy(const cJSON *body, struct core_config *config, struct error *err)
{
    const char *name = json_str(body, "policy", NULL);
    int64_t weight = config->share_weight;
    if (name && !core_policy_parse(name, &config->policy)) {
        error_field(err, "policy", "there is no policy \"%.40s\"", name);
        return error_hint(err, "one of fcfs, easy, easy-sjbf, conservative, berth");
    }
    if (!take_bool(body, "preempt", &config->preempt, err) ||
        !take_seconds(body, "preempt_min_run_s", &config->preempt_min_run_ms, err) ||
        !take_seconds(body, "age_s", &config->age_ms, err) ||
        !take_seconds(body, "share_half_life_s", &config->share_half_life_ms, err) ||
        !take_count(body, "share_weight", 1000, &weight, err))
        return false;
    if (weight < 0)
        return error_field(err, "share_weight", "share_weight must not be negative");
    config->share_weight = (uint32_t)weight;
    if (weight && !config->share_half_life_ms)
        return error_field(err, "share_half_life_s", "fair share needs a half-life that is not 0");
    return true;
}

void api_post_policy(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "change the policy")
            ? api_body(req, "policy preempt preempt_min_run_s age_s share_weight share_half_life_s")
            : NULL;
    if (!body)
        return;
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    core_config_get(d->core, &event.as.config);
    bool ok =
        engine_writable(d, &err) && read_policy(body, &event.as.config, &err) && engine_step(d, &event, &err);
    if (!respond(req, &err, ok))
        return;
    log_info("policy set by %s: %s", api_caller(d, req).name, core_policy_name(event.as.config.policy));
    _cleanup_json_ cJSON *o = policy_object(d);
    engine_answer(d, req, 200, json_text(o), NULL, 0);
}

/* ---- a job ---- */

/* For how long its present attempt has run. */
static int64_t ran_ms(const struct job *job)
{
    int64_t now = clock_wall_ms(), ran = 0;
    for (uint32_t i = 0; i < job->task_count; i++) {
        const struct task *task = &job->tasks[i];
        if (task->attempt == job->attempt && task->started_ms && now - task->started_ms > ran)
            ran = now - task->started_ms;
    }
    return ran;
}

static bool limit_can_change(const struct core_update *u, const struct core_job_view *view,
                             const struct job *job, struct error *err)
{
    if (!u->set_time_limit || view->waits)
        return true;
    if (view->array_count) {
        error_set(err, ERROR_CONFLICT, "all of the array has begun");
        return error_hint(err, "change an element's time limit: %s@INDEX", job->name);
    }
    int64_t so_far = ran_ms(job);
    if (!u->time_limit_ms || (int64_t)u->time_limit_ms > so_far)
        return true;
    char limit[24], ran[24];
    error_field(err, "time_limit_s", "the job has run for %s already, longer than %s",
                units_format_duration(so_far / 1000 * 1000, ran),
                units_format_exact((int64_t)u->time_limit_ms, limit));
    return error_hint(err, "berth cancel %s ends it", job->name);
}

/* Those that run are told; a node without a session hears it when it comes back. */
struct new_limit {
    struct daemon *daemon;
    uint64_t job;
};

static void tell_limit(void *data)
{
    struct new_limit *limit = data;
    struct daemon *d = limit->daemon;
    const struct job *job = jobs_get(&d->jobs, limit->job);
    for (uint32_t i = 0; job && i < job->task_count; i++) {
        const struct task *task = &job->tasks[i];
        struct task_id id = {.job = {job->id}, .attempt = task->attempt, .rank = task->rank};
        struct core_task_view view;
        if (!core_task_get(d->core, id, &view) || view.abandoned || view.state == TASK_EXITED)
            continue;
        struct node *node = nodes_get(&d->nodes, view.node.v);
        if (node && node->in_session)
            engine_push_limit(node, id, job->time_limit_ms);
    }
    free(limit);
}

/* What people see, and what orders are written from. */
static void keep_update(struct daemon *d, struct job *job, const struct core_update *u, bool runs)
{
    if (u->set_priority)
        jobs_change_rule(&d->jobs, job, "priority",
                         cJSON_CreateString(priority_class_name(u->priority_class)));
    if (!u->set_time_limit)
        return;
    double seconds = (double)u->time_limit_ms / 1000;
    jobs_change_rule(&d->jobs, job, "time_limit_s",
                     seconds > 0 ? cJSON_CreateNumber(seconds) : cJSON_CreateNull());
    job->time_limit_ms = (int64_t)u->time_limit_ms;
    if (!runs)
        return;
    job->limit_changed = true;
    struct new_limit *limit = xcalloc(1, sizeof *limit);
    *limit = (struct new_limit){.daemon = d, .job = job->id};
    journal_then(d->journal, tell_limit, NULL, limit);
}

static bool read_update(const cJSON *body, struct core_update *u, const struct core_job_view *view,
                        struct error *err)
{
    const char *priority = json_str(body, "priority", NULL);
    int64_t level = view->priority;
    u->set_held = json_get(body, "held") != NULL;
    u->set_time_limit = json_get(body, "time_limit_s") != NULL;
    u->set_begin = json_get(body, "begin_ms") != NULL;
    u->set_priority = priority || json_get(body, "priority_level");
    u->priority_class = view->priority_class;
    if (priority && !priority_class_parse(priority, &u->priority_class))
        return error_field(err, "priority", "priority is low, medium or high, not \"%.40s\"", priority);
    if (!take_bool(body, "held", &u->held, err) ||
        !take_seconds(body, "time_limit_s", &u->time_limit_ms, err) ||
        !take_count(body, "priority_level", 1000000, &level, err))
        return false;
    u->priority = (int32_t)level;
    if (u->set_begin) {
        int64_t begin = json_int(body, "begin_ms", -1);
        if (begin < 0 || (uint64_t)begin > (uint64_t)clock_wall_ms() + (uint64_t)SECONDS_MAX * 1000)
            return error_field(err, "begin_ms",
                               "begin_ms must be a time (ms since 1970) of the next ten years");
        if (begin && begin <= clock_wall_ms()) {
            error_field(err, "begin_ms", "that time lies in the past");
            return error_hint(err, "0 lets it begin at once");
        }
        u->begin_ms = (uint64_t)begin;
    }
    int64_t limit = 0;
    u->set_array_limit = json_get(body, "array_limit") != NULL;
    if (!take_count(body, "array_limit", ARRAY_ELEMENTS_MAX, &limit, err))
        return false;
    if (limit < 0)
        return error_field(err, "array_limit", "array_limit must not be negative");
    if (u->set_array_limit && !view->array_count)
        return error_field(err, "array_limit", "the job is no array");
    u->array_limit = (uint32_t)limit;
    if ((u->set_held || u->set_begin || u->set_array_limit) && !view->waits)
        return error_set(err, ERROR_CONFLICT, "the job does not wait any more: it is %s",
                         job_state_name(view->state));
    return true;
}

void api_post_update(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    struct job *job = api_own_job(d, req, "update");
    _cleanup_json_ cJSON *body =
        job ? api_body(req, "held priority priority_level time_limit_s begin_ms array_limit") : NULL;
    if (!body)
        return;
    if (job->unborn && !job_is_final(job)) {
        error_set(&err, ERROR_CONFLICT, "%s has not begun: what waits of an array is changed as one",
                  job->name);
        error_hint(&err, "name the array instead");
        http_respond_error(req, &err);
        return;
    }
    uint64_t id = job->id;
    struct core_job_view view;
    struct core_event event = {.kind = CORE_EVENT_JOB_UPDATE};
    event.as.update.job.v = id;
    bool ok = engine_writable(d, &err);
    if (ok && !core_job_get(d->core, (struct job_id){id}, &view))
        ok = error_set(&err, ERROR_CONFLICT, "the job has ended: %s", job_state_name(job->state));
    ok = ok && read_update(body, &event.as.update, &view, &err) &&
         limit_can_change(&event.as.update, &view, job, &err) && engine_step(d, &event, &err);
    if (!respond(req, &err, ok))
        return;
    job = jobs_get(&d->jobs, id);
    struct buf text = {0};
    if (job) {
        keep_update(d, job, &event.as.update, !view.waits);
        engine_look(d, job);
        job_object_write(job, JOB_OBJECT_SHORT | JOB_OBJECT_PRIVATE, NULL, &text);
    }
    engine_answer(d, req, 200, text.data ? buf_take(&text) : NULL, NULL, 0);
}
