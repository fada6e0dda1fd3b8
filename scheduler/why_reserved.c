/* What reservations have to do with a job's waiting, in words and as JSON. */
#include "scheduler/why_reserved.h"

#include "base/buf.h"
#include "base/clock.h"
#include "proto/units.h"

#include <stdarg.h>
#include <time.h>

static void say(cJSON *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(cJSON *text, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    cJSON_AddItemToArray(text, cJSON_CreateString(line));
}

static void add_time(cJSON *o, const char *field, uint64_t ms)
{
    if (ms)
        json_add_int(o, field, (int64_t)ms);
    else
        cJSON_AddNullToObject(o, field);
}

static void day_of(uint64_t at_ms, char out[64])
{
    time_t at = (time_t)(at_ms / 1000);
    struct tm tm;
    if (!localtime_r(&at, &tm) || !strftime(out, 64, "%F %T", &tm))
        snprintf(out, 64, "?");
}

/* The gap before it: what the job would need of it, grace period and all. */
static void say_gap(const struct core_why_reserved *r, const struct core_job_view *view, cJSON *text)
{
    char end[64], reach[64], grace[32];
    int64_t now = clock_wall_ms();
    if ((int64_t)r->begin_ms <= now)
        return;
    day_of(r->begin_ms, end);
    if (!view->time_limit_ms) {
        say(text, "it would have to end by %s; it has no time limit (berth update --time)", end);
        return;
    }
    day_of((uint64_t)now + view->time_limit_ms + view->grace_ms, reach);
    say(text, "it would have to end by %s; its limit and %s of grace reach %s", end,
        units_format_exact(view->grace_ms, grace), reach);
}

void why_reserved(const struct daemon *d, const struct core_why_reserved *r, const struct core_job_view *view,
                  cJSON *o, cJSON *text)
{
    char from[64], until[64];
    const char *name = names_text(d, NAME_RESERVATION, r->reservation);
    const struct node *node = nodes_get(&d->nodes, r->node.v);
    if (r->kind == CORE_WHY_RESERVATION_NONE) {
        cJSON_AddNullToObject(o, "reservation");
        return;
    }
    cJSON *reserved = cJSON_AddObjectToObject(o, "reservation");
    json_add_str(reserved, "name", name);
    add_time(reserved, "from_ms", r->begin_ms);
    add_time(reserved, "until_ms", r->end_ms);
    json_add_str(reserved, "node", node ? node->name : NULL);
    day_of(r->begin_ms, from);
    day_of(r->end_ms, until);
    switch (r->kind) {
    case CORE_WHY_RESERVATION_KEPT:
        say(text, "node %s keeps what is free for the reservation %s, from %s until %s",
            node ? node->name : "?", name, from, until);
        say_gap(r, view, text);
        break;
    case CORE_WHY_RESERVATION_LATER:
        say(text, "it runs inside the reservation %s, which begins at %s", name, from);
        break;
    case CORE_WHY_RESERVATION_SHORT:
        say(text,
            "the reservation %s ends at %s, before its time limit would: berth update --time, or cancel it",
            name, until);
        break;
    case CORE_WHY_RESERVATION_FULL:
        say(text,
            "it runs inside the reservation %s (until %s), where others have what it wants, or a node is"
            " away",
            name, until);
        break;
    default:
        say(text,
            "the reservation %s is over, or was taken away: it waits until one of that name is made again",
            name);
        break;
    }
}
