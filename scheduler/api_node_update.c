/* What people say of a node: its labels. They are the node's record's, and reach the core with its inventory.
 */
#include "scheduler/api.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "scheduler/audit.h"
#include "scheduler/claims.h"
#include "scheduler/engine.h"
#include "scheduler/hardware.h"

#include <stdlib.h>
#include <string.h>

/* The list of names in the field as bits, made where they are new and `make` is set. */
static bool read_labels(struct daemon *d, const cJSON *body, const char *field, bool make, uint64_t *bits,
                        struct error *err)
{
    const cJSON *list = json_get(body, field), *item;
    if (list && !cJSON_IsArray(list))
        return error_field(err, field, "%s must be a list of labels", field);
    cJSON_ArrayForEach(item, list)
    {
        const char *name = cJSON_IsString(item) ? item->valuestring : "";
        uint32_t id;
        if (!hardware_label_valid(name, err))
            return false;
        if (!make && !names_find(d, NAME_LABEL, name, &id))
            return error_field(err, field, "no node has the label \"%.80s\"", name);
        if (make && !names_intern(d, NAME_LABEL, name, &id, err))
            return false;
        *bits |= UINT64_C(1) << id;
    }
    return true;
}

static bool change(struct daemon *d, struct node *node, const cJSON *body, struct error *err)
{
    uint64_t add = 0, take = 0;
    if (!json_get(body, "labels") && !json_get(body, "unlabel"))
        return error_set(err, ERROR_INVALID, "nothing is to be changed: give labels, or unlabel");
    /* What is taken away is looked at first: a refusal makes no name. */
    if (!read_labels(d, body, "unlabel", false, &take, err) ||
        !read_labels(d, body, "labels", true, &add, err))
        return false;
    return (!(add & take) || error_field(err, "unlabel", "a label can't be given and taken away at once")) &&
           node_change_labels(d, node, add, take, err);
}

bool node_change_labels(struct daemon *d, struct node *node, uint64_t add, uint64_t take, struct error *err)
{
    struct core_node_view view;
    uint64_t before = node->labels;
    node->labels = (node->labels | add) & ~take;
    if (node->labels == before)
        return true;
    node_touch(node);
    if (!node->inventory || !core_node_get(d->core, (struct node_id){node->id}, &view) || !view.up)
        return true; /* the core hears it with the next hello */
    struct core_inventory *inventory = hardware_for_core(d, node);
    struct core_event event = {.kind = CORE_EVENT_NODE_UP,
                               .as.node = {.node = {node->id}, .inventory = inventory}};
    bool ok = engine_step(d, &event, err);
    free(inventory);
    return ok;
}

void api_post_node_update(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "label nodes") ? api_body(req, "labels unlabel") : NULL;
    if (!body)
        return;
    const char *name = http_request_param(req, 0);
    struct node *node = nodes_find(&d->nodes, name);
    bool ok = engine_writable(d, &err);
    if (ok && !node) {
        ok = error_set(&err, ERROR_NOT_FOUND, "there is no node %.64s", name);
        error_hint(&err, "berth node list");
    }
    cJSON *before = cJSON_CreateObject();
    if (ok && node) {
        _cleanup_json_ cJSON *was = node_object(node);
        cJSON_AddItemToObject(before, "labels", cJSON_Duplicate(json_get(was, "labels"), true));
    }
    if (!ok || !node || !change(d, node, body, &err)) {
        cJSON_Delete(before);
        http_respond_error(req, &err);
        return;
    }
    log_info("node %s: labels changed by %s", name, api_caller(d, req).name);
    struct caller caller = api_caller(d, req);
    _cleanup_json_ cJSON *o = node_object(node);
    struct claims_kept kept;
    claims_kept_read(d, &kept);
    claims_add(o, node, &kept);
    cJSON *after = cJSON_CreateObject();
    cJSON_AddItemToObject(after, "labels", cJSON_Duplicate(json_get(o, "labels"), true));
    audit_add(d, &caller, "node update", name, before, after);
    engine_answer(d, req, 200, json_text(o), NULL, 0);
}
