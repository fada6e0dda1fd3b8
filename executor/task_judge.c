/* A task that could not be started: whether the node or the job is to blame is found out (health.h) before
 * anybody hears of the end, since a node's failure is said first and the job goes elsewhere. */
#include "executor/task_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <string.h>

#define NODE_FAULT "node_fault"
#define CODE_FAILED 125

static void ask(struct task *task, const char *kind, int sys_errno, void (*judged)(struct health_question *q))
{
    task->question =
        (struct health_question){.kind = kind, .sys_errno = sys_errno, .took = task->took, .judged = judged};
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

void task_end_failed(struct task *task, const char *kind, const struct error *err)
{
    char text[ERROR_MESSAGE_MAX + ERROR_HINT_MAX + 8];
    snprintf(text, sizeof text, "%s%s%s", err->message, err->hint[0] ? "; " : "", err->hint);
    if (!health_may_be_the_nodes(kind)) {
        task_end_early(task, kind, CODE_FAILED, text);
        return;
    }
    free(task->failure);
    task->failure = xstrdup(text);
    free(task->took);
    task->took = task->no_folder || err->code != ERROR_NO_SPACE ? NULL : xasprintf("%s/work", task->folder);
    ask(task, kind, err->sys_errno, failure_judged);
}

static void exit_judged(struct health_question *q)
{
    struct task *task = answered(q);
    cJSON *cause = cJSON_GetObjectItemCaseSensitive(task->exit, "cause");
    if (q->node)
        cJSON_ReplaceItemInObjectCaseSensitive(cause, "kind", cJSON_CreateString(NODE_FAULT));
    if (!task_remove_if_done(task))
        task_exit_known(task);
}

bool task_judge_exit(struct task *task)
{
    if (task->judging)
        return true;
    const char *kind = json_str(json_get(task->exit, "cause"), "kind", "");
    bool ran = json_int(task->exit, "started_ms", 0) > 0;
    bool said = events_marks(task->context->events, task->order->task) & EVENT_EXIT;
    if (task->judged || ran || said || strcmp(kind, "start_error") != 0)
        return false;
    task->judged = true;
    ask(task, "start_error", 0, exit_judged);
    return true;
}
