/* GPU models and labels, from names to the core's bits. Owns nothing. */
#include "scheduler/hardware.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "proto/suggest.h"
#include "scheduler/daemon.h"
#include "scheduler/guards.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct core_inventory *hardware_for_core(struct daemon *d, const struct node *node)
{
    struct core_inventory *out = inventory_for_core(node->inventory);
    out->labels = node->labels | node->abilities;
    for (uint32_t i = 0; i < node->inventory->gpu_count; i++) {
        struct error err = {0};
        uint32_t id = 0;
        if (!names_intern(d, NAME_GPU_MODEL, node->inventory->gpus[i].model, &id, &err))
            log_warn("node %s: its GPU's model can't be asked for by name: %s", node->name, err.message);
        out->gpus[i].model = (uint8_t)guards_meet_model(d, node->inventory->gpus[i].model, id);
    }
    return out;
}

/* ---- GPU models ---- */

static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++) {
        if (strncasecmp(text, part, n) == 0)
            return true;
    }
    return false;
}

/* The models that nodes have, as bits of their numbers. */
static uint64_t models_there(const struct daemon *d)
{
    uint64_t bits = 0;
    for (uint32_t n = 0; n < d->nodes.count; n++) {
        const struct inventory *inv = d->nodes.items[n]->inventory;
        for (uint32_t i = 0; inv && i < inv->gpu_count; i++) {
            uint32_t id;
            if (names_find(d, NAME_GPU_MODEL, inv->gpus[i].model, &id))
                bits |= UINT64_C(1) << id;
        }
    }
    return bits;
}

static void list_names(const struct daemon *d, enum name_kind kind, uint64_t bits, struct buf *out)
{
    for (uint32_t id = 0; id < RESOURCE_LABELS_MAX; id++) {
        if ((bits >> id) & 1)
            buf_printf(out, "%s%s", out->len ? ", " : "", names_text(d, kind, id));
    }
}

bool hardware_models(const struct daemon *d, const char *text, uint64_t *bits, struct error *err)
{
    static const char field[] = "resources.gpu_model";
    uint64_t there = models_there(d), parts = 0;
    *bits = 0;
    for (uint32_t id = 0; id < RESOURCE_LABELS_MAX; id++) {
        const char *name = (there >> id) & 1 ? names_text(d, NAME_GPU_MODEL, id) : NULL;
        if (name && strcasecmp(name, text) == 0) {
            *bits = UINT64_C(1) << id;
            return true;
        }
        if (name && *text && contains(name, text))
            parts |= UINT64_C(1) << id;
    }
    if (parts && !(parts & (parts - 1))) {
        *bits = parts;
        return true;
    }
    _cleanup_buf_ struct buf names = {0};
    list_names(d, NAME_GPU_MODEL, parts ? parts : there, &names);
    if (parts)
        error_field(err, field, "\"%.100s\" may be any of these GPU models: %s", text, names.data);
    else if (names.data)
        error_field(err, field, "no node has a GPU of the model \"%.100s\"; there are: %s", text, names.data);
    else
        error_field(err, field, "no node has a GPU of the model \"%.100s\", or of any", text);
    return error_hint(err, parts ? "write more of its name" : "berth node list shows what nodes have");
}

static bool has_model(const struct daemon *d, const struct node *node, uint64_t bits)
{
    uint32_t id;
    for (uint32_t i = 0; node->inventory && i < node->inventory->gpu_count; i++) {
        if (names_find(d, NAME_GPU_MODEL, node->inventory->gpus[i].model, &id) && (bits >> id) & 1)
            return true;
    }
    return false;
}

void hardware_nodes(const struct daemon *d, uint64_t gpu_models, uint64_t labels, struct node_table *out)
{
    *out = (struct node_table){.items = xcalloc(d->nodes.count + 1, sizeof(struct node *))};
    for (uint32_t i = 0; i < d->nodes.count; i++) {
        struct node *node = d->nodes.items[i];
        if ((node->labels & labels) == labels && (!gpu_models || has_model(d, node, gpu_models)))
            out->items[out->count++] = node;
    }
}

/* ---- labels ---- */

bool hardware_label_valid(const char *label, struct error *err)
{
    size_t n = strlen(label);
    bool ok = n && n <= HARDWARE_LABEL_MAX && isalnum((unsigned char)*label);
    for (size_t i = 0; ok && i < n; i++)
        ok = isalnum((unsigned char)label[i]) || strchr("._-/=:", label[i]);
    return ok || error_field(err, "labels",
                             "\"%.80s\" is no label: 1 to %d letters, digits and . _ - / = :, a letter or "
                             "digit first",
                             label, HARDWARE_LABEL_MAX);
}

bool hardware_labels(const struct daemon *d, const struct job_strings *labels, uint64_t *bits,
                     struct error *err)
{
    static const char field[] = "resources.node_labels";
    uint64_t there = 0;
    *bits = 0;
    for (uint32_t n = 0; n < d->nodes.count; n++)
        there |= d->nodes.items[n]->labels;
    for (size_t i = 0; i < labels->count; i++) {
        uint32_t id;
        if (names_find(d, NAME_LABEL, labels->items[i], &id) && (there >> id) & 1) {
            *bits |= UINT64_C(1) << id;
            continue;
        }
        _cleanup_buf_ struct buf names = {0};
        list_names(d, NAME_LABEL, there, &names);
        if (names.data)
            error_field(err, field, "no node has the label \"%.80s\"; there are: %s", labels->items[i],
                        names.data);
        else
            error_field(err, field, "no node has the label \"%.80s\", or any", labels->items[i]);
        return error_hint(err, "berth node update NODE --label %.80s gives it to a node", labels->items[i]);
    }
    return true;
}
