/*
 * What is left of a task whose shim is dead, and its files read back. Works from the folder alone, so that
 * any executor of this state folder can do it, also one that was started after a reboot.
 */
#include "executor/reap.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "executor/cgroup.h"
#include "proto/kv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define RECORD_BYTES_MAX (1u << 20)
#define ROUND_NS 5000000L

static bool read_record(int dir_fd, const char *name, struct buf *b)
{
    return fs_read_file(dir_fd, name, RECORD_BYTES_MAX, b, NULL);
}

static bool exists(int dir_fd, const char *name)
{
    return faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

enum reap_status reap_status(const char *task_dir)
{
    _cleanup_close_ int dir_fd = open(task_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return REAP_NEVER_RAN;
    _cleanup_close_ int lock = openat(dir_fd, "shim", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0)
        return exists(dir_fd, "exit") ? REAP_EXITED : REAP_NEVER_RAN;
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return REAP_ALIVE;
    if (exists(dir_fd, "exit"))
        return REAP_EXITED;
    /* The shim writes its record before it does anything; an empty one never got that far. */
    struct stat st;
    return fstat(lock, &st) == 0 && st.st_size == 0 ? REAP_NEVER_RAN : REAP_LOST;
}

static void read_tree(const struct buf *b, struct cgroup_tree *t)
{
    memset(t, 0, sizeof *t);
    size_t cursor = 0;
    for (const char *text;
         t->n < CGROUP_HIERARCHIES_MAX && (text = kv_next(b->data, b->len, "cgroup", &cursor));)
        if (cgroup_hierarchy_parse(text, &t->h[t->n]))
            t->controllers |= t->h[t->n++].controllers;
}

/* PID namespace's init, named for ever by pid and start time. One that waits for its parent's attention is
 * dead, and with it its namespace: process 1 of a container may take no notice of orphans at all. */
static bool init_lives(const struct buf *state, pid_t *pid)
{
    *pid = (pid_t)kv_get_int(state->data, state->len, "payload_pid", 0);
    const char *text = kv_get(state->data, state->len, "payload_start");
    uint64_t start = text ? strtoull(text, NULL, 10) : 0;
    return *pid > 1 && start && clock_process_start(*pid) == start;
}

static void kill_init(const struct buf *state)
{
    pid_t pid;
    if (!init_lives(state, &pid))
        return;
    _cleanup_close_ int handle = (int)syscall(SYS_pidfd_open, pid, 0);
    if (handle >= 0 && init_lives(state, &pid)) /* the handle is surely that process's */
        syscall(SYS_pidfd_send_signal, handle, SIGKILL, NULL, 0);
}

bool reap_kill(const char *task_dir, int64_t wait_ms, bool *empty, struct error *err)
{
    *empty = false;
    _cleanup_close_ int dir_fd = open(task_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, errno, "can't open %s", task_dir);
    _cleanup_buf_ struct buf shim = {0}, state = {0};
    read_record(dir_fd, "state", &state);
    const char *boot = read_record(dir_fd, "shim", &shim) ? kv_get(shim.data, shim.len, "boot_id") : NULL;
    if (!boot || strcmp(boot, clock_boot_id()) !=
                     0) { /* nothing was started, or the machine has been rebooted since */
        *empty = true;
        return true;
    }
    struct cgroup_tree tree;
    read_tree(&shim, &tree);
    const char *name = kv_get(shim.data, shim.len, "cgroup_name");
    int64_t until = clock_boot_ms() + wait_ms;
    for (;;) {
        FAULT("executor.before_reap_kill");
        if (tree.n && name)
            cgroup_kill(&tree, name);
        kill_init(&state);
        pid_t pid;
        *empty = (!tree.n || !name || cgroup_empty(&tree, name)) && !init_lives(&state, &pid);
        if (*empty && tree.n && name) /* one that a process got into at the last moment can't be removed */
            *empty = cgroup_remove(&tree, name);
        if (*empty || clock_boot_ms() >= until)
            break;
        nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
    }
    return true;
}

bool reap_write_lost(const char *task_dir, struct error *err)
{
    _cleanup_close_ int dir_fd = open(task_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, errno, "can't open %s", task_dir);
    if (exists(dir_fd, "exit"))
        return true;
    _cleanup_buf_ struct buf shim = {0}, state = {0}, spec = {0}, b = {0};
    read_record(dir_fd, "shim", &shim);
    read_record(dir_fd, "state", &state);
    fs_read_file(dir_fd, "spec", 64u << 20, &spec, NULL);
    const char *boot = kv_get(shim.data, shim.len, "boot_id"), *log = kv_get(spec.data, spec.len, "log_path");
    bool rebooted = boot && strcmp(boot, clock_boot_id()) != 0;
    struct stat st;
    kv_add_int(&b, "berth_exit", 1);
    kv_add_int(&b, "code", 125);
    kv_add_int(&b, "signal", 0);
    kv_add(&b, "kind", "shim_lost");
    kv_add(&b, "text",
           rebooted
               ? "the machine was restarted while it ran; how it would have ended is not known"
               : "the process that kept the task was killed; how the task would have ended is not known");
    kv_add_int(&b, "started_ms", kv_get_int(state.data, state.len, "started_ms", 0));
    kv_add_int(&b, "ended_ms", clock_wall_ms());
    kv_add_int(&b, "log_bytes", log && stat(log, &st) == 0 ? st.st_size : 0);
    kv_add_int(&b, "err_bytes", 0);
    kv_add_int(&b, "ev.rebooted", rebooted);
    FAULT("executor.before_lost_record");
    return fs_write_atomic(dir_fd, "exit", b.data, b.len, 0600, err);
}

static void copy(char *out, size_t size, const char *value)
{
    snprintf(out, size, "%s", value ? value : "");
}

static void read_evidence(const struct buf *b, struct reap_exit *out)
{
    size_t cursor = 0;
    const int max = (int)(sizeof out->evidence / sizeof *out->evidence);
    for (const char *record; out->n_evidence < max && (record = kv_next(b->data, b->len, NULL, &cursor));) {
        const char *eq = strchr(record, '=');
        if (strncmp(record, "ev.", 3) != 0 || !eq)
            continue;
        snprintf(out->evidence[out->n_evidence].name, sizeof out->evidence->name, "%.*s",
                 (int)(eq - record - 3), record + 3);
        copy(out->evidence[out->n_evidence++].value, sizeof out->evidence->value, eq + 1);
    }
}

static void read_notes(const struct buf *b, struct reap_exit *out)
{
    size_t cursor = 0;
    const char *note;
    while (out->n_notes < REAP_NOTES_MAX && (note = kv_next(b->data, b->len, "note", &cursor)))
        copy(out->notes[out->n_notes++], sizeof out->notes[0], note);
}

bool reap_read_exit(const char *task_dir, struct reap_exit *out, struct error *err)
{
    memset(out, 0, sizeof *out);
    _cleanup_close_ int dir_fd = open(task_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return error_errno(err, errno, "can't open %s", task_dir);
    _cleanup_buf_ struct buf b = {0};
    if (!fs_read_file(dir_fd, "exit", RECORD_BYTES_MAX, &b, err))
        return error_wrap(err, "the exit record of %s", task_dir);
    if (kv_get_int(b.data, b.len, "berth_exit", 0) != 1)
        return error_set(err, ERROR_VERSION,
                         "the exit record of %s has a version that this program can't read", task_dir);
    out->code = (int)kv_get_int(b.data, b.len, "code", 125);
    out->signal = (int)kv_get_int(b.data, b.len, "signal", 0);
    copy(out->kind, sizeof out->kind, kv_get(b.data, b.len, "kind"));
    copy(out->text, sizeof out->text, kv_get(b.data, b.len, "text"));
    copy(out->advice, sizeof out->advice, kv_get(b.data, b.len, "advice"));
    out->started_ms = kv_get_int(b.data, b.len, "started_ms", 0);
    out->ended_ms = kv_get_int(b.data, b.len, "ended_ms", 0);
    out->log_bytes = (uint64_t)kv_get_int(b.data, b.len, "log_bytes", 0);
    out->err_bytes = (uint64_t)kv_get_int(b.data, b.len, "err_bytes", 0);
    read_evidence(&b, out);
    read_notes(&b, out);
    return true;
}
