/* The executor gets a transient scope rather than a place in the unit's cgroup, and a new one at each start:
 * once tasks live below a cgroup that has controllers enabled for its children, systemd can't put a restarted
 * daemon into that cgroup (EBUSY, the unit fails with 219/CGROUP; tried on systemd 252). Older scopes live as
 * long as tasks do in them. An SSH login's own scope is never delegated, so this is also how one user's Berth
 * comes to limits at all. */
#include "cli/up_scope.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUSCTL_TIMEOUT "10" /* seconds; a bus that is there answers at once */
#define MOVE_TIMEOUT_MS 5000
#define MOVE_POLL_MS 5

/* This process's cgroup v2 path, or NULL. The caller frees. */
static char *own_cgroup(void)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char *line = NULL, *path = NULL;
    size_t size = 0;
    while (file && !path && getline(&line, &size, file) > 0)
        if (strncmp(line, "0::", 3) == 0)
            path = xasprintf("%.*s", (int)strcspn(line + 3, "\n"), line + 3);
    free(line);
    if (file)
        fclose(file);
    return path;
}

/* Whether a scope of this user's systemd would end at logout while the place we are in would not. */
static bool would_end_at_logout(const char *cgroup)
{
    if (geteuid() == 0 || strstr(cgroup, "/user@"))
        return false;
    const struct passwd *user = getpwuid(geteuid());
    _cleanup_free_ char *linger = xasprintf("/var/lib/systemd/linger/%s", user ? user->pw_name : "");
    return !user || access(linger, F_OK) != 0;
}

static void exec_busctl(const char *unit, const char *pid)
{
    if (geteuid() != 0 && !getenv("XDG_RUNTIME_DIR")) {
        /* A login without PAM's environment (su, cron) has a user's systemd all the same where lingering is
         * on. */
        _cleanup_free_ char *runtime = xasprintf("/run/user/%u", (unsigned)geteuid());
        setenv("XDG_RUNTIME_DIR", runtime, 1);
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    execlp("busctl", "busctl", geteuid() == 0 ? "--system" : "--user", "--timeout=" BUSCTL_TIMEOUT, "call",
           "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
           "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail", "5",          /* properties: */
           "Description", "s", "Berth's executor and the tasks that it started", /* */
           "PIDs", "au", "1", pid,                                               /* */
           "Delegate", "b", "true",                                              /* */
           "TasksMax", "t", "18446744073709551615",  /* no limit but the tasks' own */
           "CollectMode", "s", "inactive-or-failed", /* */
           "0", (char *)NULL);
    _exit(127);
}

static bool under_systemd(void)
{
    return access("/run/systemd/system", F_OK) == 0 && access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
}

bool up_lacks_lingering(void)
{
    _cleanup_free_ char *cgroup = under_systemd() ? own_cgroup() : NULL;
    return cgroup && would_end_at_logout(cgroup);
}

bool up_enter_scope(void)
{
    if (!under_systemd())
        return false;
    _cleanup_free_ char *before = own_cgroup();
    if (!before || would_end_at_logout(before))
        return false;
    /* A pid alone may come again while an older scope still holds its tasks. */
    _cleanup_free_ char *unit =
        xasprintf("berth-executor-%d-%lld.scope", (int)getpid(), (long long)clock_boot_ms());
    _cleanup_free_ char *pid = xasprintf("%d", (int)getpid());
    pid_t child = fork();
    if (child == 0)
        exec_busctl(unit, pid);
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return false;
    /* The answer says that the job is queued; there is no file descriptor that tells of a change of cgroup.
     */
    for (int64_t deadline = clock_boot_ms() + MOVE_TIMEOUT_MS; clock_boot_ms() < deadline;) {
        _cleanup_free_ char *now = own_cgroup();
        if (now && strcmp(now, before) != 0)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = MOVE_POLL_MS * 1000000L}, NULL);
    }
    return false;
}
