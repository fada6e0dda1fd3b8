/* Attempts: their ends in the record and in the API's job object. */
#include "scheduler/attempts.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/units.h"

#include <stdlib.h>
#include <string.h>

static struct task *first_task(struct job *job, uint32_t attempt)
{
    for (uint32_t i = 0; i < job->task_count; i++)
        if (job->tasks[i].attempt == attempt)
            return &job->tasks[i];
    return NULL;
}

struct attempt_end *attempts_end_create(enum end_kind kind, int64_t at_ms, const char *text)
{
    size_t n = strnlen(text, JOB_CAUSE_MAX_BYTES);
    struct attempt_end *end = xcalloc(1, sizeof *end + n + 1);
    end->kind = kind;
    end->at_ms = at_ms;
    memcpy(end->text, text, n);
    return end;
}

/* "attempt 1 of 4 failed: exit status 3; attempt 2 starts": the sentence of a log between two attempts. */
static char *end_text(const struct job *job, enum core_reason next, uint32_t retries_left, const char *why,
                      int64_t now_ms)
{
    if (next != CORE_REASON_RETRY && next != CORE_REASON_BEGIN) {
        int64_t began_ms = attempts_started_ms(job, job->attempt);
        char ran[32] = "";
        if (began_ms && now_ms > began_ms)
            units_format_duration((now_ms - began_ms) / 1000 * 1000, ran);
        return xasprintf("attempt %u: %s%s%s; attempt %u follows", job->attempt, why, *ran ? " after " : "",
                         ran, job->attempt + 1);
    }
    return xasprintf("attempt %u of %u failed: %s; attempt %u starts%s", job->attempt,
                     job->attempt + 1 + retries_left, why, job->attempt + 1,
                     next == CORE_REASON_BEGIN ? " after the wait between retries" : "");
}

void attempts_end(struct job *job, enum core_reason next, uint32_t retries_left, int64_t now_ms)
{
    enum end_kind kind = job->cause != END_NONE          ? job->cause
                         : next == CORE_REASON_REQUEUED  ? END_NODE_LOST
                         : next == CORE_REASON_PREEMPTED ? END_PREEMPTED
                                                         : END_EXIT;
    const char *why = job->cause_text                 ? job->cause_text
                      : next == CORE_REASON_REQUEUED  ? "its node was silent for too long, or declared lost"
                      : next == CORE_REASON_PREEMPTED ? "preempted by a job of a higher class"
                                                      : "it failed";
    struct task *task = first_task(job, job->attempt);
    if (task) {
        free(task->end);
        task->end = attempts_end_create(kind, now_ms, why);
    }
    _cleanup_free_ char *text = end_text(job, next, retries_left, why, now_ms);
    job_note(job, now_ms, text);
}

void attempts_write_end(const struct task *task, cJSON *out)
{
    if (!task->end)
        return;
    cJSON *o = cJSON_AddObjectToObject(out, "attempt_end");
    json_add_int(o, "kind", (int)task->end->kind);
    json_add_int(o, "at_ms", task->end->at_ms);
    json_add_str(o, "text", task->end->text);
}

void attempts_read_end(struct task *task, const cJSON *in)
{
    const cJSON *o = json_get(in, "attempt_end");
    int64_t kind = json_int(o, "kind", 0);
    if (cJSON_IsObject(o))
        task->end = attempts_end_create(kind >= 0 && kind < END_KIND_COUNT ? (enum end_kind)kind : END_NONE,
                                        json_int(o, "at_ms", 0), json_str(o, "text", ""));
}

static void add_ms(cJSON *o, const char *field, int64_t ms)
{
    if (ms)
        json_add_int(o, field, ms);
    else
        cJSON_AddNullToObject(o, field);
}

/* From the first task's start to the last one's end; both 0 where not known. */
static void span_of(const struct task *tasks, uint32_t count, int64_t *started_ms, int64_t *ended_ms)
{
    bool open = false;
    *started_ms = *ended_ms = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (tasks[i].started_ms && (!*started_ms || tasks[i].started_ms < *started_ms))
            *started_ms = tasks[i].started_ms;
        open = open || !tasks[i].ended_ms;
        *ended_ms = tasks[i].ended_ms > *ended_ms ? tasks[i].ended_ms : *ended_ms;
    }
    *ended_ms = open ? 0 : *ended_ms;
}

int64_t attempts_started_ms(const struct job *job, uint32_t attempt)
{
    int64_t first = 0;
    for (uint32_t i = 0; i < job->task_count; i++) {
        const struct task *task = &job->tasks[i];
        if (task->attempt == attempt && task->started_ms && (!first || task->started_ms < first))
            first = task->started_ms;
    }
    return first;
}

cJSON *attempts_object(const struct job *job, uint32_t first, uint32_t count, bool causes)
{
    const struct task *task = &job->tasks[first];
    const struct attempt_end *end = task->end;
    bool latest = task->attempt == job->attempt && !end;
    int64_t started_ms, ended_ms;
    span_of(task, count, &started_ms, &ended_ms);
    if (!ended_ms)
        ended_ms = end ? end->at_ms : latest ? job->ended_ms : 0;
    enum end_kind kind = end ? end->kind : latest ? job->cause : END_NONE;
    const char *text = end ? end->text : latest && job->cause_text ? job->cause_text : "";
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, "attempt", task->attempt);
    if (latest)
        cJSON_AddStringToObject(o, "state", job_state_name(job->state));
    else if (end) /* whoever was preempted did not fail */
        cJSON_AddStringToObject(o, "state",
                                job_state_name(kind == END_PREEMPTED ? JOB_CANCELED : JOB_FAILED));
    else /* of a record that an older Berth wrote */
        cJSON_AddNullToObject(o, "state");
    if (kind != END_NONE) {
        cJSON *cause = cJSON_AddObjectToObject(o, "cause");
        cJSON_AddStringToObject(cause, "kind", end_kind_name(kind));
        if (causes)
            json_add_str(cause, "text", text);
    } else {
        cJSON_AddNullToObject(o, "cause");
    }
    add_ms(o, "started_ms", started_ms);
    add_ms(o, "ended_ms", ended_ms);
    return o;
}
