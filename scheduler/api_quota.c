/*
 * What users, workspaces, everyone, and each of them in a family of sizes may hold at once, and how many
 * there are of each licence. The limits live in the core, set by events; here they get names. A listing is
 * made of the core's state alone.
 */
#include "scheduler/api.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "scheduler/api_page.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"

#include <string.h>

#define ROUNDING 1e-6 /* what a decimal fraction may be off as a double */
#define LICENCE_NAME_MAX 64
#define LICENCE_TOTAL_MAX 1000000
#define QUOTA_FIELDS "cores gpus running queued"
#define CAP_FIELDS "max_priority max_time_s"

static const char *const scopes[] = {"user", "workspace", "everyone", "family"};
enum { SCOPE_USER, SCOPE_WORKSPACE, SCOPE_EVERYONE, SCOPE_FAMILY, SCOPE_COUNT };

/* One limit of a quota: its field, the greatest figure, and where it stands. */
static const struct limit {
    const char *field;
    double unit; /* the core's, in one of the field's */
    double max;
    size_t offset;
} limits[] = {
    {"cores", 1, RESOURCE_POOL_MAX, offsetof(struct core_quota, cores)},
    {"gpus", RESOURCE_GPU_WHOLE, (double)RESOURCE_POOL_MAX / RESOURCE_GPU_WHOLE,
     offsetof(struct core_quota, gpu_milli)},
    {"running", 1, CORE_JOBS_MAX, offsetof(struct core_quota, running)},
    {"queued", 1, CORE_JOBS_MAX, offsetof(struct core_quota, queued)},
};
#define LIMIT_COUNT (sizeof limits / sizeof *limits)

static uint32_t *limit_of(struct core_quota *quota, const struct limit *limit)
{
    return (uint32_t *)(void *)((char *)quota + limit->offset);
}

/* How far owners may go with priority and time limits: of those that have such caps. */
static void add_caps(const struct daemon *d, const struct core_quota *q, cJSON *o)
{
    struct core_caps caps = {0};
    if (!q->family && q->scope != CORE_QUOTA_FAMILY)
        core_caps_get(d->core, q->scope, q->id, &caps);
    json_add_str(o, "max_priority", caps.set_class ? priority_class_name(caps.priority_class) : NULL);
    if (caps.time_limit_ms)
        cJSON_AddNumberToObject(o, "max_time_s", (double)caps.time_limit_ms / 1000);
    else
        cJSON_AddNullToObject(o, "max_time_s");
}

static cJSON *quota_object(const struct daemon *d, struct core_quota_view *view)
{
    const struct core_quota *q = &view->quota;
    const double used[LIMIT_COUNT] = {(double)view->cores, (double)view->gpu_milli / RESOURCE_GPU_WHOLE,
                                      view->running, view->queued};
    bool workspace = q->scope == CORE_QUOTA_WORKSPACE, family = q->scope == CORE_QUOTA_FAMILY;
    bool everyone = q->scope == CORE_QUOTA_PRINCIPAL && !q->id;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "scope",
                            scopes[workspace  ? SCOPE_WORKSPACE
                                   : everyone ? SCOPE_EVERYONE
                                   : family   ? SCOPE_FAMILY
                                              : SCOPE_USER]);
    json_add_str(o, "name",
                 everyone || family ? NULL
                 : workspace        ? names_text(d, NAME_WORKSPACE, q->id)
                                    : principals_name(&d->principals, q->id));
    json_add_str(o, "family", q->family ? names_text(d, NAME_FAMILY, q->family) : NULL);
    cJSON_AddBoolToObject(o, "approved", q->approved);
    cJSON_AddBoolToObject(o, "everyones", view->everyones);
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        uint32_t value = *limit_of(&view->quota, &limits[i]);
        if (value)
            cJSON_AddNumberToObject(o, limits[i].field, value / limits[i].unit);
        else
            cJSON_AddNullToObject(o, limits[i].field);
    }
    add_caps(d, q, o);
    cJSON *now = everyone ? cJSON_AddNullToObject(o, "used") : cJSON_AddObjectToObject(o, "used");
    for (size_t i = 0; !everyone && i < LIMIT_COUNT; i++)
        cJSON_AddNumberToObject(now, limits[i].field, used[i]);
    return o;
}

void api_get_quotas(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct core_quota_view view;
    struct api_page page;
    if (!api_page_begin(&page, req, "quotas"))
        return;
    for (uint32_t at = page.from; core_quota_next(d->core, &at, &view) && api_page_takes(&page, at - 1);)
        api_page_add(&page, quota_object(d, &view));
    api_page_answer(&page, d);
}

/* ---- whose ---- */

static bool read_whose(struct daemon *d, const cJSON *body, struct core_quota *quota, struct error *err)
{
    const char *word = json_str(body, "scope", ""), *name = json_str(body, "name", "");
    const char *family = json_str(body, "family", NULL);
    int scope = 0;
    while (scope < SCOPE_COUNT && strcmp(word, scopes[scope]) != 0)
        scope++;
    if (scope == SCOPE_COUNT)
        return error_field(err, "scope", "scope is user, workspace, everyone or family, not \"%.40s\"", word);
    if ((scope == SCOPE_EVERYONE || scope == SCOPE_FAMILY) && *name)
        return error_field(err, "name", "%s has no name", scopes[scope]);
    if (scope == SCOPE_EVERYONE && family) {
        error_field(err, "family", "what everyone may have is not told apart by families");
        return error_hint(err, "scope family limits all users of it together");
    }
    if ((family || scope == SCOPE_FAMILY) && !family_need(d, family ? family : "", &quota->family, err))
        return false;
    quota->scope = scope == SCOPE_WORKSPACE ? CORE_QUOTA_WORKSPACE
                   : scope == SCOPE_FAMILY  ? CORE_QUOTA_FAMILY
                                            : CORE_QUOTA_PRINCIPAL;
    if (scope == SCOPE_USER)
        return api_find_user(d, name, "name", &quota->id, err);
    if (scope == SCOPE_EVERYONE || scope == SCOPE_FAMILY || workspace_need(d, name, &quota->id, err))
        return true;
    snprintf(err->field, sizeof err->field, "name");
    return false;
}

static bool in_units(const cJSON *item, const struct limit *limit, uint32_t *out)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble > 0 && item->valuedouble <= limit->max))
        return false;
    double units = item->valuedouble * limit->unit, off;
    *out = (uint32_t)(units + 0.5);
    off = units - *out;
    return *out && off < ROUNDING && off > -ROUNDING;
}

static bool has_caps(const cJSON *body)
{
    return json_get(body, "max_priority") || json_get(body, "max_time_s");
}

/* null takes a limit away; an absent one stays. */
static bool read_limits(const cJSON *body, struct core_quota *quota, struct error *err)
{
    bool any = false;
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        const cJSON *item = json_get(body, limits[i].field);
        if (!item)
            continue;
        any = true;
        uint32_t *out = limit_of(quota, &limits[i]);
        if (cJSON_IsNull(item)) {
            *out = 0;
            continue;
        }
        if (!in_units(item, &limits[i], out)) {
            error_field(err, limits[i].field, "%s must be %s from %g to %.10g, or null for no limit",
                        limits[i].field, limits[i].unit > 1 ? "a number in thousandths" : "a whole number",
                        1 / limits[i].unit, limits[i].max);
            return error_hint(err, "to keep somebody's jobs from starting, hold them");
        }
    }
    return any || has_caps(body) ||
           error_set(err, ERROR_INVALID, "a limit is missing: some of " QUOTA_FIELDS " " CAP_FIELDS);
}

/* null takes a cap away; an absent one stays. */
static bool read_caps(struct daemon *d, const cJSON *body, const struct core_quota *quota,
                      struct core_caps *caps, struct error *err)
{
    const cJSON *priority = json_get(body, "max_priority"), *time = json_get(body, "max_time_s");
    if (quota->family || quota->scope == CORE_QUOTA_FAMILY)
        return error_field(err, "family", "priority and time are capped for users, workspaces and everyone");
    core_caps_get(d->core, quota->scope, quota->id, caps);
    if (priority)
        caps->set_class = !cJSON_IsNull(priority);
    if (priority && caps->set_class &&
        (!cJSON_IsString(priority) || !priority_class_parse(priority->valuestring, &caps->priority_class)))
        return error_field(err, "max_priority", "max_priority is low, medium, high, or null for no cap");
    if (time && cJSON_IsNull(time))
        caps->time_limit_ms = 0;
    else if (!api_take_seconds(body, "max_time_s", &caps->time_limit_ms, err))
        return false;
    return !time || cJSON_IsNull(time) || caps->time_limit_ms ||
           error_field(err, "max_time_s", "max_time_s must be more than 0, or null for no cap");
}

static bool has_limits(const cJSON *body)
{
    if (has_caps(body))
        return true;
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        if (json_get(body, limits[i].field))
            return true;
    }
    return false;
}

static bool read_quota(struct daemon *d, const cJSON *body, struct core_quota *quota, struct error *err)
{
    const cJSON *remove = json_get(body, "remove");
    if (remove && !cJSON_IsTrue(remove))
        return error_field(err, "remove", "remove can only be true");
    if (remove && has_limits(body))
        return error_field(err, "remove", "a quota that is removed has no limits");
    if (!read_whose(d, body, quota, err))
        return false;
    if (remove)
        return true;
    struct core_quota_view now;
    core_quota_get(d->core, quota->scope, quota->id, quota->family, &now);
    *quota = now.quota;
    /* Whom an administrator gives a quota of what is restricted, they have approved. */
    if (quota->scope == CORE_QUOTA_PRINCIPAL && quota->family)
        quota->approved = quota->approved || core_family_restricted(d->core, quota->family);
    return read_limits(body, quota, err);
}

/* A limit below what is in use keeps more from starting, and stops nothing: whoever lowers it is told. */
static void add_notes(const struct core_quota_view *view, cJSON *o)
{
    static const char *const units[LIMIT_COUNT] = {"cores", "GPUs", "running jobs", "waiting jobs"};
    const double used[LIMIT_COUNT] = {(double)view->cores, (double)view->gpu_milli, view->running,
                                      view->queued};
    struct core_quota quota = view->quota;
    cJSON *notes = cJSON_AddArrayToObject(o, "notes");
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        uint32_t most = *limit_of(&quota, &limits[i]);
        if (!most || used[i] <= most)
            continue;
        _cleanup_buf_ struct buf text = {0};
        buf_printf(&text, "%.10g %s are in use, more than %.10g: nothing is stopped, and no more start%s",
                   used[i] / limits[i].unit, units[i], most / limits[i].unit,
                   i + 1 == LIMIT_COUNT ? " to wait" : "");
        cJSON_AddItemToArray(notes, cJSON_CreateString(text.data));
    }
}

/* The quota as it stands, without what is used of it. */
static cJSON *stated(struct daemon *d, const struct core_quota *q)
{
    struct core_quota_view view;
    core_quota_get(d->core, q->scope, q->id, q->family, &view);
    cJSON *o = quota_object(d, &view);
    cJSON_DeleteItemFromObjectCaseSensitive(o, "used");
    return o;
}

static const char *subject_of(const struct daemon *d, const struct core_quota *q)
{
    return q->scope == CORE_QUOTA_FAMILY                ? names_text(d, NAME_FAMILY, q->family)
           : q->scope == CORE_QUOTA_WORKSPACE           ? names_text(d, NAME_WORKSPACE, q->id)
           : q->scope == CORE_QUOTA_PRINCIPAL && !q->id ? "everyone"
                                                        : principals_name(&d->principals, q->id);
}

void api_post_quota(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_need_admin(d, req, "set quotas")
                                     ? api_body(req, "scope name family remove " QUOTA_FIELDS " " CAP_FIELDS)
                                     : NULL;
    bool user = strcmp(json_str(body, "scope", ""), scopes[SCOPE_USER]) == 0;
    if (!body || !api_look_up_users(d, req, user ? json_get(body, "name") : NULL, api_post_quota))
        return;
    struct core_event event = {.kind = CORE_EVENT_QUOTA}, caps = {.kind = CORE_EVENT_CAPS};
    bool remove = cJSON_IsTrue(json_get(body, "remove"));
    bool ok = engine_writable(d, &err) && read_quota(d, body, &event.as.quota, &err);
    bool capped = has_caps(body) || (remove && !event.as.quota.family);
    struct core_quota_view view;
    cJSON *before = ok ? stated(d, &event.as.quota) : NULL;
    caps.as.caps.scope = event.as.quota.scope;
    caps.as.caps.id = event.as.quota.id;
    if (remove && event.as.quota.scope == CORE_QUOTA_PRINCIPAL &&
        !event.as.quota.id) { /* as a first start has it */
        caps.as.caps.set_class = true;
        caps.as.caps.priority_class = PRIORITY_MEDIUM;
    }
    struct core_caps caps_before;
    core_caps_get(d->core, event.as.quota.scope, event.as.quota.id, &caps_before);
    ok = ok && (!has_caps(body) || read_caps(d, body, &event.as.quota, &caps.as.caps, &err)) &&
         engine_step(d, &event, &err) && (!capped || engine_step(d, &caps, &err));
    if (ok && capped)
        cap_setters_note(d, &caps_before, &caps.as.caps, api_caller(d, req).name);
    if (!ok) {
        cJSON_Delete(before);
        http_respond_error(req, &err);
        return;
    }
    core_quota_get(d->core, event.as.quota.scope, event.as.quota.id, event.as.quota.family, &view);
    struct caller caller = api_caller(d, req);
    audit_add(d, &caller, remove ? "quota remove" : "quota set", subject_of(d, &event.as.quota), before,
              stated(d, &event.as.quota));
    _cleanup_json_ cJSON *o = quota_object(d, &view);
    add_notes(&view, o);
    _cleanup_free_ char *text = json_text(o);
    log_info("quota %s by %s: %s", remove ? "removed" : "set", api_caller(d, req).name, text);
    engine_answer(d, req, 200, take_ptr(text), NULL, 0);
}

/* ---- licences ---- */

static cJSON *licence_object(const struct daemon *d, uint32_t id)
{
    uint32_t total, used;
    cJSON *o = cJSON_CreateObject();
    core_licence_get(d->core, id, &total, &used);
    json_add_str(o, "name", names_text(d, NAME_LICENCE, id));
    json_add_int(o, "total", total);
    json_add_int(o, "used", used);
    return o;
}

void api_get_licences(struct http_request *req, void *context)
{
    struct daemon *d = context;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(o, "licences");
    for (uint32_t id = 0; id < names_end(d, NAME_LICENCE); id++)
        cJSON_AddItemToArray(list, licence_object(d, id));
    engine_answer_view(d, req, json_text(o));
}

static bool read_licence(struct daemon *d, const cJSON *body, struct core_event *event, struct error *err)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *name = json_str(body, "name", "");
    const cJSON *total = json_get(body, "total");
    size_t n = strlen(name);
    if (!n || n > LICENCE_NAME_MAX || strspn(name, plain) != n)
        return error_field(err, "name", "a licence's name has 1 to %d letters, digits, dots, - and _",
                           LICENCE_NAME_MAX);
    if (!cJSON_IsNumber(total) || total->valuedouble < 0 || total->valuedouble > LICENCE_TOTAL_MAX ||
        total->valuedouble != (double)(uint32_t)total->valuedouble)
        return error_field(err, "total", "total must be a whole number from 0 to %d", LICENCE_TOTAL_MAX);
    event->as.licences.total = (uint32_t)total->valuedouble;
    return names_intern(d, NAME_LICENCE, name, &event->as.licences.id, err);
}

void api_post_licence(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_need_admin(d, req, "set licences") ? api_body(req, "name total") : NULL;
    if (!body)
        return;
    struct core_event event = {.kind = CORE_EVENT_LICENCES};
    bool ok = engine_writable(d, &err) && read_licence(d, body, &event, &err);
    uint32_t was = 0, used;
    if (ok)
        core_licence_get(d->core, event.as.licences.id, &was, &used);
    if (!ok || !engine_step(d, &event, &err)) {
        http_respond_error(req, &err);
        return;
    }
    struct caller caller = api_caller(d, req);
    cJSON *before = cJSON_CreateObject(), *after = cJSON_CreateObject();
    json_add_int(before, "total", was);
    json_add_int(after, "total", event.as.licences.total);
    audit_add(d, &caller, "licence set", json_str(body, "name", "?"), before, after);
    log_info("licence %s set by %s: %u", json_str(body, "name", "?"), api_caller(d, req).name,
             event.as.licences.total);
    _cleanup_json_ cJSON *o = licence_object(d, event.as.licences.id);
    engine_answer(d, req, 200, json_text(o), NULL, 0);
}
