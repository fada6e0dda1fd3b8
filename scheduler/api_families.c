/*
 * Families of sizes: whether they are restricted, and what they guard. A guarded GPU model or node is for
 * those alone who are approved, however they ask for it. Models and labels are guarded by name, so that a
 * node that comes later is guarded from its first moment.
 */
#include "scheduler/api.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"
#include "scheduler/guards.h"
#include "scheduler/hardware.h"
#include "scheduler/sizes.h"

#include <stdlib.h>
#include <string.h>

static void add_names(const struct daemon *d, enum name_kind kind, uint64_t bits, cJSON *o, const char *field)
{
    cJSON *list = cJSON_AddArrayToObject(o, field);
    for (uint32_t id = 0; id < RESOURCE_LABELS_MAX; id++)
        if ((bits >> id) & 1)
            cJSON_AddItemToArray(list, cJSON_CreateString(names_text(d, kind, id)));
}

static cJSON *family_object(const struct daemon *d, uint32_t id)
{
    struct core_family family;
    cJSON *o = cJSON_CreateObject();
    core_family_get(d->core, id, &family);
    json_add_str(o, "name", names_text(d, NAME_FAMILY, id));
    cJSON_AddBoolToObject(o, "restricted", family.restricted);
    add_names(d, NAME_GPU_MODEL, family.gpu_models, o, "gpu_models");
    add_names(d, NAME_LABEL, family.labels, o, "labels");
    return o;
}

void api_get_families(struct http_request *req, void *context)
{
    struct daemon *d = context;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(o, "families");
    for (uint32_t id = 1; id < names_end(d, NAME_FAMILY); id++)
        cJSON_AddItemToArray(list, family_object(d, id));
    engine_answer_view(d, req, json_text(o));
}

/* The field's list of texts; absent, false with *given unset. */
static bool list_of(const cJSON *body, const char *field, const cJSON **list, struct error *err)
{
    const cJSON *item;
    *list = json_get(body, field);
    if (*list && !cJSON_IsArray(*list))
        return error_field(err, field, "%s must be a list of names", field);
    cJSON_ArrayForEach(item, *list) if (!cJSON_IsString(item) || !*item->valuestring)
    {
        return error_field(err, field, "%s must be a list of names", field);
    }
    return true;
}

static bool read_model(struct daemon *d, const char *text, uint64_t *bits, struct error *err)
{
    if (guards_name_model(d, text, bits, err))
        return true;
    snprintf(err->field, sizeof err->field, "gpu_models");
    return false;
}

static bool read_label(struct daemon *d, const char *text, uint64_t *bits, struct error *err)
{
    uint32_t id;
    if (!hardware_label_valid(text, err) || !names_intern(d, NAME_LABEL, text, &id, err))
        return false;
    *bits |= UINT64_C(1) << id;
    return true;
}

static bool read_guards(struct daemon *d, const cJSON *body, struct core_family *family, struct error *err)
{
    const cJSON *models, *labels, *item;
    if (!list_of(body, "gpu_models", &models, err) || !list_of(body, "labels", &labels, err))
        return false;
    family->gpu_models = models ? 0 : family->gpu_models;
    /* Nodes that are guarded by their names stay so. */
    family->labels &= labels ? guards_node_bit(d, family->id) : UINT64_MAX;
    cJSON_ArrayForEach(item,
                       models) if (!read_model(d, item->valuestring, &family->gpu_models, err)) return false;
    cJSON_ArrayForEach(item,
                       labels) if (!read_label(d, item->valuestring, &family->labels, err)) return false;
    return true;
}

/* Nodes that are named get a label of the family's own, which it guards. */
static bool guard_nodes(struct daemon *d, const cJSON *body, struct core_family *family, struct error *err)
{
    const cJSON *nodes, *item;
    char label[GUARDS_LABEL_MAX];
    uint64_t bit = 0;
    if (!list_of(body, "nodes", &nodes, err))
        return false;
    cJSON_ArrayForEach(item, nodes) if (!nodes_find(&d->nodes, item->valuestring))
    {
        error_field(err, "nodes", "there is no node %.64s", item->valuestring);
        return error_hint(err, "berth node list");
    }
    if (!cJSON_GetArraySize(nodes))
        return true;
    guards_node_label(d, family->id, label);
    if (!read_label(d, label, &bit, err))
        return false;
    family->labels |= bit;
    cJSON_ArrayForEach(item, nodes)
    {
        struct node *node = nodes_find(&d->nodes, item->valuestring);
        if (!node_change_labels(d, node, bit, 0, err))
            return false;
    }
    return true;
}

void api_post_family(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_need_admin(d, req, "restrict families of sizes")
                                     ? api_body(req, "restricted gpu_models labels nodes")
                                     : NULL;
    if (!body)
        return;
    struct core_event event = {.kind = CORE_EVENT_FAMILY};
    struct core_family *family = &event.as.family;
    uint32_t id = 0;
    cJSON *before = NULL;
    bool ok = engine_writable(d, &err) && family_need(d, http_request_param(req, 0), &id, &err);
    if (ok) {
        core_family_get(d->core, id, family);
        before = family_object(d, id);
        ok = api_take_bool(body, "restricted", &family->restricted, &err) &&
             read_guards(d, body, family, &err) && guard_nodes(d, body, family, &err) &&
             engine_step(d, &event, &err);
    }
    if (!ok) {
        cJSON_Delete(before);
        http_respond_error(req, &err);
        return;
    }
    struct caller caller = api_caller(d, req);
    audit_add(d, &caller, "family", names_text(d, NAME_FAMILY, id), before, family_object(d, id));
    _cleanup_json_ cJSON *o = family_object(d, id);
    _cleanup_free_ char *text = json_text(o);
    log_info("family %s set by %s: %s", names_text(d, NAME_FAMILY, id), api_caller(d, req).name, text);
    engine_answer(d, req, 200, take_ptr(text), NULL, 0);
}
