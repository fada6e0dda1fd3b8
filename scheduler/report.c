/* Reports of nodes: first into the job's record, then into the core, whose decisions write the record. The
 * first exit wins in both. */
#include "scheduler/report.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "scheduler/api.h"
#include "scheduler/daemon.h"
#include "scheduler/engine.h"
#include "scheduler/follow.h"

#include <stdlib.h>
#include <string.h>

#define UNLAUNCHED_CODE 125 /* as an executor's own for a task that it can't start */

static struct task *task_of(struct node *node, struct task_id id, struct job **job)
{
    *job = jobs_get(&node->daemon->jobs, id.job.v);
    return *job ? job_task(*job, id.attempt, id.rank) : NULL;
}

static void step(struct node *node, const struct core_event *event)
{
    engine_step(node->daemon, event, NULL);
}

void report_state(struct node *node, struct task_id id, const char *state)
{
    struct job *job;
    struct task *task = task_of(node, id, &job);
    enum task_state parsed;
    if (strcmp(state, "accepted") == 0)
        state = "preparing";
    if (!task_state_parse(state, &parsed) || parsed < TASK_PREPARING || parsed > TASK_PAUSED)
        return; /* later stages come with their own events */
    if (task && task->state != parsed && !task->exited) {
        task->state = parsed;
        if (parsed == TASK_RUNNING && !task->started_ms)
            task->started_ms = clock_wall_ms();
        jobs_touch(&node->daemon->jobs, job);
    }
    step(node, &(struct core_event){.kind = CORE_EVENT_TASK_STATE,
                                    .as.task = {.task = id, .node = {node->id}, .as.state = parsed}});
}

/* Exit and cause as the node told them; false where the code is missing. */
static enum end_kind kind_of(const cJSON *cause, int32_t code, int32_t signal)
{
    enum end_kind kind;
    const char *word = json_str(cause, "kind", NULL);
    if (word && end_kind_parse(word, &kind) && (kind != END_NONE || (code == 0 && signal == 0)))
        return kind;
    return signal ? END_SIGNAL : code ? END_EXIT : END_NONE;
}

static void record_cause(struct job *job, const cJSON *cause, enum end_kind kind)
{
    const char *text = json_str(cause, "text", NULL);
    const cJSON *evidence = json_get(cause, "evidence"), *advice = json_get(cause, "advice"), *item;
    job->cause = kind;
    if (text && *text && kind != END_NONE) {
        free(job->cause_text);
        job->cause_text = xstrndup(text, JOB_CAUSE_MAX_BYTES);
    }
    if (cJSON_IsObject(evidence)) {
        free(job->evidence);
        job->evidence = json_text(evidence);
    }
    cJSON_ArrayForEach(item, advice) if (cJSON_IsString(item)) job_advise(job, item->valuestring);
}

void report_exit(struct node *node, struct task_id id, const cJSON *exit)
{
    struct job *job;
    struct task *task = task_of(node, id, &job);
    const cJSON *cause = json_get(exit, "cause"), *item;
    int32_t code = (int32_t)json_int(exit, "code", 0), signal = (int32_t)json_int(exit, "signal", 0);
    enum end_kind kind = kind_of(cause, code, signal);
    int64_t started_ms = json_int(exit, "started_ms", 0);
    if (task && !task->exited) {
        task->exited = true;
        task->exit_known = kind != END_SHIM_LOST && kind != END_NODE_LOST;
        task->state = TASK_EXITED;
        task->code = code;
        task->signal = signal;
        if (started_ms)
            task->started_ms = started_ms;
        task->ended_ms = json_int(exit, "ended_ms", 0);
        task->log_bytes = json_int(exit, "log_bytes", 0);
        if (started_ms && (!job->started_ms || started_ms < job->started_ms))
            job->started_ms = started_ms;
        /* the tasks of a gang that are stopped for their peer's failure don't hide it */
        if (id.attempt == job->attempt && (!job_task(job, id.attempt, 1) || job->cause == END_NONE))
            record_cause(job, cause, kind);
        cJSON_ArrayForEach(item, json_get(exit, "advice")) if (cJSON_IsString(item))
            job_advise(job, item->valuestring);
        cJSON_ArrayForEach(item, json_get(exit, "notes")) if (cJSON_IsString(item))
            job_note(job, clock_wall_ms(), item->valuestring);
        jobs_touch(&node->daemon->jobs, job);
    }
    step(node,
         &(struct core_event){
             .kind = CORE_EVENT_TASK_EXIT,
             .as.task = {.task = id,
                         .node = {node->id},
                         .as.exit = {.code = code, .signal = signal, .kind = kind, .ran = started_ms > 0}}});
    follow_job_changed(node->daemon, id.job.v);
}

void report_released(struct node *node, struct task_id id)
{
    struct job *job;
    struct task *task = task_of(node, id, &job);
    if (task && !task->released) {
        task->released = true;
        jobs_touch(&node->daemon->jobs, job);
    }
    step(node,
         &(struct core_event){.kind = CORE_EVENT_TASK_RELEASED, .as.task = {.task = id, .node = {node->id}}});
    follow_job_changed(node->daemon, id.job.v);
}

void report_collected(struct node *node, struct task_id id, const cJSON *outputs)
{
    struct job *job;
    struct task *task = task_of(node, id, &job);
    node_forget_blobs(node, id.job.v);
    if (task && !task->collected) {
        task->collected = true;
        if (cJSON_IsObject(outputs)) {
            free(task->outputs);
            task->outputs = json_text(outputs);
        }
        jobs_touch(&node->daemon->jobs, job);
    }
    step(node, &(struct core_event){.kind = CORE_EVENT_TASK_COLLECTED,
                                    .as.task = {.task = id, .node = {node->id}}});
}

static void end_without_exit(struct node *node, struct task_id id, enum end_kind kind, bool ran)
{
    struct job *job;
    struct task *task = task_of(node, id, &job);
    if (task && !task->exited) {
        task->exited = true;
        task->state = TASK_EXITED;
        task->ended_ms = clock_wall_ms();
        jobs_touch(&node->daemon->jobs, job);
    }
    step(node, &(struct core_event){
                   .kind = CORE_EVENT_TASK_EXIT,
                   .as.task = {.task = id, .node = {node->id}, .as.exit = {.kind = kind, .ran = ran}}});
    report_released(node, id);
    report_collected(node, id, NULL);
}

void report_lost(struct node *node, struct task_id id)
{
    end_without_exit(node, id, END_SHIM_LOST, true);
}

void report_never_started(struct node *node, struct task_id id)
{
    end_without_exit(node, id, END_CANCELED, false);
}

void report_unlaunched(struct node *node, struct task_id id, const struct error *why)
{
    char text[TASK_ID_TEXT_MAX];
    struct core_task_view view;
    if (!engine_writable(node->daemon, NULL) || !core_task_get(node->daemon->core, id, &view))
        return; /* its node's next registration comes back to it */
    log_error("task %s can't be launched: %s", task_id_format(id, text), why->message);
    _cleanup_json_ cJSON *exit = cJSON_CreateObject();
    json_add_int(exit, "code", UNLAUNCHED_CODE);
    cJSON *cause = cJSON_AddObjectToObject(exit, "cause");
    json_add_str(cause, "kind", end_kind_name(END_START_ERROR));
    json_add_str(cause, "text", why->message);
    report_exit(node, id, exit);
    report_released(node, id);
    report_collected(node, id, NULL);
}

void report_note(struct node *node, struct task_id id, const char *text)
{
    struct job *job;
    task_of(node, id, &job);
    if (!job)
        return;
    job_note(job, clock_wall_ms(), text);
    jobs_touch(&node->daemon->jobs, job);
}
