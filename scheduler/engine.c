/*
 * Steps, rows, effects. Invariant: an effect (a delta to a node, an answer) runs only after the commit of the
 * row that it follows from, in the rows' order.
 */
#include "scheduler/engine.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "scheduler/arrays.h"
#include "scheduler/authority.h"
#include "scheduler/attempts.h"
#include "scheduler/batch.h"
#include "scheduler/dependency.h"
#include "scheduler/fences.h"
#include "scheduler/follow.h"
#include "scheduler/job_inputs.h"
#include "scheduler/relay.h"
#include "scheduler/core/row.h"
#include "scheduler/waits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct effect {
    enum core_decision_kind kind;
    struct task_id task;
    struct node_id node;
    enum core_stop_reason reason;
    uint32_t grace_ms;
    bool force;
};

/* What one step leads to. */
struct effects {
    struct daemon *daemon;
    uint64_t row;
    uint32_t count;
    struct effect items[];
};

/* ---- after the commit ---- */

static void start_effect(struct daemon *d, struct node *node, const struct effect *e)
{
    struct core_task_view view;
    if (core_task_get(d->core, e->task, &view) && !view.abandoned) /* not ended meanwhile */
        node_push_launch(node, e->task);
}

void engine_push_stop(struct node *node, struct task_id task, enum core_stop_reason reason, uint32_t grace_ms,
                      bool force)
{
    static const char *const words[CORE_STOP_REASON_END] = {[CORE_STOP_CANCEL] = "cancel",
                                                            [CORE_STOP_PREEMPT] = "preempt",
                                                            [CORE_STOP_DRAIN] = "drain",
                                                            [CORE_STOP_PEER] = "peer"};
    char fields[96];
    snprintf(fields, sizeof fields, "\"reason\":\"%s\",\"grace_ms\":%u,\"force\":%s", words[reason], grace_ms,
             force ? "true" : "false");
    node_push_task(node, DELTA_STOP, "stop", task, fields);
}

void engine_push_limit(struct node *node, struct task_id task, int64_t limit_ms)
{
    char fields[48];
    snprintf(fields, sizeof fields, "\"time_limit_ms\":%lld", (long long)limit_ms);
    node_push_task(node, DELTA_LIMIT, "limit", task, fields);
}

static void stop_effect(struct daemon *d, struct node *node, const struct effect *e)
{
    (void)d;
    engine_push_stop(node, e->task, e->reason, e->grace_ms, e->force);
}

static void release_effect(struct daemon *d, struct node *node, const struct effect *e)
{
    (void)d;
    node_push_task(node, DELTA_RELEASE, "release", e->task, NULL);
}

static void run_effects(void *data)
{
    static void (*const run[CORE_DECISION_KIND_END])(struct daemon *, struct node *,
                                                     const struct effect *) = {
        [CORE_DECISION_START_TASK] = start_effect,
        [CORE_DECISION_STOP_TASK] = stop_effect,
        [CORE_DECISION_RELEASE_TASK] = release_effect,
    };
    struct effects *effects = data;
    struct daemon *d = effects->daemon;
    FAULT("engine.before_effects");
    for (uint32_t i = 0; i < effects->count && !d->stopping; i++) {
        const struct effect *e = &effects->items[i];
        struct node *node = nodes_get(&d->nodes, e->node.v);
        /* a node without a session, or one whose hello came later, has it from the hello's answer */
        if (node && node->in_session && effects->row > node->hello_row)
            run[e->kind](d, node, e);
    }
    free(effects);
}

struct ended {
    struct daemon *daemon;
    uint64_t job;
};

static void on_end_durable(void *data)
{
    struct ended *ended = data;
    struct job *job = jobs_get(&ended->daemon->jobs, ended->job);
    if (job) {
        job->evictable = true; /* from here on its end is told */
        waits_job_ended(ended->daemon, job);
        follow_job_changed(ended->daemon, job->id);
        jobs_ended(&ended->daemon->jobs, job);
    }
    free(ended);
}

/* ---- decisions into records ---- */

static void say_cause(struct daemon *d, struct job *job, const struct core_end *end)
{
    job->cause = end->kind;
    if (job->cause_text || end->kind == END_NONE)
        return;
    if (end->kind == END_CANCELED && job->reason == CORE_REASON_DEPENDENCY)
        job->cause_text = dependency_failed(d, job);
    if (job->cause_text)
        return;
    if (end->kind == END_CANCELED && job->canceled_by)
        job->cause_text = xasprintf("canceled by %s", job->canceled_by);
    else if (end->kind == END_EXIT)
        job->cause_text = xasprintf("exit status %d", end->code);
    else if (end->kind == END_SIGNAL)
        job->cause_text = xasprintf("killed by signal %d (%s)", end->signal, strsignal(end->signal));
    else if (end_kind_text(end->kind))
        job->cause_text = xstrdup(end_kind_text(end->kind));
}

static void record_end(struct daemon *d, struct job *job, const struct core_end *end, int64_t now_ms)
{
    /* of a gang the core names the end of the rank that failed first */
    const struct task *task = job_task(job, job->attempt, 1) ? NULL : job_task(job, job->attempt, 0);
    job->ended_ms = now_ms;
    say_cause(d, job, end);
    if (job->state == JOB_COMPLETED || (task && task->exit_known) || end->kind == END_EXIT ||
        end->kind == END_SIGNAL) {
        job->has_exit_code = true;
        int32_t code = task && task->exit_known ? task->code : end->code;
        int32_t signal = task && task->exit_known ? task->signal : end->signal;
        job->exit_code = signal ? 128 + signal : code;
    }
}

/* What ended the attempt before is not why the next one will end. */
static void forget_cause(struct job *job)
{
    free(job->cause_text);
    free(job->evidence);
    job->cause_text = job->evidence = NULL;
    job->cause = END_NONE;
}

static bool another_attempt_follows(const struct job *job, const struct core_decision *decision)
{
    return job->state != JOB_QUEUED && job->state != JOB_NOT_STARTED && decision->as.job.state == JOB_QUEUED;
}

static void on_job_state(struct daemon *d, const struct core_decision *decision, int64_t now_ms)
{
    struct job *job = jobs_get(&d->jobs, decision->as.job.job.v);
    if (!job || job_is_final(job))
        return;
    struct core_job_view view = {0};
    if (another_attempt_follows(job, decision) && core_job_get(d->core, decision->as.job.job, &view))
        attempts_end(job, decision->as.job.reason, view.retries_left, now_ms);
    job->state = decision->as.job.state;
    job->reason = decision->as.job.reason;
    job->attempt = decision->as.job.attempt;
    if (job->state == JOB_QUEUED)
        forget_cause(job);
    if (job->state == JOB_PREPARING && !job->array)
        authority_began(d, job, now_ms);
    if (job->state == JOB_CANCEL_REQUESTED || job->state == JOB_CANCELED)
        arrays_tell_canceled(&d->jobs, job);
    if (job->state == JOB_RUNNING && !job->started_ms)
        job->started_ms = now_ms;
    jobs_touch(&d->jobs, job);
    if (job_is_final(job)) {
        record_end(d, job, &decision->as.job.end, now_ms);
        if (job->array)
            arrays_say_end(job);
        arrays_count_end(&d->jobs, job);
        jobs_end(&d->jobs, job);
        relay_job_ended(d, job->id);
        struct ended *ended = xcalloc(1, sizeof *ended);
        *ended = (struct ended){d, job->id};
        journal_then(d->journal, on_end_durable, NULL, ended);
    } else {
        relay_job_changed(d, job);
        follow_job_changed(d, job->id);
    }
}

static void on_start_task(struct daemon *d, const struct core_decision *decision, int64_t now_ms)
{
    (void)now_ms;
    struct job *job = jobs_get(&d->jobs, decision->as.start.task.job.v);
    const struct node *node = nodes_get(&d->nodes, decision->as.start.node.v);
    if (!job || !node)
        return;
    struct task *task = job_task(job, decision->as.start.task.attempt, decision->as.start.task.rank);
    if (!task)
        task = job_add_task(job, decision->as.start.task.attempt, decision->as.start.task.rank);
    struct buf lease = {0};
    inventory_write_lease(node->inventory, d->core, decision->as.start.node, &decision->as.start.lease,
                          LEASE_FOR_PEOPLE, &lease);
    free(task->lease);
    free(task->node_name);
    task->lease = buf_take(&lease);
    task->node = node->id;
    task->node_name = xstrdup(node->name);
    jobs_touch(&d->jobs, job);
}

/* An element begins, or is canceled before: from here on it has a record as any job. */
static void on_element(struct daemon *d, const struct core_decision *decision, int64_t now_ms)
{
    (void)now_ms;
    const struct job *array = jobs_get(&d->jobs, decision->as.element.array.v);
    uint64_t id = decision->as.element.job.v;
    if (!array || !array->array || jobs_get(&d->jobs, id))
        return;
    struct job *job = arrays_make_element(array, (uint32_t)(id - array->id));
    jobs_add(&d->jobs, job);
    jobs_touch(&d->jobs, job);
}

static void on_timer_at(struct daemon *d, const struct core_decision *decision, int64_t now_ms)
{
    (void)now_ms;
    d->timer_at_ms = decision->as.timer.at_ms;
}

static void take_decisions(struct daemon *d, uint64_t row)
{
    static void (*const take[CORE_DECISION_KIND_END])(struct daemon *, const struct core_decision *,
                                                      int64_t) = {
        [CORE_DECISION_JOB_STATE] = on_job_state,
        [CORE_DECISION_START_TASK] = on_start_task,
        [CORE_DECISION_TIMER_AT] = on_timer_at,
        [CORE_DECISION_ELEMENT] = on_element,
    };
    int64_t now_ms = (int64_t)core_now(d->core);
    uint32_t count = 0;
    struct effects *effects = NULL;
    for (uint32_t i = 0; i < d->decisions->count; i++) {
        const struct core_decision *decision = &d->decisions->v[i];
        if (take[decision->kind])
            take[decision->kind](d, decision, now_ms);
        struct effect e = {.kind = decision->kind};
        if (decision->kind == CORE_DECISION_START_TASK) {
            e.task = decision->as.start.task;
            e.node = decision->as.start.node;
        } else if (decision->kind == CORE_DECISION_STOP_TASK) {
            e.task = decision->as.stop.task;
            e.node = decision->as.stop.node;
            e.reason = decision->as.stop.reason;
            e.grace_ms = decision->as.stop.grace_ms;
            e.force = decision->as.stop.force;
        } else if (decision->kind == CORE_DECISION_RELEASE_TASK) {
            e.task = decision->as.task.task;
            e.node = decision->as.task.node;
        } else {
            continue;
        }
        if (!effects)
            effects = xcalloc(1, sizeof *effects + (d->decisions->count - i) * sizeof *effects->items);
        effects->items[count++] = e;
    }
    if (!effects)
        return;
    effects->daemon = d;
    effects->row = row;
    effects->count = count;
    journal_then(d->journal, run_effects, NULL, effects);
}

/* ---- steps ---- */

bool engine_writable(struct daemon *d, struct error *err)
{
    struct error why = {0};
    if (d->stopping)
        return error_set(err, ERROR_UNAVAILABLE, "the scheduler is shutting down");
    if (journal_healthy(d->journal, &why))
        return true;
    if (err)
        *err = why;
    return error_wrap(err, "nothing can be changed now");
}

bool engine_step(struct daemon *d, const struct core_event *event, struct error *err)
{
    const char *wrong = core_event_check(event);
    if (wrong) {
        log_error("an event of kind %d was refused: %s", (int)event->kind, wrong);
        return error_set(err, ERROR_INVALID, "%s", wrong);
    }
    if (!core_make_room(d->core, event) && event->kind == CORE_EVENT_NODE_UP)
        return error_set(err, ERROR_LIMIT, "there is no room for another node");
    FAULT("engine.before_step");
    int64_t now_ms = clock_wall_ms();
    core_step(d->core, (uint64_t)now_ms, event, d->decisions);
    struct core_row row = {.core_version = CORE_VERSION, .event = *event};
    row.now_ms = (uint64_t)now_ms;
    row.state_hash = core_hash(d->core);
    size_t need = core_row_encode(&row, d->decisions, (unsigned char *)d->row.data, d->row.cap);
    if (need > d->row.cap) {
        buf_reserve(&d->row, need);
        need = core_row_encode(&row, d->decisions, (unsigned char *)d->row.data, d->row.cap);
    }
    d->last_row = journal_add_row(d->journal, row.now_ms, row.state_hash, d->row.data, need);
    take_decisions(d, d->last_row);
    return true;
}

static void on_core_timer(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    if (!engine_writable(d, NULL))
        return;
    fences_watch_clock(d);
    engine_step(d, &(struct core_event){.kind = CORE_EVENT_TICK}, NULL);
}

static void arm_timer(struct daemon *d)
{
    if (!d->timer_at_ms) {
        uv_timer_stop(&d->core_timer);
        return;
    }
    int64_t wait = (int64_t)d->timer_at_ms - clock_wall_ms();
    uv_timer_start(&d->core_timer, on_core_timer, wait > 0 ? (uint64_t)wait : 1, 0);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

void engine_turn(struct daemon *d)
{
    bool batches = batches_turn(d);
    bool more = core_continue_due(d->core) && engine_writable(d, NULL);
    if (more) {
        engine_step(d, &(struct core_event){.kind = CORE_EVENT_CONTINUE}, NULL);
        more = core_continue_due(d->core);
    }
    if (more || batches)
        uv_idle_start(&d->idle, on_idle);
    else
        uv_idle_stop(&d->idle);
    arm_timer(d);
    journal_flush(d->journal);
}

void engine_look(const struct daemon *d, struct job *job)
{
    struct core_job_view view;
    bool looks = job->state == JOB_QUEUED || (job->array && !job_is_final(job));
    if (!looks || !core_job_get(d->core, (struct job_id){job->id}, &view))
        return;
    if (job->array)
        arrays_look(job, &view);
    job->reason = view.reason;
    job->promised_ms = (int64_t)view.promised_ms;
    job->kept_until_ms = (int64_t)view.kept_until_ms;
    job->runs_as = view.asked_class > view.priority_class ? priority_class_name(view.priority_class) : NULL;
}

/* What a site that says nothing gets. */
static void configure(struct daemon *d)
{
    static const struct core_event event = {
        .kind = CORE_EVENT_CONFIG,
        .as.config = {.policy = CORE_POLICY_BERTH,
                      .preempt = true,
                      .preempt_min_run_ms = 5 * 60 * 1000,
                      .age_ms = UINT64_C(24) * 3600 * 1000,
                      .share_weight = 0,
                      .share_half_life_ms = UINT64_C(7) * 24 * 3600 * 1000}};
    static const struct core_event caps = {
        .kind = CORE_EVENT_CAPS,
        .as.caps = {.scope = CORE_QUOTA_PRINCIPAL, .set_class = true, .priority_class = PRIORITY_MEDIUM}};
    engine_step(d, &event, NULL);
    engine_step(d, &caps, NULL);
}

void engine_recovered(struct daemon *d)
{
    if (!core_now(d->core))
        configure(d);
    sizes_settle(d);
    fences_begin(d);
    weights_begin(d);
    d->timer_at_ms = core_timer_at(d->core);
    struct job *job, *tmp;
    list_for_each(job, tmp, &d->jobs.live, link) engine_look(d, job); /* the counts of arrays */
}

/* ---- orders ---- */

/* The folder of the task's log: the shim only makes files. */
static void make_log_folder(struct daemon *d, uint64_t job)
{
    _cleanup_free_ char *path = xasprintf("%s/%llu", d->options.log_dir, (unsigned long long)job);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        log_error("can't make %s: %s", path, strerror(errno));
}

/*
 * Where the tasks of a gang meet. Two gangs on one node rarely get the same port: it follows from job and
 * attempt, and lies below what the system hands out on its own (32768 on).
 */
#define MASTER_PORT_FIRST 20000
#define MASTER_PORT_COUNT 12000

static void add_gang(const struct daemon *d, const struct job *job, struct task_id task, cJSON *order)
{
    struct core_job_view view;
    uint32_t instances =
        core_job_get(d->core, task.job, &view) && view.instance_count ? view.instance_count : 1;
    if (job->distributed)
        json_add_int(order, "master_port",
                     MASTER_PORT_FIRST + (int64_t)((task.job.v * 31 + task.attempt) % MASTER_PORT_COUNT));
    if (instances == 1)
        return;
    cJSON *gang = cJSON_AddObjectToObject(order, "gang"), *hosts = cJSON_AddArrayToObject(gang, "hosts");
    json_add_int(gang, "instances", instances);
    json_add_int(gang, "rank", task.rank);
    json_add_int(gang, "processes_per_instance", job->processes);
    _cleanup_free_ const char **names = xcalloc(instances, sizeof *names);
    for (uint32_t i = 0; i < job->task_count; i++) /* once over the tasks: a gang has a thousand */
        if (job->tasks[i].attempt == task.attempt && job->tasks[i].rank < instances)
            names[job->tasks[i].rank] = job->tasks[i].node_name;
    for (uint32_t rank = 0; rank < instances; rank++)
        cJSON_AddItemToArray(hosts, cJSON_CreateString(names[rank] ? names[rank] : "?"));
}

bool engine_write_order(struct daemon *d, const struct node *node, struct task_id task, struct buf *out,
                        struct error *err)
{
    struct core_task_view view;
    struct job *job = jobs_get(&d->jobs, task.job.v);
    size_t start = out->len;
    if (!job || !core_task_get(d->core, task, &view))
        return error_set(err, ERROR_NOT_FOUND, "the task is over");
    char text[TASK_ID_TEXT_MAX];
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "task", task_id_format(task, text));
    json_add_int(o, "epoch", (int64_t)d->epoch);
    json_add_str(o, "principal", principals_name(&d->principals, job->principal));
    json_add_int(o, "uid_hint", job->uid);
    json_add_int(o, "time_limit_ms", job->time_limit_ms);
    json_add_int(o, "grace_ms", job->grace_ms);
    json_add_str(o, "job_name", job->name);
    json_add_str(o, "name", job->name);
    json_add_int(o, "submitted_ms", job->submitted_ms);
    cJSON *fence = cJSON_AddObjectToObject(o, "fence");
    struct core_job_view rules = {0};
    bool requeue = core_job_get(d->core, task.job, &rules) && rules.on_node_loss == CORE_LOSS_REQUEUE;
    cJSON_AddStringToObject(fence, "rule", requeue ? "requeue" : "wait");
    json_add_int(fence, "after_ms", requeue ? (int64_t)rules.fence_after_ms : 0);
    add_gang(d, job, task, o);
    if (job->array_job)
        json_add_int(o, "array_index", job->array_index);
    _cleanup_free_ char *log = xasprintf("%s/%llu/%u.%u.log", d->options.log_dir,
                                         (unsigned long long)task.job.v, task.attempt, task.rank);
    _cleanup_free_ char *outputs = xasprintf("%s/%llu/%u.%u", d->options.outputs_dir,
                                             (unsigned long long)task.job.v, task.attempt, task.rank);
    json_add_str(o, "log_path", log);
    json_add_str(o, "outputs_path", outputs);
    job_inputs_order(d, job, task.rank, o);
    json_write(o, out);
    out->data[out->len - 1] = ',';
    buf_add_str(out, "\"lease\":");
    inventory_write_lease(node->inventory, d->core, view.node, &view.lease, LEASE_FOR_ORDER, out);
    buf_add_str(out, ",\"spec\":");
    bool ok = journal_read_spec(d->reader, job->array_job ? job->array_job : job->id, out, err);
    buf_add_char(out, '}');
    if (ok && out->len - start > NODE_LAUNCH_MAX_BYTES)
        ok = error_set(err, ERROR_LIMIT, "its launch is %zu bytes long; at most %u are sent to a node",
                       out->len - start, NODE_LAUNCH_MAX_BYTES);
    if (!ok) {
        out->len = start;
        out->data[start] = '\0';
        return false;
    }
    make_log_folder(d, task.job.v);
    return true;
}

/* ---- answers ---- */

struct answer {
    struct daemon *daemon;
    struct http_request *req; /* NULL once answered */
    unsigned status;
    char *body;
    void (*undo)(struct daemon *d, uint64_t id);
    uint64_t id;
};

static void send_answer(void *data)
{
    struct answer *a = data;
    FAULT("engine.before_answer");
    if (a->req && a->body) {
        size_t n = strlen(a->body);
        http_respond_text(a->req, a->status, "application/json", take_ptr(a->body), n);
    } else if (a->req)
        http_respond_empty(a->req, a->status);
    free(a->body);
    free(a);
}

static void refuse_answer(void *data, const struct error *why)
{
    struct answer *a = data;
    struct http_request *req = take_ptr(a->req);
    if (!req)
        return;
    if (a->undo)
        a->undo(a->daemon, a->id);
    http_respond_error(req, why);
}

void engine_answer(struct daemon *d, struct http_request *req, unsigned status, char *body,
                   void (*undo)(struct daemon *d, uint64_t id), uint64_t id)
{
    struct answer *a = xcalloc(1, sizeof *a);
    *a = (struct answer){d, req, status, body, undo, id};
    journal_then(d->journal, send_answer, refuse_answer, a);
}

/* Reads go on while nothing can be written. */
static void send_anyway(void *data, const struct error *why)
{
    struct answer *a = data;
    size_t n = strlen(a->body);
    (void)why;
    http_respond_text(take_ptr(a->req), a->status, "application/json", take_ptr(a->body), n);
}

void engine_answer_view(struct daemon *d, struct http_request *req, char *body)
{
    if (journal_quiet(d->journal)) {
        http_respond_text(req, 200, "application/json", body, strlen(body));
        return;
    }
    struct answer *a = xcalloc(1, sizeof *a);
    *a = (struct answer){.daemon = d, .req = req, .status = 200, .body = body};
    journal_then(d->journal, send_answer, send_anyway, a);
}
