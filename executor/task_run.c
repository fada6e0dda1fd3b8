/* A task with a shim: what the shim says, and what is asked of it. */
#include "executor/task_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "executor/base64.h"

#include <fcntl.h>
#include <string.h>

static void flush_input(struct task *task);

static void on_state(void *data, enum shim_state state, const char *detail)
{
    struct task *task = data;
    bool log_full = strcmp(detail, "log_disk_full") == 0;
    if (log_full && !task->log_note)
        task_note(task,
                  "the disk of the log is full: the task's writes wait until there is room; berth df shows "
                  "who takes it, berth cancel ends the job");
    else if (!log_full && task->log_note)
        task_note(task, "the disk of the log has room again");
    task->log_note = log_full;
    if (task->life >= LIFE_EXITED)
        return;
    if (state == SHIM_RUNNING) {
        bool resumed = task->life == LIFE_PAUSED;
        health_started(task->context->health);
        task->life = LIFE_RUNNING;
        task_say_state(task, "running", resumed ? 0 : EVENT_RUNNING);
    } else if (state == SHIM_PAUSED && task->life != LIFE_PAUSED) {
        task->life = LIFE_PAUSED;
        task_say_state(task, "paused", 0);
    }
}

static void on_exited(void *data)
{
    FAULT("executor.exit_seen");
    task_exit_known(data);
}

static void on_gone(void *data)
{
    struct task *task = data;
    shim_client_close(take_ptr(task->client));
    if (task->life >= LIFE_EXITED) {
        task_emptied(task); /* after its `exited` the shim leaves nothing behind */
        return;
    }
    task_exit_known(task); /* the record may be there although the shim had no time to say so */
    if (task->judging) {
        task->emptied = true;
        return;
    }
    if (task->life < LIFE_EXITED)
        task_kill_rest(task, true);
}

static void on_stdin_taken(void *data, size_t bytes)
{
    (void)bytes;
    flush_input(data);
    ((struct task *)data)->context->changed(((struct task *)data)->context->data);
}

void task_meet_shim(struct task *task)
{
    static const struct shim_client_callbacks callbacks = {
        .state = on_state, .exited = on_exited, .gone = on_gone, .stdin_taken = on_stdin_taken};
    struct error err = {0};
    task->life = LIFE_STARTING;
    task_say_state(task, "preparing", EVENT_PREPARING);
    task_say_state(task, "starting", EVENT_STARTING);
    task->client = shim_client_open(task->context->loop, task->folder, &callbacks, task, &err);
    if (!task->client) {
        log_debug("%s: its shim does not answer: %s", task->order->task, err.message);
        on_gone(task);
        return;
    }
    task_contact(task, atomic_load(&task->context->config->contact_ms));
    if (task->unwanted)
        shim_client_kill(task->client);
    else if (task->stop.wanted)
        task_stop(task, task->stop.reason, task->stop.grace_ms, task->stop.force);
    if (task->limit_ms >= 0)
        shim_client_limit(task->client, task->limit_ms);
    if (task->rows)
        shim_client_resize(task->client, task->rows, task->cols);
    if (task->signo)
        shim_client_signal(task->client, task->signo);
    flush_input(task);
}

void task_stop(struct task *task, const char *reason, int64_t grace_ms, bool force)
{
    if (task->life >= LIFE_EXITED || task->shim_lost)
        return;
    FAULT("executor.before_stop");
    char word[sizeof task->stop.reason];
    snprintf(word, sizeof word, "%s", reason);
    word[strcspn(word, " \t\r\n")] = '\0'; /* a line of ctl is made of it */
    if (task->client) {
        shim_client_stop(task->client, force ? 0 : (uint64_t)grace_ms, *word ? word : "cancel");
        if (force)
            shim_client_kill(task->client);
        return;
    }
    task->stop.wanted = true;
    task->stop.force = task->stop.force || force;
    task->stop.grace_ms = grace_ms;
    memcpy(task->stop.reason, word, sizeof word);
    if (task->life == LIFE_ACCEPTING)
        return; /* seen when the preparation is begun: nothing is written yet */
    /* so that a preparation that a restart begins again is stopped as well */
    struct error err;
    _cleanup_free_ char *path = xasprintf("%s/stop", task->folder);
    if (!fs_write_atomic(AT_FDCWD, path, word, strlen(word), 0600, &err))
        log_warn("%s: %s", task->order->task, err.message);
    if (task->prep_live)
        atomic_store(&task->prep.cancelled, true);
    if (!task->working) {
        fetch_cancel(take_ptr(task->fetch));
        uv_timer_stop(&task->timer);
        task_end_cancelled(task);
    }
}

void task_limit(struct task *task, int64_t limit_ms)
{
    if (task->life >= LIFE_EXITED || task->shim_lost)
        return;
    task->limit_ms = limit_ms; /* a shim that is still to come is told when it is met */
    if (task->client)
        shim_client_limit(task->client, limit_ms);
}

void task_contact(struct task *task, int64_t contact_ms)
{
    if (task->client && task->order->fence_after_ms && contact_ms)
        shim_client_contact(task->client, contact_ms);
}

void task_resize(struct task *task, unsigned rows, unsigned cols)
{
    task->rows = rows;
    task->cols = cols;
    if (task->client)
        shim_client_resize(task->client, rows, cols);
}

void task_signal(struct task *task, int signo)
{
    if (task->life >= LIFE_EXITED || task->shim_lost)
        return;
    if (task->client)
        shim_client_signal(task->client, signo);
    else
        task->signo = signo;
}

static void input_free(struct task *task, struct task_input *input)
{
    list_remove(&input->link);
    task->input_bytes -= input->len;
    free(input->bytes);
    free(input);
}

void task_drop_input(struct task *task)
{
    struct task_input *input, *next;
    list_for_each(input, next, &task->input, link) input_free(task, input);
}

static void flush_input(struct task *task)
{
    struct task_input *input, *next;
    if (!task->client)
        return;
    list_for_each(input, next, &task->input, link)
    {
        struct error err = {0};
        if (!shim_client_stdin(task->client, input->bytes, input->len, input->eof, &err)) {
            if (err.code == ERROR_LIMIT)
                return; /* goes on when the task has taken some */
            log_info("%s: %zu bytes of input are dropped: %s", task->order->task, input->len, err.message);
        }
        input_free(task, input);
    }
}

void task_stdin(struct task *task, uint64_t seq, const char *base64, bool eof)
{
    if (task->life >= LIFE_EXITED || task->unwanted)
        return;
    struct task_input *input = xcalloc(1, sizeof *input);
    list_init(&input->link);
    if (!base64_decode(base64, &input->bytes, &input->len) ||
        task->input_bytes + input->len > TASK_STDIN_PENDING_MAX) {
        log_error("%s: a piece of input is not base64, or too much is waiting: dropped", task->order->task);
        free(input->bytes);
        free(input);
        return;
    }
    input->seq = seq;
    input->eof = eof;
    task->input_bytes += input->len;
    list_append(&task->input, &input->link);
    flush_input(task);
}

uint64_t task_oldest_delta(const struct task *task)
{
    return list_empty(&task->input) ? UINT64_MAX
                                    : container_of(task->input.next, struct task_input, link)->seq;
}
