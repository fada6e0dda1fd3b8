/*
 * The step from the first process inside to one of the user's: a session of its own, confined, executed.
 * Which of several it is stands in RANK and LOCAL_RANK.
 */
#include "executor/shim/ranks.h"
#include "executor/shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Why the payload could not be executed, told by the child that tried. */
struct failure {
    int e;
    bool cwd; /* its working folder could not be entered */
};

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

static void __attribute__((noreturn))
become_payload(const struct init_options *o, int k, char **argv, char **env, int report)
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
    environ = o->processes > 1 ? ranked(o, k, env) : env;
    struct failure f = {0};
    if (o->as_uid > 0 && !map_user(o))
        f.e = errno;
    if (!f.e && o->cwd && chdir(o->cwd) != 0)
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
