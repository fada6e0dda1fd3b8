/* The table of names by number. Owns its entries; written to the journal as they come about. */
#include "scheduler/names.h"

#include "base/alloc.h"
#include "scheduler/daemon.h"

#include <stdlib.h>
#include <string.h>

struct name {
    uint32_t id;
    char text[];
};

static const struct {
    const char *what;
    uint32_t first, end;
} kinds[NAME_KIND_COUNT] = {
    [NAME_LABEL] = {"label", 0, RESOURCE_ABILITY_FIRST},
    [NAME_GPU_MODEL] = {"GPU model", 1, RESOURCE_LABELS_MAX},
    [NAME_LICENCE] = {"licence", 0, RESOURCE_LICENCES_MAX},
    [NAME_WORKSPACE] = {"workspace", 1, NAMES_WORKSPACES_MAX},
    [NAME_FABRIC] = {"fabric", 1, NAMES_FABRICS_MAX},
    [NAME_FAMILY] = {"size family", 1, CORE_FAMILIES_MAX}, /* a kind in between that has no row takes none */
    [NAME_RESERVATION] = {"reservation", 1, NAMES_RESERVATIONS_MAX},
};

void names_init(struct name_table *t)
{
    memset(t, 0, sizeof *t);
    for (int kind = 0; kind < NAME_KIND_COUNT; kind++)
        t->next_id[kind] = kinds[kind].first;
    names_load(t, NAME_WORKSPACE, 0, NAMES_DEFAULT_WORKSPACE);
}

void names_finish(struct name_table *t)
{
    for (int kind = 0; kind < NAME_KIND_COUNT; kind++) {
        map_finish_free(&t->by_id[kind]);
        map_finish(&t->by_text[kind]);
    }
}

void names_load(struct name_table *t, uint32_t kind, uint32_t id, const char *text)
{
    if (kind >= NAME_KIND_COUNT || id >= kinds[kind].end)
        return;
    size_t n = strlen(text) + 1;
    struct name *name = xcalloc(1, sizeof *name + n);
    name->id = id;
    memcpy(name->text, text, n);
    map_put_num(&t->by_id[kind], id, name);
    map_put_str(&t->by_text[kind], name->text, name);
    if (id >= t->next_id[kind])
        t->next_id[kind] = id + 1;
}

static bool check_text(enum name_kind kind, const char *text, struct error *err)
{
    size_t n = strlen(text);
    if (!n || n > NAME_MAX_BYTES)
        return error_set(err, ERROR_INVALID, "the name of a %s has 1 to %d bytes, not %zu", kinds[kind].what,
                         NAME_MAX_BYTES, n);
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return error_set(err, ERROR_INVALID, "the name of a %s has no control characters",
                             kinds[kind].what);
    }
    return true;
}

bool names_find(const struct daemon *d, enum name_kind kind, const char *name, uint32_t *id)
{
    const struct name *found = map_get_str(&d->names.by_text[kind], name);
    if (found)
        *id = found->id;
    return found != NULL;
}

bool names_intern(struct daemon *d, enum name_kind kind, const char *name, uint32_t *id, struct error *err)
{
    if (names_find(d, kind, name, id))
        return true;
    if (!check_text(kind, name, err))
        return false;
    if (d->names.next_id[kind] >= kinds[kind].end)
        return error_set(err, ERROR_LIMIT, "there are %u names of a %s already; no more can be told apart",
                         kinds[kind].end - kinds[kind].first, kinds[kind].what);
    *id = d->names.next_id[kind];
    names_load(&d->names, kind, *id, name);
    journal_add_name(d->journal, kind, *id, name);
    return true;
}

const char *names_text(const struct daemon *d, enum name_kind kind, uint32_t id)
{
    const struct name *found = map_get_num(&d->names.by_id[kind], id);
    return found ? found->text : "?";
}

uint32_t names_end(const struct daemon *d, enum name_kind kind)
{
    return d->names.next_id[kind];
}
