/* A job's own rules: held, priority, begin, time limit, an array's limit. Every change is an event of the
 * core.
 */
#include "scheduler/job_change.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/array.h"
#include "proto/units.h"
#include "scheduler/audit.h"
#include "scheduler/authority.h"
#include "scheduler/engine.h"

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
    if (u->set_priority) {
        jobs_change_rule(&d->jobs, job, "priority",
                         cJSON_CreateString(priority_class_name(u->priority_class)));
        job_forget_notes(job, AUTHORITY_RUNS_AS);
    }
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
    if (!api_take_bool(body, "held", &u->held, err) ||
        !api_take_seconds(body, "time_limit_s", &u->time_limit_ms, err) ||
        !api_take_count(body, "priority_level", 1000000, &level, err))
        return false;
    u->priority = (int32_t)level;
    if (u->set_begin) {
        int64_t begin = json_int(body, "begin_ms", -1);
        if (begin < 0 || (uint64_t)begin > (uint64_t)clock_wall_ms() + (uint64_t)API_SECONDS_MAX * 1000)
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
    if (!api_take_count(body, "array_limit", ARRAY_ELEMENTS_MAX, &limit, err))
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

/* Who holds it: an administrator's hold stays when its owner adds his own. */
static void hold_noted(struct daemon *d, struct job *job, const struct caller *caller, bool held)
{
    if (held && job->held_by_operator && !caller->admin)
        return;
    job_set_held_by(job, held ? caller->name : NULL, held && caller->admin && caller->uid != job->uid);
    jobs_touch(&d->jobs, job);
}

static void add_ms(cJSON *o, const char *field, uint64_t ms, double unit)
{
    if (ms)
        cJSON_AddNumberToObject(o, field, (double)ms / unit);
    else
        cJSON_AddNullToObject(o, field);
}

static void audit_update(struct daemon *d, const struct caller *caller, const struct job *job,
                         const struct core_job_view *was, const struct core_update *u)
{
    cJSON *before = cJSON_CreateObject(), *after = cJSON_CreateObject();
    if (u->set_held) {
        bool held = was->reason == CORE_REASON_HELD;
        cJSON_AddBoolToObject(before, "held", held);
        cJSON_AddBoolToObject(after, "held", u->held);
        /* An administrator's hold over the owner's is another's hold. */
        if (held && u->held) {
            cJSON_AddBoolToObject(before, "by_operator", was->held_by_operator);
            cJSON_AddBoolToObject(after, "by_operator", was->held_by_operator || u->by_operator);
        }
    }
    if (u->set_priority) {
        cJSON_AddStringToObject(before, "priority", priority_class_name(was->priority_class));
        cJSON_AddStringToObject(after, "priority", priority_class_name(u->priority_class));
        json_add_int(before, "priority_level", was->priority);
        json_add_int(after, "priority_level", u->priority);
    }
    if (u->set_time_limit) {
        add_ms(before, "time_limit_s", was->time_limit_ms, 1000);
        add_ms(after, "time_limit_s", u->time_limit_ms, 1000);
    }
    if (u->set_begin) {
        add_ms(before, "begin_ms", was->begin_ms, 1);
        add_ms(after, "begin_ms", u->begin_ms, 1);
    }
    if (u->set_array_limit) {
        json_add_int(before, "array_limit", was->array_limit);
        json_add_int(after, "array_limit", u->array_limit);
    }
    bool hold_alone =
        u->set_held && !u->set_priority && !u->set_time_limit && !u->set_begin && !u->set_array_limit;
    audit_add_job(d, caller, !hold_alone ? "update" : u->held ? "hold" : "release", job, before, after);
}

bool job_change_update(struct daemon *d, const struct caller *caller, struct job *job, const cJSON *body,
                       bool defer, struct error *err)
{
    if (job->unborn && !job_is_final(job)) {
        error_set(err, ERROR_CONFLICT, "%s has not begun: what waits of an array is changed as one",
                  job->name);
        return error_hint(err, "name the array instead");
    }
    uint64_t id = job->id;
    struct core_job_view view;
    struct core_event event = {.kind = CORE_EVENT_JOB_UPDATE, .defer = defer};
    event.as.update.job.v = id;
    event.as.update.by_operator = caller->admin;
    if (!engine_writable(d, err))
        return false;
    if (!core_job_get(d->core, (struct job_id){id}, &view))
        return error_set(err, ERROR_CONFLICT, "the job has ended: %s", job_state_name(job->state));
    if (!read_update(body, &event.as.update, &view, err) ||
        !limit_can_change(&event.as.update, &view, job, err) ||
        !authority_allows(d, job, &event.as.update, err) || !engine_step(d, &event, err))
        return false;
    job = jobs_get(&d->jobs, id);
    if (job)
        audit_update(d, caller, job, &view, &event.as.update);
    if (job && event.as.update.set_held)
        hold_noted(d, job, caller, event.as.update.held);
    if (job)
        keep_update(d, job, &event.as.update, !view.waits);
    return true;
}

void api_post_update(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    struct job *job = api_own_job(d, req, "change");
    _cleanup_json_ cJSON *body = job ? api_body(req, JOB_UPDATE_FIELDS) : NULL;
    if (!body)
        return;
    uint64_t id = job->id;
    struct caller caller = api_caller(d, req);
    if (!job_change_update(d, &caller, job, body, false, &err)) {
        http_respond_error(req, &err);
        return;
    }
    job = jobs_get(&d->jobs, id);
    struct buf text = {0};
    if (job) {
        engine_look(d, job);
        job_object_write(job, JOB_OBJECT_SHORT | JOB_OBJECT_PRIVATE, NULL, &text);
    }
    engine_answer(d, req, 200, text.data ? buf_take(&text) : NULL, NULL, 0);
}
