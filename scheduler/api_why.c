/* GET /v1/jobs/JOB/why: the core's answer, in words. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/units.h"
#include "scheduler/engine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const resource_names[RESOURCE_KIND_COUNT] = {[RESOURCE_CORES] = "cores",
                                                                [RESOURCE_CPUS] = "cpus",
                                                                [RESOURCE_MEMORY] = "memory",
                                                                [RESOURCE_GPUS] = "gpus"};

static const char *amount(enum resource_kind kind, uint64_t value, char out[32])
{
    if (kind == RESOURCE_MEMORY)
        return units_format_bytes((int64_t)value, out);
    snprintf(out, 32, "%llu",
             (unsigned long long)(kind == RESOURCE_GPUS ? value / RESOURCE_GPU_WHOLE : value));
    return out;
}

static cJSON *names_of(struct daemon *d, const struct job_id *ids, uint32_t count, struct buf *list)
{
    cJSON *names = cJSON_CreateArray();
    for (uint32_t i = 0; i < count; i++) {
        const struct job *job = jobs_get(&d->jobs, ids[i].v);
        if (!job)
            continue;
        cJSON_AddItemToArray(names, cJSON_CreateString(job->name));
        buf_printf(list, "%s%s", list->len ? ", " : "", job->name);
    }
    return names;
}

static void say(cJSON *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(cJSON *text, const char *fmt, ...)
{
    _cleanup_buf_ struct buf line = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    cJSON_AddItemToArray(text, cJSON_CreateString(line.data ? line.data : ""));
}

static void add_blocker(struct daemon *d, cJSON *blockers, cJSON *text, const struct core_why_blocker *b,
                        const char *node)
{
    char wanted[32], have[32], total[32];
    _cleanup_buf_ struct buf holders = {0};
    uint64_t unit = b->resource == RESOURCE_GPUS ? RESOURCE_GPU_WHOLE : 1;
    uint32_t listed = b->holder_count < CORE_WHY_JOBS_MAX ? b->holder_count : CORE_WHY_JOBS_MAX;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "resource", resource_names[b->resource]);
    json_add_int(o, "wanted", (int64_t)(b->wanted / unit));
    json_add_int(o, "free", (int64_t)(b->free / unit));
    json_add_int(o, "total", (int64_t)(b->total / unit));
    cJSON_AddItemToObject(o, "held_by", names_of(d, b->holders, listed, &holders));
    cJSON_AddItemToArray(blockers, o);
    say(text, "it wants %s %s; of node %s's %s there are %s free%s%s%s",
        amount(b->resource, b->wanted, wanted), resource_names[b->resource], node,
        amount(b->resource, b->total, total), amount(b->resource, b->free, have),
        holders.len ? "; held by " : "", holders.len ? holders.data : "",
        b->holder_count > listed ? " and others" : "");
}

/* "in 12m (2026-11-25 10:42:00)" */
static const char *when(uint64_t at_ms, char out[64])
{
    char span[32], day[32];
    int64_t wait = (int64_t)at_ms - clock_wall_ms();
    time_t at = (time_t)(at_ms / 1000);
    struct tm tm;
    localtime_r(&at, &tm);
    strftime(day, sizeof day, "%F %T", &tm);
    snprintf(out, 64, "in %s (%s)", units_format_duration(wait > 0 ? wait : 0, span), day);
    return out;
}

static void explain_rules(struct daemon *d, const struct core_why *why, cJSON *text)
{
    static const char *const limits[] = {[CORE_QUOTA_CORES] = "cores",
                                         [CORE_QUOTA_GPUS] = "thousandths of a GPU",
                                         [CORE_QUOTA_RUNNING] = "running jobs",
                                         [CORE_QUOTA_QUEUED] = "waiting jobs"};
    char at[64];
    if (why->begin_ms)
        say(text, "it does not begin before %s", when(why->begin_ms, at));
    if (why->need_count) {
        _cleanup_buf_ struct buf names = {0};
        cJSON_Delete(names_of(d, why->needs, why->need_listed, &names));
        say(text, "it waits for %s%s", names.len ? names.data : "other jobs",
            why->need_count > why->need_listed ? ", ..." : "");
    }
    if (why->licence_short)
        say(text, "it wants %u of licence %u; %u of %u are in use", why->licence_wanted, why->licence,
            why->licence_used, why->licence_total);
    if (why->quota_reached)
        say(text, "its %s has %llu %s and may have %llu",
            why->quota_scope == CORE_QUOTA_WORKSPACE ? "workspace" : "user",
            (unsigned long long)why->quota_used, limits[why->quota_limit],
            (unsigned long long)why->quota_max);
    if (why->nodes_wanted > 1)
        say(text, "it wants %u nodes at once; %u have room now", why->nodes_wanted, why->nodes_fit);
    if (why->promised_ms)
        say(text, "it starts at the latest %s", when(why->promised_ms, at));
    else if (why->expected_ms && !why->fits_now)
        say(text, "there should be room for it %s; no start is promised", when(why->expected_ms, at));
}

static void explain_queued(struct daemon *d, const struct core_why *why, cJSON *blockers, cJSON *text)
{
    const struct node *best = nodes_get(&d->nodes, why->best.v);
    for (uint32_t i = 0; i < why->blocker_count; i++)
        add_blocker(d, blockers, text, &why->blockers[i], best ? best->name : "?");
    if (why->ahead_count) {
        _cleanup_buf_ struct buf ahead = {0};
        cJSON_Delete(names_of(d, why->ahead, why->ahead_listed, &ahead));
        say(text, "%u job%s before it in the queue: %s%s", why->ahead_count,
            why->ahead_count == 1 ? " is" : "s are", ahead.len ? ahead.data : "?",
            why->ahead_count > why->ahead_listed ? ", ..." : "");
    }
    explain_rules(d, why, text);
    if (why->fits_now)
        say(text, "there is room for it: it starts as soon as its turn comes");
}

static void explain_others(const struct job *job, const struct node *node, cJSON *text)
{
    if (job_is_final(job)) {
        say(text, "it has ended: %s%s%s", job_state_name(job->state), job->cause_text ? ", " : "",
            job->cause_text ? job->cause_text : "");
        return;
    }
    switch (job->state) {
    case JOB_PREPARING:
        say(text, "node %s fetches its code and image%s%s", node ? node->name : "?",
            job->note_count ? ": " : "", job->note_count ? job->notes[job->note_count - 1].text : "");
        break;
    case JOB_STARTING:
        say(text, "node %s starts it", node ? node->name : "?");
        break;
    case JOB_RUNNING:
        say(text, "it runs on node %s", node ? node->name : "?");
        break;
    case JOB_FINALIZING:
        say(text, "it has exited; node %s collects its outputs", node ? node->name : "?");
        break;
    case JOB_NOT_RESPONDING:
        say(text, "node %s has not been heard of for a while; the job goes on there as far as is known",
            node ? node->name : "?");
        break;
    case JOB_CANCEL_REQUESTED:
        say(text, "it was asked to end%s%s and has not yet", job->canceled_by ? " by " : "",
            job->canceled_by ? job->canceled_by : "");
        break;
    default:
        break;
    }
}

static void add_time(cJSON *o, const char *field, uint64_t ms)
{
    if (ms)
        json_add_int(o, field, (int64_t)ms);
    else
        cJSON_AddNullToObject(o, field);
}

void api_get_why(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct job *job = api_own_job(d, req, "why");
    if (!job)
        return;
    engine_look(d, job);
    struct core_why why = {0};
    bool known = core_why(d->core, (struct job_id){job->id}, &why);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "state", job_state_name(job->state));
    json_add_str(o, "reason", job_reason_text(job));
    cJSON *text = cJSON_AddArrayToObject(o, "text"), *blockers = cJSON_AddArrayToObject(o, "blockers");
    if (known && job->state == JOB_QUEUED) {
        say(text, "it %s", job_reason_text(job));
        explain_queued(d, &why, blockers, text);
    } else {
        const struct task *task = job_task(job, job->attempt, 0);
        explain_others(job, task ? nodes_get(&d->nodes, task->node) : NULL, text);
    }
    add_time(o, "expected_start_ms", why.expected_ms);
    add_time(o, "promised_start_ms", why.promised_ms);
    char *body = json_text(o);
    cJSON_Delete(o);
    engine_answer_view(d, req, body);
}
