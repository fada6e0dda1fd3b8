/* Jobs as people see them: one, lists, waiting for one, cancelling one. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "proto/kv.h"
#include "scheduler/arrays.h"
#include "scheduler/engine.h"
#include "scheduler/forecast.h"
#include "scheduler/unrecorded.h"
#include "scheduler/waits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENVIRONMENT_BYTES_MAX (4u << 20)
#define EXPECTED_MAX 64 /* waiting jobs of one listing, the oldest, whose start is worked out */
#define RECENT_MS (24LL * 3600 * 1000)

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
        json_write(o, &extra);
        buf_consume(&extra, 1); /* without braces */
        extra.data[--extra.len] = '\0';
        buf_add_str(&extra, ",\"spec\":");
        buf_add_str(&extra, text.data);
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

void api_post_cancel(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    struct job *job = api_own_job(d, req, "end");
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
    if (ok && !job_is_final(job)) {
        uint64_t id = job->id;
        if (!job->canceled_by) {
            job->canceled_by = xstrdup(api_caller(d, req).name);
            if (!job->unborn)
                jobs_touch(&d->jobs, job);
        }
        struct core_event event = {.kind = CORE_EVENT_JOB_CANCEL};
        event.as.cancel.job.v = id;
        event.as.cancel.force = force;
        event.as.cancel.array.v = job->array_job;
        ok = engine_step(d, &event, &err);
        struct job *made = jobs_get(&d->jobs, id); /* an element that had not begun has a record now */
        if (ok && made && made != job && !made->canceled_by) {
            made->canceled_by = xstrdup(job->canceled_by);
            free(made->cause_text);
            made->cause_text = xasprintf("canceled by %s", made->canceled_by);
            jobs_touch(&d->jobs, made);
        }
        job = ok && made ? made : job;
    }
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    struct buf text = {0};
    job_object_write(job, JOB_OBJECT_SHORT | JOB_OBJECT_PRIVATE, NULL, &text);
    engine_answer(d, req, 200, buf_take(&text), force ? kill_anyway : end_anyway, job->id);
}

/* ---- lists ---- */

struct entry {
    uint64_t id;
    char *text;
};

struct listing {
    uv_work_t work;
    struct daemon *daemon;
    struct http_request *req; /* NULL: the client left */
    char *folder;
    struct journal_query query;
    struct error err;
    uint64_t array; /* its elements are listed; 0: all jobs that are no elements */
    uint32_t asks;  /* principal of who asks; 0: has no jobs */
    bool admin;     /* so is who asks */
    bool ok, live_only;
    char *workspace; /* owned; NULL: all */
    uint32_t workspace_id;
    struct forecast *forecast;   /* NULL: nobody asked, or it can't be had */
    struct forecast_job *starts; /* of the oldest jobs that wait, newest first */
    uint32_t start_count;
    struct entry *items;
    size_t count;
};

static void add_entry(struct listing *l, const struct job *job, const char *extra)
{
    struct buf text = {0};
    struct caller caller = {.principal = l->asks, .admin = l->admin};
    unsigned parts = api_owns(&caller, job) ? JOB_OBJECT_PRIVATE : 0;
    job_object_write(job, JOB_OBJECT_SHORT | parts, extra, &text);
    l->items = xrealloc(l->items, (l->count + 1) * sizeof *l->items);
    l->items[l->count++] = (struct entry){job->id, buf_take(&text)};
}

static void add_row(void *data, const struct journal_job *row)
{
    struct error err = {0};
    const struct listing *l = data;
    struct job *job = job_doc_read(row, &err);
    if (job && job->array_job == l->array)
        add_entry(data, job, NULL);
    job_destroy(job);
}

/* In the thread pool: the ended ones, from the journal's table, and when the others start. */
static void read_rest(uv_work_t *work)
{
    struct listing *l = container_of(work, struct listing, work);
    if (l->forecast)
        forecast_run(l->forecast, l->starts, l->start_count);
    if (l->live_only)
        return;
    struct journal_reader *reader = journal_reader_open(l->folder, &l->err);
    l->ok = reader && journal_read_jobs(reader, &l->query, add_row, l, &l->err);
    journal_reader_close(reader);
}

static bool wanted(const struct listing *l, const struct job *job)
{
    return job->array_job == l->array && (!l->query.before || job->id < l->query.before) &&
           (l->query.principal < 0 || job->principal == l->query.principal) &&
           (!l->workspace || job->workspace == l->workspace_id);
}

static int newest_first(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->id < y->id ? 1 : x->id > y->id ? -1 : 0;
}

/* Of the waiting jobs that the listing will have, the oldest. */
static void list_starts(struct listing *l)
{
    struct daemon *d = l->daemon;
    uint32_t seen = 0, waiting = 0;
    l->starts = xcalloc(EXPECTED_MAX, sizeof *l->starts);
    for (struct list *at = d->jobs.live.prev; at != &d->jobs.live && seen < l->query.limit; at = at->prev) {
        const struct job *job = container_of(at, struct job, link);
        seen += wanted(l, job);
        if (wanted(l, job) && job->state == JOB_QUEUED)
            l->starts[waiting++ % EXPECTED_MAX].job.v = job->id;
    }
    l->start_count = waiting < EXPECTED_MAX ? waiting : EXPECTED_MAX;
    l->forecast = waiting ? forecast_begin(d->core, (uint64_t)clock_wall_ms()) : NULL;
    for (uint32_t i = 0; !l->forecast && i < l->start_count; i++)
        l->starts[i].start_ms = core_expected_start(d->core, l->starts[i].job);
}

static const struct forecast_job *start_of(const struct listing *l, uint64_t job)
{
    for (uint32_t i = 0; i < l->start_count; i++) {
        if (l->starts[i].job.v == job)
            return &l->starts[i];
    }
    return NULL;
}

static void add_live(struct listing *l, const struct job *job)
{
    char extra[64];
    const struct forecast_job *start = job->state == JOB_QUEUED ? start_of(l, job->id) : NULL;
    if (start && start->start_ms)
        snprintf(extra, sizeof extra, "\"expected_start_ms\":%llu", (unsigned long long)start->start_ms);
    else
        snprintf(extra, sizeof extra, "\"expected_start_ms\":null");
    add_entry(l, job, start ? extra : NULL);
}

/* What is in memory is newer than what was read. */
static void merge_memory(struct listing *l)
{
    struct daemon *d = l->daemon;
    struct job *job, *tmp;
    size_t kept = 0, live = 0;
    for (size_t i = 0; i < l->count; i++) {
        job = jobs_get(&d->jobs, l->items[i].id);
        if (job && !job->evictable)
            free(l->items[i].text);
        else
            l->items[kept++] = l->items[i];
    }
    l->count = kept;
    for (struct list *at = d->jobs.live.prev; at != &d->jobs.live && live < l->query.limit; at = at->prev) {
        job = container_of(at, struct job, link);
        if (!wanted(l, job))
            continue;
        engine_look(d, job);
        add_live(l, job);
        live++;
    }
    if (l->live_only)
        return;
    list_for_each(job, tmp, &d->jobs.ended, link) if (!job->evictable && wanted(l, job))
        add_entry(l, job, NULL);
}

static void listing_free(struct listing *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].text);
    forecast_end(l->forecast);
    free(l->starts);
    free(l->workspace);
    free(l->items);
    free(l->folder);
    free(l);
}

static void answer_listing(struct listing *l)
{
    if (l->req && !l->ok) {
        http_respond_error(l->req, &l->err);
    } else if (l->req) {
        merge_memory(l);
        if (l->count)
            qsort(l->items, l->count, sizeof *l->items, newest_first);
        struct buf body = {0};
        buf_add_str(&body, "{\"jobs\":[");
        for (size_t i = 0; i < l->count && i < l->query.limit; i++)
            buf_printf(&body, "%s%s", i ? "," : "", l->items[i].text);
        buf_add_str(&body, "]}");
        engine_answer_view(l->daemon, l->req, buf_take(&body));
    }
    listing_free(l);
}

static void listing_read(uv_work_t *work, int status)
{
    (void)status;
    struct listing *l = container_of(work, struct listing, work);
    daemon_work_done(l->daemon);
    answer_listing(l);
}

void api_get_jobs(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    int64_t limit, before, expected;
    const char *state = http_request_query(req, "state"), *principal = http_request_query(req, "principal"),
               *workspace = http_request_query(req, "workspace");
    uint32_t workspace_id = 0;
    bool ok = http_request_query_int(req, "limit", 1, JOB_LISTING_MAX, JOB_LISTING_MAX, &limit, &err) &&
              http_request_query_int(req, "before", 1, INT64_MAX, 0, &before, &err) &&
              http_request_query_int(req, "expected", 0, 1, 0, &expected, &err);
    if (ok && state && strcmp(state, "live") != 0 && strcmp(state, "all") != 0)
        ok = error_field(&err, "state", "state is live or all, not '%.40s'", state);
    /* A deleted one's jobs are still listed. */
    ok = ok && (!workspace || names_find(d, NAME_WORKSPACE, workspace, &workspace_id) ||
                workspace_need(d, workspace, &workspace_id, &err));
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    const char *of = http_request_query(req, "array");
    const struct job *array = of ? jobs_find(&d->jobs, d->reader, of, &err) : NULL;
    if (array && !array->array)
        error_field(&err, "array", "job %s is no array", array->name);
    if (of && (!array || !array->array)) {
        http_respond_error(req, &err);
        return;
    }
    struct listing *l = xcalloc(1, sizeof *l);
    struct caller caller = api_caller(d, req);
    l->daemon = d;
    l->req = req;
    l->asks = caller.principal;
    l->admin = caller.admin;
    l->ok = true;
    l->live_only = state && strcmp(state, "live") == 0;
    l->query = (struct journal_query){
        .ended_since_ms = state ? 0 : clock_wall_ms() - RECENT_MS,
        .before = (uint64_t)before,
        .principal = principal ? (int64_t)principals_find(&d->principals, principal) : -1,
        .limit = (uint32_t)limit};
    l->workspace = xstrdup(workspace);
    l->workspace_id = workspace_id;
    l->query.workspace = l->workspace;
    if (array) {
        uint64_t end = array->id + array->array->indices.count + 1;
        l->array = l->query.after = array->id;
        l->query.before = before && (uint64_t)before < end ? (uint64_t)before : end;
        l->query.elements = true;
        l->query.ended_since_ms = 0;
    }
    if (expected)
        list_starts(l);
    if (l->live_only && !l->forecast) {
        answer_listing(l);
        return;
    }
    l->folder = xasprintf("%s/journal", d->options.state_dir);
    daemon_work(d, &l->work, read_rest, listing_read);
}
