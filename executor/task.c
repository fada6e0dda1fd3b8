/* A task up to its launch: accept, adoption after a restart, preparation. `accept` is durable before anything
 * else happens, and a preparation starts again from scratch as long as no shim can have run. */
#include "executor/task_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "executor/reap.h"
#include "executor/reclaim.h"
#include "executor/work.h"
#include "proto/units.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

static void prepare(struct task *task);

void task_say(struct task *task, const char *type, unsigned mark, cJSON *fields)
{
    if (task->unwanted) {
        cJSON_Delete(fields);
        return;
    }
    if (events_add(task->context->events, task->order->task, type, mark, fields))
        task->context->changed(task->context->data);
}

void task_say_state(struct task *task, const char *state, unsigned mark)
{
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddStringToObject(fields, "state", state);
    task_say(task, "state", mark, fields);
}

void task_note(struct task *task, const char *fmt, ...)
{
    _cleanup_buf_ struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    log_info("%s: %s", task->order->task, text.data);
    cJSON *fields = cJSON_CreateObject();
    json_add_str(fields, "text", text.data);
    task_say(task, "note", 0, fields);
}

static void on_timer(uv_timer_t *timer)
{
    struct task *task = timer->data;
    task->timer_fn(task);
}

void task_after(struct task *task, int64_t ms, void (*fn)(struct task *))
{
    task->timer_fn = fn;
    uv_timer_start(&task->timer, on_timer, (uint64_t)ms, 0);
}

static struct task *create(struct task_context *context, struct order *order)
{
    struct task *task = xcalloc(1, sizeof *task);
    task->limit_ms = -1;
    task->context = context;
    task->order = order;
    task->folder = xasprintf("%s/tasks/%s", context->config->state_dir, order->task);
    list_init(&task->input);
    uv_timer_init(context->loop, &task->timer);
    task->timer.data = task;
    return task;
}

static void accept_run(void *data)
{
    struct task *task = data;
    memset(&task->accept_err, 0, sizeof task->accept_err);
    if (mkdir(task->folder, 0700) != 0 && errno != EEXIST) {
        error_errno(&task->accept_err, errno, "can't make the task's folder %s", task->folder);
        return;
    }
    _cleanup_close_ int fd = open(task->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_free_ char *tasks = xasprintf("%s/tasks", task->context->config->state_dir);
    if (fd < 0)
        error_errno(&task->accept_err, errno, "can't open the task's folder %s", task->folder);
    else if (fs_write_atomic(fd, "accept", task->order->text, strlen(task->order->text), 0600,
                             &task->accept_err))
        fs_fsync_dir(tasks, &task->accept_err);
}

static void accept_done(void *data)
{
    struct task *task = data;
    task->working = false;
    if (task_remove_if_done(task))
        return;
    if (task->accept_err.code != ERROR_NONE) {
        task->no_folder = true;
        task_end_failed(task, task->accept_err.code == ERROR_NO_SPACE ? "disk_full" : "start_error",
                        FAILURE_DIRECTORY, &task->accept_err);
        return;
    }
    FAULT("executor.accepted");
    if (task->stop.wanted)
        task_end_cancelled(task);
    else
        prepare(task);
}

struct task *task_accept(struct task_context *context, struct order *order)
{
    struct task *task = create(context, order);
    task->life = LIFE_ACCEPTING;
    task->working = true;
    work_start(context->loop, accept_run, accept_done, task);
    return task;
}

static void fetched(void *data, const struct error *err)
{
    struct task *task = data;
    task->fetch = NULL;
    if (err->code == ERROR_NONE)
        prepare(task);
    else
        task_end_failed(task, err->code == ERROR_NO_SPACE ? "disk_full" : "start_error", FAILURE_NONE, err);
}

static void launch(struct task *task);

static void note_ignored(struct task *task)
{
    const struct preparation *prep = &task->prep;
    if (prep->gone)
        task_note(task,
                  "%zu ignored path%s of the code directory %s gone since the submit (%.512s): the job runs "
                  "without",
                  prep->gone, prep->gone == 1 ? "" : "s", prep->gone == 1 ? "is" : "are", prep->gone_example);
    if (prep->refused)
        task_note(task, "%zu ignored file%s of the code directory %s not in the job (%.512s: %s)",
                  prep->refused, prep->refused == 1 ? "" : "s", prep->refused == 1 ? "is" : "are",
                  prep->refused_example,
                  prep->refused_error ? strerror(prep->refused_error) : "not a regular file");
    if (prep->carried && prep->carried_from)
        task_note(task, "ignored files go on as attempt %u left them: %s", prep->carried_from, prep->carried);
    else if (prep->carried)
        task_note(task, "ignored files go on as job %s left them: %s", task->order->continues, prep->carried);
}

static void note_seeded(struct task *task)
{
    const struct outputs_seed *seed = &task->prep.seed;
    char bytes[16];
    if (!seed->files)
        return;
    units_format_bytes(seed->bytes, bytes);
    if (seed->attempt)
        task_note(task, "attempt %u continues with what attempt %u left in ./outputs: %lld file%s, %s%s",
                  task->order->id.attempt, seed->attempt, (long long)seed->files, seed->files == 1 ? "" : "s",
                  bytes, seed->bytes < 1024 ? " bytes" : "");
    else
        task_note(task, "starts from what job %s left in ./outputs: %lld file%s, %s%s",
                  task->order->continues, (long long)seed->files, seed->files == 1 ? "" : "s", bytes,
                  seed->bytes < 1024 ? " bytes" : "");
}

static void prepared(void *data)
{
    struct preparation *prep = data;
    struct task *task = container_of(prep, struct task, prep);
    task->working = false;
    task->needs_files = prep->needs_files;
    task->needs_bytes = prep->needs_bytes + (prep->result == PREPARE_FETCH ? prep->missing_bytes : 0);
    if (prep->result != PREPARE_LAUNCHED && task_remove_if_done(task))
        return;
    if (prep->result != PREPARE_LAUNCHED && prep->result != PREPARE_FAILED && task->stop.wanted) {
        task_end_cancelled(task);
        return;
    }
    switch (prep->result) {
    case PREPARE_FETCH: {
        char bytes[16];
        if (prep->stage == PREPARE_STAGE_BLOBS)
            task_note(task, "fetching %zu file%s, %s%s", prep->missing.count,
                      prep->missing.count == 1 ? "" : "s", units_format_bytes(prep->missing_bytes, bytes),
                      prep->missing_bytes < 1024 ? " bytes" : "");
        task->fetch = fetch_start(task->context->loop, task->context->http(task->context->data),
                                  &task->context->config->blobs, &prep->missing, fetched, task);
        return;
    }
    case PREPARE_READY:
        note_ignored(task);
        note_seeded(task);
        launch(task);
        return;
    case PREPARE_BUSY:
        if (!task->gpu_note)
            task_note(task, "waiting: %s", prep->err.message);
        task->gpu_note = true;
        task_after(task, TASK_RETRY_MS, launch);
        return;
    case PREPARE_LAUNCHED:
        preparation_finish(prep);
        task->prep_live = false;
        task_meet_shim(task);
        return;
    case PREPARE_CANCELLED:
        task_end_cancelled(task);
        return;
    case PREPARE_FAILED:
        task_end_failed(task, prep->kind, prep->place, &prep->err);
        return;
    }
}

static void launch(struct task *task)
{
    task->working = true;
    work_start(task->context->loop, prepare_launch, prepared, &task->prep);
}

static void prepare(struct task *task)
{
    if (!task->prep_live) {
        preparation_init(&task->prep, task->context->config, task->order, task->folder);
        task->prep_live = true;
    }
    task->life = LIFE_PREPARING;
    task_say_state(task, "preparing", EVENT_PREPARING);
    task->working = true;
    work_start_in_turn(task->context->turns, task->order->principal, prepare_run, prepared, &task->prep);
}

static bool read_accept(const char *folder, struct buf *text)
{
    struct error err = {0};
    _cleanup_free_ char *path = xasprintf("%s/accept", folder);
    return fs_read_file(AT_FDCWD, path, ORDER_MAX_BYTES, text, &err);
}

struct task *task_adopt(struct task_context *context, const char *name)
{
    struct error err = {0};
    _cleanup_free_ char *folder = xasprintf("%s/tasks/%s", context->config->state_dir, name);
    _cleanup_buf_ struct buf text = {0};
    _cleanup_json_ cJSON *json = NULL;
    struct order *order = NULL;
    if (read_accept(folder, &text) && (json = json_parse(text.data ? text.data : "", text.len, &err)))
        order = order_parse(json, &err);
    if (!order || strcmp(order->task, name) != 0) {
        /* The folder was made and the order was not yet accepted: nothing can have run. */
        bool empty = true;
        order_destroy(order);
        if (reap_status(folder) != REAP_NEVER_RAN && !reap_kill(folder, FINISH_KILL_WAIT_MS, &empty, &err))
            log_error("%s: what is left of a task can't be ended: %s", name, err.message);
        if (empty && !reclaim_remove_tree(AT_FDCWD, folder, &err))
            log_error("%s: %s", name, err.message);
        return NULL;
    }
    struct task *task = create(context, order);
    enum reap_status status = reap_status(folder);
    if (status != REAP_NEVER_RAN)
        gpu_shares_adopt(context->config->gpu_shares, order, folder);
    switch (status) {
    case REAP_NEVER_RAN:
        task->exit = finish_read_exit(folder, &err); /* it may have ended before a shim was started */
        if (task->exit) {
            task->emptied = true;
            task_exit_known(task);
        } else {
            task->life = LIFE_WAITING;
        }
        break;
    case REAP_ALIVE:
        log_info("%s: its shim lives and is adopted", name);
        task_meet_shim(task);
        break;
    case REAP_EXITED:
        task_exit_known(task);
        break;
    case REAP_LOST:
        log_warn("%s: its shim is gone without a word", name);
        task_kill_rest(task, true);
        break;
    }
    return task;
}

const char *task_name(const struct task *task)
{
    return task->order->task;
}

void task_wanted(struct task *task)
{
    if (task->life != LIFE_WAITING || task->working)
        return;
    struct error err;
    _cleanup_buf_ struct buf reason = {0};
    _cleanup_free_ char *path = xasprintf("%s/stop", task->folder);
    if (fs_read_file(AT_FDCWD, path, sizeof task->stop.reason - 1, &reason, &err)) {
        snprintf(task->stop.reason, sizeof task->stop.reason, "%s", reason.data ? reason.data : "");
        task->stop.wanted = true;
        task_end_cancelled(task);
    } else {
        prepare(task);
    }
}

cJSON *task_hello(const struct task *task)
{
    static const char *const names[] = {
        [LIFE_ACCEPTING] = "accepted", [LIFE_WAITING] = "accepted",  [LIFE_PREPARING] = "preparing",
        [LIFE_STARTING] = "starting",  [LIFE_RUNNING] = "running",   [LIFE_PAUSED] = "paused",
        [LIFE_EXITED] = "exited",      [LIFE_RELEASED] = "released", [LIFE_COLLECTED] = "released",
        [LIFE_REMOVING] = "released",
    };
    if (task->unwanted || task->life == LIFE_REMOVING)
        return NULL;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "task", task->order->task);
    cJSON_AddStringToObject(json, "state", names[task->life]);
    cJSON_AddItemToObject(json, "exit", task->exit ? cJSON_Duplicate(task->exit, true) : cJSON_CreateNull());
    json_add_int(json, "epoch", (int64_t)task->order->epoch);
    return json;
}

static void on_closed(uv_handle_t *handle)
{
    struct task *task = handle->data;
    free(task->folder);
    order_destroy(task->order);
    cJSON_Delete(task->exit);
    free(task->failure);
    free(task->took);
    cJSON_Delete(task->finishing.outputs);
    free(task->finishing.kept);
    free(task->finishing.written);
    free(task);
}

void task_part(struct task *task)
{
    shim_client_close(take_ptr(task->client));
}

void task_free(struct task *task)
{
    fetch_cancel(task->fetch);
    shim_client_close(task->client);
    task_drop_input(task);
    if (task->prep_live)
        preparation_finish(&task->prep);
    uv_close((uv_handle_t *)&task->timer, on_closed);
}
