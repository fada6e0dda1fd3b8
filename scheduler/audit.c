#include "scheduler/audit.h"

#include "base/clock.h"
#include "base/cleanup.h"
#include "proto/excerpt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {"submit",           "hold",
                                    "release",          "update",
                                    "cancel",           "signal",
                                    "results delete",   "policy set",
                                    "quota set",        "quota remove",
                                    "quota request",    "quota approve",
                                    "quota deny",       "quota withdraw",
                                    "licence set",      "node add",
                                    "node drain",       "node resume",
                                    "node lost",        "node update",
                                    "size create",      "size update",
                                    "size delete",      "family",
                                    "workspace create", "workspace update",
                                    "workspace delete", "reserve",
                                    "reserve delete",   "storage",
                                    "share set",        "share remove",
                                    "shutdown"};

/* What follows from the state, and is nobody's change. */
static const char *const derived[] = {"fits",  "usable", "in_the_way", "in_the_way_count",
                                      "begun", "used",   "policies",   "promises_voided"};

const char *audit_kind(size_t i)
{
    return i < sizeof kinds / sizeof *kinds ? kinds[i] : NULL;
}

bool audit_kind_check(const char *what, struct error *err)
{
    _cleanup_buf_ struct buf known = {0};
    for (size_t i = 0; audit_kind(i); i++) {
        if (!what || strcmp(what, audit_kind(i)) == 0)
            return true;
        buf_printf(&known, "%s%s", i ? ", " : "", audit_kind(i));
    }
    error_field(err, "what", "there is no kind of change \"%s\"", EXCERPT(what));
    return error_hint(err, "one of %s", known.data);
}

static void drop_derived(cJSON *side)
{
    for (size_t i = 0; side && i < sizeof derived / sizeof *derived; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(side, derived[i]);
}

/* What is the same on both sides did not change. */
static void drop_equal(cJSON *before, cJSON *after)
{
    for (cJSON *item = before ? before->child : NULL, *next; item; item = next) {
        next = item->next;
        if (!cJSON_Compare(item, json_get(after, item->string), true))
            continue;
        cJSON_DeleteItemFromObjectCaseSensitive(after, item->string);
        cJSON_Delete(cJSON_DetachItemViaPointer(before, item));
    }
}

static void add(struct daemon *d, const struct caller *caller, struct journal_audit *line, cJSON *before,
                cJSON *after)
{
    _cleanup_json_ cJSON *doc = cJSON_CreateObject();
    drop_derived(before);
    drop_derived(after);
    drop_equal(before, after);
    cJSON_AddItemToObject(doc, "before", before ? before : cJSON_CreateNull());
    cJSON_AddItemToObject(doc, "after", after ? after : cJSON_CreateNull());
    if (before && after && !before->child && !after->child)
        return;
    assert(audit_kind_check(line->what, NULL));
    _cleanup_free_ char *text = json_text(doc);
    line->at_ms = clock_wall_ms();
    line->principal = principals_ensure(&d->principals, d->journal, caller->name);
    line->uid = caller->uid;
    line->user = caller->name;
    line->doc = text;
    journal_add_audit(d->journal, line);
}

void audit_add(struct daemon *d, const struct caller *caller, const char *what, const char *subject,
               cJSON *before, cJSON *after)
{
    struct journal_audit line = {.open = true, .what = what, .subject = subject ? subject : ""};
    add(d, caller, &line, before, after);
}

void audit_add_own(struct daemon *d, const struct caller *caller, const char *what, uint32_t owner,
                   cJSON *before, cJSON *after)
{
    struct journal_audit line = {
        .owner = owner, .what = what, .subject = principals_name(&d->principals, owner)};
    add(d, caller, &line, before, after);
}

void audit_add_job(struct daemon *d, const struct caller *caller, const char *what, const struct job *job,
                   cJSON *before, cJSON *after)
{
    struct journal_audit line = {.job = job->id, .owner = job->principal, .what = what, .subject = job->name};
    add(d, caller, &line, before, after);
}

cJSON *audit_object(const struct journal_audit *line)
{
    struct error ignored = {0};
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, "id", (int64_t)line->id);
    json_add_int(o, "at_ms", line->at_ms);
    json_add_str(o, "user", line->user);
    json_add_int(o, "uid", line->uid);
    json_add_str(o, "what", line->what);
    if (line->job)
        json_add_int(o, "job", (int64_t)line->job);
    else
        cJSON_AddNullToObject(o, "job");
    json_add_str(o, "subject", line->subject);
    _cleanup_json_ cJSON *doc = json_parse(line->doc, strlen(line->doc), &ignored);
    cJSON_AddItemToObject(o, "before", cJSON_Duplicate(json_get(doc, "before"), true));
    cJSON_AddItemToObject(o, "after", cJSON_Duplicate(json_get(doc, "after"), true));
    return o;
}
