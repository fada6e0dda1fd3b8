/*
 * Families of sizes by name. Owns nothing: the names are in names.h's table, what is restricted is in the
 * core.
 */
#include "scheduler/sizes.h"

#include "proto/suggest.h"
#include "scheduler/engine.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Small letters without blanks, and without the words that the service puts around a family's name. */
static void plain(const char *text, char out[NAME_MAX_BYTES + 1])
{
    static const char front[] = "standard", back[] = "family";
    size_t n = 0;
    for (const char *p = text; *p && n < NAME_MAX_BYTES; p++) {
        if (*p != ' ' && *p != '_')
            out[n++] = (char)tolower((unsigned char)*p);
    }
    out[n] = '\0';
    if (n > sizeof front - 1 && strncmp(out, front, sizeof front - 1) == 0) {
        n -= sizeof front - 1;
        memmove(out, out + sizeof front - 1, n + 1);
    }
    if (n > sizeof back - 1 && strcmp(out + n - (sizeof back - 1), back) == 0)
        out[n - (sizeof back - 1)] = '\0';
}

bool family_find(const struct daemon *d, const char *text, uint32_t *id)
{
    char wanted[NAME_MAX_BYTES + 1], one[NAME_MAX_BYTES + 1];
    if (names_find(d, NAME_FAMILY, text, id))
        return true;
    plain(text, wanted);
    for (uint32_t i = 1; *wanted && i < names_end(d, NAME_FAMILY); i++) {
        plain(names_text(d, NAME_FAMILY, i), one);
        if (strcmp(wanted, one) == 0) {
            *id = i;
            return true;
        }
    }
    return false;
}

bool family_need(const struct daemon *d, const char *text, uint32_t *id, struct error *err)
{
    const char *names[CORE_FAMILIES_MAX];
    size_t count = 0;
    if (family_find(d, text, id))
        return true;
    for (uint32_t i = 1; i < names_end(d, NAME_FAMILY) && count < CORE_FAMILIES_MAX; i++)
        names[count++] = names_text(d, NAME_FAMILY, i);
    const char *near = suggest_nearest(text, names, count, sizeof *names);
    error_field(err, "family", "there is no family of sizes \"%.60s\"", text);
    return near ? error_hint(err, "did you mean %s? berth size list shows all", near)
                : error_hint(err, "berth size list shows all; a size of a new family makes it");
}

bool family_restrict(struct daemon *d, uint32_t id, bool restricted, struct error *err)
{
    if (core_family_restricted(d->core, id) == restricted)
        return true;
    struct core_event event = {.kind = CORE_EVENT_FAMILY, .as.family = {.id = id}};
    core_family_get(d->core, id, &event.as.family);
    event.as.family.restricted = restricted;
    return engine_step(d, &event, err);
}
