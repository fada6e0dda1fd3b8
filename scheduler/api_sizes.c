/* The table of sizes as people see and change it. */
#include "scheduler/api.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"

#include <string.h>

#define SIZE_FIELDS "family category cpus memory gpus gpu_model restricted isolated price_hour"

void api_get_sizes(struct http_request *req, void *context)
{
    struct daemon *d = context;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(o, "sizes");
    for (size_t i = 0; i < d->sizes.count; i++)
        cJSON_AddItemToArray(list, size_object(d, &d->sizes.items[i]));
    engine_answer_view(d, req, json_text(o));
}

static const struct size *need(const struct daemon *d, const char *name, struct error *err)
{
    const struct size *size = sizes_find(&d->sizes, name);
    if (size)
        return size;
    const struct size *near = sizes_nearest_name(d, name);
    error_set(err, ERROR_NOT_FOUND, "there is no size \"%.80s\"", name);
    snprintf(err->field, sizeof err->field, "name");
    if (near)
        error_hint(err, "the nearest is %s; berth size list shows all", near->name);
    else
        error_hint(err, "berth size list shows all");
    return NULL;
}

/* Restriction is of the family, and so of all of its sizes. */
static bool settle_family(struct daemon *d, const cJSON *body, const struct size *size, struct error *err)
{
    const cJSON *restricted = json_get(body, "restricted");
    uint32_t id;
    if (!family_find(d, size->family, &id) && !names_intern(d, NAME_FAMILY, size->family, &id, err))
        return false;
    return !restricted || family_restrict(d, id, cJSON_IsTrue(restricted), err);
}

static bool change(struct daemon *d, const cJSON *body, struct size *size, struct error *err)
{
    const cJSON *restricted = json_get(body, "restricted");
    if (restricted && !cJSON_IsBool(restricted))
        return error_field(err, "restricted", "restricted must be true or false");
    if (!size_read(body, size, err))
        return false;
    if (!sizes_find(&d->sizes, size->name) && d->sizes.count >= SIZES_MAX)
        return error_set(err, ERROR_LIMIT, "there are %d sizes already", SIZES_MAX);
    if (!settle_family(d, body, size, err))
        return false;
    sizes_put(d, size);
    return true;
}

static void answer(struct daemon *d, struct http_request *req, unsigned status, const char *name,
                   const char *what, cJSON *before)
{
    _cleanup_json_ cJSON *o = size_object(d, sizes_find(&d->sizes, name));
    _cleanup_free_ char *text = json_text(o);
    struct caller caller = api_caller(d, req);
    audit_add(d, &caller, before ? "size update" : "size create", name, before, cJSON_Duplicate(o, true));
    log_info("size %s by %s: %s", what, api_caller(d, req).name, text);
    engine_answer(d, req, status, take_ptr(text), NULL, 0);
}

void api_post_size(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "make sizes") ? api_body(req, "name " SIZE_FIELDS) : NULL;
    if (!body)
        return;
    struct size size = {.price_hour = -1};
    const char *name = json_str(body, "name", "");
    const struct size *there = sizes_find(&d->sizes, name);
    bool ok = engine_writable(d, &err) && size_name_valid(name, &err);
    if (ok && there) {
        ok = error_set(&err, ERROR_EXISTS, "there is a size %s already", there->name);
        error_hint(&err, "berth size update %s changes it", there->name);
    }
    if (ok)
        memcpy(size.name, name, strlen(name) + 1);
    ok = ok && change(d, body, &size, &err);
    if (ok)
        answer(d, req, 201, size.name, "made", NULL);
    else
        http_respond_error(req, &err);
}

void api_post_size_update(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_need_admin(d, req, "change sizes") ? api_body(req, SIZE_FIELDS) : NULL;
    if (!body)
        return;
    const struct size *there = engine_writable(d, &err) ? need(d, http_request_param(req, 0), &err) : NULL;
    struct size size = there ? *there : (struct size){0};
    bool ok = there != NULL;
    if (ok && !body->child) {
        ok = error_set(&err, ERROR_INVALID, "nothing is to be changed");
        error_hint(&err, "give some of: " SIZE_FIELDS);
    }
    cJSON *before = ok ? size_object(d, there) : NULL;
    if (ok && change(d, body, &size, &err)) {
        answer(d, req, 200, size.name, "changed", before);
        return;
    }
    cJSON_Delete(before);
    http_respond_error(req, &err);
}

void api_post_size_delete(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_need_admin(d, req, "remove sizes") ? api_body(req, "") : NULL;
    if (!body)
        return;
    const struct size *there = engine_writable(d, &err) ? need(d, http_request_param(req, 0), &err) : NULL;
    if (!there) {
        http_respond_error(req, &err);
        return;
    }
    log_info("size %s removed by %s", there->name, api_caller(d, req).name);
    struct caller caller = api_caller(d, req);
    audit_add(d, &caller, "size delete", there->name, size_object(d, there), NULL);
    sizes_remove(d, there);
    engine_answer(d, req, 204, NULL, NULL, 0);
}
