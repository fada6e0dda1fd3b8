/*
 * The step from the first process inside to one of the user's: a session of its own, confined, executed.
 * Which of several it is stands in RANK and LOCAL_RANK.
 */
#include "executor/shim/ranks.h"
#include "executor/shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Why the payload could not be executed, told by the child that tried. */
struct failure {
    int e;
    bool cwd; /* its working folder could not be entered */
};

static bool is_rank(const char *entry)
{
    return strncmp(entry, "RANK=", 5) == 0 || strncmp(entry, "LOCAL_RANK=", 11) == 0;
}

/* The environment with this process's own place in it. In the child: never freed. */
static char **ranked(const struct init_options *o, int k, char **env)
{
    static char rank[40], local[40];
    size_t n = 0, used = 0;
    while (env[n])
        n++;
    char **own = calloc(n + 3, sizeof *own);
    if (!own)
        _exit(125);
    for (size_t e = 0; e < n; e++)
        if (!is_rank(env[e]))
            own[used++] = env[e];
    snprintf(rank, sizeof rank, "RANK=%lld", (long long)o->first_rank + k);
    snprintf(local, sizeof local, "LOCAL_RANK=%d", k);
    own[used++] = rank;
    own[used] = local;
    return own;
}

/* The channel, the ranks' pipes and whatever else is init's end here: processes that already run as this user
 * may look for them. */
static void drop_init_descriptors(int report)
{
    if (report > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)report - 1, 0);
    close_range((unsigned)report + 1, ~0u, 0);
}

/* It stays undumpable, as init is, until exec gives it another memory: the kernel refuses ptrace(2),
 * pidfd_getfd(2) and /proc/PID/{fd,mem,environ} to the task's other processes until then. */
static void __attribute__((noreturn))
become_payload(const struct init_options *o, int k, char **argv, char **env, int report)
{
    drop_init_descriptors(report);
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
    environ = o->processes > 1 ? ranked(o, k, env) : env;
    struct failure f = {0};
    if (o->cwd && chdir(o->cwd) != 0)
        f = (struct failure){errno, true};
    if (!f.e && o->seccomp && !confine_seccomp())
        f.e = errno;
    if (!f.e) {
        execvpe(argv[0], argv, environ);
        f.e = errno;
    }
    const int e = f.e;
    if (write(report, &f, sizeof f) != sizeof f)
        _exit(125);
    _exit(e == ENOENT || e == ENOTDIR ? 127 : 126);
}

pid_t payload_start(const struct init_options *o, struct ranks *ranks, int k, char **argv, char **env, int *e,
                    bool *cwd)
{
    int report[2];
    struct failure f = {0};
    bool piped = !ranks || ranks_open(ranks, k);
    pid_t pid = piped && pipe2(report, O_CLOEXEC) == 0 ? fork() : -1;
    *e = pid < 0 ? errno : 0;
    *cwd = false;
    if (pid == 0) {
        if (ranks)
            ranks_enter(ranks, k);
        become_payload(o, k, argv, env, report[1]);
    }
    if (pid < 0)
        return -1;
    if (ranks)
        ranks_opened(ranks, k);
    close(report[1]);
    ssize_t n;
    while ((n = read(report[0], &f, sizeof f)) < 0 && errno == EINTR) {
    }
    close(report[0]);
    if (n == sizeof f) {
        *e = f.e;
        *cwd = f.cwd;
    }
    return pid;
}
