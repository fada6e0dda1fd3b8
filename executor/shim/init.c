/*
 * The first process inside a task. It starts the payload, reaps what is orphaned, passes signals on, tells
 * the shim how things went, and ends. When the shim dies it ends at once, and, as process 1 of the PID
 * namespace, takes all with it.
 *
 * Channel to the shim (SOCK_SEQPACKET, text): from init "run", "fail ERRNO", "fail-cwd ERRNO", "tty" with its
 * master (plain.c), "signal N PID UID" (one that came from elsewhere),
 * "warned N", "exit CODE SIGNAL", "error TEXT"; to init "signal N", "stop N" (the same, and the task is to
 * end), "warn N" (the time limit comes near: warn.c).
 */
#include "executor/shim/shim.h"
#include "executor/shim/words.h"

#include "base/fault.h"
#include "base/fs.h"
#include "proto/kv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOFILE_WANTED 65536

struct init {
    const struct init_options *o;
    pid_t payload;
    int signal_fd;
    bool stopping, payload_gone;
    int code;
};

/* Why the payload could not be executed, told by the child that tried. */
struct failure {
    int e;
    bool cwd; /* its working folder could not be entered */
};

static void tell(const struct init *i, const char *text)
{
    send(i->o->status_fd, text, strlen(text), MSG_NOSIGNAL);
}

static void signal_task(struct init *i, int signo)
{
    if (i->o->first)
        kill(-1, signo);
    else if (i->payload > 0)
        kill(-i->payload, signo);
}

/* The signal to end is for all of the task: a shell that dies of it must not take the training under it along
 * unasked. */
static void stop_task(struct init *i, int signo)
{
    signal_task(i, signo);
    i->stopping = true;
}

static void warn_task(struct init *i, int signo)
{
    char line[64];
    snprintf(line, sizeof line, "warned %lld",
             (long long)warn_processes(signo, i->o->first ? 0 : i->payload));
    tell(i, line);
}

static void reap(struct init *i)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
        if (pid != i->payload || i->payload_gone)
            continue;
        i->payload_gone = true;
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
            signo = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
        i->code = signo ? 128 + signo : code;
        char line[64];
        snprintf(line, sizeof line, "exit %d %d", code, signo);
        tell(i, line);
        FAULT("shim.payload_exited");
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
        else if (i->payload > 0 && !i->payload_gone)
            kill(i->o->tty ? -i->payload : i->payload, signo);
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
    } orders[] = {{"signal", signal_task}, {"stop", stop_task}, {"warn", warn_task}};
    int64_t signo;
    for (size_t k = 0; k < sizeof orders / sizeof *orders; k++)
        if (words_after(line, orders[k].word, &signo, 1, NULL) == 1 && signo > 0 && signo < NSIG)
            orders[k].run(i, (int)signo);
    return true;
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* One more user namespace, in which root of this one is called by the user's own ids. Its rights end with the
 * exec. */
static bool map_user(const struct init_options *o)
{
    char uids[64], gids[64];
    snprintf(uids, sizeof uids, "%lld 0 1\n", (long long)o->as_uid);
    snprintf(gids, sizeof gids, "%lld 0 1\n", (long long)o->as_gid);
    return unshare(CLONE_NEWUSER) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/gid_map", gids) && write_text("/proc/self/uid_map", uids);
}

static void __attribute__((noreturn))
become_payload(const struct init_options *o, char **argv, char **env, int report)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (o->tty) {
        setpgid(0, 0);
        signal(SIGTTOU, SIG_IGN);
        tcsetpgrp(0, getpid());
        signal(SIGTTOU, SIG_DFL);
    } else {
        setsid();
    }
    prctl(PR_SET_DUMPABLE, 1);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (o->landlock)
        confine_landlock();
    environ = env;
    struct failure f = {0};
    if (o->as_uid > 0 && !map_user(o))
        f.e = errno;
    if (!f.e && o->cwd && chdir(o->cwd) != 0)
        f = (struct failure){errno, true};
    if (!f.e && o->seccomp && !confine_seccomp())
        f.e = errno;
    if (!f.e) {
        execvpe(argv[0], argv, env);
        f.e = errno;
    }
    const int e = f.e;
    if (write(report, &f, sizeof f) != sizeof f)
        _exit(125);
    _exit(e == ENOENT || e == ENOTDIR ? 127 : 126);
}

static bool start_payload(struct init *i, char **argv, char **env)
{
    int report[2], e = 0;
    struct failure f = {0};
    i->payload = pipe2(report, O_CLOEXEC) == 0 ? fork() : -1;
    if (i->payload == 0)
        become_payload(i->o, argv, env, report[1]);
    if (i->payload < 0)
        e = errno;
    if (!e) {
        close(report[1]);
        ssize_t n;
        while ((n = read(report[0], &f, sizeof f)) < 0 && errno == EINTR) {
        }
        e = n == sizeof f ? f.e : 0;
        close(report[0]);
    }
    if (!e) {
        tell(i, "run");
        return true;
    }
    char line[64];
    snprintf(line, sizeof line, "%s %d", f.cwd ? "fail-cwd" : "fail", e);
    tell(i, line);
    i->code = e == ENOENT || e == ENOTDIR ? 127 : 126;
    return false;
}

int init_run(const struct init_options *o, char **argv, char **env)
{
    struct init i = {.o = o};
    prctl(PR_SET_NAME, "berth-init", 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    fcntl(o->status_fd, F_SETFD, FD_CLOEXEC);
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
    struct pollfd p[2] = {{.fd = i.signal_fd, .events = POLLIN}, {.fd = o->status_fd, .events = POLLIN}};
    /* A shim that died while the container was made: nothing must run any more. */
    if (i.signal_fd < 0 || !take_order(&i))
        return 125;
    if (!start_payload(&i, argv, env))
        return i.code;
    for (;;) {
        reap(&i);
        /* Being stopped, the others may finish what SIGTERM told them; the shim keeps the grace period. */
        if (i.payload_gone && (!i.stopping || !anyone_left()))
            return i.code;
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return 125;
        take_signal(&i);
        if ((p[1].revents & (POLLIN | POLLHUP | POLLERR)) && !take_order(&i)) {
            if (!o->first)
                signal_task(&i, SIGKILL);
            return 125;
        }
    }
}

/* "key=value" records of the memory file at fd (start.c), kept for good. */
static bool read_args(int fd, struct strings *args, struct strings *env, struct init_options *o)
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
    o->as_uid = kv_get_int(text.data, text.len, "as_uid", 0);
    o->as_gid = kv_get_int(text.data, text.len, "as_gid", 0);
    return args->n > 0;
}

/* Started by an OCI runtime as "--init FLAGS", with 3 this program, 4 the channel and 5 the arguments. */
int init_main(int argc, char **argv)
{
    struct strings args, env;
    struct init_options o = {.status_fd = 4,
                             .tty = argc > 2 && strchr(argv[2], 't') != NULL,
                             .seccomp = argc > 2 && strchr(argv[2], 's') != NULL,
                             .landlock = argc > 2 && strchr(argv[2], 'l') != NULL,
                             .first = getpid() == 1};
    if (!read_args(5, &args, &env, &o))
        return 125;
    close(3);
    return init_run(&o, (char **)args.v, (char **)env.v);
}
