#include "scheduler/authority.h"

#include "base/cleanup.h"
#include "proto/units.h"
#include "scheduler/api.h"

#include <time.h>

static const char *moment(uint64_t at_ms, char out[32])
{
    time_t at = (time_t)(at_ms / 1000);
    struct tm tm;
    strftime(out, 32, "%F %T", localtime_r(&at, &tm));
    return out;
}

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
                    names_text(d, NAME_RESERVATION, a->reservation), moment(a->begin_ms, text));
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
        buf_printf(&text, "priority %s is not granted to you: it runs as %s",
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
