/*
 * How a task ended and why (judge.c), with the evidence, as the exit record.
 */
#include "executor/shim/judge.h"
#include "executor/shim/shim.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/kv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define TAIL_BYTES 16384
#define RECORD_WAIT_S 1

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

/* A mount there would let a job change the machine itself: not advised. */
static bool is_system_folder(const char *folder)
{
    static const char *const system[] = {"/etc",    "/usr",  "/bin",  "/sbin", "/lib", "/lib32", "/lib64",
                                         "/libx32", "/boot", "/root", "/proc", "/sys", "/dev",   "/run"};
    if (strcmp(folder, "/") == 0 || strstr(folder, "/..") || strstr(folder, "/./") || strstr(folder, "//"))
        return true;
    for (size_t i = 0; i < sizeof system / sizeof *system; i++) {
        size_t n = strlen(system[i]);
        if (strncmp(folder, system[i], n) == 0 && (!folder[n] || folder[n] == '/'))
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
    if (is_system_folder(folder)) {
        snprintf(v->advice, sizeof v->advice,
                 "%s belongs to the system and is read-only in the task; write below the working directory "
                 "(files in ./outputs are kept)",
                 path);
        return;
    }
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
    if (judge_was_stopped(o)) {
        kv_add(b, "ev.stopped_for", o->stop_reason);
        kv_add_int(b, "ev.forced", o->forced);
    }
    if (o->failed) {
        kv_add_int(b, "ev.process", o->failed - 1);
        kv_add_int(b, "ev.rank", s->spec.first_rank + o->failed - 1);
    }
    if (o->warn_signal) {
        kv_addf(b, "ev.warned_with", "SIG%s", judge_signal_word(o->warn_signal));
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
    if (o->start_errno)
        kv_add_int(b, "ev.start_errno", o->start_errno);
    if (o->image_errno)
        kv_add_int(b, "ev.image_errno", o->image_errno);
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
    for (int i = 0; i < v.n_notes; i++)
        kv_add(&b, "note", v.notes[i]);
    /* Without the record the end would be lost: a disk that fails is asked again for as long as it takes. */
    while (!record_exit(b.data, b.len, NULL))
        sleep(RECORD_WAIT_S);
}
