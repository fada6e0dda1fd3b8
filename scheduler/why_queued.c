/* Why a job waits: rules, room, its place in the queue, and when it starts. */
#include "scheduler/why_queued.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "scheduler/approval.h"
#include "scheduler/authority.h"
#include "scheduler/shares_view.h"
#include "scheduler/why_holders.h"
#include "scheduler/why_nodes.h"
#include "scheduler/why_reserved.h"
#include "scheduler/why_smaller.h"
#include "scheduler/why_words.h"

static void explain_needs(struct daemon *d, const struct core_why *why, cJSON *o, cJSON *text)
{
    _cleanup_buf_ struct buf names = {0};
    cJSON_AddItemToObject(o, "waits_for", why_names(d, why->needs, why->need_listed, &names));
    if (why->need_count)
        why_say(text, "it waits for %s%s", names.len ? names.data : "other jobs",
                why->need_count > why->need_listed ? ", ..." : "");
}

static void explain_ahead(struct daemon *d, const struct core_why *why, cJSON *o, cJSON *text)
{
    _cleanup_buf_ struct buf ahead = {0};
    json_add_int(o, "ahead_count", why->ahead_count);
    cJSON_AddItemToObject(o, "ahead", why_names(d, why->ahead, why->ahead_listed, &ahead));
    if (why->ahead_count)
        why_say(text, "%u job%s before it in the queue: %s%s", why->ahead_count,
                why->ahead_count == 1 ? " is" : "s are", ahead.len ? ahead.data : "?",
                why->ahead_count > why->ahead_listed ? ", ..." : "");
}

/* There is room for it, and still it may not start: it would run into the start that a job before it was
 * promised. */
static bool say_promised(struct daemon *d, const struct core_why *why, const struct core_job_view *view,
                         cJSON *text)
{
    uint64_t ends = view->time_limit_ms ? core_now(d->core) + view->time_limit_ms : UINT64_MAX;
    char at[64];
    for (uint32_t i = 0; i < why->ahead_listed; i++) {
        struct core_why other;
        const struct job *job = jobs_get(&d->jobs, why->ahead[i].v);
        if (!job || !core_why(d->core, why->ahead[i], &other) || !other.promised_ms ||
            other.promised_ms >= ends)
            continue;
        why_say(text, "there is room for it, which %s is promised %s: %s", job->name,
                why_when(other.promised_ms, at),
                view->time_limit_ms ? "its time limit reaches beyond that"
                                    : "without a time limit it might run beyond that");
        return true;
    }
    return false;
}

/* Whose end nobody knows, of those that hold what it wants. */
static void say_no_estimate(struct daemon *d, const struct core_why *why, cJSON *text)
{
    for (uint32_t b = 0; b < why->blocker_count; b++) {
        const struct core_why_blocker *blocker = &why->blockers[b];
        for (uint32_t i = 0; i < blocker->holder_count && i < CORE_WHY_JOBS_MAX; i++) {
            const struct job *job = jobs_get(&d->jobs, blocker->holders[i].v);
            uint64_t declared, expected;
            core_job_ends(d->core, blocker->holders[i], &declared, &expected);
            if (!job || declared)
                continue;
            why_say(text, "no estimate yet: %s has no time limit", job->name);
            return;
        }
    }
}

void why_queued(struct daemon *d, const struct core_why *why, const struct core_job_view *view,
                const struct smaller *smaller, cJSON *o, cJSON *text)
{
    char at[64];
    const struct node *best = nodes_get(&d->nodes, why->best.v);
    cJSON *blockers = cJSON_AddArrayToObject(o, "blockers");
    why_add_time(o, "begin_ms", why->begin_ms);
    if (why->begin_ms)
        why_say(text, "it begins at the earliest %s", why_when(why->begin_ms, at));
    explain_needs(d, why, o, text);
    why_licence(d, why, o, text);
    cJSON_AddItemToObject(o, "quota",
                          why->quota_reached ? quota_explain(d, why, view, text) : cJSON_CreateNull());
    cJSON_AddItemToObject(o, "approval",
                          why->approval_missing ? approval_explain(d, view, why->approval_family, text)
                                                : cJSON_CreateNull());
    const struct job *job = jobs_get(&d->jobs, view->job.v);
    authority_explain(d, view, job ? job->name : "?", o, text);
    why_nodes(d, view, o, text);
    if (!(view->request.flags & RESOURCE_EXCLUSIVE)) /* a whole node: why_nodes has which would do */
        for (uint32_t i = 0; i < why->blocker_count; i++)
            why_blocker(d, blockers, text, &why->blockers[i], view, best ? best->name : "?");
    json_add_int(o, "nodes_wanted", why->nodes_wanted);
    json_add_int(o, "nodes_fit", why->nodes_fit);
    if (why->nodes_wanted > 1)
        why_say(text, "it wants %u nodes at once; %u have room now", why->nodes_wanted, why->nodes_fit);
    explain_ahead(d, why, o, text);
    shares_explain(d, view, o, text);
    uint64_t preempts = why->ahead_count ? 0 : core_preempt_at(d->core);
    why_add_time(o, "preempts_ms", preempts);
    if (preempts)
        why_say(text, "preemptible jobs of a lower class give way to it %s", why_when(preempts, at));
    why_reserved(d, &why->reserved, view, o, text);
    if (why->promised_ms)
        why_say(text, "it starts at the latest %s", why_when(why->promised_ms, at));
    if (!why->expected_ms && !why->promised_ms)
        say_no_estimate(d, why, text);
    if (why->expected_ms && !why->fits_now && why->expected_ms != why->promised_ms)
        why_say(text, "it should start %s%s", why_when(why->expected_ms, at),
                why->promised_ms ? "" : "; no start is promised");
    if (why->reason == CORE_REASON_PLANNED)
        why_say(text, "free capacity is kept for other jobs until %s by the plan of the queue, as things are",
                why_until(why->kept_until_ms, at));
    else if (why->kept_until_ms)
        why_say(text, "free capacity is kept for short jobs until %s, or until more is free",
                why_until(why->kept_until_ms, at));
    else if (why->fits_now && !say_promised(d, why, view, text))
        why_say(text, "there is room for it: it starts as soon as its turn comes");
    why_smaller(smaller, view, o, text);
}
