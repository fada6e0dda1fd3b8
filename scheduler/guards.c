/*
 * What restricted families guard, by name. A guarded model's name stands for all models whose names contain
 * it, in any case: for a GPU's MIG instances, too, and for what comes later. The bits are the core's facts.
 */
#include "scheduler/guards.h"

#include "base/log.h"
#include "scheduler/daemon.h"
#include "scheduler/engine.h"
#include "scheduler/hardware.h"
#include "scheduler/names.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool contains(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++) {
        if (strncasecmp(text, part, n) == 0)
            return true;
    }
    return false;
}

static bool known_model(const struct daemon *d, const char *text, uint32_t *id)
{
    for (*id = 1; *id < names_end(d, NAME_GPU_MODEL); ++*id) {
        if (strcasecmp(names_text(d, NAME_GPU_MODEL, *id), text) == 0)
            return true;
    }
    return false;
}

bool guards_name_model(struct daemon *d, const char *text, uint64_t *bits, struct error *err)
{
    uint32_t id;
    if (!known_model(d, text, &id) && !names_intern(d, NAME_GPU_MODEL, text, &id, err))
        return false;
    *bits |= UINT64_C(1) << id;
    for (id = 1; id < names_end(d, NAME_GPU_MODEL); id++) {
        if (contains(names_text(d, NAME_GPU_MODEL, id), text))
            *bits |= UINT64_C(1) << id;
    }
    return true;
}

/* A guarded model whose name is a part of this one; 0: none is. */
static uint32_t guarded_part(const struct daemon *d, uint64_t guarded, const char *model)
{
    for (uint32_t id = 1; id < names_end(d, NAME_GPU_MODEL); id++) {
        if ((guarded >> id) & 1 && contains(model, names_text(d, NAME_GPU_MODEL, id)))
            return id;
    }
    return 0;
}

uint32_t guards_meet_model(struct daemon *d, const char *model, uint32_t number)
{
    struct error err = {0};
    uint32_t stands_for = number;
    for (uint32_t f = 1; f < names_end(d, NAME_FAMILY); f++) {
        struct core_event event = {.kind = CORE_EVENT_FAMILY};
        struct core_family *family = &event.as.family;
        core_family_get(d->core, f, family);
        uint32_t part = family->gpu_models ? guarded_part(d, family->gpu_models, model) : 0;
        if (part && !stands_for)
            stands_for = part;
        if (!part || (family->gpu_models >> stands_for) & 1)
            continue;
        family->gpu_models |= UINT64_C(1) << stands_for;
        if (!engine_step(d, &event, &err))
            log_error("family %s does not guard the GPU model %s: %s", names_text(d, NAME_FAMILY, f), model,
                      err.message);
    }
    return stands_for;
}

void guards_node_label(const struct daemon *d, uint32_t family, char out[GUARDS_LABEL_MAX])
{
    struct error ignored;
    snprintf(out, GUARDS_LABEL_MAX, "restricted:%s", names_text(d, NAME_FAMILY, family));
    if (!hardware_label_valid(out, &ignored))
        snprintf(out, GUARDS_LABEL_MAX, "restricted:family-%u", family);
}

uint64_t guards_node_bit(const struct daemon *d, uint32_t family)
{
    char label[GUARDS_LABEL_MAX];
    uint32_t id;
    guards_node_label(d, family, label);
    return names_find(d, NAME_LABEL, label, &id) ? UINT64_C(1) << id : 0;
}
