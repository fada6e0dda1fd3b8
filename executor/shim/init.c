/*
 * The first process inside a task. It starts the payload (one process, or several that work together), reaps
 * what is orphaned, passes signals on, tells the shim how things went, and ends. When the shim dies it ends
 * at once, and, as process 1 of the PID namespace, takes all with it.
 *
 * Channel to the shim (SOCK_SEQPACKET, text): from init "run", "fail ERRNO TEXT" (what is wrong with the
 * program, "" where it isn't known), "fail-cwd ERRNO", "why TEXT" (the same of a program that a shell could
 * not execute), "tty" with its master (plain.c), "signal N PID UID" (one that came from elsewhere), "warned
 * N", "process K CODE SIGNAL" (the first of several that failed), "exit CODE SIGNAL TOLD" (TOLD 1: after the
 * shim had told it to end), "left N NAME" (processes that the payload left behind), "error TEXT"; to init
 * "signal N", "stop N" (the same, and the task is to end), "warn N" (the time limit comes near: warn.c),
 * "interrupt N" (to the main process groups alone, as a terminal's Ctrl-C).
 */
#include "executor/shim/ranks.h"
#include "executor/shim/shim.h"
#include "executor/shim/words.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "proto/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOFILE_WANTED 65536
#define LEFT_WAIT_MS 100 /* for helpers that end with the payload (resource trackers, log readers) */

struct init {
    const struct init_options *o;
    char **argv, **env;  /* the payload's */
    int count, left;     /* of the user's processes: asked for, running */
    pid_t *pids;         /* 0: gone */
    struct ranks *ranks; /* with several */
    struct pollfd *polls;
    int signal_fd;
    bool stopping, payload_gone, failed;
    bool told;           /* by the shim, while the payload ran: to end */
    int64_t leave_at_ms; /* CLOCK_BOOTTIME; what is left of the payload may end by itself until then */
    int code, first_code, first_signal; /* of the first that failed, else of all */
};

static void tell(const struct init *i, const char *text)
{
    send(i->o->status_fd, text, strlen(text), MSG_NOSIGNAL);
}

static void signal_task(struct init *i, int signo)
{
    if (i->o->first)
        kill(-1, signo);
    for (int k = 0; !i->o->first && k < i->count; k++)
        if (i->pids[k] > 0)
            kill(-i->pids[k], signo);
}

/* The signal to end is for all of the task: a shell that dies of it must not take the training under it along
 * unasked. */
static void stop_task(struct init *i, int signo)
{
    signal_task(i, signo);
    i->stopping = i->stopping || !i->payload_gone;
}

static void order_stop(struct init *i, int signo)
{
    i->told = i->told || !i->payload_gone;
    stop_task(i, signo);
}

static void order_signal(struct init *i, int signo)
{
    i->told = i->told || (signo == SIGKILL && !i->payload_gone);
    signal_task(i, signo);
}

/* Each main process leads a group of its own (payload.c). */
static void order_interrupt(struct init *i, int signo)
{
    for (int k = 0; k < i->count; k++)
        if (i->pids[k] > 0)
            kill(-i->pids[k], signo);
}

static void warn_task(struct init *i, int signo)
{
    char line[64];
    long long warned = i->o->first ? warn_processes(signo, 0) : 0;
    for (int k = 0; !i->o->first && k < i->count; k++)
        if (i->pids[k] > 0)
            warned += warn_processes(signo, i->pids[k]);
    snprintf(line, sizeof line, "warned %lld", warned);
    tell(i, line);
}

/* Shells use these codes for what they could not execute. */
static void tell_why(struct init *i, int code)
{
    char why[EXPLAIN_BYTES_MAX], line[MESSAGE_BYTES_MAX];
    if ((code != 126 && code != 127) || i->told || !payload_explain(i->o, i->argv, i->env, why, sizeof why))
        return;
    snprintf(line, sizeof line, "why %s", why);
    tell(i, line);
}

/* The first of several that fails says so at once: the shim ends the others. */
static void note_end(struct init *i, int k, int code, int signo)
{
    char line[64];
    i->pids[k] = 0;
    i->left--;
    if ((code || signo) && !i->failed) {
        i->failed = true;
        i->first_code = code;
        i->first_signal = signo;
        i->code = signo ? 128 + signo : code;
        tell_why(i, signo ? 0 : code);
        snprintf(line, sizeof line, "process %d %d %d", k, code, signo);
        if (i->count > 1)
            tell(i, line);
    }
    if (i->left)
        return;
    i->payload_gone = true;
    snprintf(line, sizeof line, "exit %d %d %d", i->first_code, i->first_signal, i->told);
    tell(i, line);
    FAULT("shim.payload_exited");
}

static void reap(struct init *i)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
        int k = 0;
        while (k < i->count && i->pids[k] != pid)
            k++;
        if (k < i->count)
            note_end(i, k, WIFEXITED(status) ? WEXITSTATUS(status) : 0,
                     WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    }
}

static bool anyone_left(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

static void take_signal(struct init *i)
{
    struct signalfd_siginfo info;
    while (read(i->signal_fd, &info, sizeof info) == sizeof info) {
        int signo = (int)info.ssi_signo;
        if (signo == SIGCHLD)
            continue;
        char line[64];
        snprintf(line, sizeof line, "signal %d %u %u", signo, info.ssi_pid, info.ssi_uid);
        tell(i, line);
        if (signo == SIGTERM)
            stop_task(i, signo);
        for (int k = 0; signo != SIGTERM && k < i->count; k++)
            if (i->pids[k] > 0)
                kill(i->o->tty ? -i->pids[k] : i->pids[k], signo);
    }
}

/* False when the shim is gone. */
static bool take_order(struct init *i)
{
    char line[65];
    ssize_t n = recv(i->o->status_fd, line, sizeof line - 1, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    line[n] = '\0';
    static const struct {
        const char *word;
        void (*run)(struct init *i, int signo);
    } orders[] = {
        {"signal", order_signal}, {"stop", order_stop}, {"warn", warn_task}, {"interrupt", order_interrupt}};
    int64_t signo;
    for (size_t k = 0; k < sizeof orders / sizeof *orders; k++)
        if (words_after(line, orders[k].word, &signo, 1, NULL) == 1 && signo > 0 && signo < NSIG)
            orders[k].run(i, (int)signo);
    return true;
}

/* Where one can't be started none goes on: the others end with init. */
static bool start_payload(struct init *i)
{
    for (int k = 0; k < i->count; k++) {
        struct payload_failure f;
        i->pids[k] = payload_start(i->o, i->ranks, k, i->argv, i->env, &f);
        if (!f.e) {
            i->left++;
            continue;
        }
        char line[MESSAGE_BYTES_MAX];
        snprintf(line, sizeof line, "%s %d %s", f.cwd ? "fail-cwd" : "fail", f.e, f.why);
        tell(i, line);
        i->code = f.e == ENOENT || f.e == ENOTDIR ? 127 : 126;
        if (!i->o->first)
            signal_task(i, SIGKILL);
        return false;
    }
    tell(i, "run");
    return true;
}

/* The payload has ended, and nothing is left that may still end in its own way. Being stopped, the others may
 * finish what SIGTERM told them: the shim keeps the grace period. Else helpers that end with their parent
 * have a moment. */
static bool is_over(struct init *i)
{
    if (!i->payload_gone || !anyone_left())
        return i->payload_gone;
    if (i->stopping)
        return false;
    if (!i->leave_at_ms)
        i->leave_at_ms = clock_boot_ms() + LEFT_WAIT_MS;
    return clock_boot_ms() >= i->leave_at_ms;
}

static void tell_left(struct init *i)
{
    char name[16], line[64];
    int64_t left = i->stopping || !i->leave_at_ms ? 0 : left_count(name, sizeof name);
    if (!left)
        return;
    snprintf(line, sizeof line, "left %" PRId64 " %s", left, name);
    tell(i, line);
}

/* What is left of the task ends with init; what it wrote is not lost. */
static int leave(struct init *i)
{
    tell_left(i);
    if (i->ranks) {
        if (i->o->first)
            kill(-1, SIGKILL);
        ranks_drain(i->ranks, i->o->status_fd);
    }
    return i->code;
}

static void wait_for_news(struct init *i)
{
    i->polls[0] = (struct pollfd){.fd = i->signal_fd, .events = POLLIN};
    i->polls[1] = (struct pollfd){.fd = i->o->status_fd, .events = POLLIN};
    size_t n = 2 + (i->ranks ? ranks_poll(i->ranks, i->polls + 2) : 0);
    int64_t wait_ms = i->leave_at_ms ? i->leave_at_ms - clock_boot_ms() : -1;
    if (poll(i->polls, n, i->leave_at_ms && wait_ms < 0 ? 0 : (int)wait_ms) < 0)
        i->polls[1].revents = 0;
    if (i->ranks)
        ranks_move(i->ranks);
}

static bool make_room(struct init *i)
{
    i->count = i->o->processes > 1 ? i->o->processes : 1;
    i->pids = calloc((size_t)i->count, sizeof *i->pids);
    i->ranks = i->count > 1 ? ranks_create(i->count, i->o->first_rank) : NULL;
    i->polls = calloc(2 + (i->ranks ? ranks_poll_max(i->ranks) : 0), sizeof *i->polls);
    return i->pids && i->polls && (i->count == 1 || i->ranks);
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* One more user namespace, in which root of this one is called by the user's own ids. One for all processes,
 * which may look at each other as they may anywhere; the rights in it end with their exec. */
static bool map_user(const struct init_options *o)
{
    char uids[64], gids[64];
    snprintf(uids, sizeof uids, "%lld 0 1\n", (long long)o->as_uid);
    snprintf(gids, sizeof gids, "%lld 0 1\n", (long long)o->as_gid);
    return unshare(CLONE_NEWUSER) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/gid_map", gids) && write_text("/proc/self/uid_map", uids);
}

int init_run(const struct init_options *o, char **argv, char **env)
{
    struct init i = {.o = o, .argv = argv, .env = env};
    prctl(PR_SET_NAME, "berth-init", 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    /* Here and not in each process: one domain for all, whose processes reach each other's abstract sockets
     * (NCCL) and memory. */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (o->landlock)
        confine_landlock();
    if (o->as_uid > 0 && !map_user(o)) {
        char line[160];
        snprintf(line, sizeof line, "error can't map the user's ids in the task's user namespace: %s",
                 strerror(errno));
        tell(&i, line);
        return 125;
    }
    fcntl(o->status_fd, F_SETFD, FD_CLOEXEC);
    keyring_join(NULL); /* the user's own; where he has no quota left the shim's fresh one stays */
    if (!o->first)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGTTOU);
    sigprocmask(SIG_SETMASK, &all, NULL);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < NOFILE_WANTED) {
        files.rlim_cur = files.rlim_max < NOFILE_WANTED ? files.rlim_max : NOFILE_WANTED;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    i.signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    FAULT("shim.before_payload");
    /* A shim that died while the container was made: nothing must run any more. */
    if (i.signal_fd < 0 || !make_room(&i) || !take_order(&i))
        return 125;
    if (!start_payload(&i))
        return i.code;
    for (;;) {
        reap(&i);
        if (is_over(&i))
            return leave(&i);
        wait_for_news(&i);
        take_signal(&i);
        if ((i.polls[1].revents & (POLLIN | POLLHUP | POLLERR)) && !take_order(&i)) {
            if (!o->first)
                signal_task(&i, SIGKILL);
            return 125;
        }
    }
}

/* "key=value" records of the memory file at fd (start.c), kept for good. */
static bool read_args(int fd, struct strings *args, struct strings *env, struct init_options *o,
                      int64_t *rows, int64_t *cols)
{
    static struct buf text;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!fs_read_file(AT_FDCWD, path, SPEC_BYTES_MAX, &text, NULL))
        return false;
    close(fd);
    *args = kv_list(text.data, text.len, "arg");
    *env = kv_list(text.data, text.len, "env");
    o->cwd = kv_get(text.data, text.len, "cwd");
    *rows = kv_get_int(text.data, text.len, "rows", 0);
    *cols = kv_get_int(text.data, text.len, "cols", 0);
    o->as_uid = kv_get_int(text.data, text.len, "as_uid", 0);
    o->as_gid = kv_get_int(text.data, text.len, "as_gid", 0);
    o->processes = (int)kv_get_int(text.data, text.len, "processes", 1);
    o->first_rank = kv_get_int(text.data, text.len, "first_rank", 0);
    o->umask = (mode_t)kv_get_int(text.data, text.len, "umask", 022);
    return args->n > 0;
}

/* Started by an OCI runtime as "--init FLAGS", with 3 this program, 4 the channel and 5 the arguments. */
int init_main(int argc, char **argv)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    struct strings args, env;
    struct init_options o = {.status_fd = 4,
                             .tty = argc > 2 && strchr(argv[2], 't') != NULL,
                             .seccomp = argc > 2 && strchr(argv[2], 's') != NULL,
                             .landlock = argc > 2 && strchr(argv[2], 'l') != NULL,
                             .first = getpid() == 1};
    int64_t rows = 0, cols = 0;
    if (!read_args(5, &args, &env, &o, &rows, &cols))
        return 125;
    close(3);
    if (o.tty && !terminal_open(o.status_fd, rows, cols)) {
        char line[128];
        snprintf(line, sizeof line, "error can't open a terminal: %s", strerror(errno));
        send(o.status_fd, line, strlen(line), MSG_NOSIGNAL);
        return 125;
    }
    return init_run(&o, (char **)args.v, (char **)env.v);
}
