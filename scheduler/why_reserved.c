/* What reservations have to do with a job's waiting, in words and as JSON. */
#include "scheduler/why_reserved.h"

#include "base/clock.h"
#include "proto/units.h"
#include "scheduler/why_words.h"

/* The gap before it: what the job would need of it, grace period and all. */
static void say_gap(const struct core_why_reserved *r, const struct core_job_view *view, cJSON *text)
{
    char end[32], reach[32], grace[32];
    int64_t now = clock_wall_ms();
    if ((int64_t)r->begin_ms <= now)
        return;
    why_day(r->begin_ms, end);
    if (!view->time_limit_ms) {
        why_say(text, "it would have to end by %s; it has no time limit (berth update --time)", end);
        return;
    }
    why_day((uint64_t)now + view->time_limit_ms + view->grace_ms, reach);
    why_say(text, "it would have to end by %s; its limit and %s of grace reach %s", end,
            units_format_exact(view->grace_ms, grace), reach);
}

void why_reserved(const struct daemon *d, const struct core_why_reserved *r, const struct core_job_view *view,
                  cJSON *o, cJSON *text)
{
    char from[32], until[32];
    const char *name = names_text(d, NAME_RESERVATION, r->reservation);
    const struct node *node = nodes_get(&d->nodes, r->node.v);
    if (r->kind == CORE_WHY_RESERVATION_NONE) {
        cJSON_AddNullToObject(o, "reservation");
        return;
    }
    cJSON *reserved = cJSON_AddObjectToObject(o, "reservation");
    json_add_str(reserved, "name", name);
    why_add_time(reserved, "from_ms", r->begin_ms);
    why_add_time(reserved, "until_ms", r->end_ms);
    json_add_str(reserved, "node", node ? node->name : NULL);
    why_day(r->begin_ms, from);
    why_day(r->end_ms, until);
    switch (r->kind) {
    case CORE_WHY_RESERVATION_KEPT:
        why_say(text, "node %s keeps what is free for the reservation %s, from %s until %s",
                node ? node->name : "?", name, from, until);
        say_gap(r, view, text);
        break;
    case CORE_WHY_RESERVATION_LATER:
        why_say(text, "it runs inside the reservation %s, which begins at %s", name, from);
        break;
    case CORE_WHY_RESERVATION_SHORT:
        why_say(
            text,
            "the reservation %s ends at %s, before its time limit would: berth update --time, or cancel it",
            name, until);
        break;
    case CORE_WHY_RESERVATION_FULL:
        why_say(text,
                "it runs inside the reservation %s (until %s), where others have what it wants, or a node is"
                " away",
                name, until);
        break;
    default:
        why_say(
            text,
            "the reservation %s is over, or was taken away: it waits until one of that name is made again",
            name);
        break;
    }
}
