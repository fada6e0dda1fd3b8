/* A job record's encodings: `doc` in the journal's table, and the API's job object. */
#include "scheduler/jobs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/arrays.h"
#include "scheduler/attempts.h"
#include "scheduler/visible.h"

#include <stdlib.h>
#include <string.h>

#define DOC_VERSION 1

static const char *task_word(const struct task *task)
{
    if (task->exited)
        return task->released ? (task->collected ? "collected" : "released") : "exited";
    return task_state_name(task->state);
}

static void add_raw(cJSON *object, const char *field, const char *json)
{
    if (json && *json)
        cJSON_AddRawToObject(object, field, json);
    else
        cJSON_AddNullToObject(object, field);
}

static void add_ms(cJSON *object, const char *field, int64_t ms)
{
    if (ms)
        json_add_int(object, field, ms);
    else
        cJSON_AddNullToObject(object, field);
}

/* ---- the journal's doc ---- */

static cJSON *write_task(const struct task *task)
{
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, "attempt", task->attempt);
    json_add_int(o, "rank", task->rank);
    json_add_int(o, "node_id", task->node);
    json_add_str(o, "node", task->node_name);
    json_add_int(o, "state", (int)task->state);
    cJSON_AddBoolToObject(o, "exited", task->exited);
    cJSON_AddBoolToObject(o, "released", task->released);
    cJSON_AddBoolToObject(o, "collected", task->collected);
    cJSON_AddBoolToObject(o, "exit_known", task->exit_known);
    json_add_int(o, "code", task->code);
    json_add_int(o, "signal", task->signal);
    json_add_int(o, "started_ms", task->started_ms);
    json_add_int(o, "ended_ms", task->ended_ms);
    json_add_int(o, "log_bytes", task->log_bytes);
    add_raw(o, "lease", task->lease);
    add_raw(o, "outputs", task->outputs);
    attempts_write_end(task, o);
    return o;
}

char *job_doc_write(const struct job *job)
{
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    json_add_int(o, "v", DOC_VERSION);
    json_add_int(o, "reason", (int)job->reason);
    json_add_int(o, "attempt", job->attempt);
    json_add_int(o, "started_ms", job->started_ms);
    json_add_int(o, "uid", job->uid);
    json_add_int(o, "time_limit_ms", job->time_limit_ms);
    if (job->limit_changed)
        cJSON_AddTrueToObject(o, "limit_changed");
    json_add_int(o, "grace_ms", job->grace_ms);
    json_add_str(o, "manifest", job->manifest);
    if (job->file_bytes)
        json_add_int(o, "file_bytes", job->file_bytes);
    cJSON_AddBoolToObject(o, "stdin", job->wants_stdin);
    cJSON_AddBoolToObject(o, "split", job->split_streams);
    if (job->distributed)
        cJSON_AddTrueToObject(o, "distributed");
    if (job->workspace)
        json_add_int(o, "workspace", job->workspace);
    json_add_int(o, "processes", job->processes);
    if (job->has_exit_code)
        json_add_int(o, "exit_code", job->exit_code);
    json_add_int(o, "cause", (int)job->cause);
    if (job->cause_text)
        json_add_str(o, "cause_text", job->cause_text);
    if (job->evidence)
        add_raw(o, "evidence", job->evidence);
    if (job->canceled_by)
        json_add_str(o, "canceled_by", job->canceled_by);
    if (job->held_by)
        json_add_str(o, job->held_by_operator ? "held_by_operator" : "held_by", job->held_by);
    cJSON *tasks = cJSON_AddArrayToObject(o, "tasks");
    for (uint32_t i = 0; i < job->task_count; i++)
        cJSON_AddItemToArray(tasks, write_task(&job->tasks[i]));
    cJSON *notes = cJSON_AddArrayToObject(o, "notes");
    for (uint32_t i = 0; i < job->note_count; i++) {
        cJSON *note = cJSON_CreateObject();
        json_add_int(note, "at_ms", job->notes[i].at_ms);
        json_add_str(note, "text", job->notes[i].text);
        json_add_int(note, "attempt", job->notes[i].attempt);
        cJSON_AddItemToArray(notes, note);
    }
    cJSON *advice = cJSON_AddArrayToObject(o, "advice");
    for (uint32_t i = 0; i < job->advice_count; i++)
        cJSON_AddItemToArray(advice, cJSON_CreateString(job->advice[i]));
    if (job->array)
        cJSON_AddItemToObject(o, "array", arrays_write(job->array));
    if (job->array_job) {
        json_add_int(o, "array_job", (int64_t)job->array_job);
        json_add_int(o, "array_index", job->array_index);
    }
    return json_text(o);
}

static char *raw_of(const cJSON *object, const char *field)
{
    const cJSON *item = json_get(object, field);
    return item && !cJSON_IsNull(item) ? json_text(item) : NULL;
}

static void read_task(struct job *job, const cJSON *o)
{
    struct task *task =
        job_add_task(job, (uint32_t)json_int(o, "attempt", 0), (uint32_t)json_int(o, "rank", 0));
    int64_t state = json_int(o, "state", 0);
    task->node = (uint32_t)json_int(o, "node_id", 0);
    task->node_name = xstrdup(json_str(o, "node", "?"));
    task->state = state >= 0 && state < TASK_STATE_COUNT ? (enum task_state)state : TASK_ASSIGNED;
    task->exited = json_bool(o, "exited", false);
    task->released = json_bool(o, "released", false);
    task->collected = json_bool(o, "collected", false);
    task->exit_known = json_bool(o, "exit_known", false);
    task->code = (int32_t)json_int(o, "code", 0);
    task->signal = (int32_t)json_int(o, "signal", 0);
    task->started_ms = json_int(o, "started_ms", 0);
    task->ended_ms = json_int(o, "ended_ms", 0);
    task->log_bytes = json_int(o, "log_bytes", 0);
    task->lease = raw_of(o, "lease");
    task->outputs = raw_of(o, "outputs");
    attempts_read_end(task, o);
}

struct job *job_doc_read(const struct journal_job *row, struct error *err)
{
    _cleanup_json_ cJSON *o = json_parse(row->doc, strlen(row->doc), err);
    if (!o)
        return NULL;
    if (json_int(o, "v", 0) > DOC_VERSION) {
        error_set(err, ERROR_VERSION, "its record has version %lld, this Berth knows up to %d",
                  (long long)json_int(o, "v", 0), DOC_VERSION);
        return NULL;
    }
    if (row->state < 0 || row->state >= JOB_STATE_COUNT) {
        error_set(err, ERROR_INTERNAL, "its state %d is none", row->state);
        return NULL;
    }
    struct job *job = job_create(row->id, row->name);
    int64_t reason = json_int(o, "reason", 0), cause = json_int(o, "cause", 0);
    job->principal = row->principal;
    job->number = row->number ? row->number : 1;
    job->superseded = row->superseded;
    job->request = xstrdup(row->request);
    job->state = (enum job_state)row->state;
    job->reason = reason >= 0 && reason < CORE_REASON_COUNT ? (enum core_reason)reason : CORE_REASON_NONE;
    job->attempt = (uint32_t)json_int(o, "attempt", 0);
    job->submitted_ms = row->submitted_ms;
    job->started_ms = json_int(o, "started_ms", 0);
    job->ended_ms = row->ended_ms;
    job->fixed = xstrdup(row->fixed);
    job->uid = (uid_t)json_int(o, "uid", (int64_t)(uid_t)-1);
    job->time_limit_ms = json_int(o, "time_limit_ms", 0);
    job->limit_changed = json_bool(o, "limit_changed", false);
    job->grace_ms = json_int(o, "grace_ms", 0);
    snprintf(job->manifest, sizeof job->manifest, "%s", json_str(o, "manifest", ""));
    job->file_bytes = (uint32_t)json_int(o, "file_bytes", 0);
    job->wants_stdin = json_bool(o, "stdin", false);
    job->split_streams = json_bool(o, "split", false);
    job->distributed = json_bool(o, "distributed", false);
    job->workspace = (uint32_t)json_int(o, "workspace", 0);
    job->processes = (uint32_t)json_int(o, "processes", 1);
    job->has_exit_code = json_get(o, "exit_code") != NULL;
    job->exit_code = (int32_t)json_int(o, "exit_code", 0);
    job->cause = cause >= 0 && cause < END_KIND_COUNT ? (enum end_kind)cause : END_NONE;
    job->cause_text = xstrdup(json_str(o, "cause_text", NULL));
    job->evidence = raw_of(o, "evidence");
    job->canceled_by = xstrdup(json_str(o, "canceled_by", NULL));
    const char *operator= json_str(o, "held_by_operator", NULL);
    job_set_held_by(job, operator? operator : json_str(o, "held_by", NULL), operator!= NULL);
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(o, "tasks")) read_task(job, item);
    cJSON_ArrayForEach(item, json_get(o, "notes"))
    {
        job_note(job, json_int(item, "at_ms", 0), json_str(item, "text", ""));
        job->notes[job->note_count - 1].attempt = (uint32_t)json_int(item, "attempt", job->attempt);
    }
    cJSON_ArrayForEach(item, json_get(o, "advice")) if (cJSON_IsString(item))
        job_advise(job, item->valuestring);
    job->array_job = (uint64_t)json_int(o, "array_job", 0);
    job->array_index = (uint32_t)json_int(o, "array_index", 0);
    if (json_get(o, "array") && !(job->array = arrays_read(json_get(o, "array")))) {
        job_destroy(job);
        error_set(err, ERROR_INTERNAL, "the indices of its array can't be read");
        return NULL;
    }
    job->inserted = true;
    return job;
}

/* ---- the API's object ---- */

static const char *reason_text(const struct job *job, bool private)
{
    static const char *const texts[CORE_REASON_COUNT] = {
        [CORE_REASON_NONE] = "",
        [CORE_REASON_WAITING] = "waits for its turn and free resources",
        [CORE_REASON_NO_NODE] = "waits for a first node",
        [CORE_REASON_NODE_AWAY] = "waits: the nodes that would do are drained, away, or lack its runtime",
        [CORE_REASON_FITS_NO_NODE] = "fits no node as they are now",
        [CORE_REASON_REQUEUED] = "queued again, its node was lost",
        [CORE_REASON_LEASED] = "resources are granted",
        [CORE_REASON_REPORTED] = "",
        [CORE_REASON_NODE_DOWN] = "its node does not answer",
        [CORE_REASON_CANCEL] = "canceled on request",
        [CORE_REASON_ENDED] = "",
        [CORE_REASON_NODE_LOST] = "its node was declared lost",
        [CORE_REASON_HELD] = "is held until berth release",
        [CORE_REASON_BEGIN] = "waits for its begin time",
        [CORE_REASON_DEPENDENCY] = "waits for other jobs",
        [CORE_REASON_PREEMPTED] = "queued again, it gave way to a higher class",
        [CORE_REASON_RETRY] = "queued again after a failure",
        [CORE_REASON_QUOTA] = "waits for its user's or workspace's quota",
        [CORE_REASON_LICENCE] = "waits for licences",
        [CORE_REASON_APPROVAL] = "waits for approval",
        [CORE_REASON_CAP] = "waits: its time limit is above a cap",
        [CORE_REASON_ARRAY] = "as many of its elements are under way as may be at once",
        [CORE_REASON_RESERVATION] = "waits for the reservation that it names",
        [CORE_REASON_KEPT] = "waits: capacity is kept for short jobs",
        [CORE_REASON_PLANNED] = "waits by the plan of the queue",
        [CORE_REASON_NODE_FAULT] = "queued again, its node could not start it",
    };
    if (job_is_final(job) && job->reason == CORE_REASON_DEPENDENCY)
        return "a job that it depends on did not end as it needs";
    if (job->unborn && job->state == JOB_QUEUED)
        return "has not begun: it waits in its array";
    if (job->reason == CORE_REASON_HELD && job->held_text)
        return job->held_text;
    if (private && job->state == JOB_PREPARING && job_last_note(job))
        return job_last_note(job);
    return (unsigned)job->reason < CORE_REASON_COUNT && texts[job->reason] ? texts[job->reason] : "";
}

const char *job_reason_text(const struct job *job)
{
    return reason_text(job, true);
}

static cJSON *public_task(const struct task *task)
{
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, "rank", task->rank);
    json_add_str(o, "node", task->node_name);
    cJSON_AddStringToObject(o, "state", task_word(task));
    add_raw(o, "lease", task->lease);
    if (task->exit_known) {
        json_add_int(o, "exit_code", task->signal ? 128 + task->signal : task->code);
        json_add_int(o, "signal", task->signal);
    } else {
        cJSON_AddNullToObject(o, "exit_code");
        cJSON_AddNullToObject(o, "signal");
    }
    return o;
}

static void add_attempts(cJSON *object, const struct job *job, bool private)
{
    cJSON *attempts = cJSON_AddArrayToObject(object, "attempts");
    for (uint32_t i = 0; i < job->task_count;) {
        uint32_t first = i;
        while (i < job->task_count && job->tasks[i].attempt == job->tasks[first].attempt)
            i++;
        cJSON *a = attempts_object(job, first, i - first, private);
        json_add_int(a, "log_bytes", job->tasks[first].log_bytes);
        cJSON *tasks = cJSON_AddArrayToObject(a, "tasks");
        for (uint32_t n = first; n < i; n++)
            cJSON_AddItemToArray(tasks, public_task(&job->tasks[n]));
        cJSON_AddItemToArray(attempts, a);
    }
}

static void add_notes(cJSON *object, const struct job *job)
{
    cJSON *notes = cJSON_AddArrayToObject(object, "notes");
    for (uint32_t i = 0; i < job->note_count; i++) {
        cJSON *note = cJSON_CreateObject();
        json_add_int(note, "at_ms", job->notes[i].at_ms);
        json_add_str(note, "text", job->notes[i].text);
        cJSON_AddItemToArray(notes, note);
    }
}

static void add_cause(cJSON *object, const struct job *job, bool private)
{
    if (job->cause == END_NONE) {
        cJSON_AddNullToObject(object, "cause");
        return;
    }
    cJSON *cause = cJSON_AddObjectToObject(object, "cause");
    cJSON_AddStringToObject(cause, "kind", end_kind_name(job->cause));
    if (!private) {
        visible_add_cause(job, cause);
        return;
    }
    json_add_str(cause, "text", job->cause_text ? job->cause_text : "");
    if (job->evidence)
        cJSON_AddRawToObject(cause, "evidence", job->evidence);
    else
        cJSON_AddObjectToObject(cause, "evidence");
}

void job_object_write(const struct job *job, unsigned parts, const char *extra, struct buf *out)
{
    bool private = (parts & JOB_OBJECT_PRIVATE) != 0;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    json_add_int(o, "id", (int64_t)job->id);
    json_add_str(o, "name", job->name);
    json_add_int(o, "number", job->number);
    cJSON_AddBoolToObject(o, "superseded", job->superseded);
    cJSON_AddStringToObject(o, "state", job_state_name(job->state));
    json_add_str(o, "reason", reason_text(job, private));
    add_ms(o, "promised_start_ms", job->state == JOB_QUEUED ? job->promised_ms : 0);
    add_ms(o, "kept_until_ms", job->state == JOB_QUEUED ? job->kept_until_ms : 0);
    bool waits = job->state == JOB_QUEUED || (job->array && !job_is_final(job));
    json_add_str(o, "runs_as", waits ? job->runs_as : NULL);
    add_cause(o, job, private);
    if (job->has_exit_code)
        json_add_int(o, "exit_code", job->exit_code);
    else
        cJSON_AddNullToObject(o, "exit_code");
    json_add_int(o, "attempt", job->attempt);
    json_add_int(o, "submitted_ms", job->submitted_ms);
    add_ms(o, "started_ms", job->started_ms);
    add_ms(o, "attempt_started_ms", attempts_started_ms(job, job->attempt));
    add_ms(o, "ended_ms", job->ended_ms);
    cJSON *tasks = cJSON_AddArrayToObject(o, "tasks");
    int64_t log_bytes = 0;
    for (uint32_t i = 0; i < job->task_count; i++) {
        if (job->tasks[i].attempt != job->attempt)
            continue;
        cJSON_AddItemToArray(tasks, public_task(&job->tasks[i]));
        log_bytes += job->tasks[i].log_bytes;
    }
    json_add_int(o, "log_bytes", log_bytes);
    cJSON *advice = private ? cJSON_AddArrayToObject(o, "advice") : NULL;
    for (uint32_t i = 0; private && i < job->advice_count; i++)
        cJSON_AddItemToArray(advice, cJSON_CreateString(job->advice[i]));
    if (job->array)
        cJSON_AddItemToObject(o, "array", arrays_write(job->array));
    if (job->array_job) {
        json_add_int(o, "array_job", (int64_t)job->array_job);
        json_add_int(o, "array_index", job->array_index);
    }
    if (parts & JOB_OBJECT_FULL)
        add_attempts(o, job, private);
    if (private && (parts & JOB_OBJECT_FULL))
        add_notes(o, job);
    json_write(o, out);
    /* the fixed part has its own braces; an object never is empty here */
    size_t fixed = job->fixed ? strlen(job->fixed) : 0;
    if (fixed > 2 && private) {
        out->data[out->len - 1] = ',';
        buf_add(out, job->fixed + 1, fixed - 1);
    } else if (fixed > 2) {
        out->data[--out->len] = '\0';
        visible_add_fixed(job->fixed, out);
        buf_add_char(out, '}');
    }
    if (extra && *extra) {
        out->data[out->len - 1] = ',';
        buf_add_str(out, extra);
        buf_add_char(out, '}');
    }
}
