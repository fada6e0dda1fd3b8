/* What is known of each runtime, under one lock; the paths are constants, so that readers need none. */
#include "executor/runtimes.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACES 6

/* Never a directory that a user may have put first. */
static const char *const places[RUNTIME_COUNT][PLACES] = {
    [RUNTIME_CRUN] = {"/usr/local/sbin/crun", "/usr/local/bin/crun", "/usr/sbin/crun", "/usr/bin/crun",
                      "/sbin/crun", "/bin/crun"},
    [RUNTIME_RUNC] = {"/usr/local/sbin/runc", "/usr/local/bin/runc", "/usr/sbin/runc", "/usr/bin/runc",
                      "/sbin/runc", "/bin/runc"},
};
static const char *const names[RUNTIME_COUNT] = {"process", "crun", "runc"};

struct one {
    _Atomic(const char *) offered; /* its path; NULL: it isn't */
    const char *path;              /* of the file that `file` is about */
    struct stat file;
    bool there, broken; /* broken: it was, when a task should have been started with it */
    char why[RUNTIMES_WHY_MAX];
};

struct runtimes {
    pthread_mutex_t lock;
    bool usable;
    struct one items[RUNTIME_COUNT];
};

const char *runtime_name(enum runtime which)
{
    return names[which];
}

enum runtime runtime_of_name(const char *name)
{
    for (enum runtime i = RUNTIME_CRUN; i < RUNTIME_COUNT; i++)
        if (name && strcmp(name, names[i]) == 0)
            return i;
    return RUNTIME_PROCESS;
}

/* Whether it runs at all: a library that is missing, another machine's program, a disk that can't be read. */
static bool prints_version(const char *path, char why[RUNTIMES_WHY_MAX])
{
    pid_t child = fork();
    if (child == 0) {
        char *argv[] = {(char *)path, (char *)"--version", NULL};
        char *env[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execve(path, argv, env);
        _exit(127);
    }
    if (child < 0) { /* says nothing of it: it is tried by the first task */
        return true;
    }
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    bool ended = pidfd < 0 || poll(&p, 1, RUNTIMES_VERSION_LIMIT_MS) == 1;
    int status = 0;
    if (!ended)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended) /* a busy machine: as above */
        return true;
    if (status == 0)
        return true;
    snprintf(why, RUNTIMES_WHY_MAX, "%s --version failed: %s %d", path,
             WIFSIGNALED(status) ? "signal" : "exit status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static bool offer(struct one *one, const char *path)
{
    return (atomic_exchange(&one->offered, path) == NULL) != (path == NULL);
}

static const char *installed_at(enum runtime which, struct stat *st)
{
    for (size_t i = 0; i < PLACES; i++)
        if (access(places[which][i], X_OK) == 0 && stat(places[which][i], st) == 0)
            return places[which][i];
    return NULL;
}

static bool look_at(struct one *one, enum runtime which)
{
    struct stat st = {0};
    const char *path = installed_at(which, &st);
    if (!path) {
        one->there = one->broken = false;
        snprintf(one->why, sizeof one->why, "not installed");
        return offer(one, NULL);
    }
    if (one->there && one->path == path && same_file(&st, &one->file))
        return false;
    one->there = true;
    one->path = path;
    one->file = st;
    one->why[0] = '\0';
    one->broken = !prints_version(path, one->why);
    return offer(one, one->broken ? NULL : path);
}

bool runtimes_look(struct runtimes *r)
{
    bool changed = false;
    pthread_mutex_lock(&r->lock);
    for (enum runtime i = RUNTIME_CRUN; r->usable && i < RUNTIME_COUNT; i++)
        changed = look_at(&r->items[i], i) || changed;
    pthread_mutex_unlock(&r->lock);
    return changed;
}

struct runtimes *runtimes_create(const char *why_none)
{
    struct runtimes *r = xcalloc(1, sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->usable = !why_none;
    for (enum runtime i = RUNTIME_CRUN; why_none && i < RUNTIME_COUNT; i++)
        snprintf(r->items[i].why, sizeof r->items[i].why, "%s", why_none);
    runtimes_look(r);
    return r;
}

void runtimes_destroy(struct runtimes *r)
{
    if (r)
        pthread_mutex_destroy(&r->lock);
    free(r);
}

const char *runtimes_path(const struct runtimes *r, enum runtime which)
{
    return r ? atomic_load(&r->items[which].offered) : NULL;
}

enum runtime runtimes_first(const struct runtimes *r)
{
    for (enum runtime i = RUNTIME_CRUN; i < RUNTIME_COUNT; i++)
        if (runtimes_path(r, i))
            return i;
    return RUNTIME_PROCESS;
}

void runtimes_why(struct runtimes *r, enum runtime which, char out[RUNTIMES_WHY_MAX])
{
    pthread_mutex_lock(&r->lock);
    snprintf(out, RUNTIMES_WHY_MAX, "%s", r->items[which].why);
    pthread_mutex_unlock(&r->lock);
}

bool runtimes_break(struct runtimes *r, enum runtime which, const char *why)
{
    struct one *one = &r->items[which];
    pthread_mutex_lock(&r->lock);
    bool changed = one->there && !one->broken;
    if (changed) {
        struct stat st;
        const char *path = installed_at(which, &st);
        one->broken = true;
        one->there = path != NULL;
        one->path = path;
        one->file = path ? st : one->file; /* of what is broken: another one is looked at anew */
        snprintf(one->why, sizeof one->why, "%s", why);
        changed = offer(one, NULL);
    }
    pthread_mutex_unlock(&r->lock);
    return changed;
}

bool runtimes_to_retry(struct runtimes *r, enum runtime which, const char **path)
{
    pthread_mutex_lock(&r->lock);
    bool retry = r->items[which].there && r->items[which].broken;
    *path = r->items[which].path;
    pthread_mutex_unlock(&r->lock);
    return retry;
}

bool runtimes_works(struct runtimes *r, enum runtime which)
{
    struct one *one = &r->items[which];
    pthread_mutex_lock(&r->lock);
    bool changed = one->there && one->broken;
    if (changed) {
        one->broken = false;
        one->why[0] = '\0';
        changed = offer(one, one->path);
    }
    pthread_mutex_unlock(&r->lock);
    return changed;
}
