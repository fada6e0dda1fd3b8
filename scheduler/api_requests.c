/* Requests for quota in a family of sizes: asked by anybody, decided by administrators. Approval is a quota
 * in the core, set in the same batch, so that who waited for it starts. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDING 1e-6

void api_get_requests(struct http_request *req, void *context)
{
    struct daemon *d = context;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(o, "requests");
    for (size_t i = 0; i < d->requests.count; i++)
        cJSON_AddItemToArray(list, request_object(d, &d->requests.items[i]));
    engine_answer_view(d, req, json_text(o));
}

/* Whole cores, and GPUs in thousandths; an absent one stays as it is. */
static bool read_amounts(const cJSON *body, uint32_t *cores, uint32_t *gpu_milli, struct error *err)
{
    const cJSON *c = json_get(body, "cores"), *g = json_get(body, "gpus");
    int64_t whole;
    if (c && (!json_item_int(c, &whole) || whole < 1 || whole > RESOURCE_POOL_MAX))
        return error_field(err, "cores", "cores must be a whole number from 1 to %u", RESOURCE_POOL_MAX);
    if (c)
        *cores = (uint32_t)whole;
    if (!g || cJSON_IsNull(g))
        return true;
    double milli = cJSON_IsNumber(g) ? g->valuedouble * RESOURCE_GPU_WHOLE : 0;
    bool ok = milli >= 1 && milli <= RESOURCE_POOL_MAX;
    double off = ok ? milli - (double)(uint32_t)(milli + 0.5) : 1;
    if (off > ROUNDING || off < -ROUNDING)
        return error_field(err, "gpus", "gpus must be a number in thousandths from 0.001 on");
    *gpu_milli = (uint32_t)(milli + 0.5);
    return true;
}

/* Of whom, and these of the request's fields. */
static void audit_request(struct daemon *d, const struct caller *caller, const char *what,
                          const cJSON *request, const char *fields)
{
    cJSON *after = cJSON_CreateObject();
    const cJSON *item;
    cJSON_ArrayForEach(item, request)
    {
        const char *at = strstr(fields, item->string);
        if (strcmp(item->string, "id") == 0 ||
            (at && (at == fields || at[-1] == ' ') && strchr(" ", at[strlen(item->string)])))
            cJSON_AddItemToObject(after, item->string, cJSON_Duplicate(item, true));
    }
    audit_add(d, caller, what, json_str(request, "user", "?"), NULL, after);
}

static bool read_text(const cJSON *body, const char *field, const char **out, struct error *err)
{
    const cJSON *item = json_get(body, field);
    *out = cJSON_IsString(item) && *item->valuestring ? item->valuestring : NULL;
    if ((item && !cJSON_IsNull(item) && !cJSON_IsString(item)) || (*out && strlen(*out) > REQUEST_TEXT_MAX))
        return error_field(err, field, "%s must be text of at most %d bytes", field, REQUEST_TEXT_MAX);
    for (const char *c = *out; c && *c; c++)
        if ((unsigned char)*c < ' ' && *c != '\n' && *c != '\t')
            return error_field(err, field, "%s must be text: it has a control character", field);
    return true;
}

static bool read_request(struct daemon *d, const cJSON *body, struct quota_request *r, const char **why,
                         struct error *err)
{
    if (!engine_writable(d, err))
        return false;
    if (!family_need(d, json_str(body, "family", ""), &r->family, err))
        return false;
    if (!json_get(body, "cores"))
        return error_field(err, "cores", "cores is missing: how many you want to have at once");
    return read_amounts(body, &r->cores, &r->gpu_milli, err) && read_text(body, "why", why, err);
}

void api_post_request(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_body(req, "family cores gpus why");
    if (!body)
        return;
    struct quota_request r = {.asked_ms = clock_wall_ms()};
    const char *why = NULL;
    bool ok = read_request(d, body, &r, &why, &err);
    struct caller caller = api_caller(d, req);
    const struct quota_request *last =
        ok && caller.principal ? requests_latest(&d->requests, caller.principal, r.family) : NULL;
    if (ok && last && last->state == REQUEST_OPEN) {
        ok = error_set(&err, ERROR_CONFLICT, "your request %llu for %s is still open",
                       (unsigned long long)last->id, names_text(d, NAME_FAMILY, r.family));
        error_hint(&err, "berth quota withdraw %llu takes it back", (unsigned long long)last->id);
    } else if (ok && requests_open(&d->requests) >= REQUESTS_OPEN_MAX) {
        ok = error_set(&err, ERROR_LIMIT, "%d requests are open already", REQUESTS_OPEN_MAX);
        error_hint(&err, "ask an administrator to decide some of them");
    }
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    r.principal = principals_ensure(&d->principals, d->journal, caller.name);
    r.why = xstrdup(why);
    _cleanup_json_ cJSON *o = request_object(d, requests_add(d, &r));
    audit_request(d, &caller, "quota request", o, "family cores gpus");
    engine_answer(d, req, 201, json_text(o), NULL, 0);
}

/* ---- decisions ---- */

static struct quota_request *need(struct daemon *d, struct http_request *req, struct error *err)
{
    const char *text = http_request_param(req, 0);
    bool digits = *text && strlen(text) < 19 && strspn(text, "0123456789") == strlen(text);
    struct quota_request *r = digits ? requests_get(&d->requests, strtoull(text, NULL, 10)) : NULL;
    if (!r) {
        error_set(err, ERROR_NOT_FOUND, "there is no request %.40s", text);
        error_hint(err, "berth quota requests lists them");
        return NULL;
    }
    if (r->state == REQUEST_OPEN)
        return r;
    error_set(err, ERROR_CONFLICT, "request %llu is decided already", (unsigned long long)r->id);
    error_hint(err, "berth quota set --user %s --family %s changes what they may have",
               principals_name(&d->principals, r->principal), names_text(d, NAME_FAMILY, r->family));
    return NULL;
}

static bool approve(struct daemon *d, const cJSON *body, struct quota_request *r, struct error *err)
{
    struct core_quota_view now;
    uint32_t cores = r->cores, gpu_milli = r->gpu_milli;
    if (!read_amounts(body, &cores, &gpu_milli, err))
        return false;
    core_quota_get(d->core, CORE_QUOTA_PRINCIPAL, r->principal, r->family, &now);
    struct core_event event = {.kind = CORE_EVENT_QUOTA};
    event.as.quota = now.quota;
    event.as.quota.cores = cores;
    event.as.quota.gpu_milli = gpu_milli;
    event.as.quota.approved = true;
    if (!engine_step(d, &event, err))
        return false;
    r->given_cores = cores;
    r->given_gpu_milli = gpu_milli;
    return true;
}

static const struct decision {
    const char *word;
    enum request_state state;
    bool own; /* whoever asked may say it, too */
} decisions[] = {{"approve", REQUEST_APPROVED, false},
                 {"deny", REQUEST_DENIED, false},
                 {"withdraw", REQUEST_WITHDRAWN, true}};

static bool decide(struct daemon *d, const struct decision *how, const cJSON *body, struct quota_request *r,
                   const struct caller *caller, struct error *err)
{
    const char *reason = NULL;
    if (!caller->admin && !(how->own && caller->principal == r->principal)) {
        error_set(err, ERROR_DENIED, "only an administrator may %s request %llu", how->word,
                  (unsigned long long)r->id);
        return error_hint(err, "root and the user that runs the scheduler are administrators");
    }
    if (!read_text(body, "reason", &reason, err))
        return false;
    if (how->state == REQUEST_DENIED && !reason)
        return error_field(err, "reason", "reason is missing: whoever asked is told it");
    bool amounts = json_get(body, "cores") || json_get(body, "gpus");
    if (how->state != REQUEST_APPROVED && amounts)
        return error_field(err, "cores", "only an approval has amounts");
    if (how->state == REQUEST_APPROVED && !approve(d, body, r, err))
        return false;
    r->state = how->state;
    r->decided_by = principals_ensure(&d->principals, d->journal, caller->name);
    r->decided_ms = clock_wall_ms();
    r->reason = xstrdup(reason);
    requests_write(d, r);
    return true;
}

void api_post_request_decision(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_body(req, "decision cores gpus reason");
    if (!body)
        return;
    const char *word = json_str(body, "decision", "");
    const struct decision *how = NULL;
    for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++)
        how = strcmp(word, decisions[i].word) == 0 ? &decisions[i] : how;
    struct caller caller = api_caller(d, req);
    struct quota_request *r = NULL;
    if (!how)
        error_field(&err, "decision", "decision is approve, deny or withdraw, not \"%.40s\"", word);
    else if (engine_writable(d, &err))
        r = need(d, req, &err);
    if (!r || !decide(d, how, body, r, &caller, &err)) {
        http_respond_error(req, &err);
        return;
    }
    log_info("request %llu for quota: %s, by %s", (unsigned long long)r->id, word, caller.name);
    _cleanup_json_ cJSON *o = request_object(d, r);
    _cleanup_free_ char *what = xasprintf("quota %s", word);
    audit_request(d, &caller, what, o,
                  how->state == REQUEST_WITHDRAWN ? "family" : "family cores gpus given reason");
    requests_trim(d, r->principal);
    engine_answer(d, req, 200, json_text(o), NULL, 0);
}
