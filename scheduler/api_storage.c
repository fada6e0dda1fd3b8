/* GET and POST /v1/storage: what each principal stores, and may. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"
#include "scheduler/job_inputs.h"
#include "scheduler/storage.h"
#include "scheduler/sweep.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A request that waits for a survey. */
struct asked {
    struct list link;
    struct http_request *req;
    uint32_t principal;
    const char *name; /* owned */
    bool admin;
};

static void add_share(cJSON *to, const char *name, uint64_t used, uint64_t limit)
{
    cJSON *o = cJSON_AddObjectToObject(to, name);
    json_add_int(o, "bytes", (int64_t)used);
    json_add_int(o, "limit_bytes", (int64_t)limit);
}

static cJSON *user_object(struct daemon *d, uint32_t principal, const char *name)
{
    static const struct owner_use nothing;
    const struct owner_use *use = map_get_num(&d->owners.use, principal);
    const struct results_use *results = shares_results(d, principal);
    cJSON *o = cJSON_CreateObject();
    use = use ? use : &nothing;
    json_add_str(o, "name", name);
    add_share(o, "blobs", use->bytes, shares_limit(d, principal, SHARE_BLOBS));
    add_share(o, "results", results->log_bytes + results->output_bytes,
              shares_limit(d, principal, SHARE_RESULTS));
    add_share(o, "work", results->work_bytes, shares_limit(d, principal, SHARE_WORK));
    json_add_int(o, "files", (int64_t)use->count);
    json_add_int(o, "log_bytes", (int64_t)results->log_bytes);
    json_add_int(o, "output_bytes", (int64_t)results->output_bytes);
    return o;
}

static void answer(struct daemon *d, struct http_request *req, uint32_t principal, const char *name,
                   bool admin)
{
    cJSON *o = cJSON_CreateObject();
    uint64_t left = storage_free_bytes(d->options.state_dir);
    json_add_str(o, "state_dir", d->options.state_dir);
    json_add_int(o, "free_bytes", left == UINT64_MAX ? -1 : (int64_t)left);
    json_add_int(o, "floor_bytes", STORAGE_FLOOR_BYTES);
    cJSON *users = cJSON_AddArrayToObject(o, "users");
    if (!admin)
        cJSON_AddItemToArray(users, user_object(d, principal, name));
    for (uint32_t id = 1; admin && id < d->principals.next_id; id++)
        cJSON_AddItemToArray(users, user_object(d, id, principals_name(&d->principals, id)));
    http_respond_json(req, 200, o);
}

static void on_gone(struct http_request *req, void *data)
{
    struct asked *a = data;
    (void)req;
    list_remove(&a->link);
    free((char *)a->name);
    free(a);
}

void storage_answer_asked(struct daemon *d)
{
    struct asked *a, *tmp;
    list_for_each(a, tmp, &d->shares.asked, link)
    {
        list_remove(&a->link);
        answer(d, a->req, a->principal, a->name, a->admin);
        free((char *)a->name);
        free(a);
    }
}

void api_get_storage(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct caller caller = api_caller(d, req);
    if (d->stopping || (d->shares.surveyed_ms && clock_boot_ms() - d->shares.surveyed_ms < SHARES_FRESH_MS)) {
        answer(d, req, caller.principal, caller.name, caller.admin);
        return;
    }
    struct asked *a = xcalloc(1, sizeof *a);
    *a = (struct asked){
        .req = req, .principal = caller.principal, .name = xstrdup(caller.name), .admin = caller.admin};
    list_append(&d->shares.asked, &a->link);
    http_request_on_gone(req, on_gone, a);
    survey_start(d);
}

/* ---- limits ---- */

static bool read_limit(const cJSON *body, const char *field, uint64_t *out, struct error *err)
{
    const cJSON *item = json_get(body, field);
    *out = cJSON_IsNull(item) ? 0 : UINT64_MAX;
    if (!item || cJSON_IsNull(item))
        return true;
    double v = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(v >= 1) || v > 9007199254740992.0)
        return error_field(err, field,
                           "invalid %s: a number of bytes from 1 to 2^53, or null for the default", field);
    *out = (uint64_t)v;
    return true;
}

void api_post_storage(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    uint64_t bytes[SHARE_COUNT];
    uint32_t id = 0;
    _cleanup_json_ cJSON *body = api_need_admin(d, req, "set storage limits")
                                     ? api_body(req, "name blobs_bytes results_bytes work_bytes")
                                     : NULL;
    if (!body)
        return;
    const char *name = json_str(body, "name", NULL);
    bool ok = engine_writable(d, &err) && read_limit(body, "blobs_bytes", &bytes[SHARE_BLOBS], &err) &&
              read_limit(body, "results_bytes", &bytes[SHARE_RESULTS], &err) &&
              read_limit(body, "work_bytes", &bytes[SHARE_WORK], &err);
    if (ok && bytes[SHARE_BLOBS] == UINT64_MAX && bytes[SHARE_RESULTS] == UINT64_MAX &&
        bytes[SHARE_WORK] == UINT64_MAX)
        ok = error_set(&err, ERROR_INVALID, "a limit is missing: blobs_bytes, results_bytes or work_bytes");
    if (ok && name)
        ok = api_find_user(d, name, "name", &id, &err);
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    const char *whose = name ? name : SHARES_EVERYONE;
    cJSON *before = shares_stated(d, whose);
    shares_set(d, whose, bytes);
    if (bytes[SHARE_WORK] != UINT64_MAX)
        sweep_start(d); /* so that what will go is announced now */
    struct caller caller = api_caller(d, req);
    if (name)
        audit_add_own(d, &caller, "storage", id, before, shares_stated(d, whose));
    else
        audit_add(d, &caller, "storage", "everyone", before, shares_stated(d, whose));
    log_info("storage limits of %s set by %s", name ? name : "everyone", api_caller(d, req).name);
    cJSON *o = cJSON_CreateObject();
    json_add_str(o, "name", name);
    json_add_int(o, "blobs_bytes", (int64_t)shares_limit(d, id, SHARE_BLOBS));
    json_add_int(o, "results_bytes", (int64_t)shares_limit(d, id, SHARE_RESULTS));
    json_add_int(o, "work_bytes", (int64_t)shares_limit(d, id, SHARE_WORK));
    char *text = json_text(o);
    cJSON_Delete(o);
    engine_answer(d, req, 200, text, NULL, 0);
}

/* ---- results of ended jobs ---- */

struct removal {
    uv_work_t work;
    struct daemon *daemon;
    struct http_request *req;
    char *logs, *outputs;
    struct error err;
};

static void do_removal(uv_work_t *work)
{
    struct removal *r = container_of(work, struct removal, work);
    if (fs_remove_tree(AT_FDCWD, r->outputs, &r->err))
        (void)fs_remove_tree(AT_FDCWD, r->logs, &r->err);
}

static void removed(uv_work_t *work, int status)
{
    (void)status;
    struct removal *r = container_of(work, struct removal, work);
    daemon_work_done(r->daemon);
    r->daemon->shares.next_survey_ms = r->daemon->shares.surveyed_ms = 0;
    if (r->err.code == ERROR_NONE)
        engine_answer(r->daemon, r->req, 204, NULL, NULL, 0);
    else
        http_respond_error(r->req, &r->err);
    free(r->logs);
    free(r->outputs);
    free(r);
}

static void note_removal(struct daemon *d, struct http_request *req, struct job *job)
{
    struct caller caller = api_caller(d, req);
    _cleanup_free_ char *note = xasprintf("its logs and outputs were removed by %s", caller.name);
    job_note(job, clock_wall_ms(), note);
    jobs_touch(&d->jobs, job);
    audit_add_job(d, &caller, "results delete", job, NULL, NULL);
}

void api_post_results_delete(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    struct job *job = api_own_job(d, req, "remove the results of");
    if (!job)
        return;
    bool ok = engine_writable(d, &err);
    if (ok && (!job_is_final(job) || !job->evictable)) {
        ok = error_set(&err, ERROR_CONFLICT, "job %s has not ended: its results stay", job->name);
        error_hint(&err, "berth cancel %s", job->name);
    }
    const char *reader = ok ? job_inputs_reader(d, job->id) : NULL;
    if (reader) {
        ok = error_set(&err, ERROR_CONFLICT, "job %s takes files from the outputs of job %s: they stay",
                       reader, job->name);
        error_hint(&err, "berth wait %s", reader);
    }
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    struct removal *r = xcalloc(1, sizeof *r);
    r->daemon = d;
    r->req = req;
    r->logs = xasprintf("%s/%llu", d->options.log_dir, (unsigned long long)job->id);
    r->outputs = xasprintf("%s/%llu", d->options.outputs_dir, (unsigned long long)job->id);
    if (access(r->logs, F_OK) == 0 || access(r->outputs, F_OK) == 0)
        note_removal(d, req, job);
    daemon_work_for(d, api_caller(d, r->req).principal, &r->work, do_removal, removed);
}
