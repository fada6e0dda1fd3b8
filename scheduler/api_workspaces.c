/* Workspaces as people see and change them. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"

#include <stdlib.h>
#include <string.h>

static cJSON *workspace_object(const struct daemon *d, uint32_t id, const char *name,
                               const struct workspace *w)
{
    struct core_quota_view view;
    core_quota_get(d->core, CORE_QUOTA_WORKSPACE, id, 0, &view);
    cJSON *o = cJSON_CreateObject();
    json_add_str(o, "name", name);
    json_add_str(o, "description", w ? w->description : NULL);
    json_add_str(o, "created_by", w ? w->created_by : NULL);
    if (w)
        json_add_int(o, "created_ms", w->created_ms);
    else
        cJSON_AddNullToObject(o, "created_ms");
    cJSON *members = cJSON_AddArrayToObject(o, "members");
    for (size_t i = 0; w && i < w->member_count; i++)
        cJSON_AddItemToArray(members, cJSON_CreateString(principals_name(&d->principals, w->members[i])));
    json_add_int(o, "running", view.running);
    json_add_int(o, "queued", view.queued);
    json_add_int(o, "cores", (int64_t)view.cores);
    cJSON_AddNumberToObject(o, "gpus", (double)view.gpu_milli / RESOURCE_GPU_WHOLE);
    return o;
}

void api_get_workspaces(struct http_request *req, void *context)
{
    struct daemon *d = context;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(o, "workspaces");
    cJSON_AddItemToArray(list, workspace_object(d, 0, NAMES_DEFAULT_WORKSPACE, NULL));
    for (size_t i = 0; i < d->workspaces.count; i++) {
        const struct workspace *w = &d->workspaces.items[i];
        cJSON_AddItemToArray(list, workspace_object(d, w->id, w->name, w));
    }
    engine_answer_view(d, req, json_text(o));
}

static bool read_description(const cJSON *body, struct workspace *w, struct error *err)
{
    const cJSON *item = json_get(body, "description");
    if (!item)
        return true;
    const char *text = cJSON_IsString(item) ? item->valuestring : NULL;
    if ((!text && !cJSON_IsNull(item)) || (text && strlen(text) > WORKSPACE_TEXT_MAX))
        return error_field(err, "description", "description must be text of at most %d bytes",
                           WORKSPACE_TEXT_MAX);
    if (w) {
        free(w->description);
        w->description = xstrdup(text && *text ? text : NULL);
    }
    return true;
}

/* The whole list of those whose jobs may be in it; [] for everybody. */
static bool read_members(struct daemon *d, const cJSON *body, struct workspace *w, struct error *err)
{
    const cJSON *list = json_get(body, "members"), *item;
    if (!list)
        return true;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > WORKSPACE_MEMBERS_MAX)
        return error_field(err, "members", "members must be a list of at most %d users",
                           WORKSPACE_MEMBERS_MAX);
    _cleanup_free_ uint32_t *members = xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *members);
    size_t count = 0;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item))
            return error_field(err, "members", "members must be a list of users' names");
        if (!api_find_user(d, item->valuestring, "members", &members[count++], err))
            return false;
    }
    if (w)
        workspace_set_members(w, take_ptr(members), count);
    return true;
}

/* One that is there, and not the default one. */
static struct workspace *need(struct daemon *d, struct http_request *req, const char *what, struct error *err)
{
    const char *name = http_request_param(req, 0);
    struct workspace *w = workspaces_get(&d->workspaces, name);
    uint32_t id;
    if (!engine_writable(d, err))
        return NULL;
    if (!w && strcmp(name, NAMES_DEFAULT_WORKSPACE) == 0)
        error_set(err, ERROR_CONFLICT, "the workspace %s is there from the start and can't be %s", name,
                  what);
    else if (!w)
        workspace_need(d, name, &id, err);
    return w;
}

/* What administrators set of it. */
static cJSON *stated(const struct daemon *d, const struct workspace *w)
{
    _cleanup_json_ cJSON *o = workspace_object(d, w->id, w->name, w);
    cJSON *out = cJSON_CreateObject();
    cJSON_AddItemToObject(out, "description", cJSON_Duplicate(json_get(o, "description"), true));
    cJSON_AddItemToObject(out, "members", cJSON_Duplicate(json_get(o, "members"), true));
    return out;
}

static void answer(struct daemon *d, struct http_request *req, unsigned status, const struct workspace *w,
                   const char *what, cJSON *before)
{
    _cleanup_json_ cJSON *o = workspace_object(d, w->id, w->name, w);
    struct caller caller = api_caller(d, req);
    audit_add(d, &caller, before ? "workspace update" : "workspace create", w->name, before, stated(d, w));
    log_info("workspace %s %s by %s", w->name, what, api_caller(d, req).name);
    engine_answer(d, req, status, json_text(o), NULL, 0);
}

void api_post_workspace(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "make workspaces") ? api_body(req, "name description members") : NULL;
    if (!body || !api_look_up_users(d, req, json_get(body, "members"), api_post_workspace))
        return;
    const char *name = json_str(body, "name", "");
    uint32_t id;
    bool ok = engine_writable(d, &err) && workspace_name_valid(name, &err) &&
              read_description(body, NULL, &err) && read_members(d, body, NULL, &err);
    if (ok && workspace_need(d, name, &id, NULL))
        ok = error_set(&err, ERROR_EXISTS, "there is a workspace %s already", name);
    ok = ok && workspace_add(d, name, api_caller(d, req).name, &err);
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    struct workspace *w = workspaces_get(&d->workspaces, name);
    read_description(body, w, &err);
    read_members(d, body, w, &err);
    workspace_write(d, w);
    answer(d, req, 201, w, "made", NULL);
}

void api_post_workspace_update(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "change workspaces") ? api_body(req, "description members") : NULL;
    if (!body || !api_look_up_users(d, req, json_get(body, "members"), api_post_workspace_update))
        return;
    struct workspace *w = need(d, req, "changed", &err);
    cJSON *before = w ? stated(d, w) : NULL;
    if (!w || !read_members(d, body, NULL, &err) || !read_description(body, w, &err) ||
        !read_members(d, body, w, &err)) {
        cJSON_Delete(before);
        http_respond_error(req, &err);
        return;
    }
    workspace_write(d, w);
    answer(d, req, 200, w, "changed", before);
}

/* A name that is made anew begins without the quotas that the old one had. */
static bool forget_quotas(struct daemon *d, uint32_t id, struct error *err)
{
    struct core_quota_view view;
    for (uint32_t cursor = 0; core_quota_next(d->core, &cursor, &view);) {
        if (view.quota.scope != CORE_QUOTA_WORKSPACE || view.quota.id != id)
            continue;
        struct core_event event = {.kind = CORE_EVENT_QUOTA};
        event.as.quota =
            (struct core_quota){.scope = CORE_QUOTA_WORKSPACE, .id = id, .family = view.quota.family};
        struct core_event caps = {.kind = CORE_EVENT_CAPS};
        caps.as.caps = (struct core_caps){.scope = CORE_QUOTA_WORKSPACE, .id = id};
        if (!engine_step(d, &event, err) || !engine_step(d, &caps, err))
            return false;
        cursor = 0;
    }
    return true;
}

void api_post_workspace_delete(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_need_admin(d, req, "remove workspaces") ? api_body(req, "") : NULL;
    if (!body)
        return;
    struct workspace *w = need(d, req, "removed", &err);
    uint32_t live = w ? workspace_live_jobs(d, w->id) : 0;
    bool ok = w != NULL;
    if (ok && live) {
        ok = error_set(&err, ERROR_CONFLICT, "%u job%s of workspace %s %s not ended", live,
                       live == 1 ? "" : "s", w->name, live == 1 ? "has" : "have");
        error_hint(&err, "berth ps --live --workspace %s lists them", w->name);
    }
    ok = ok && forget_quotas(d, w->id, &err);
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    struct caller caller = api_caller(d, req);
    audit_add(d, &caller, "workspace delete", w->name, stated(d, w), NULL);
    log_info("workspace %s removed by %s", w->name, caller.name);
    workspace_drop(d, w);
    engine_answer(d, req, 204, NULL, NULL, 0);
}
