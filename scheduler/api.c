/* What the handlers share: who asks, which job, what the body may hold. */
#include "scheduler/api.h"

#include "base/log.h"
#include "scheduler/arrays.h"
#include "scheduler/job_names.h"

#include <string.h>
#include <unistd.h>

struct caller api_caller(struct daemon *d, const struct http_request *req)
{
    struct caller c = {.uid = http_request_uid(req), .name = http_request_user(req)};
    c.principal = principals_find(&d->principals, c.name);
    c.admin = c.uid == 0 || c.uid == geteuid();
    return c;
}

struct job *api_job(struct daemon *d, struct http_request *req)
{
    struct error err = {0};
    struct job *job = jobs_find(d, api_caller(d, req).principal, http_request_param(req, 0), &err);
    if (!job)
        http_respond_error(req, &err);
    return job;
}

bool api_owns(const struct caller *caller, const struct job *job)
{
    return caller->admin || (caller->principal && caller->principal == job->principal);
}

unsigned api_object_parts(struct daemon *d, const struct http_request *req, const struct job *job)
{
    struct caller caller = api_caller(d, req);
    return api_owns(&caller, job) ? JOB_OBJECT_PRIVATE : 0;
}

bool api_refuse_others(const struct daemon *d, const struct job *job, const char *what, struct error *err)
{
    const char *owner = principals_name(&d->principals, job->principal);
    error_set(err, ERROR_DENIED, "only %s or an administrator may %s job %s", owner, what, job->name);
    return error_hint(err, "ask %s, or an administrator", owner);
}

struct job *api_own_job(struct daemon *d, struct http_request *req, const char *what)
{
    struct job *job = api_job(d, req);
    struct caller caller = api_caller(d, req);
    if (!job || api_owns(&caller, job))
        return job;
    struct error err = {0};
    api_refuse_others(d, job, what, &err);
    http_respond_error(req, &err);
    return NULL;
}

bool api_need_element(struct http_request *req, const struct job *job, const char *what)
{
    struct error err = {0};
    if (!job->array)
        return true;
    error_set(&err, ERROR_CONFLICT, "%s is an array: each of its elements has a %s of its own", job->name,
              what);
    error_hint(&err, "name one, such as %s%c%u", job->name, ARRAY_MARK, array_min(&job->array->indices));
    http_respond_error(req, &err);
    return false;
}

static bool word_in(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if (len == n && memcmp(p, word, n) == 0)
            return true;
        p += len;
    }
    return false;
}

bool api_check_fields(const cJSON *object, const char *fields, struct error *err)
{
    const cJSON *item;
    if (!cJSON_IsObject(object))
        return error_set(err, ERROR_INVALID, "a JSON object is expected");
    cJSON_ArrayForEach(item, object)
    {
        if (word_in(fields, item->string))
            continue;
        error_field(err, item->string, "unknown field %.100s", item->string);
        return error_hint(err, "the fields are: %s", fields);
    }
    return true;
}

cJSON *api_body(struct http_request *req, const char *fields)
{
    struct error err = {0};
    size_t n;
    const char *text = http_request_body(req, &n);
    cJSON *body = n ? json_parse_bounded(text, n, API_BODY_VALUES_MAX, &err) : cJSON_CreateObject();
    if (body && api_check_fields(body, fields, &err))
        return body;
    cJSON_Delete(body);
    http_respond_error(req, &err);
    return NULL;
}
