/* GET /v1/jobs/JOB/why: the core's answer, in words. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/units.h"
#include "scheduler/approval.h"
#include "scheduler/arrays.h"
#include "scheduler/authority.h"
#include "scheduler/engine.h"
#include "scheduler/shares_view.h"
#include "scheduler/forecast.h"
#include "scheduler/smaller.h"
#include "scheduler/why_nodes.h"
#include "scheduler/why_reserved.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const resource_names[RESOURCE_KIND_COUNT] = {[RESOURCE_CORES] = "cores",
                                                                [RESOURCE_CPUS] = "cpus",
                                                                [RESOURCE_MEMORY] = "memory",
                                                                [RESOURCE_GPUS] = "gpus"};

/* "1.5G"; of GPUs 0.5 or 2. */
static const char *amount(enum resource_kind kind, uint64_t value, char out[32])
{
    if (kind == RESOURCE_MEMORY)
        return units_format_bytes((int64_t)value, out);
    snprintf(out, 32, "%.10g", (double)value / (kind == RESOURCE_GPUS ? RESOURCE_GPU_WHOLE : 1));
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

/* When that is, and how long from now. */
static void date_and_span(uint64_t at_ms, char day[32], char span[32])
{
    int64_t wait = (int64_t)at_ms - clock_wall_ms();
    time_t at = (time_t)(at_ms / 1000);
    struct tm tm;
    localtime_r(&at, &tm);
    strftime(day, 32, "%F %T", &tm);
    units_format_duration(wait > 0 ? wait / 1000 * 1000 : 0, span);
}

/* "in 12m (2026-11-25 10:42:00)" */
static const char *when(uint64_t at_ms, char out[64])
{
    char span[32], day[32];
    date_and_span(at_ms, day, span);
    snprintf(out, 64, "in %s (%s)", span, day);
    return out;
}

/* "2026-11-25 10:42:00 (for 12m)" */
static const char *until(uint64_t at_ms, char out[64])
{
    char span[32], day[32];
    date_and_span(at_ms, day, span);
    snprintf(out, 64, "%s (for %s)", day, span);
    return out;
}

static void add_time(cJSON *o, const char *field, uint64_t ms)
{
    if (ms)
        json_add_int(o, field, (int64_t)ms);
    else
        cJSON_AddNullToObject(o, field);
}

/* Who holds some of it, and until when: by what was declared, else by what is expected. */
static cJSON *holders_of(struct daemon *d, const struct core_why_blocker *b, uint32_t listed,
                         struct buf *list)
{
    cJSON *holders = cJSON_CreateArray();
    for (uint32_t i = 0; i < listed; i++) {
        const struct job *job = jobs_get(&d->jobs, b->holders[i].v);
        uint64_t declared, expected;
        char at[64];
        if (!job)
            continue;
        core_job_ends(d->core, b->holders[i], &declared, &expected);
        cJSON *o = cJSON_CreateObject();
        json_add_str(o, "job", job->name);
        add_time(o, "ends_ms", declared);
        add_time(o, "expected_end_ms", expected);
        cJSON_AddItemToArray(holders, o);
        buf_printf(list, "%s%s", list->len ? ", " : "", job->name);
        if (declared)
            buf_printf(list, ", which ends at the latest %s", when(declared, at));
        else if (expected)
            buf_printf(list, ", which has no time limit and is expected to end %s", when(expected, at));
        else
            buf_add_str(list, ", which has no time limit");
    }
    return holders;
}

static void add_blocker(struct daemon *d, cJSON *blockers, cJSON *text, const struct core_why_blocker *b,
                        const struct core_job_view *view, const char *node)
{
    char wanted[32], have[32], total[32];
    _cleanup_buf_ struct buf holders = {0}, names = {0};
    double unit = b->resource == RESOURCE_GPUS ? RESOURCE_GPU_WHOLE : 1;
    uint32_t listed = b->holder_count < CORE_WHY_JOBS_MAX ? b->holder_count : CORE_WHY_JOBS_MAX;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "resource", resource_names[b->resource]);
    json_add_str(o, "node", node);
    cJSON_AddNumberToObject(o, "wanted", (double)b->wanted / unit);
    cJSON_AddNumberToObject(o, "free", (double)b->free / unit);
    cJSON_AddNumberToObject(o, "total", (double)b->total / unit);
    cJSON_AddItemToObject(o, "held_by", names_of(d, b->holders, listed, &names));
    cJSON_AddItemToObject(o, "holders", holders_of(d, b, listed, &holders));
    cJSON_AddItemToArray(blockers, o);
    if (b->resource == RESOURCE_GPUS && view->request.gpu_memory_bytes) {
        say(text, "it wants a share of a GPU with %s of its memory; no GPU of node %s has so much free%s%s",
            units_format_bytes((int64_t)view->request.gpu_memory_bytes, wanted), node,
            holders.len ? "; held by " : "", holders.len ? holders.data : "");
        return;
    }
    say(text, "it wants %s %s; of node %s's %s there are %s free%s%s%s",
        amount(b->resource, b->wanted, wanted), resource_names[b->resource], node,
        amount(b->resource, b->total, total), amount(b->resource, b->free, have),
        holders.len ? "; held by " : "", holders.len ? holders.data : "",
        b->holder_count > listed ? " and others" : "");
}

/* ---- what holds it back beside room ---- */

static void explain_needs(struct daemon *d, const struct core_why *why, cJSON *o, cJSON *text)
{
    _cleanup_buf_ struct buf names = {0};
    cJSON_AddItemToObject(o, "waits_for", names_of(d, why->needs, why->need_listed, &names));
    if (why->need_count)
        say(text, "it waits for %s%s", names.len ? names.data : "other jobs",
            why->need_count > why->need_listed ? ", ..." : "");
}

static void explain_licence(struct daemon *d, const struct core_why *why, cJSON *o, cJSON *text)
{
    if (!why->licence_short) {
        cJSON_AddNullToObject(o, "licence");
        return;
    }
    const char *name = names_text(d, NAME_LICENCE, why->licence);
    cJSON *licence = cJSON_AddObjectToObject(o, "licence");
    json_add_str(licence, "name", name);
    json_add_int(licence, "wanted", why->licence_wanted);
    json_add_int(licence, "used", why->licence_used);
    json_add_int(licence, "total", why->licence_total);
    struct core_why_blocker b = {0}; /* its holders are told as those of any other resource */
    _cleanup_buf_ struct buf holders = {0};
    b.holder_count = core_licence_holders(d->core, why->licence, b.holders, CORE_WHY_JOBS_MAX);
    uint32_t listed = b.holder_count < CORE_WHY_JOBS_MAX ? b.holder_count : CORE_WHY_JOBS_MAX;
    cJSON_AddItemToObject(licence, "holders", holders_of(d, &b, listed, &holders));
    say(text, "it wants %u of the licence %s; of %u there are %u in use%s%s%s", why->licence_wanted, name,
        why->licence_total, why->licence_used, holders.len ? "; held by " : "",
        holders.len ? holders.data : "", b.holder_count > listed ? " and others" : "");
}

static void explain_ahead(struct daemon *d, const struct core_why *why, cJSON *o, cJSON *text)
{
    _cleanup_buf_ struct buf ahead = {0};
    json_add_int(o, "ahead_count", why->ahead_count);
    cJSON_AddItemToObject(o, "ahead", names_of(d, why->ahead, why->ahead_listed, &ahead));
    if (why->ahead_count)
        say(text, "%u job%s before it in the queue: %s%s", why->ahead_count,
            why->ahead_count == 1 ? " is" : "s are", ahead.len ? ahead.data : "?",
            why->ahead_count > why->ahead_listed ? ", ..." : "");
}

/* ---- what would start now ---- */

/* "4 cpus", "8G memory", "2 GPUs", "2 nodes", "a time limit of 2h" */
static void add_amount(struct buf *out, enum smaller_kind kind, uint64_t most, bool cpus)
{
    char text[32];
    if (out->len)
        buf_add_str(out, ", or ");
    if (kind == SMALLER_CORES)
        buf_printf(out, "%llu %s", (unsigned long long)most, cpus ? "cpus" : "cores");
    else if (kind == SMALLER_MEMORY)
        buf_printf(out, "%s memory", units_format_bytes((int64_t)most, text));
    else if (kind == SMALLER_GPUS)
        buf_printf(out, "%.10g GPUs", (double)most / RESOURCE_GPU_WHOLE);
    else if (kind == SMALLER_INSTANCES)
        buf_printf(out, "%llu node%s", (unsigned long long)most, most == 1 ? "" : "s");
    else
        buf_printf(out, "a time limit of %s", units_format_exact((int64_t)most, text));
}

static void explain_all_smaller(const struct core_wish *all, bool cpus, cJSON *list, cJSON *text)
{
    char memory[32];
    const struct resource_request *r = &all->request;
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, cpus ? "cpus" : "cores", cpus ? r->cpus : r->cores);
    json_add_int(o, "memory_bytes", (int64_t)r->memory_bytes);
    cJSON_AddNumberToObject(o, "gpus", (double)r->gpu_milli / RESOURCE_GPU_WHOLE);
    json_add_int(o, "instance_count", all->instance_count);
    cJSON_AddItemToArray(list, o);
    say(text, "with %u %s, %s memory and %.10g GPUs on %u node%s it would start now",
        cpus ? r->cpus : r->cores, cpus ? "cpus" : "cores",
        units_format_bytes((int64_t)r->memory_bytes, memory), (double)r->gpu_milli / RESOURCE_GPU_WHOLE,
        all->instance_count, all->instance_count == 1 ? "" : "s");
}

/* NULL: nothing smaller would start now. */
static void explain_smaller(const struct smaller *smaller, const struct core_job_view *view, cJSON *o,
                            cJSON *text)
{
    static const char *const fields[SMALLER_KIND_COUNT] = {"cores", "memory_bytes", "gpus", "instance_count",
                                                           "time_limit_s"};
    static const double units[SMALLER_KIND_COUNT] = {1, 1, RESOURCE_GPU_WHOLE, 1, 1000};
    _cleanup_buf_ struct buf words = {0};
    bool cpus = view->request.cpus != 0;
    cJSON *list = cJSON_AddArrayToObject(o, "would_start_with");
    if (!smaller)
        return;
    for (int kind = 0; kind < SMALLER_KIND_COUNT; kind++) {
        if (!smaller->most[kind])
            continue;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddNumberToObject(one, kind == SMALLER_CORES && cpus ? "cpus" : fields[kind],
                                (double)smaller->most[kind] / units[kind]);
        cJSON_AddItemToArray(list, one);
        add_amount(&words, (enum smaller_kind)kind, smaller->most[kind], cpus);
    }
    if (words.len)
        say(text, "with at most %s it would start now", words.data);
    if (smaller->all.instance_count)
        explain_all_smaller(&smaller->all, cpus, list, text);
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
        say(text, "there is room for it, which %s is promised %s: %s", job->name, when(other.promised_ms, at),
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
            say(text, "no estimate yet: %s has no time limit", job->name);
            return;
        }
    }
}

static void explain_queued(struct daemon *d, const struct core_why *why, const struct core_job_view *view,
                           const struct smaller *smaller, cJSON *o, cJSON *text)
{
    char at[64];
    const struct node *best = nodes_get(&d->nodes, why->best.v);
    cJSON *blockers = cJSON_AddArrayToObject(o, "blockers");
    add_time(o, "begin_ms", why->begin_ms);
    if (why->begin_ms)
        say(text, "it begins at the earliest %s", when(why->begin_ms, at));
    explain_needs(d, why, o, text);
    explain_licence(d, why, o, text);
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
            add_blocker(d, blockers, text, &why->blockers[i], view, best ? best->name : "?");
    json_add_int(o, "nodes_wanted", why->nodes_wanted);
    json_add_int(o, "nodes_fit", why->nodes_fit);
    if (why->nodes_wanted > 1)
        say(text, "it wants %u nodes at once; %u have room now", why->nodes_wanted, why->nodes_fit);
    explain_ahead(d, why, o, text);
    shares_explain(d, view, o, text);
    uint64_t preempts = why->ahead_count ? 0 : core_preempt_at(d->core);
    add_time(o, "preempts_ms", preempts);
    if (preempts)
        say(text, "preemptible jobs of a lower class give way to it %s", when(preempts, at));
    why_reserved(d, &why->reserved, view, o, text);
    if (why->promised_ms)
        say(text, "it starts at the latest %s", when(why->promised_ms, at));
    if (!why->expected_ms && !why->promised_ms)
        say_no_estimate(d, why, text);
    if (why->expected_ms && !why->fits_now && why->expected_ms != why->promised_ms)
        say(text, "it should start %s%s", when(why->expected_ms, at),
            why->promised_ms ? "" : "; no start is promised");
    if (why->reason == CORE_REASON_PLANNED)
        say(text, "free capacity is kept for other jobs until %s by the plan of the queue, as things are",
            until(why->kept_until_ms, at));
    else if (why->kept_until_ms)
        say(text, "free capacity is kept for short jobs until %s, or until more is free",
            until(why->kept_until_ms, at));
    else if (why->fits_now && !say_promised(d, why, view, text))
        say(text, "there is room for it: it starts as soon as its turn comes");
    explain_smaller(smaller, view, o, text);
}

/* When the first task that is silent is given up. */
static void explain_fence(const struct daemon *d, const struct job *job, cJSON *text)
{
    uint64_t first = 0;
    struct core_job_view rules;
    char at[64];
    for (uint32_t i = 0; i < job->task_count; i++) {
        struct core_task_view view;
        struct task_id id = {{job->id}, job->tasks[i].attempt, job->tasks[i].rank};
        if (core_task_get(d->core, id, &view) && view.given_up_ms && (!first || view.given_up_ms < first))
            first = view.given_up_ms;
    }
    if (first)
        say(text, "if nothing is heard of it, it runs again elsewhere %s", when(first, at));
    else if (core_job_get(d->core, (struct job_id){job->id}, &rules) && rules.on_node_loss == CORE_LOSS_WAIT)
        say(text, "it waits for its node, however long that takes (on_node_loss: wait); berth node lost "
                  "gives it up");
}

/* The last of what befell it since it runs: that may be why it gets no further. */
static void explain_note(const struct job *job, cJSON *text)
{
    const char *note = job_last_note(job);
    if (note && job->started_ms && job->notes[job->note_count - 1].at_ms >= job->started_ms)
        say(text, "%s", note);
}

static void explain_others(const struct daemon *d, const struct job *job, const struct node *node,
                           cJSON *text)
{
    if (job_is_final(job)) {
        say(text, "it has ended: %s%s%s", job_state_name(job->state), job->cause_text ? ", " : "",
            job->cause_text ? job->cause_text : "");
        return;
    }
    switch (job->state) {
    case JOB_PREPARING:
        say(text, "node %s fetches its code and image%s%s", node ? node->name : "?",
            job_last_note(job) ? ": " : "", job_last_note(job) ? job_last_note(job) : "");
        break;
    case JOB_STARTING:
        say(text, "node %s starts it", node ? node->name : "?");
        break;
    case JOB_RUNNING:
        say(text, "it runs on node %s", node ? node->name : "?");
        explain_note(job, text);
        break;
    case JOB_FINALIZING:
        say(text, "it has exited; node %s collects its outputs", node ? node->name : "?");
        break;
    case JOB_NOT_RESPONDING:
        say(text, "node %s has not been heard of for a while; the job goes on there as far as is known",
            node ? node->name : "?");
        explain_fence(d, job, text);
        break;
    case JOB_CANCEL_REQUESTED:
        say(text, "it was asked to end%s%s and has not yet", job->canceled_by ? " by " : "",
            job->canceled_by ? job->canceled_by : "");
        break;
    default:
        break;
    }
}

static void explain_array(const struct job *job, cJSON *text)
{
    const struct job_array *a = job->array;
    say(text, "of its %u elements %u wait, %u are under way, %u have completed, %u failed, %u canceled",
        a->indices.count, a->waiting, a->live, a->completed, a->failed, a->canceled);
    if (job->reason == CORE_REASON_ARRAY && a->waiting)
        say(text, "no more than %u may be under way at once (berth update %s --array-limit N)", a->limit,
            job->name);
}

/* ---- the answer ---- */

/* A waiting job's start and smaller requests are worked out in the thread pool, on a copy of the core. */
struct question {
    uv_work_t work;
    struct daemon *daemon;
    struct http_request *req;
    struct forecast *forecast;
    struct forecast_job start;
    struct smaller smaller;
    bool any_smaller;
    uint64_t job;
    int64_t
        element; /* of the job, an array: the index of one that has not begun; -1: it is asked about itself */
};

static void answer_why(struct daemon *d, struct http_request *req, struct job *job, int64_t element,
                       uint64_t start_ms, const struct smaller *smaller)
{
    struct core_why why = {0};
    struct core_job_view view = {0};
    struct job_id id = {job->id};
    engine_look(d, job);
    bool known = core_why(d->core, id, &why) && core_job_get(d->core, id, &view);
    bool waits = known && view.waits;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "state", job_state_name(element < 0 ? job->state : JOB_QUEUED));
    json_add_str(o, "reason", job_reason_text(job));
    cJSON *text = cJSON_AddArrayToObject(o, "text");
    if (element >= 0)
        say(text, "it has not begun: it waits in the array %s, whose elements begin in their order",
            job->name);
    why.expected_ms = waits ? start_ms : 0;
    if (job->array)
        explain_array(job, text);
    if (waits) {
        if (!job->array || job->reason != CORE_REASON_ARRAY)
            say(text, "it %s", job_reason_text(job));
        explain_queued(d, &why, &view, smaller, o, text);
    } else {
        const struct task *task = job_task(job, job->attempt, 0);
        cJSON_AddArrayToObject(o, "blockers");
        if (!job->array || job_is_final(job))
            explain_others(d, job, task ? nodes_get(&d->nodes, task->node) : NULL, text);
    }
    add_time(o, "expected_start_ms", why.expected_ms);
    add_time(o, "promised_start_ms", why.promised_ms);
    add_time(o, "kept_until_ms", why.kept_until_ms);
    cJSON_AddBoolToObject(o, "planned", why.planned);
    engine_answer_view(d, req, json_text(o));
}

static void work_out(uv_work_t *work)
{
    struct question *q = container_of(work, struct question, work);
    struct job_id id = {q->job};
    q->any_smaller = smaller_find(forecast_core(q->forecast), id, &q->smaller);
    forecast_run(q->forecast, &q->start, 1);
}

static void worked_out(uv_work_t *work, int status)
{
    (void)status;
    struct question *q = container_of(work, struct question, work);
    struct error err = {0};
    daemon_work_done(q->daemon);
    struct job *job = jobs_find_id(&q->daemon->jobs, q->daemon->reader, q->job);
    if (job)
        answer_why(q->daemon, q->req, job, q->element, q->start.start_ms,
                   q->any_smaller ? &q->smaller : NULL);
    else {
        error_set(&err, ERROR_NOT_FOUND, "there is no job %llu", (unsigned long long)q->job);
        http_respond_error(q->req, &err);
    }
    forecast_end(q->forecast);
    free(q);
}

void api_get_why(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct job *job = api_own_job(d, req, "why");
    if (!job)
        return;
    struct job_id asked = {job->id};
    struct job *array = job->unborn && !job_is_final(job) ? jobs_get(&d->jobs, job->array_job) : NULL;
    int64_t element = array ? (int64_t)job->array_index : -1;
    job = array ? array : job; /* what keeps it is what keeps its array */
    struct job_id id = {job->id};
    struct smaller smaller;
    struct core_job_view view;
    engine_look(d, job);
    if (!core_job_get(d->core, id, &view) || !view.waits) {
        answer_why(d, req, job, element, 0, NULL);
        return;
    }
    struct forecast *forecast = forecast_begin(d->core, (uint64_t)clock_wall_ms());
    if (!forecast) {
        bool any = smaller_find(d->core, id, &smaller);
        answer_why(d, req, job, element, array ? 0 : core_expected_start(d->core, id), any ? &smaller : NULL);
        return;
    }
    struct question *q = xcalloc(1, sizeof *q);
    q->daemon = d;
    q->req = req;
    q->forecast = forecast;
    q->job = id.v;
    q->element = element;
    q->start.job = asked;
    daemon_work_for(d, api_caller(d, req).principal, &q->work, work_out, worked_out);
}
