/* Fault points of test builds. Thread-safe enough: counts are atomic, the environment is read once. */
#include "base/fault.h"

#ifdef BERTH_FAULT_POINTS
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KILLED_EXIT_CODE 137 /* 128 + SIGKILL */
#define HOLD_LOOK_NS 2000000

enum action { ACTION_NONE, ACTION_KILL, ACTION_STOP, ACTION_HOLD, ACTION_EXIT, ACTION_FAIL };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char wanted[128];
static long wanted_pass = 1;
static enum action wanted_action;
static const char *log_path, *once_path;
static atomic_long passes;

static void read_environment(void)
{
    static const struct {
        const char *word;
        enum action action;
    } actions[] = {
        {"kill", ACTION_KILL}, {"stop", ACTION_STOP}, {"hold", ACTION_HOLD},
        {"exit", ACTION_EXIT}, {"fail", ACTION_FAIL},
    };
    log_path = getenv("BERTH_FAULT_LOG");
    once_path = getenv("BERTH_FAULT_ONCE");
    const char *spec = getenv("BERTH_FAULT");
    if (!spec)
        return;
    snprintf(wanted, sizeof wanted, "%s", spec);
    char *eq = strchr(wanted, '=');
    wanted_action = ACTION_KILL;
    if (eq) {
        *eq = '\0';
        for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
            if (strcmp(eq + 1, actions[i].word) == 0)
                wanted_action = actions[i].action;
    }
    char *colon = strchr(wanted, ':');
    if (colon) {
        *colon = '\0';
        wanted_pass = strtol(colon + 1, NULL, 10);
    }
}

/* The first process of a PID namespace is deaf to its own SIGKILL: it leaves as abruptly as it can. */
static void die(void)
{
    if (getpid() == 1)
        _exit(KILLED_EXIT_CODE);
    kill(getpid(), SIGKILL);
}

static void hold(void)
{
    char path[512];
    if (!once_path || snprintf(path, sizeof path, "%s.go", once_path) >= (int)sizeof path)
        return;
    while (access(path, F_OK) != 0)
        nanosleep(&(struct timespec){.tv_nsec = HOLD_LOOK_NS}, NULL);
}

bool fault_pass(const char *name)
{
    pthread_once(&once, read_environment);
    if (log_path) {
        char line[160];
        int n = snprintf(line, sizeof line, "%d %s\n", (int)getpid(), name);
        int fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0) {
            ssize_t ignored = write(fd, line, (size_t)n);
            (void)ignored;
            close(fd);
        }
    }
    if (wanted_action == ACTION_NONE || strcmp(name, wanted) != 0)
        return false;
    if (atomic_fetch_add(&passes, 1) + 1 != wanted_pass && wanted_action != ACTION_FAIL)
        return false;
    if (once_path) {
        int fd = open(once_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0)
            return false;
        close(fd);
    }
    if (wanted_action == ACTION_KILL)
        die();
    else if (wanted_action == ACTION_HOLD)
        hold();
    else if (wanted_action == ACTION_STOP)
        kill(getpid(), SIGSTOP);
    else if (wanted_action == ACTION_EXIT)
        _exit(99);
    return wanted_action == ACTION_FAIL;
}
#else
typedef int fault_points_are_not_compiled_in; /* a translation unit must not be empty */
#endif
