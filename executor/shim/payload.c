/*
 * The step from the first process inside to one of the user's: a session of its own, confined, executed.
 * Which of several it is stands in RANK and LOCAL_RANK.
 */
#include "executor/shim/explain.h"
#include "executor/shim/ranks.h"
#include "executor/shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_DEFAULT "/bin:/usr/bin"
#define EXPLAIN_WAIT_MS                                                                                      \
    2000 /* for a look at the user's files, which may lie on a server that does not answer */

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

/* The errno. A text without a first line of its own is run by a shell, as execvp(3) does; a program for
 * another machine is not. */
static int exec_file(const char *file, char **argv)
{
    char why[EXPLAIN_BYTES_MAX];
    execve(file, argv, environ);
    int e = errno;
    if (e != ENOEXEC || explain_program(file, "", why, sizeof why))
        return e;
    size_t n = 0;
    while (argv[n])
        n++;
    char **shell = calloc(n + 2, sizeof *shell); /* in the child: never freed */
    if (!shell)
        return ENOMEM;
    shell[0] = (char *)"/bin/sh";
    shell[1] = (char *)file;
    for (size_t k = 1; k < n; k++)
        shell[k + 1] = argv[k];
    execve(shell[0], shell, environ);
    return e;
}

static int exec_program(char **argv, const char *path)
{
    if (strchr(argv[0], '/'))
        return exec_file(argv[0], argv);
    int best = ENOENT;
    for (const char *at = path; *at && *argv[0];) {
        char file[PATH_BYTES_MAX];
        size_t n = strcspn(at, ":");
        int e = snprintf(file, sizeof file, "%.*s%s%s", (int)n, at, n ? "/" : "", argv[0]) < (int)sizeof file
                    ? exec_file(file, argv)
                    : ENAMETOOLONG;
        if (e == EACCES)
            best = e;
        else if (e != ENOENT && e != ENOTDIR && e != ENAMETOOLONG)
            return e;
        at += n + (at[n] == ':');
    }
    return best;
}

static const char *path_of(char *const *env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return PATH_DEFAULT;
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
    umask(o->umask);
    struct payload_failure f = {0};
    if (o->cwd && chdir(o->cwd) != 0)
        f = (struct payload_failure){.e = errno, .cwd = true};
    if (!f.e && o->seccomp && !confine_seccomp())
        f.e = errno;
    if (!f.e) {
        const char *path = path_of(environ);
        f.e = exec_program(argv, path);
        explain_program(argv[0], path, f.why, sizeof f.why);
    }
    const int e = f.e;
    if (write(report, &f, sizeof f) != sizeof f)
        _exit(125);
    _exit(e == ENOENT || e == ENOTDIR ? 127 : 126);
}

pid_t payload_start(const struct init_options *o, struct ranks *ranks, int k, char **argv, char **env,
                    struct payload_failure *failure)
{
    int report[2];
    struct payload_failure f = {0};
    bool piped = !ranks || ranks_open(ranks, k);
    pid_t pid = piped && pipe2(report, O_CLOEXEC) == 0 ? fork() : -1;
    *failure = (struct payload_failure){.e = pid < 0 ? errno : 0};
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
    if (n == sizeof f)
        *failure = f;
    return pid;
}

bool payload_explain(const struct init_options *o, char **argv, char **env, char *out, size_t size)
{
    int report[2];
    *out = '\0';
    if (pipe2(report, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        char why[EXPLAIN_BYTES_MAX];
        drop_init_descriptors(report[1]);
        if ((o->cwd && chdir(o->cwd) != 0) || !explain_command(argv, path_of(env), why, sizeof why))
            _exit(0);
        _exit(write(report[1], why, strlen(why)) > 0 ? 0 : 1);
    }
    close(report[1]);
    struct pollfd p = {.fd = report[0], .events = POLLIN};
    ssize_t n = pid > 0 && poll(&p, 1, EXPLAIN_WAIT_MS) > 0 ? read(report[0], out, size - 1) : 0;
    out[n > 0 ? n : 0] = '\0';
    close(report[0]);
    if (pid > 0) /* reaped with all others: a dead server may keep it */
        kill(pid, SIGKILL);
    return n > 0;
}
