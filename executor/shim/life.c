/*
 * A task's life: started, watched, ended, recorded. One loop over poll(2); nothing in it waits for anything
 * else, and nothing is looked at by the clock but limits that are times themselves and a log disk that is
 * full.
 */
#include "executor/shim/life.h"

#include "executor/shim/shim.h"
#include "executor/shim/start.h"
#include "executor/shim/words.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISK_RETRY_MS 250 /* a full log disk: no way to be told of room */
#define GIVE_UP_LOG_MS                                                                                       \
    3000 /* after the end of a task that was told to end: a disk that has no room by then has none */
#define EMPTY_ROUND_MS 20       /* where the kernel tells of no emptiness (v1) */
#define REMOVE_MS 5000          /* for a group that only dying processes are in */
#define RECORD_UNEMPTY_MS 10000 /* the record is not kept back longer by processes that do not die */
#define LAST_LINES_MS                                                                                        \
    2000 /* of several processes, whose lines pass through init: killed first, it after them */
#define STDIN_CHUNK 65536

enum { AT_SIGNAL, AT_STATUS, AT_OUT, AT_ERR, AT_STDIN, AT_FENCE, AT_CTL };

void life_set_state(struct shim *s, const char *state)
{
    s->state = state;
    record_state(s);
    char line[64];
    snprintf(line, sizeof line, "state %s%s", state, s->log_blocked ? " log_disk_full" : "");
    ctl_tell(s, line);
}

static bool is_state(const struct shim *s, const char *state)
{
    return strcmp(s->state, state) == 0;
}

/* Every process that descends from us, for as long as there are some: the way without a cgroup. */
static void kill_descendants(pid_t of)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)of, (int)of);
    _cleanup_buf_ struct buf b = {0};
    if (!fs_read_file(AT_FDCWD, path, 1 << 20, &b, NULL) || !b.len)
        return;
    char *rest = b.data;
    for (char *word; (word = strsep(&rest, " "));) {
        pid_t pid = (pid_t)strtol(word, NULL, 10);
        if (pid <= 1)
            continue;
        kill_descendants(pid);
        kill(pid, SIGKILL);
    }
}

static void kill_all(struct shim *s)
{
    FAULT("shim.before_kill");
    if (s->has_cgroup)
        cgroup_kill(&s->tree, s->spec.cgroup_name);
    if (s->init_pid > 1 && !s->init_gone)
        kill(s->init_pid, SIGKILL);
    kill_descendants(getpid());
}

/* The task is over, and only its log may still wait for a disk: whoever ends it now ends that. */
static bool ended_already(struct shim *s)
{
    if (s->init_gone && !s->give_up_at_ms)
        s->give_up_at_ms = clock_boot_ms() + GIVE_UP_LOG_MS;
    return s->init_gone;
}

/* All but init, which then has their last lines to hand on. Once: true where there is something to wait for.
 */
static bool kill_the_ranks(struct shim *s)
{
    static const char line[] = "signal 9";
    if (s->spec.processes <= 1 || s->ranks_killed || !s->outcome.payload_started || s->outcome.payload_exited)
        return false;
    s->ranks_killed = true;
    return send(s->status_fd, line, sizeof line - 1, MSG_NOSIGNAL) > 0;
}

void life_kill(struct shim *s, const char *reason)
{
    if (ended_already(s))
        return;
    if (!s->outcome.stop_reason)
        s->outcome.stop_reason = xstrdup(reason);
    s->outcome.forced = true;
    s->kill_at_ms = kill_the_ranks(s) ? clock_boot_ms() + LAST_LINES_MS : 0;
    s->give_up_at_ms = clock_boot_ms() + GIVE_UP_LOG_MS;
    if (!is_state(s, "ending"))
        life_set_state(s, "ending");
    if (!s->kill_at_ms)
        kill_all(s);
}

void life_stop(struct shim *s, int64_t grace_ms, const char *reason)
{
    if (ended_already(s))
        return;
    if (!s->outcome.stop_reason)
        s->outcome.stop_reason = xstrdup(reason);
    int64_t at = clock_boot_ms() + grace_ms;
    if (grace_ms == 0) {
        life_kill(s, reason);
        return;
    }
    if (!s->kill_at_ms || at < s->kill_at_ms)
        s->kill_at_ms = at;
    if (is_state(s, "paused") && s->has_cgroup)
        cgroup_freeze(&s->tree, s->spec.cgroup_name, false);
    if (is_state(s, "starting")) /* nothing of the user's runs yet */
        life_kill(s, reason);
    else if (!is_state(s, "ending")) {
        char line[32];
        snprintf(line, sizeof line, "stop %d", s->spec.stop_signal > 0 ? (int)s->spec.stop_signal : SIGTERM);
        send(s->status_fd, line, strlen(line), MSG_NOSIGNAL);
        life_set_state(s, "ending");
    }
}

void life_pause(struct shim *s, bool pause)
{
    if (!is_state(s, pause ? "running" : "paused"))
        return;
    bool done = s->has_cgroup && cgroup_freeze(&s->tree, s->spec.cgroup_name, pause);
    if (!done) {
        char line[32];
        snprintf(line, sizeof line, "signal %d", pause ? SIGSTOP : SIGCONT);
        done = send(s->status_fd, line, strlen(line), MSG_NOSIGNAL) > 0;
    }
    if (done)
        life_set_state(s, pause ? "paused" : "running");
}

void life_resize(struct shim *s, unsigned rows, unsigned cols)
{
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
    s->spec.rows = rows;
    s->spec.cols = cols;
    if (s->tty_fd >= 0)
        ioctl(s->tty_fd, TIOCSWINSZ, &size);
}

void life_signal(struct shim *s, int signo)
{
    char line[32];
    if (is_state(s, "starting"))
        s->signal_waits = signo;
    if (!is_state(s, "running") || (s->tty_fd >= 0 && ioctl(s->tty_fd, TIOCSIG, signo) == 0))
        return;
    snprintf(line, sizeof line, "interrupt %d", signo);
    send(s->status_fd, line, strlen(line), MSG_NOSIGNAL);
}

static void take_terminal(struct shim *s, int fd)
{
    if (fd < 0 || s->tty_fd >= 0)
        return;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    s->tty_fd = fd;
    s->out.in_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    s->out.is_tty = true;
    if (s->spec.stdin_open)
        s->stdin_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (s->spec.rows > 0 && s->spec.cols > 0)
        life_resize(s, (unsigned)s->spec.rows, (unsigned)s->spec.cols);
}

/* A message and the descriptor that came with it (-1); the length, 0 at the end, -1 where there is none now.
 */
static ssize_t receive(int socket_fd, char *text, size_t size, int *fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec io = {.iov_base = text, .iov_len = size - 1};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    *fd = -1;
    ssize_t n = recvmsg(socket_fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    text[n] = '\0';
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    return n;
}

/* A warning that was given is given again only if its time comes anew. */
static void set_limit(struct shim *s)
{
    int64_t limit = s->spec.time_limit_ms;
    s->limit_at_ms = limit > 0 ? s->runs_since_ms + limit : 0;
    s->warn_at_ms = limit > 0 && s->spec.warn_ms > 0 ? s->limit_at_ms - s->spec.warn_ms : 0;
    if (s->outcome.warned_at_ms && s->warn_at_ms <= clock_boot_ms())
        s->warn_at_ms = 0;
}

void life_limit(struct shim *s, int64_t limit_ms)
{
    if (is_state(s, "ending") || s->outcome.payload_exited)
        return; /* its end keeps the reason that it has */
    s->spec.time_limit_ms = limit_ms;
    if (s->outcome.payload_started)
        set_limit(s);
}

static void payload_runs(struct shim *s)
{
    s->outcome.payload_started = true;
    s->started_ms = clock_wall_ms();
    s->runs_since_ms = clock_boot_ms();
    set_limit(s);
    if (!is_state(s, "ending"))
        life_set_state(s, "running");
    if (s->signal_waits)
        life_signal(s, s->signal_waits);
    FAULT("shim.running");
}

/* One of several has failed: the others can't go on without it, and end as if they were told to. */
static void process_failed(struct shim *s, int k, int code, int signo)
{
    if (is_state(s, "ending"))
        return;
    s->outcome.failed = 1 + k;
    s->outcome.code = code;
    s->outcome.signal = signo;
    life_stop(s, s->spec.grace_ms, "process");
}

static void take_status(struct shim *s)
{
    char text[MESSAGE_BYTES_MAX];
    int fd;
    int64_t v[3];
    const char *rest;
    ssize_t n;
    while ((n = receive(s->status_fd, text, sizeof text, &fd)) > 0) {
        struct outcome *o = &s->outcome;
        if (strcmp(text, "run") == 0) {
            payload_runs(s);
        } else if (strcmp(text, "tty") == 0) {
            take_terminal(s, fd);
        } else if (words_after(text, "fail-cwd", v, 1, NULL) == 1) {
            o->exec_errno = (int)v[0];
            snprintf(o->start_text, sizeof o->start_text, "can't enter the working folder %s: %s",
                     s->spec.cwd, strerror((int)v[0]));
        } else if (words_after(text, "fail", v, 1, &rest) == 1) {
            o->exec_errno = (int)v[0];
            snprintf(o->start_text, sizeof o->start_text, "%s", rest);
        } else if (words_after(text, "why", NULL, 0, &rest) == 0) {
            snprintf(o->exit_text, sizeof o->exit_text, "%s", rest);
        } else if (words_after(text, "exit", v, 3, NULL) == 3) {
            o->payload_exited = true;
            o->code = (int)v[0];
            o->signal = (int)v[1];
            o->told = v[2] != 0;
            /* init leaves by itself, but where a signal from elsewhere ended the command it lets the others
             * finish: not for ever */
            if (!o->told && !s->kill_at_ms)
                s->kill_at_ms = clock_boot_ms() + s->spec.grace_ms;
        } else if (words_after(text, "left", v, 1, &rest) == 1) {
            o->left = v[0];
            snprintf(o->left_name, sizeof o->left_name, "%s", rest);
        } else if (words_after(text, "process", v, 3, NULL) == 3) {
            process_failed(s, (int)v[0], (int)v[1], (int)v[2]);
        } else if (words_after(text, "warned", v, 1, NULL) == 1) {
            o->warned = v[0];
        } else if (words_after(text, "signal", v, 3, NULL) == 3) {
            o->foreign_signal = v[0];
            o->foreign_pid = v[1];
            o->foreign_uid = v[2];
        } else if (strncmp(text, "error ", 6) == 0) {
            snprintf(o->start_text, sizeof o->start_text, "%s", text + 6);
        }
    }
    if (n == 0) { /* init is gone; its end comes by SIGCHLD */
        close(s->status_fd);
        s->status_fd = -1;
    }
}

static void start_failed(struct shim *s, const struct error *err)
{
    struct outcome *o = &s->outcome;
    if (err->code == ERROR_NO_SPACE)
        snprintf(o->start_kind, sizeof o->start_kind, "disk_full");
    if (!o->start_kind[0])
        snprintf(o->start_kind, sizeof o->start_kind, "start_error");
    if (!o->start_text[0])
        snprintf(o->start_text, sizeof o->start_text, "%s", err->message);
}

static void close_task_ends(struct shim *s)
{
    int *const ends[] = {&s->out_w, &s->err_w, &s->in_r, &s->init_status_fd};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (*ends[i] >= 0)
            close(*ends[i]);
        *ends[i] = -1;
    }
}

/* The container is made: our only links to it are the channel and its pid. */
static void know_init(struct shim *s)
{
    s->init_start = clock_process_start(s->init_pid);
    close_task_ends(s);
    record_state(s);
}

static void reap_children(struct shim *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == s->runtime_pid) {
            struct error err = {0};
            take_status(s);
            if (oci_started(s, status, &err)) {
                know_init(s);
            } else {
                if (!s->outcome.exec_errno)
                    start_failed(s, &err);
                s->init_gone = true;
            }
        } else if (pid == s->init_pid) {
            s->init_gone = true;
        }
    }
    /* A container that ended before its runtime said so was reaped as a stranger. */
    if (s->init_pid > 1 && !s->init_gone && kill(s->init_pid, 0) != 0 && errno == ESRCH)
        s->init_gone = true;
}

static void feed_stdin(struct shim *s)
{
    while (s->stdin_fd >= 0 && s->stdin_pending.len) {
        size_t n = s->stdin_pending.len < STDIN_CHUNK ? s->stdin_pending.len : STDIN_CHUNK;
        ssize_t w = write(s->stdin_fd, s->stdin_pending.data, n);
        if (w < 0 && errno == EAGAIN)
            return;
        if (w < 0) { /* it has closed its stdin: the rest is for nobody */
            ctl_stdin_room(s, s->stdin_pending.len);
            buf_clear(&s->stdin_pending);
            close(s->stdin_fd);
            s->stdin_fd = -1;
            return;
        }
        buf_consume(&s->stdin_pending, (size_t)w);
        ctl_stdin_room(s, (size_t)w);
    }
    if (!s->stdin_eof || s->stdin_fd < 0)
        return;
    if (s->tty_fd >= 0 && write(s->stdin_fd, "\x04", 1) != 1 && errno == EAGAIN)
        return;
    close(s->stdin_fd);
    s->stdin_fd = -1;
}

/* Moves what can be moved; true while there is more at once. */
static bool pump_logs(struct shim *s)
{
    bool was_blocked = s->log_blocked;
    enum pump a = log_pump(s, &s->out), b = s->spec.split_streams ? log_pump(s, &s->err) : PUMP_EOF;
    s->log_blocked = a == PUMP_FULL || b == PUMP_FULL;
    s->retry_at_ms = s->log_blocked ? clock_boot_ms() + DISK_RETRY_MS : 0;
    if (s->log_blocked != was_blocked) {
        char line[64];
        snprintf(line, sizeof line, "state %s %s", s->state,
                 s->log_blocked ? "log_disk_full" : "log_disk_ok");
        ctl_tell(s, line);
        FAULT("shim.log_disk");
    }
    if (s->log_over && !s->outcome.stop_reason)
        life_stop(s, s->spec.grace_ms, "log_limit");
    return a == PUMP_MORE || b == PUMP_MORE;
}

static int next_timeout(const struct shim *s, bool more)
{
    if (more)
        return 0;
    const int64_t at[] = {s->limit_at_ms, s->warn_at_ms, s->kill_at_ms, s->retry_at_ms};
    int64_t now = clock_boot_ms(), best = INT64_MAX;
    for (size_t i = 0; i < sizeof at / sizeof *at; i++)
        if (at[i] && at[i] < best)
            best = at[i];
    if (best == INT64_MAX)
        return -1;
    /* poll(2) counts monotonic time: a machine that slept is looked at again within a minute of waking. */
    int64_t left = best - now;
    return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

/* Once, and not to one that is being ended already. */
static void warn(struct shim *s)
{
    s->warn_at_ms = 0;
    if (s->outcome.payload_exited || is_state(s, "ending"))
        return;
    char line[32];
    int signo = s->spec.warn_signal > 0 ? (int)s->spec.warn_signal : SIGUSR1;
    snprintf(line, sizeof line, "warn %d", signo);
    if (send(s->status_fd, line, strlen(line), MSG_NOSIGNAL) > 0)
        s->outcome.warn_signal = signo;
    s->outcome.warned_at_ms = clock_wall_ms();
    FAULT("shim.warned");
}

static void check_times(struct shim *s)
{
    fence_look(s);
    int64_t now = clock_boot_ms();
    if (s->warn_at_ms && now >= s->warn_at_ms)
        warn(s);
    if (s->limit_at_ms && now >= s->limit_at_ms) {
        s->limit_at_ms = 0;
        if (!s->outcome.payload_exited)
            life_stop(s, s->spec.grace_ms, "time_limit");
    }
    if (s->kill_at_ms && now >= s->kill_at_ms) {
        s->outcome.grace_expired |= !s->outcome.forced; /* else only the last lines' time is over */
        life_kill(s, "cancel");
    }
}

static void serve_once(struct shim *s, int signal_fd, int timeout_ms)
{
    struct pollfd p[AT_CTL + CTL_POLLS_MAX];
    short log = s->log_blocked ? 0 : POLLIN;
    p[AT_SIGNAL] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
    p[AT_STATUS] = (struct pollfd){.fd = s->status_fd, .events = POLLIN};
    p[AT_OUT] = (struct pollfd){.fd = log ? s->out.in_fd : -1, .events = log};
    p[AT_ERR] = (struct pollfd){.fd = log && s->spec.split_streams ? s->err.in_fd : -1, .events = log};
    bool stdin_wants = s->stdin_pending.len || s->stdin_eof;
    p[AT_STDIN] = (struct pollfd){.fd = stdin_wants ? s->stdin_fd : -1, .events = POLLOUT};
    p[AT_FENCE] = (struct pollfd){.fd = s->fence_fd, .events = POLLIN};
    size_t n = AT_CTL + ctl_poll(s, p + AT_CTL);
    if (poll(p, n, timeout_ms) < 0)
        return;
    if (p[AT_STATUS].revents)
        take_status(s);
    if (p[AT_SIGNAL].revents) {
        struct signalfd_siginfo info;
        while (read(signal_fd, &info, sizeof info) == sizeof info) {
        }
        reap_children(s);
    }
    ctl_serve(s, p + AT_CTL, n - AT_CTL);
    feed_stdin(s);
}

static bool all_gone(struct shim *s)
{
    int status;
    while (waitpid(-1, &status, WNOHANG) > 0) {
    }
    bool children = waitpid(-1, &status, WNOHANG) == 0;
    return !children && (!s->has_cgroup || cgroup_empty(&s->tree, s->spec.cgroup_name));
}

/* Kills what the task left and waits for the last one; gives the log the last bytes. Until `until_ms` (boot
 * time). */
static bool clear_away(struct shim *s, int signal_fd, int64_t until_ms)
{
    int events = s->has_cgroup ? cgroup_events_fd(&s->tree, s->spec.cgroup_name) : -1;
    bool gone = false;
    while (!(gone = all_gone(s)) && clock_boot_ms() < until_ms) {
        kill_all(s);
        pump_logs(s); /* a process that is being killed may still hold bytes for the pipe */
        if (all_gone(s))
            continue;
        char line[512];
        if (events >= 0 && pread(events, line, sizeof line, 0) < 0)
            break;
        struct pollfd p[2] = {{.fd = signal_fd, .events = POLLIN}, {.fd = events, .events = POLLPRI}};
        poll(p, 2, EMPTY_ROUND_MS);
    }
    if (events >= 0)
        close(events);
    return gone;
}

/* All that is in the pipe. A full disk may keep it waiting, until someone ends the task. */
static void drain_logs(struct shim *s, int signal_fd)
{
    if (s->outcome.stop_reason && !s->give_up_at_ms)
        s->give_up_at_ms = clock_boot_ms() + GIVE_UP_LOG_MS;
    for (;;) {
        bool more = pump_logs(s);
        if (!more && !s->log_blocked)
            return;
        if (s->log_blocked && s->give_up_at_ms && clock_boot_ms() >= s->give_up_at_ms) {
            s->outcome.log_gave_up = true;
            return;
        }
        serve_once(s, signal_fd, more ? 0 : DISK_RETRY_MS);
    }
}

static bool open_channels(struct shim *s, struct error *err)
{
    int pair[2], in[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return error_errno(err, errno, "can't create the channel to init");
    s->status_fd = pair[0];
    s->init_status_fd = pair[1];
    if (s->spec.stdin_open && !s->spec.tty) {
        if (pipe2(in, O_CLOEXEC) != 0)
            return error_errno(err, errno, "can't create the pipe for stdin");
        if (!s->rootless && fchown(in[0], (uid_t)s->spec.uid, (gid_t)s->spec.gid) != 0)
            return error_errno(err, errno, "can't hand the pipe for stdin to the user");
        s->in_r = in[0];
        s->stdin_fd = in[1];
        fcntl(in[1], F_SETFL, O_NONBLOCK);
    }
    return true;
}

/* `process` needs no namespaces: where there are none to be had, the task gets the machine as it is, and the
 * record says so. */
static bool prepare_root(struct shim *s, struct error *err)
{
    struct error why = {0};
    if (root_prepare(s, &why)) {
        s->own_mounts = true;
        return true;
    }
    bool bare = s->no_namespaces && strcmp(s->spec.runtime, "process") == 0 && spec_is_host(&s->spec);
    if (!bare) {
        *err = why;
        return false;
    }
    snprintf(s->outcome.notes, sizeof s->outcome.notes,
             "no namespaces for this user: the task ran on the bare machine (%.300s)", why.message);
    s->inside_uid = (uint32_t)s->spec.uid;
    s->inside_gid = (uint32_t)s->spec.gid;
    life_bare_folders(s);
    return true;
}

/* Without mounts the snapshot can't stand at the code folder's path: the working folder moves to it. */
void life_bare_folders(struct shim *s)
{
    const char *work = s->spec.work_target;
    char folder[PATH_MAX];
    ssize_t n = readlink("/proc/self/fd/3", folder, sizeof folder - 1);
    if (!work || n <= 0)
        return;
    folder[n] = '\0';
    size_t length = strlen(work);
    const char *rest = s->spec.cwd && strncmp(s->spec.cwd, work, length) == 0 ? s->spec.cwd + length : "";
    s->spec.cwd = xasprintf("%s/work%s", folder, rest);
    for (size_t i = 0; i < s->spec.env.n; i++) {
        if (strncmp(s->spec.env.v[i], "BERTH_OUTPUTS=", 14) == 0)
            s->spec.env.v[i] = xasprintf("BERTH_OUTPUTS=%s/work/outputs", folder);
        else if (strncmp(s->spec.env.v[i], "BERTH_CODE=", 11) == 0)
            s->spec.env.v[i] = xasprintf("BERTH_CODE=%s/work", folder);
    }
}

bool life_go_on(void *shim)
{
    struct shim *s = shim;
    struct pollfd p[CTL_POLLS_MAX];
    size_t n = ctl_poll(s, p);
    if (poll(p, n, 0) > 0)
        ctl_serve(s, p, n);
    return !is_state(s, "ending");
}

static bool start(struct shim *s, struct error *err)
{
    if (s->tree.n) {
        if (!cgroup_create(&s->tree, s->spec.cgroup_name, &s->limits, s->outcome.refused,
                           sizeof s->outcome.refused, err)) {
            snprintf(s->outcome.notes, sizeof s->outcome.notes, "no limits: %.400s", err->message);
            *err = (struct error){0};
        } else {
            s->has_cgroup = true;
        }
    }
    FAULT("shim.cgroup_made");
    if (!prepare_root(s, err))
        return false;
    if (is_state(s, "ending"))
        return error_set(err, ERROR_CONFLICT, "stopped before it started");
    if (strcmp(s->spec.runtime, "process") != 0)
        return oci_start(s, err);
    if (!plain_start(s, err))
        return false;
    know_init(s);
    return true;
}

static bool prepare(struct shim *s, struct error *err)
{
    return record_exit_reserve(err) && log_open(s, err) && open_channels(s, err);
}

/* What the executor gave the shim only to hold: all below the first descriptor of its own. Whoever sees the
 * connection end may look at once whether a GPU is free, and a shim can be slow to die. */
static void give_back_kept(const struct shim *s)
{
    if (s->exe_fd > SHIM_FIRST_KEPT_FD)
        close_range(SHIM_FIRST_KEPT_FD, (unsigned)s->exe_fd - 1, 0);
}

int life_run(struct shim *s)
{
    struct error err = {0};
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL); /* nobody's SIGTERM ends the shim; the task's end does */
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    int signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->state = "starting";
    if (!ctl_init(s) || signal_fd < 0)
        return 1;
    record_state(s);
    if (!fence_open(s, &err) || !prepare(s, &err)) {
        s->outcome.start_errno = err.sys_errno;
        start_failed(s, &err);
        s->init_gone = true;
    }
    fence_look(s); /* prepared for so long that it may run elsewhere by now: it never begins here */
    if (!s->init_gone && !s->fence_over && !start(s, &err)) {
        start_failed(s, &err);
        s->init_gone = true;
    }
    s->init_gone = s->init_gone || s->fence_over;
    bool more = false;
    while (!s->init_gone) {
        serve_once(s, signal_fd, next_timeout(s, more));
        check_times(s);
        more = pump_logs(s);
    }
    FAULT("shim.init_gone");
    close_task_ends(s);
    if (s->status_fd >= 0)
        take_status(s);
    s->ended_ms = clock_wall_ms();
    s->outcome.disk_free_bytes = verdict_disk_free(); /* before anyone makes room for the log */
    if (!is_state(s, "ending"))
        life_set_state(s, "ending");
    s->outcome.not_empty = !clear_away(s, signal_fd, clock_boot_ms() + RECORD_UNEMPTY_MS);
    s->outcome.code_lost = code_mount_lost(s);
    drain_logs(s, signal_fd);
    verdict_write(s);
    ctl_tell(s, "exit");
    while (!clear_away(s, signal_fd, clock_boot_ms() + RECORD_UNEMPTY_MS))
        serve_once(s, signal_fd, EMPTY_ROUND_MS);
    for (int64_t until = clock_boot_ms() + REMOVE_MS;
         s->has_cgroup && !cgroup_remove(&s->tree, s->spec.cgroup_name) && clock_boot_ms() < until;)
        serve_once(s, signal_fd, EMPTY_ROUND_MS);
    if (s->has_cgroup && !ctl_connected(s)) /* no executor is there to do it */
        cgroup_tree_remove(&s->tree, NULL);
    FAULT("shim.before_end");
    give_back_kept(s);
    ctl_finish(s);
    FAULT("shim.end_told");
    return 0;
}
