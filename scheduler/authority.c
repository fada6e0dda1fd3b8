#include "scheduler/authority.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/units.h"
#include "scheduler/api.h"
#include "scheduler/why_words.h"

#include <string.h>

static bool refused_limit(const struct daemon *d, const struct core_update_answer *a, struct error *err)
{
    char text[32];
    if (a->refusal == CORE_UPDATE_TIME_SET)
        error_field(err, "time_limit_s", "an administrator set its time limit: you may only shorten it");
    else if (a->refusal == CORE_UPDATE_TIME_CAP)
        error_field(err, "time_limit_s", "time limits of your jobs are at most %s (berth quota list)",
                    units_format_exact((int64_t)a->max_ms, text));
    else
        error_field(err, "time_limit_s", "it would run into the reservation %s on its node, from %s",
                    names_text(d, NAME_RESERVATION, a->reservation), why_day(a->begin_ms, text));
    return error_hint(err, "ask an administrator: only they may go further");
}

static bool refused_priority(const struct core_update_answer *a, struct error *err)
{
    if (a->refusal == CORE_UPDATE_PRIORITY_SET)
        error_field(err, "priority", "an administrator set its priority: you may only lower it");
    else if (a->refusal == CORE_UPDATE_LEVEL)
        error_field(err, "priority_level", "numbers above 0 within a class are for administrators");
    else
        error_field(err, "priority", "your jobs may have the priority %s at most (berth quota list)",
                    priority_class_name(a->highest));
    return error_hint(err, "ask an administrator: only they may go further");
}

static bool refused_hold(const struct job *job, struct error *err)
{
    error_set(err, ERROR_DENIED, "job %s is held by %s, an administrator: only administrators may release it",
              job->name, job->held_by ? job->held_by : "root");
    return error_hint(err, "berth why %s", job->name);
}

bool authority_allows(const struct daemon *d, const struct job *job, const struct core_update *u,
                      struct error *err)
{
    struct core_update_answer a;
    if (!core_update_refuses(d->core, u, &a))
        return true;
    switch (a.refusal) {
    case CORE_UPDATE_HELD:
        return refused_hold(job, err);
    case CORE_UPDATE_PRIORITY_CAP:
    case CORE_UPDATE_PRIORITY_SET:
    case CORE_UPDATE_LEVEL:
        return refused_priority(&a, err);
    case CORE_UPDATE_BEGIN_SET:
        error_field(err, "begin_ms", "an administrator set when it begins: you may only choose a later time");
        break;
    case CORE_UPDATE_ARRAY_SET:
        error_field(err, "array_limit", "an administrator set the array's limit: you may only lower it");
        break;
    default:
        return refused_limit(d, &a, err);
    }
    return error_hint(err, "ask an administrator: only they may go further");
}

static void add_note(cJSON *notes, struct buf *text)
{
    cJSON_AddItemToArray(notes, cJSON_CreateString(text->data));
}

bool authority_fit(const struct daemon *d, const struct caller *caller, uint32_t workspace,
                   struct job_spec *spec, cJSON *notes, struct error *err)
{
    static const enum job_priority classes[PRIORITY_CLASS_COUNT] = {JOB_PRIORITY_LOW, JOB_PRIORITY_MEDIUM,
                                                                    JOB_PRIORITY_HIGH};
    struct core_caps caps;
    char most[32], asked[32];
    if (caller->admin)
        return true;
    core_caps_in_force(d->core, caller->principal, workspace, &caps);
    if (caps.set_class && spec->priority > classes[caps.priority_class]) {
        _cleanup_buf_ struct buf text = {0};
        buf_printf(&text, "priority %s is not granted to you" AUTHORITY_RUNS_AS "%s",
                   job_priority_name(spec->priority), priority_class_name(caps.priority_class));
        spec->priority = classes[caps.priority_class];
        add_note(notes, &text);
    }
    int64_t most_ms = (int64_t)caps.time_limit_ms;
    if (most_ms && spec->time_limit_ms > most_ms) {
        error_field(err, "limits.timeout",
                    "%s is longer than your jobs may run: %s at most (berth quota list)",
                    units_format_exact(spec->time_limit_ms, asked), units_format_exact(most_ms, most));
        return error_hint(err, "choose a shorter time limit, or ask an administrator");
    }
    if (most_ms && !spec->time_limit_ms) {
        _cleanup_buf_ struct buf text = {0};
        buf_printf(&text, "it has no time limit: the longest that your jobs may have counts, %s",
                   units_format_exact(most_ms, most));
        spec->time_limit_ms = most_ms;
        add_note(notes, &text);
    }
    return true;
}

void authority_began(struct daemon *d, struct job *job, int64_t now_ms)
{
    struct core_job_view view;
    if (!core_job_get(d->core, (struct job_id){job->id}, &view) || !view.lowered)
        return;
    _cleanup_json_ cJSON *fixed = json_parse(job->fixed, strlen(job->fixed), NULL);
    const char *asked = json_str(fixed, "priority", ""), *runs = priority_class_name(view.priority_class);
    if (strcmp(asked, runs) == 0)
        return;
    _cleanup_free_ char *note = xasprintf("priority %s is above a cap" AUTHORITY_RUNS_AS "%s", asked, runs);
    job_forget_notes(job, AUTHORITY_RUNS_AS);
    job_note(job, now_ms, note);
    jobs_change_rule(&d->jobs, job, "priority", cJSON_CreateString(runs));
}

/* Whose cap it is: the workspace's where that is the stricter one, else the principal's own or everyone's. */
struct whose {
    const struct cap_setters_of *setters; /* NULL: not known */
    const char *name;
};

static struct whose whose_cap(const struct daemon *d, const struct core_job_view *view, bool time)
{
    struct core_caps own, work, held;
    core_caps_in_force(d->core, view->principal.v, view->workspace, &held);
    core_caps_get(d->core, CORE_QUOTA_PRINCIPAL, view->principal.v, &own);
    core_caps_get(d->core, CORE_QUOTA_WORKSPACE, view->workspace, &work);
    bool owns = time ? own.time_limit_ms == held.time_limit_ms
                     : own.set_class && own.priority_class == held.priority_class;
    bool works = time ? work.time_limit_ms == held.time_limit_ms
                      : work.set_class && work.priority_class == held.priority_class;
    if (owns)
        return (struct whose){cap_setters_find(&d->cap_setters, CORE_QUOTA_PRINCIPAL, view->principal.v),
                              principals_name(&d->principals, view->principal.v)};
    if (works)
        return (struct whose){cap_setters_find(&d->cap_setters, CORE_QUOTA_WORKSPACE, view->workspace),
                              names_text(d, NAME_WORKSPACE, view->workspace)};
    return (struct whose){cap_setters_find(&d->cap_setters, CORE_QUOTA_PRINCIPAL, 0), "everyone"};
}

/* "that root set on 2026-12-01 10:00:00 for everyone" */
static void add_setter(struct buf *out, const struct cap_setter *setter, const char *whom)
{
    char at[32];
    if (setter && setter->by)
        buf_printf(out, "that %s set on %s for %s", setter->by, why_day((uint64_t)setter->at_ms, at), whom);
    else
        buf_printf(out, "of %s", whom);
}

static void add_cap(cJSON *caps, const char *kind, const struct cap_setter *setter, const char *whom)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "kind", kind);
    json_add_str(o, "whose", whom);
    json_add_str(o, "set_by", setter ? setter->by : NULL);
    if (setter && setter->by)
        json_add_int(o, "set_ms", setter->at_ms);
    else
        cJSON_AddNullToObject(o, "set_ms");
    cJSON_AddItemToArray(caps, o);
}

void authority_explain(const struct daemon *d, const struct core_job_view *view, const char *name, cJSON *o,
                       cJSON *text)
{
    struct core_caps held;
    char limit[32], most[32];
    cJSON *caps = cJSON_AddArrayToObject(o, "caps");
    core_caps_in_force(d->core, view->principal.v, view->workspace, &held);
    if (view->asked_class > view->priority_class) {
        struct whose whose = whose_cap(d, view, false);
        const struct cap_setter *setter = whose.setters ? &whose.setters->priority : NULL;
        _cleanup_buf_ struct buf line = {0};
        buf_printf(&line, "its priority %s is above the cap of %s ", priority_class_name(view->asked_class),
                   priority_class_name(view->priority_class));
        add_setter(&line, setter, whose.name);
        buf_printf(&line, AUTHORITY_RUNS_AS "%s", priority_class_name(view->priority_class));
        add_note(text, &line);
        add_cap(caps, "priority", setter, whose.name);
    }
    if (!view->over_cap)
        return;
    struct whose whose = whose_cap(d, view, true);
    const struct cap_setter *setter = whose.setters ? &whose.setters->time : NULL;
    _cleanup_buf_ struct buf line = {0};
    units_format_exact((int64_t)held.time_limit_ms, most);
    if (view->time_limit_ms)
        buf_printf(&line, "its time limit %s is above the cap of %s ",
                   units_format_exact((int64_t)view->time_limit_ms, limit), most);
    else
        buf_printf(&line, "it has no time limit, and there is a cap of %s ", most);
    add_setter(&line, setter, whose.name);
    buf_printf(&line, ": berth update %s --time %s", name, most);
    add_note(text, &line);
    add_cap(caps, "time_limit", setter, whose.name);
}
