/*
 * How a task ended and why, with the evidence, as the exit record. It says what is known and no more: a kill
 * that nobody owned up to is called unknown.
 */
#include "executor/shim/shim.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/kv.h"

#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TAIL_BYTES 16384
#define RECORD_WAIT_S 1
#define DISK_FULL_BYTES (1u << 20)

struct verdict {
    int code, signal;
    const char *kind; /* "" for success */
    char text[1024], advice[1024];
};

static const char *signal_word(int signo)
{
    const char *name = sigabbrev_np(signo);
    return name ? name : "?";
}

/* As job files and the command line write sizes: powers of 1024, "64M", "1.5G". */
static void human(uint64_t bytes, char *out, size_t size)
{
    static const char units[] = "BKMGT";
    int u = 0;
    uint64_t tenths = bytes > UINT64_MAX / 10 ? UINT64_MAX : bytes * 10;
    for (; tenths >= 10240 && u < 4; u++)
        tenths /= 1024;
    if (tenths % 10)
        snprintf(out, size, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10, units[u]);
    else
        snprintf(out, size, "%" PRIu64 "%c", tenths / 10, units[u]);
}

/* The path that a refused write was about: the last quoted absolute path on the message's line, else the
 * absolute path before the colon ("touch: cannot touch '/x'", "OSError: [Errno 30] Read-only file system:
 * '/x'", "sh: 1: cannot create /x: Read-only..."). */
static bool path_on_line(const char *tail, const char *at, char *out, size_t size)
{
    const char *begin = at, *end = at;
    while (begin > tail && begin[-1] != '\n')
        begin--;
    end += strcspn(end, "\n");
    for (const char *p = end; p > begin; p--) {
        if (p[-1] != '/' || (p - 1 > begin && !strchr("'\"`( ", p[-2])))
            continue;
        char close = p - 1 > begin && strchr("'\"", p[-2]) ? p[-2] : ':';
        size_t n = 0;
        while (p - 1 + n < end && p[n - 1] != close && n + 1 < size)
            n++;
        snprintf(out, size, "%.*s", (int)n, p - 1);
        return true;
    }
    return false;
}

static void advise_read_only(struct verdict *v, const char *tail, struct buf *b)
{
    const char *at = NULL;
    for (const char *p = tail; (p = strstr(p, "Read-only file system")); p++)
        at = p;
    if (!at)
        return;
    char path[512], folder[512];
    if (!path_on_line(tail, at, path, sizeof path)) {
        kv_add(b, "ev.readonly_write", "1");
        snprintf(v->advice, sizeof v->advice,
                 "It wrote where the task may only read: --mount FOLDER:rw allows a folder (mounts: in a job "
                 "file)");
        return;
    }
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    slash[slash == folder] = '\0';
    kv_add(b, "ev.readonly_write", path);
    snprintf(v->advice, sizeof v->advice,
             "%s is read-only in the task: --mount %s:rw allows writing there (mounts: in a job file); files "
             "in ./outputs are kept",
             path, folder);
}

int64_t verdict_disk_free(void)
{
    struct statvfs disk;
    return fstatvfs(SHIM_TASK_FD, &disk) == 0 ? (int64_t)(disk.f_bavail * disk.f_frsize) : -1;
}

/* "No space left" in the last words, and a disk of the task's that really was full. */
static bool disk_was_full(const struct outcome *o, const char *tail)
{
    if (!strstr(tail, "No space left on device") && !strstr(tail, "Disk quota exceeded"))
        return false;
    return o->disk_free_bytes >= 0 && o->disk_free_bytes < DISK_FULL_BYTES;
}

static void judge_start(const struct shim *s, struct verdict *v)
{
    const struct outcome *o = &s->outcome;
    if (o->exec_errno) {
        bool missing = o->exec_errno == ENOENT || o->exec_errno == ENOTDIR;
        v->code = missing ? 127 : 126;
        v->kind = "start_error";
        if (o->start_text[0])
            snprintf(v->text, sizeof v->text, "%s", o->start_text);
        else if (missing)
            snprintf(v->text, sizeof v->text, "command not found: %s", s->spec.args.v[0]);
        else
            snprintf(v->text, sizeof v->text, "%s can't be executed: %s", s->spec.args.v[0],
                     strerror(o->exec_errno));
        return;
    }
    v->code = 125;
    v->kind = o->start_kind[0] ? o->start_kind : "start_error";
    snprintf(v->text, sizeof v->text, "%s",
             o->start_text[0] ? o->start_text : "the container ended before the command began");
}

static void judge_oom(const struct cgroup_usage *u, struct verdict *v)
{
    char peak[32], limit[32];
    human(u->peak_bytes, peak, sizeof peak);
    human(u->limit_bytes, limit, sizeof limit);
    v->kind = "oom";
    snprintf(v->text, sizeof v->text,
             "out of memory: the kernel killed %" PRIu64 " process%s at the limit of %s%s%s", u->oom_kills,
             u->oom_kills == 1 ? "" : "es", limit, u->peak_bytes ? ", peak " : "", u->peak_bytes ? peak : "");
    snprintf(v->advice, sizeof v->advice,
             "Ask for more than %s with --memory (resources.memory in a job file)", limit);
}

static void judge_signal(const struct outcome *o, struct verdict *v)
{
    v->kind = "signal";
    if (o->foreign_signal == v->signal)
        snprintf(v->text, sizeof v->text, "killed by SIG%s, sent by %s%" PRId64 " (uid %" PRId64 ")",
                 signal_word(v->signal), o->foreign_pid ? "process " : "a process outside of the task, ",
                 o->foreign_pid, o->foreign_uid);
    else if (v->signal == SIGKILL || v->signal == SIGTERM)
        snprintf(v->text, sizeof v->text, "killed by SIG%s; who sent it is not known",
                 signal_word(v->signal));
    else
        snprintf(v->text, sizeof v->text, "killed by SIG%s (%s)", signal_word(v->signal),
                 strsignal(v->signal));
}

/* What became of the warning ahead of the limit; "" where there was none. */
static void warning_words(const struct shim *s, char *out, size_t size)
{
    const struct outcome *o = &s->outcome;
    out[0] = '\0';
    if (o->warn_signal && o->warned)
        snprintf(out, size, "; SIG%s was sent %" PRId64 " s ahead", signal_word(o->warn_signal),
                 s->spec.warn_ms / 1000);
    else if (o->warn_signal)
        snprintf(out, size, "; SIG%s was due %" PRId64 " s ahead, and no process listened for it",
                 signal_word(o->warn_signal), s->spec.warn_ms / 1000);
}

/* What the shim itself ended goes by the name of the reason. */
static bool judge_stop(const struct shim *s, struct verdict *v)
{
    const struct outcome *o = &s->outcome;
    if (!o->stop_reason || o->failed)
        return false;
    const char *how = o->forced ? "; it did not end in the grace period and was killed" : "";
    if (strcmp(o->stop_reason, "time_limit") == 0) {
        char warning[128];
        warning_words(s, warning, sizeof warning);
        v->kind = "time_limit";
        snprintf(v->text, sizeof v->text, "time limit of %" PRId64 " s reached%s%s",
                 s->spec.time_limit_ms / 1000, warning, how);
        snprintf(v->advice, sizeof v->advice,
                 "--time (limits.timeout in a job file) sets the time limit, "
                 "and berth update --time changes it while a job runs");
    } else if (strcmp(o->stop_reason, "log_limit") == 0) {
        char limit[32];
        human((uint64_t)s->spec.log_limit_bytes, limit, sizeof limit);
        v->kind = "log_limit";
        snprintf(v->text, sizeof v->text, "the log passed its limit of %s%s", limit, how);
    } else if (strcmp(o->stop_reason, "preempt") == 0) {
        v->kind = "preempted";
        snprintf(v->text, sizeof v->text, "preempted: its place was needed%s", how);
    } else if (strcmp(o->stop_reason, "fence") == 0) {
        v->kind = "node_lost";
        snprintf(v->text, sizeof v->text,
                 "its node had no contact with the scheduler for %" PRId64
                 " s (fence_after): it was ended there, so that it can run elsewhere%s",
                 s->spec.fence_after_ms / 1000, how);
    } else {
        v->kind = "canceled";
        snprintf(v->text, sizeof v->text, "ended on request (%s)%s", o->stop_reason, how);
    }
    return true;
}

/* Which of several it was. */
static void name_process(const struct shim *s, struct verdict *v)
{
    char text[sizeof v->text];
    int k = s->outcome.failed - 1;
    snprintf(text, sizeof text, "%s", v->text);
    if (k >= 0)
        snprintf(v->text, sizeof v->text, "process %d of %" PRId64 " (rank %" PRId64 "): %.900s", k,
                 s->spec.processes, s->spec.first_rank + k, text);
}

static void judge(const struct shim *s, const struct cgroup_usage *u, const char *tail, struct verdict *v)
{
    const struct outcome *o = &s->outcome;
    v->code = o->code;
    v->signal = o->signal;
    v->kind = "";
    if (!o->payload_started) {
        if (!judge_stop(s, v)) {
            if (u->oom_kills && !o->exec_errno)
                judge_oom(u, v);
            else
                judge_start(s, v);
        }
        if (!v->code)
            v->code = 125;
        return;
    }
    if (!o->payload_exited && !o->failed) { /* killed with all of its container */
        v->signal = SIGKILL;
        v->code = 128 + SIGKILL;
    }
    if (v->signal)
        v->code = 128 + v->signal;
    if (v->code == 0 && !o->stop_reason)
        return; /* one that was told to end and ended with 0 has saved its work, and is not done */
    if (judge_stop(s, v))
        return;
    if (u->oom_kills)
        judge_oom(u, v);
    else if (v->signal)
        judge_signal(o, v);
    else if (disk_was_full(o, tail)) {
        v->kind = "disk_full";
        snprintf(v->text, sizeof v->text, "exit code %d: the disk of the working folder is full", v->code);
        snprintf(v->advice, sizeof v->advice,
                 "Make room where Berth keeps its state, or write to another disk: --mount FOLDER:rw "
                 "(mounts: in a job file)");
    } else {
        v->kind = "exit";
        snprintf(v->text, sizeof v->text, "exit code %d", v->code);
    }
    name_process(s, v);
}

static void add_evidence(const struct shim *s, const struct cgroup_usage *u, const struct verdict *v,
                         struct buf *b)
{
    const struct outcome *o = &s->outcome;
    if (u->known) {
        kv_addf(b, "ev.oom_kills", "%" PRIu64, u->oom_kills);
        if (u->peak_bytes)
            kv_addf(b, "ev.memory_peak_bytes", "%" PRIu64, u->peak_bytes);
        if (s->spec.memory_bytes > 0)
            kv_add_int(b, "ev.memory_limit_bytes", s->spec.memory_bytes);
    }
    if (o->stop_reason) {
        kv_add(b, "ev.stopped_for", o->stop_reason);
        kv_add_int(b, "ev.forced", o->forced);
    }
    if (o->failed) {
        kv_add_int(b, "ev.process", o->failed - 1);
        kv_add_int(b, "ev.rank", s->spec.first_rank + o->failed - 1);
    }
    if (o->warn_signal) {
        kv_addf(b, "ev.warned_with", "SIG%s", signal_word(o->warn_signal));
        kv_add_int(b, "ev.warned", o->warned);
        kv_add_int(b, "ev.warned_at_ms", o->warned_at_ms);
    }
    if (o->foreign_signal) {
        kv_add_int(b, "ev.signal", o->foreign_signal);
        kv_add_int(b, "ev.signal_pid", o->foreign_pid);
        kv_add_int(b, "ev.signal_uid", o->foreign_uid);
    }
    if (o->exec_errno)
        kv_add_int(b, "ev.errno", o->exec_errno);
    if (strcmp(v->kind, "disk_full") == 0 && o->payload_started)
        kv_add_int(b, "ev.disk_free_bytes", o->disk_free_bytes);
    if (o->refused[0])
        kv_add(b, "ev.limits_refused", o->refused);
    if (o->notes[0])
        kv_add(b, "ev.notes", o->notes);
    if (o->log_gave_up)
        kv_add(b, "ev.log_cut", "the log's disk stayed full: the last bytes are lost");
    if (o->not_empty)
        kv_add(b, "ev.not_empty", "processes that do not die were left");
}

void verdict_write(struct shim *s)
{
    static char tail[TAIL_BYTES];
    _cleanup_buf_ struct buf b = {0};
    struct cgroup_usage usage = {0};
    struct verdict v = {0};
    if (s->has_cgroup)
        cgroup_usage(&s->tree, s->spec.cgroup_name, &usage);
    log_tail(s->spec.split_streams ? &s->err : &s->out, tail, sizeof tail);
    judge(s, &usage, tail, &v);
    kv_add_int(&b, "berth_exit", 1);
    kv_add_int(&b, "code", v.code);
    kv_add_int(&b, "signal", v.signal);
    kv_add(&b, "kind", v.kind);
    kv_add(&b, "text", v.text);
    kv_add_int(&b, "started_ms", s->started_ms);
    kv_add_int(&b, "ended_ms", s->ended_ms);
    kv_addf(&b, "log_bytes", "%" PRIu64, s->out.bytes);
    kv_addf(&b, "err_bytes", "%" PRIu64, s->err.bytes);
    add_evidence(s, &usage, &v, &b);
    if (v.code != 0 && v.kind[0])
        advise_read_only(&v, tail, &b);
    if (v.advice[0])
        kv_add(&b, "advice", v.advice);
    /* Without the record the end would be lost: a disk that fails is asked again for as long as it takes. */
    while (!record_exit(b.data, b.len, NULL))
        sleep(RECORD_WAIT_S);
}
