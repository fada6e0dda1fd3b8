/* A task that could not be started: whether the node or the job is to blame is found out (health.h) before
 * anybody hears of the end, since a node's failure is said first and the job goes elsewhere. */
#include "executor/task_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "executor/bundle.h"

#include <string.h>

#define NODE_FAULT "node_fault"
#define CODE_FAILED 125

static void ask(struct task *task, struct health_question question)
{
    task->question = question;
    task->question.folder = task->no_folder ? NULL : task->folder;
    task->question.took = task->took;
    task->question.needs_bytes = task->needs_bytes;
    task->question.needs_files = task->needs_files;
    task->working = true;
    task->judging = true;
    health_ask(task->context->health, &task->question);
}

static struct task *answered(struct health_question *q)
{
    struct task *task = container_of(q, struct task, question);
    task->working = false;
    task->judging = false;
    return task;
}

static void failure_judged(struct health_question *q)
{
    struct task *task = answered(q);
    _cleanup_free_ char *text = take_ptr(task->failure);
    free(take_ptr(task->took));
    if (task_remove_if_done(task))
        return;
    if (task->stop.wanted)
        task_end_cancelled(task);
    else
        task_end_early(task, q->node ? NODE_FAULT : q->kind, CODE_FAILED, text);
}

/* What the job has put on a disk that is full is removed before anybody looks whether it is. */
static void take_room(struct task *task, bool full)
{
    free(task->took);
    task->took = task->no_folder || !full ? NULL : xasprintf("%s/work", task->folder);
}

void task_end_failed(struct task *task, const char *kind, enum failure place, const struct error *err)
{
    char text[ERROR_MESSAGE_MAX + ERROR_HINT_MAX + 8];
    snprintf(text, sizeof text, "%s%s%s", err->message, err->hint[0] ? "; " : "", err->hint);
    if (!failure_may_be_the_nodes(kind)) {
        task_end_early(task, kind, CODE_FAILED, text);
        return;
    }
    free(task->failure);
    task->failure = xstrdup(text);
    bool full = err->code == ERROR_NO_SPACE;
    take_room(task, full);
    ask(task, (struct health_question){.kind = kind,
                                       .sys_errno = err->sys_errno,
                                       .place = place,
                                       .full = full,
                                       .no_runtime = strcmp(err->field, BUNDLE_RUNTIME_FIELD) == 0,
                                       .judged = failure_judged});
}

static void exit_judged(struct health_question *q)
{
    struct task *task = answered(q);
    free(take_ptr(task->took));
    cJSON *cause = cJSON_GetObjectItemCaseSensitive(task->exit, "cause");
    if (q->node)
        cJSON_ReplaceItemInObjectCaseSensitive(cause, "kind", cJSON_CreateString(NODE_FAULT));
    if (!task_remove_if_done(task))
        task_exit_known(task);
}

/* By a number that the shim notes of what is Berth's own alone. */
static int evidence_errno(const cJSON *cause, const char *name)
{
    return (int)json_int(json_get(cause, "evidence"), name, 0);
}

bool task_judge_exit(struct task *task)
{
    if (task->judging)
        return true;
    const cJSON *cause = json_get(task->exit, "cause");
    const char *kind = json_str(cause, "kind", "");
    bool ran = json_int(task->exit, "started_ms", 0) > 0;
    bool said = events_marks(task->context->events, task->order->task) & EVENT_EXIT;
    if (task->judged || ran || said || !failure_may_be_the_nodes(kind))
        return false;
    task->judged = true;
    int own = evidence_errno(cause, "start_errno"), image = evidence_errno(cause, "image_errno");
    bool full = failure_of_errno(own) == FAILURE_FULL;
    take_room(task, strcmp(kind, "disk_full") == 0);
    ask(task, (struct health_question){.kind = kind,
                                       .sys_errno = own ? own : image,
                                       .full = full,
                                       .place = own ? FAILURE_DIRECTORY : FAILURE_NONE,
                                       .users_path = !own,
                                       .judged = exit_judged});
    return true;
}
