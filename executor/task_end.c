/* The end of a task: the exit is said once, then that nothing runs, then that the outputs are in place; then
 * the folder waits for the scheduler's word. Each step is found again from the folder and the event file
 * after a restart. */
#include "executor/task_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "executor/reclaim.h"
#include "executor/work.h"

#include <fcntl.h>
#include <string.h>

#define CODE_CANCELLED 143 /* 128 + SIGTERM, as if it had been running */

static void collect(struct task *task);

void task_end_early(struct task *task, const char *kind, int code, const char *text)
{
    struct error err = {0};
    log_info("%s: ended before it started (%s): %s", task->order->task, kind, text);
    if (task->prep_live) {
        preparation_finish(&task->prep);
        task->prep_live = false;
    }
    task_say_state(task, "preparing", EVENT_PREPARING);
    if (!task->no_folder && !finish_write_exit(task->folder, kind, code, text, &err)) {
        log_error("%s: its exit record can't be written: %s", task->order->task, err.message);
        task->exit = finish_made_exit(kind, code, text);
    } else if (task->no_folder) {
        task->exit = finish_made_exit(kind, code, text);
    }
    task->emptied = true;
    task->gpus_clean = true; /* it never had them */
    task_exit_known(task);
}

void task_end_cancelled(struct task *task)
{
    static const struct {
        const char *reason, *kind;
    } kinds[] = {{"time_limit", "time_limit"}, {"preempt", "preempted"}};
    const char *kind = "canceled";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(task->stop.reason, kinds[i].reason) == 0)
            kind = kinds[i].kind;
    char text[96];
    snprintf(text, sizeof text, "stopped before it started (%s)",
             task->stop.reason[0] ? task->stop.reason : "cancel");
    task_end_early(task, kind, CODE_CANCELLED, text);
}

static void say_exit(struct task *task)
{
    if (json_int(task->exit, "started_ms", 0) > 0) {
        /* a restart may have missed it */
        task_say_state(task, "preparing", EVENT_PREPARING);
        task_say_state(task, "starting", EVENT_STARTING);
        task_say_state(task, "running", EVENT_RUNNING);
    }
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddItemToObject(fields, "exit", cJSON_Duplicate(task->exit, true));
    task_say(task, "exit", EVENT_EXIT, fields);
    FAULT("executor.exit_said");
}

void task_exit_known(struct task *task)
{
    if (task->life >= LIFE_EXITED || task->judging)
        return;
    struct error err = {0};
    if (!task->exit && !task->no_folder)
        task->exit = finish_read_exit(task->folder, &err);
    if (!task->exit && err.code != ERROR_NONE && err.code != ERROR_NOT_FOUND)
        task->exit = finish_made_exit("shim_lost", 125, err.message); /* of a newer version, or unreadable */
    if (!task->exit || task_judge_exit(task))
        return;
    task->life = LIFE_EXITED;
    task_drop_input(task);
    say_exit(task);
    if (task->emptied)
        task_emptied(task);
    else if (!task->client)
        task_kill_rest(task, false);
}

static void start_kill(struct task *task);

static void killed(void *data)
{
    struct finishing *finishing = data;
    struct task *task = container_of(finishing, struct task, finishing);
    task->working = false;
    if (!finishing->empty) {
        log_warn("%s: not all of it is gone yet%s%s", task->order->task, finishing->err.code ? ": " : "",
                 finishing->err.message);
        task_after(task, TASK_RETRY_MS, start_kill);
        return;
    }
    task->emptied = true;
    if (!task->exit && finishing->err.code != ERROR_NONE)
        task->exit =
            finish_made_exit("shim_lost", 125, "the task's keeper died; how the task ended is not known");
    if (task->life < LIFE_EXITED)
        task_exit_known(task);
    else
        task_emptied(task);
}

static void start_kill(struct task *task)
{
    task->working = true;
    work_start(task->context->loop, finish_kill, killed, &task->finishing);
}

void task_kill_rest(struct task *task, bool lost)
{
    if (task->working)
        return;
    task->shim_lost = lost;
    if (lost && task->life < LIFE_STARTING)
        task->life = LIFE_STARTING;
    task->finishing.folder = task->folder;
    task->finishing.order = task->order;
    task->finishing.lost = lost;
    start_kill(task);
}

static void start_look(struct task *task);

static void looked(void *data)
{
    struct finishing *finishing = data;
    struct task *task = container_of(finishing, struct task, finishing);
    task->working = false;
    if (finishing->dirty[0]) { /* the lease is given back when its GPUs can be handed on */
        if (!task->dirty_note)
            task_note(task, "it has ended and its GPUs can't be handed on yet: %s", finishing->dirty);
        task->dirty_note = true;
        if (!task_remove_if_done(task))
            task_after(task, TASK_GPU_RETRY_MS, start_look);
        return;
    }
    task->gpus_clean = true;
    task_emptied(task);
}

static void start_look(struct task *task)
{
    task->finishing.folder = task->folder;
    task->finishing.order = task->order;
    task->finishing.gpus = task->context->config->gpu_watch;
    task->working = true;
    work_start(task->context->loop, finish_look_at_gpus, looked, &task->finishing);
}

/* Not again where it was said already, before a restart. */
static bool gpus_to_look_at(const struct task *task)
{
    return task->context->config->gpu_watch && task->order->lease.gpu_count > 0 &&
           !(events_marks(task->context->events, task->order->task) & EVENT_RELEASED);
}

void task_emptied(struct task *task)
{
    task->emptied = true;
    gpu_shares_leave(task->context->config->gpu_shares, task->order->task);
    if (task_remove_if_done(task))
        return;
    if (!task->gpus_clean && gpus_to_look_at(task)) {
        start_look(task);
        return;
    }
    FAULT("executor.before_released");
    task->life = LIFE_RELEASED;
    task_say(task, "released", EVENT_RELEASED, NULL);
    if (events_marks(task->context->events, task->order->task) & EVENT_COLLECTED)
        task->life = LIFE_COLLECTED;
    else
        collect(task);
}

/* What of the outputs was not kept, ahead of other files. */
static void note_skipped(struct task *task, const cJSON *report)
{
    _cleanup_buf_ struct buf text = {0};
    const cJSON *skipped = json_get(report, "skipped");
    int64_t total = json_int(report, "skipped_total", 0), named = 0;
    for (int outputs = 1; outputs >= 0; outputs--) {
        const cJSON *item;
        cJSON_ArrayForEach(item, skipped)
        {
            const char *path = json_str(item, "path", "?");
            bool is_output = strcmp(path, "outputs") == 0 || strncmp(path, "outputs/", 8) == 0;
            if (is_output == (outputs == 1) && named < total && named < TASK_SKIPPED_NAMED) {
                buf_printf(&text, "%s%.200s: %.200s", named ? "; " : "", path, json_str(item, "why", "?"));
                named++;
            }
        }
    }
    if (!total)
        return;
    if (total > named)
        buf_printf(&text, "; and %lld more", (long long)(total - named));
    task_note(task, "not kept: %s", text.data);
}

static void collected(void *data)
{
    struct finishing *finishing = data;
    struct task *task = container_of(finishing, struct task, finishing);
    task->working = false;
    if (task_remove_if_done(task))
        return;
    if (finishing->disk_full && ++task->collect_tries < TASK_COLLECT_TRIES) {
        if (task->collect_tries == 1)
            task_note(task, "the disk of the outputs is full: collection waits for room");
        task_after(task, TASK_COLLECT_RETRY_MS, collect);
        return;
    }
    if (finishing->err.code != ERROR_NONE)
        log_error("%s: outputs: %s", task->order->task, finishing->err.message);
    note_skipped(task, finishing->outputs);
    if (finishing->kept)
        task_note(task, "kept with the job: %s", finishing->kept);
    if (finishing->written)
        task_note(task, "changed in the code directory itself while the job ran: %s", finishing->written);
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddItemToObject(fields, "outputs", take_ptr(finishing->outputs));
    task->life = LIFE_COLLECTED;
    task_say(task, "collected", EVENT_COLLECTED, fields);
    FAULT("executor.collected_said");
    task_remove_if_done(task);
}

static void collect(struct task *task)
{
    if (task->no_folder) {
        cJSON *fields = cJSON_CreateObject(), *outputs = cJSON_AddObjectToObject(fields, "outputs");
        cJSON_AddNumberToObject(outputs, "files", 0);
        cJSON_AddNumberToObject(outputs, "bytes", 0);
        cJSON_AddArrayToObject(outputs, "skipped");
        task->life = LIFE_COLLECTED;
        task_say(task, "collected", EVENT_COLLECTED, fields);
        return;
    }
    task->finishing.folder = task->folder;
    task->finishing.order = task->order;
    task->working = true;
    work_start_in_turn(task->context->turns, task->order->principal, finish_collect, collected,
                       &task->finishing);
}

static void remove_run(void *data)
{
    struct task *task = data;
    memset(&task->accept_err, 0, sizeof task->accept_err);
    if (!task->no_folder)
        reclaim_remove_tree(AT_FDCWD, task->folder, &task->accept_err);
}

static void remove_done(void *data)
{
    struct task *task = data;
    task->working = false;
    if (task->accept_err.code != ERROR_NONE)
        log_error("%s: its folder can't be removed (the next start of the executor tries again): %s",
                  task->order->task, task->accept_err.message);
    events_forget(task->context->events, task->order->task);
    task->context->removed(task->context->data, task);
    task_free(task);
}

void task_remove(struct task *task)
{
    FAULT("executor.before_remove");
    task->life = LIFE_REMOVING;
    uv_timer_stop(&task->timer);
    fetch_cancel(take_ptr(task->fetch));
    shim_client_close(take_ptr(task->client));
    task->working = true;
    work_start(task->context->loop, remove_run, remove_done, task);
}

/* Wanted by nobody, with nothing of it running and no work under way. */
bool task_remove_if_done(struct task *task)
{
    if (task->life == LIFE_REMOVING)
        return true;
    if (task->working)
        return false;
    bool never_ran = task->life <= LIFE_PREPARING;
    bool over = task->emptied && task->life >= LIFE_EXITED;
    if ((task->unwanted && (never_ran || task->emptied)) || (task->released && over)) {
        task_remove(task);
        return true;
    }
    return false;
}

void task_release(struct task *task)
{
    task->released = true;
    if (!task_remove_if_done(task) && task->life < LIFE_EXITED)
        log_warn("%s: released while it is still here; it goes when it has ended", task->order->task);
}

void task_unwanted(struct task *task)
{
    if (task->unwanted || task->life == LIFE_REMOVING)
        return;
    log_info("%s: not wanted any more", task->order->task);
    task->unwanted = true;
    if (task->prep_live)
        atomic_store(&task->prep.cancelled, true);
    if (task_remove_if_done(task))
        return;
    if (task->client)
        shim_client_kill(task->client);
}
