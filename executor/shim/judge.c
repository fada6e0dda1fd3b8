/*
 * Why a task ended, from what the shim has seen. It says what is known and no more: a kill that nobody owned
 * up to is called unknown. Nothing is read here, so that every order of events can be tested.
 */
#include "executor/shim/judge.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISK_FULL_BYTES (1u << 20)

const char *judge_signal_word(int signo)
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
                 judge_signal_word(v->signal),
                 o->foreign_pid ? "process " : "a process outside of the task, ", o->foreign_pid,
                 o->foreign_uid);
    else if (v->signal == SIGKILL || v->signal == SIGTERM)
        snprintf(v->text, sizeof v->text, "killed by SIG%s; who sent it is not known",
                 judge_signal_word(v->signal));
    else
        snprintf(v->text, sizeof v->text, "killed by SIG%s (%s)", judge_signal_word(v->signal),
                 strsignal(v->signal));
}

/* What became of the warning ahead of the limit; "" where there was none. */
static void warning_words(const struct shim *s, char *out, size_t size)
{
    const struct outcome *o = &s->outcome;
    out[0] = '\0';
    if (o->warn_signal && o->warned)
        snprintf(out, size, "; SIG%s was sent %" PRId64 " s ahead", judge_signal_word(o->warn_signal),
                 s->spec.warn_ms / 1000);
    else if (o->warn_signal)
        snprintf(out, size, "; SIG%s was due %" PRId64 " s ahead, and no process listened for it",
                 judge_signal_word(o->warn_signal), s->spec.warn_ms / 1000);
}

/* A command that had ended by itself before it was told to is not ended by what came after. */
bool judge_was_stopped(const struct outcome *o)
{
    return o->stop_reason && (o->told || !o->payload_exited);
}

/* What ended it, where it did not end by itself: the grace period is named only where one ran out. */
static const char *kill_words(const struct outcome *o)
{
    if (!o->forced || o->payload_exited || !o->payload_started)
        return ""; /* what the command left behind may have had to be killed: not its fault */
    if (o->grace_expired)
        return "; it did not end in the grace period and was killed";
    return "; it was killed at once, without a grace period";
}

static void judge_cancel(const struct shim *s, struct verdict *v)
{
    const struct outcome *o = &s->outcome;
    bool killed = !o->payload_exited || s->ranks_killed;
    v->kind = "canceled";
    if (!o->payload_started)
        snprintf(v->text, sizeof v->text, "stopped before it started (%s)", o->stop_reason);
    else if (o->force_asked && !o->grace_expired && killed)
        snprintf(v->text, sizeof v->text, "killed on request (%s --force)", o->stop_reason);
    else
        snprintf(v->text, sizeof v->text, "ended on request (%s)%s", o->stop_reason, kill_words(o));
}

/* What the shim itself ended goes by the name of the reason. */
static bool judge_stop(const struct shim *s, struct verdict *v)
{
    const struct outcome *o = &s->outcome;
    if (!judge_was_stopped(o) || o->failed)
        return false;
    const char *how = kill_words(o);
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
        judge_cancel(s, v);
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

static void judge_end(const struct shim *s, const struct cgroup_usage *u, const char *tail, struct verdict *v)
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
    if (v->code == 0 && !judge_was_stopped(o))
        return; /* one that was told to end and ended with 0 has saved its work, and is not done */
    if (judge_stop(s, v))
        return;
    if (u->oom_kills)
        judge_oom(u, v);
    else if (v->signal)
        judge_signal(o, v);
    else if (disk_was_full(o, tail)) {
        v->kind = "disk_full";
        snprintf(v->text, sizeof v->text, "exit status %d: the disk of the working folder is full", v->code);
        snprintf(v->advice, sizeof v->advice,
                 "Make room where Berth keeps its state, or write to another disk: --mount FOLDER:rw "
                 "(mounts: in a job file)");
    } else {
        v->kind = "exit";
        snprintf(v->text, sizeof v->text, "exit status %d%s%s", v->code, o->exit_text[0] ? ": " : "",
                 o->exit_text);
    }
    name_process(s, v);
}

static void __attribute__((format(printf, 2, 3))) add_note(struct verdict *v, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(v->notes[v->n_notes++], sizeof v->notes[0], fmt, ap);
    va_end(ap);
}

static void note_kills_for_memory(const struct cgroup_usage *u, struct verdict *v)
{
    char peak[32], limit[32];
    human(u->peak_bytes, peak, sizeof peak);
    human(u->limit_bytes, limit, sizeof limit);
    add_note(v, "%" PRIu64 " process%s killed for memory: %s%s%slimit %s; --memory sets the limit",
             u->oom_kills, u->oom_kills == 1 ? " was" : "es were", u->peak_bytes ? "peak " : "",
             u->peak_bytes ? peak : "", u->peak_bytes ? " of " : "", limit);
}

static void add_notes(const struct shim *s, const struct cgroup_usage *u, struct verdict *v)
{
    const struct outcome *o = &s->outcome;
    if (u->oom_kills && strcmp(v->kind, "oom") != 0)
        note_kills_for_memory(u, v);
    if (o->left)
        add_note(v, "%" PRId64 " process%s (%s%s) still ran when the command ended: killed", o->left,
                 o->left == 1 ? "" : "es", o->left_name, o->left == 1 ? "" : ", ...");
    if (o->forced && o->payload_exited && judge_was_stopped(o))
        add_note(v, "processes that still ran %s, after the command had ended, were killed",
                 o->grace_expired ? "at the end of the grace period" : "when the kill came");
    if (o->code_lost)
        add_note(v,
                 "the directory %.256s was moved or removed while the job ran: $BERTH_CODE was there instead",
                 s->spec.work_target);
    if (s->log_over && strcmp(v->kind, "log_limit") != 0) {
        char limit[32];
        human((uint64_t)s->spec.log_limit_bytes, limit, sizeof limit);
        add_note(v, "the log passed its limit of %s: the rest is dropped; limits.log sets the limit", limit);
    }
}

void judge(const struct shim *s, const struct cgroup_usage *u, const char *tail, struct verdict *v)
{
    judge_end(s, u, tail, v);
    add_notes(s, u, v);
}
