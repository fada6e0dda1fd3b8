/* The table of workspaces. Owns its entries. */
#include "scheduler/workspaces.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/suggest.h"
#include "scheduler/daemon.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void finish(struct workspace *w)
{
    free(w->description);
    free(w->created_by);
    free(w->members);
}

void workspaces_finish(struct workspace_table *t)
{
    for (size_t i = 0; i < t->count; i++)
        finish(&t->items[i]);
    free(t->items);
    *t = (struct workspace_table){0};
}

static struct workspace *put(struct workspace_table *t, uint32_t id, const char *name)
{
    t->items = xrealloc(t->items, (t->count + 1) * sizeof *t->items);
    struct workspace *w = &t->items[t->count++];
    *w = (struct workspace){.id = id};
    snprintf(w->name, sizeof w->name, "%s", name);
    return w;
}

void workspaces_load(struct daemon *d, const char *key, const char *doc)
{
    struct error err = {0};
    uint32_t id;
    _cleanup_json_ cJSON *o = json_parse(doc, strlen(doc), &err);
    if (!o || !names_find(d, NAME_WORKSPACE, key, &id))
        return;
    struct workspace *w = put(&d->workspaces, id, key);
    w->description = xstrdup(json_str(o, "description", NULL));
    w->created_ms = json_int(o, "created_ms", 0);
    w->created_by = xstrdup(json_str(o, "created_by", NULL));
    const cJSON *list = json_get(o, "members"), *item;
    uint32_t *members = xcalloc((size_t)cJSON_GetArraySize(list) + 1, sizeof *members);
    size_t count = 0;
    cJSON_ArrayForEach(item, list) if (cJSON_IsNumber(item)) members[count++] = (uint32_t)item->valuedouble;
    workspace_set_members(w, members, count);
}

void workspace_set_members(struct workspace *w, uint32_t *members, size_t count)
{
    free(w->members);
    w->members = members;
    w->member_count = count;
}

bool workspace_admits(const struct daemon *d, uint32_t id, uint32_t principal, struct error *err)
{
    for (size_t i = 0; i < d->workspaces.count; i++) {
        const struct workspace *w = &d->workspaces.items[i];
        if (w->id != id || !w->member_count)
            continue;
        for (size_t m = 0; m < w->member_count; m++)
            if (w->members[m] == principal)
                return true;
        error_set(err, ERROR_DENIED, "the workspace %s is for its members, and you are not one of them",
                  w->name);
        if (err)
            snprintf(err->field, sizeof err->field, "workspace");
        return error_hint(err,
                          "ask an administrator to name all members again, with you: berth workspace update "
                          "%s --member NAME...",
                          w->name);
    }
    return true;
}

void workspace_write(struct daemon *d, const struct workspace *w)
{
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    json_add_str(o, "description", w->description);
    json_add_int(o, "created_ms", w->created_ms);
    json_add_str(o, "created_by", w->created_by);
    cJSON *members = cJSON_AddArrayToObject(o, "members");
    for (size_t i = 0; i < w->member_count; i++)
        cJSON_AddItemToArray(members, json_int_item(w->members[i]));
    _cleanup_free_ char *text = json_text(o);
    journal_add_record(d->journal, JOURNAL_WORKSPACE, w->name, text);
}

struct workspace *workspaces_get(struct workspace_table *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->items[i].name, name) == 0)
            return &t->items[i];
    }
    return NULL;
}

bool workspace_need(const struct daemon *d, const char *name, uint32_t *id, struct error *err)
{
    const char *names[WORKSPACES_MAX + 1] = {NAMES_DEFAULT_WORKSPACE};
    size_t count = 1;
    *id = 0;
    if (!name || strcmp(name, NAMES_DEFAULT_WORKSPACE) == 0)
        return true;
    for (size_t i = 0; i < d->workspaces.count && count <= WORKSPACES_MAX; i++) {
        const struct workspace *w = &d->workspaces.items[i];
        names[count++] = w->name;
        if (strcmp(w->name, name) == 0) {
            *id = w->id;
            return true;
        }
    }
    const char *near = suggest_nearest(name, names, count, sizeof *names);
    error_set(err, ERROR_NOT_FOUND, "there is no workspace \"%.64s\"%s%s%s", name,
              near ? "; the nearest is " : "", near ? near : "",
              near ? "" : "; berth workspace list shows all");
    if (err)
        snprintf(err->field, sizeof err->field, "workspace");
    if (workspace_name_valid(name, NULL))
        error_hint(err, "berth workspace create %s", name);
    return false;
}

bool workspace_name_valid(const char *name, struct error *err)
{
    size_t n = strlen(name);
    bool ok = n && n <= WORKSPACE_NAME_MAX && isalnum((unsigned char)*name);
    for (size_t i = 0; ok && i < n; i++)
        ok = isalnum((unsigned char)name[i]) || strchr("._-", name[i]);
    return ok || error_field(err, "name",
                             "\"%.80s\" is no name of a workspace: 1 to %d letters, digits, '.', '_' and "
                             "'-', a letter or digit first",
                             name, WORKSPACE_NAME_MAX);
}

bool workspace_add(struct daemon *d, const char *name, const char *by, struct error *err)
{
    uint32_t id;
    if (d->workspaces.count >= WORKSPACES_MAX)
        return error_set(err, ERROR_LIMIT, "there are %d workspaces already", WORKSPACES_MAX);
    if (!names_intern(d, NAME_WORKSPACE, name, &id, err))
        return false;
    struct workspace *w = put(&d->workspaces, id, name);
    w->created_ms = clock_wall_ms();
    w->created_by = xstrdup(by);
    return true;
}

void workspace_drop(struct daemon *d, struct workspace *w)
{
    struct workspace_table *t = &d->workspaces;
    journal_add_record(d->journal, JOURNAL_WORKSPACE, w->name, NULL);
    finish(w);
    size_t at = (size_t)(w - t->items);
    memmove(w, w + 1, (--t->count - at) * sizeof *w);
}

uint32_t workspace_live_jobs(const struct daemon *d, uint32_t id)
{
    struct core_quota_view view;
    core_quota_get(d->core, CORE_QUOTA_WORKSPACE, id, 0, &view);
    return view.running + view.queued;
}
