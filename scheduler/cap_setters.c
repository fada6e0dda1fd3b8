#include "scheduler/cap_setters.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "scheduler/daemon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "caps:" /* then SCOPE:ID */

static void set(struct cap_setter *s, const char *by, int64_t at_ms)
{
    free(s->by);
    *s = (struct cap_setter){by ? xstrdup(by) : NULL, by ? at_ms : 0};
}

const struct cap_setters_of *cap_setters_find(const struct cap_setters *t, enum core_quota_scope scope,
                                              uint32_t id)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].scope == scope && t->items[i].id == id)
            return &t->items[i];
    return NULL;
}

static struct cap_setters_of *get(struct cap_setters *t, enum core_quota_scope scope, uint32_t id)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].scope == scope && t->items[i].id == id)
            return &t->items[i];
    t->items = xrealloc(t->items, (t->count + 1) * sizeof *t->items);
    t->items[t->count] = (struct cap_setters_of){.scope = scope, .id = id};
    return &t->items[t->count++];
}

void cap_setters_load(struct cap_setters *t, const char *key, const char *doc)
{
    struct error ignored = {0};
    char *end = NULL;
    bool ours = strncmp(key, KEY, strlen(KEY)) == 0;
    unsigned long scope = ours ? strtoul(key + strlen(KEY), &end, 10) : 0;
    if (!ours || *end != ':' || scope >= CORE_QUOTA_SCOPE_COUNT)
        return;
    _cleanup_json_ cJSON *o = json_parse(doc, strlen(doc), &ignored);
    struct cap_setters_of *s = get(t, (enum core_quota_scope)scope, (uint32_t)strtoul(end + 1, NULL, 10));
    set(&s->priority, json_str(o, "priority_by", NULL), json_int(o, "priority_at_ms", 0));
    set(&s->time, json_str(o, "time_by", NULL), json_int(o, "time_at_ms", 0));
}

void cap_setters_finish(struct cap_setters *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->items[i].priority.by);
        free(t->items[i].time.by);
    }
    free(t->items);
    *t = (struct cap_setters){0};
}

static void add(cJSON *o, const char *by_field, const char *at_field, const struct cap_setter *s)
{
    if (!s->by)
        return;
    cJSON_AddStringToObject(o, by_field, s->by);
    json_add_int(o, at_field, s->at_ms);
}

void cap_setters_note(struct daemon *d, const struct core_caps *before, const struct core_caps *after,
                      const char *by)
{
    char key[32];
    struct cap_setters_of *s = get(&d->cap_setters, after->scope, after->id);
    bool same_class = before->set_class == after->set_class &&
                      (!after->set_class || before->priority_class == after->priority_class);
    if (!same_class)
        set(&s->priority, after->set_class ? by : NULL, clock_wall_ms());
    if (before->time_limit_ms != after->time_limit_ms)
        set(&s->time, after->time_limit_ms ? by : NULL, clock_wall_ms());
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    add(o, "priority_by", "priority_at_ms", &s->priority);
    add(o, "time_by", "time_at_ms", &s->time);
    _cleanup_free_ char *text = json_text(o);
    snprintf(key, sizeof key, KEY "%u:%u", (unsigned)after->scope, after->id);
    journal_add_record(d->journal, JOURNAL_SETTING, key, s->priority.by || s->time.by ? text : NULL);
}
