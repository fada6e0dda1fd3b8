/* Jobs as people see them: one, waiting for one, cancelling one. Lists are in api_list.c. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "proto/kv.h"
#include "scheduler/arrays.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"
#include "scheduler/job_change.h"
#include "scheduler/secret_values.h"
#include "scheduler/unrecorded.h"
#include "scheduler/waits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENVIRONMENT_BYTES_MAX (4u << 20)

static void respond_job(struct daemon *d, struct http_request *req, struct job *job,
                        enum job_object_parts part, const char *extra)
{
    unsigned parts = (unsigned)part | api_object_parts(d, req, job);
    engine_look(d, job);
    struct buf body = {0};
    job_object_write(job, parts, extra, &body);
    engine_answer_view(d, req, buf_take(&body));
}

/* ---- one job ---- */

/* The environment that the latest attempt was started with, as the executor left it beside the log; false
 * where there is none yet. */
static bool add_built_environment(const struct daemon *d, const struct job *job, cJSON *extra)
{
    _cleanup_buf_ struct buf text = {0};
    _cleanup_free_ char *path =
        xasprintf("%s/%llu/%u.0.env", d->options.log_dir, (unsigned long long)job->id, job->attempt);
    if (!fs_read_file(AT_FDCWD, path, ENVIRONMENT_BYTES_MAX, &text, NULL))
        return false;
    cJSON *environment = cJSON_AddObjectToObject(extra, "environment");
    size_t cursor = 0;
    for (const char *item; (item = kv_next(text.data, text.len, NULL, &cursor));) {
        const char *eq = strchr(item, '=');
        _cleanup_free_ char *name = eq ? xstrndup(item, (size_t)(eq - item)) : NULL;
        if (name)
            json_add_bytes(environment, name, eq + 1);
    }
    return true;
}

/* Before that: what the job file says of the environment, the submitting shell's part, then its own. */
static void add_environment(cJSON *extra, const cJSON *spec)
{
    static const char *const where[] = {"submission", "environment", NULL, "environment_variables"};
    cJSON *environment = cJSON_AddObjectToObject(extra, "environment");
    const cJSON *shell = json_get(json_get(spec, where[0]), where[1]), *own = json_get(spec, where[3]), *item;
    struct map own_names = {0}; /* which win: found by hash, since a job may have thousands */
    cJSON_ArrayForEach(item, own) map_put_str(&own_names, item->string, (void *)item);
    cJSON_ArrayForEach(item, shell) if (!map_get_str(&own_names, item->string))
        cJSON_AddItemToObject(environment, item->string, cJSON_Duplicate(item, true));
    cJSON_ArrayForEach(item, own) if (map_get_str(&own_names, item->string) == item)
        cJSON_AddItemToObject(environment, item->string, cJSON_Duplicate(item, true));
    map_finish(&own_names);
}

/* The log of a task that still runs is as long as its file. */
static void look_at_logs(struct daemon *d, struct job *job)
{
    for (uint32_t i = 0; i < job->task_count; i++) {
        struct task *task = &job->tasks[i];
        struct stat st;
        if (task->exited && task->log_bytes)
            continue;
        _cleanup_free_ char *path = xasprintf("%s/%llu/%u.%u.log", d->options.log_dir,
                                              (unsigned long long)job->id, task->attempt, task->rank);
        if (stat(path, &st) == 0)
            task->log_bytes = st.st_size;
    }
}

void api_get_job(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct job *job = api_job(d, req);
    struct error err = {0};
    if (!job)
        return;
    struct caller caller = api_caller(d, req);
    look_at_logs(d, job);
    _cleanup_buf_ struct buf text = {0}, extra = {0};
    if (api_owns(&caller, job) &&
        journal_read_spec(d->reader, job->array_job ? job->array_job : job->id, &text, NULL)) {
        _cleanup_json_ cJSON *spec = json_parse(text.data, text.len, &err);
        _cleanup_json_ cJSON *o = cJSON_CreateObject();
        if (!add_built_environment(d, job, o))
            add_environment(o, spec);
        secret_values_mask(cJSON_GetObjectItemCaseSensitive(o, "environment"));
        secret_values_mask_file(spec);
        json_write(o, &extra);
        buf_consume(&extra, 1); /* without braces */
        extra.data[--extra.len] = '\0';
        buf_add_str(&extra, ",\"spec\":");
        json_write(spec, &extra);
    }
    respond_job(d, req, job, JOB_OBJECT_FULL, extra.data);
}

void api_get_wait(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    int64_t timeout_s;
    struct job *job = api_job(d, req);
    if (!job)
        return;
    if (!http_request_query_int(req, "timeout_s", 0, WAITS_MAX_S, -1, &timeout_s, &err)) {
        http_respond_error(req, &err);
        return;
    }
    if (job_is_final(job) && job->evictable)
        respond_job(d, req, job, JOB_OBJECT_SHORT, NULL);
    else if (journal_healthy(d->journal, &err))
        waits_add(d, req, job, timeout_s);
    else {
        error_wrap(&err, "no end of a job can be recorded now");
        http_respond_error(req, &err);
    }
}

/* The step could not be recorded: see unrecorded.h. */
static void end_unrecorded(struct daemon *d, uint64_t id, bool force)
{
    struct error why = {0};
    struct job *job = jobs_get(&d->jobs, id);
    if (job && !journal_healthy(d->journal, &why))
        unrecorded_cancel(d, job, force, &why);
}

static void end_anyway(struct daemon *d, uint64_t id)
{
    end_unrecorded(d, id, false);
}

static void kill_anyway(struct daemon *d, uint64_t id)
{
    end_unrecorded(d, id, true);
}

bool job_change_cancel(struct daemon *d, const struct caller *caller, struct job *job, bool force, bool defer,
                       struct error *err)
{
    uint64_t id = job->id;
    if (job_is_final(job))
        return true;
    struct core_job_view view;
    bool forced = core_job_get(d->core, (struct job_id){id}, &view) && view.force_canceled;
    cJSON *before = cJSON_CreateObject(), *after = cJSON_CreateObject();
    cJSON_AddBoolToObject(before, "canceled", job->canceled_by != NULL);
    cJSON_AddBoolToObject(before, "force", forced);
    cJSON_AddBoolToObject(after, "canceled", true);
    cJSON_AddBoolToObject(after, "force", forced || force);
    if (!job->canceled_by) {
        job->canceled_by = xstrdup(caller->name);
        if (!job->unborn)
            jobs_touch(&d->jobs, job);
    }
    struct core_event event = {.kind = CORE_EVENT_JOB_CANCEL, .defer = defer};
    event.as.cancel.job.v = id;
    event.as.cancel.force = force;
    event.as.cancel.array.v = job->array_job;
    if (!engine_step(d, &event, err)) {
        cJSON_Delete(before);
        cJSON_Delete(after);
        return false;
    }
    struct job *made = jobs_get(&d->jobs, id); /* an element that had not begun has a record now */
    audit_add_job(d, caller, "cancel", made ? made : job, before, after);
    if (made && made != job && !made->canceled_by) {
        made->canceled_by = xstrdup(job->canceled_by);
        free(made->cause_text);
        made->cause_text = xasprintf("canceled by %s", made->canceled_by);
        jobs_touch(&d->jobs, made);
    }
    return true;
}

void api_post_cancel(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    struct job *job = api_own_job(d, req, "cancel");
    _cleanup_json_ cJSON *body = job ? api_body(req, "force") : NULL;
    if (!body)
        return;
    if (job_is_final(job) && job->evictable) {
        respond_job(d, req, job, JOB_OBJECT_SHORT, NULL);
        return;
    }
    bool force = json_bool(body, "force", false);
    bool ok = engine_writable(d, &err);
    if (!ok && !d->stopping)
        unrecorded_cancel(d, job, force, &err);
    struct caller caller = api_caller(d, req);
    if (!ok || !job_change_cancel(d, &caller, job, force, false, &err)) {
        http_respond_error(req, &err);
        return;
    }
    struct job *made = jobs_get(&d->jobs, job->id);
    job = made ? made : job;
    struct buf text = {0};
    job_object_write(job, JOB_OBJECT_SHORT | JOB_OBJECT_PRIVATE, NULL, &text);
    engine_answer(d, req, 200, buf_take(&text), force ? kill_anyway : end_anyway, job->id);
}
