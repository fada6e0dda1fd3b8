/*
 * A task's process that looks for what belongs to init and to siblings that are still being started: takes
 * their descriptors (pidfd_getfd, /proc/PID/fd) and opens their memory and environment. With several
 * processes, the first one looks until the last one has started; the others end at once.
 *
 *   taskspy --outside FILE    the same from outside of the task, as its user: of what root's shims start,
 * until FILE is there taskspy                   prints "leak ..." for each find, then "watched N", the
 * processes whose start it has seen; exit status 1 with a find, 2 where it can't look
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS_MAX 32
#define FIRST_FOREIGN_DESCRIPTOR 3
#define WATCHED_DESCRIPTORS 8
#define ROUNDS_MAX 1000000
#define ANCESTORS_MAX 4
#define PIDS_AHEAD 8 /* some start and end unseen */
#define LAST_STARTED "/dev/shm/last-started"

static int leaks;

static void report(int pid, const char *what, const char *detail)
{
    printf("leak: process %d: %s %s\n", pid, what, detail);
    leaks++;
}

/* Init and a child of it that has not executed the user's program yet; never again once it has. */
static int is_init(int pid)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? 0 : read(fd, name, sizeof name - 1);
    if (fd >= 0)
        close(fd);
    return n > 0 && strncmp(name, "berth-init", 10) == 0;
}

static void take_descriptors(int pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    for (int n = FIRST_FOREIGN_DESCRIPTOR; n < DESCRIPTORS_MAX; n++) {
        char path[64], link[256], detail[300];
        int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, n, 0);
        if (fd >= 0) {
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            ssize_t length = readlink(path, link, sizeof link - 1);
            snprintf(detail, sizeof detail, "%d is %.*s", n, length < 0 ? 0 : (int)length, link);
            report(pid, "descriptor taken:", detail);
            close(fd);
        }
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, n);
        ssize_t length = readlink(path, link, sizeof link - 1);
        if (length < 0)
            continue;
        snprintf(detail, sizeof detail, "%d is %.*s", n, (int)length, link);
        report(pid, "descriptor seen:", detail);
    }
    if (pidfd >= 0)
        close(pidfd);
}

static void open_files(int pid)
{
    static const char *const files[] = {"mem", "environ", "maps", "fdinfo/4", "auxv"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[64], byte;
        snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        int fd = open(path, O_RDONLY);
        if (fd < 0)
            continue;
        /* mem and environ refuse at open(2), the others give nothing */
        if ((i < 2 || read(fd, &byte, 1) == 1) && is_init(pid))
            report(pid, "opened:", files[i]);
        close(fd);
    }
}

/* A process that is just being started: until it lets us look, and has nothing any more. */
static void watch_start(int pid)
{
    char detail[64];
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    for (int round = 0, open = 0; pidfd >= 0 && open < WATCHED_DESCRIPTORS && round < ROUNDS_MAX; round++) {
        int n = FIRST_FOREIGN_DESCRIPTOR + round % WATCHED_DESCRIPTORS;
        int fd = (int)syscall(SYS_pidfd_getfd, pidfd, n, 0);
        open = fd < 0 && errno == EPERM ? 0 : open + 1;
        if (fd < 0)
            continue;
        snprintf(detail, sizeof detail, "%d", n);
        report(pid, "descriptor taken at its start:", detail);
        close(fd);
        break;
    }
    if (pidfd >= 0)
        close(pidfd);
}

static void scan(int *seen)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    if (!proc)
        exit(2);
    while ((entry = readdir(proc))) {
        int pid = isdigit((unsigned char)*entry->d_name) ? atoi(entry->d_name) : 0;
        if (pid <= 0 || pid == getpid())
            continue;
        if (pid > *seen)
            *seen = pid;
        take_descriptors(pid);
        open_files(pid);
    }
    closedir(proc);
}

/* ---- from outside ---- */

/* The parent and, in `name`, what the process calls itself. */
static int parent_of(int pid, char *name, size_t size)
{
    char path[64], stat[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, stat, sizeof stat - 1);
    if (fd >= 0)
        close(fd);
    stat[n > 0 ? n : 0] = '\0';
    char *open_paren = strchr(stat, '('), *close_paren = strrchr(stat, ')');
    if (!open_paren || !close_paren || close_paren < open_paren)
        return 0;
    snprintf(name, size, "%.*s", (int)(close_paren - open_paren - 1), open_paren + 1);
    return atoi(close_paren + 4);
}

/* A user's own shim is his. */
static int is_roots(int pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "\nUid:\t0\t") != NULL;
}

/* Not the user's program yet (or never): init, its program just executed, and what the runtimes are called.
 */
static int is_of_shim(int pid)
{
    static const char *const own[] = {
        "berth-init", "3", "crun", "runc", "runc:[0:PARENT]", "runc:[1:CHILD]", "runc:[2:INIT]"};
    char name[64] = "", above[64] = "";
    int parent = parent_of(pid, name, sizeof name), known = 0;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        known = known || strcmp(name, own[i]) == 0;
    for (int depth = 0; known && parent > 1 && depth < ANCESTORS_MAX; depth++) {
        int next = parent_of(parent, above, sizeof above);
        if (strcmp(above, "berth-shim") == 0)
            return is_roots(parent);
        parent = next;
    }
    return 0;
}

static void look_from_outside(int pid)
{
    static const char *const files[] = {"fd/4", "mem", "environ"};
    char path[64], link[64], detail[64];
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    for (int n = FIRST_FOREIGN_DESCRIPTOR; pidfd >= 0 && n < FIRST_FOREIGN_DESCRIPTOR + WATCHED_DESCRIPTORS;
         n++) {
        int fd = (int)syscall(SYS_pidfd_getfd, pidfd, n, 0);
        snprintf(detail, sizeof detail, "%d", n);
        if (fd >= 0 && is_of_shim(pid))
            report(pid, "descriptor taken from outside:", detail);
        if (fd >= 0)
            close(fd);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        int fd = i ? open(path, O_RDONLY) : -1;
        int got = i ? fd >= 0 : readlink(path, link, sizeof link) >= 0;
        if (got && is_of_shim(pid))
            report(pid, "opened from outside:", files[i]);
        if (fd >= 0)
            close(fd);
    }
    if (pidfd >= 0)
        close(pidfd);
}

static int outside(const char *stop)
{
    long looks = 0;
    while (access(stop, F_OK) != 0 && leaks < DESCRIPTORS_MAX) {
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        while (proc && (entry = readdir(proc))) {
            int pid = isdigit((unsigned char)*entry->d_name) ? atoi(entry->d_name) : 0;
            if (pid <= 1 || pid == getpid() || !is_of_shim(pid))
                continue;
            looks++;
            look_from_outside(pid);
        }
        if (proc)
            closedir(proc);
    }
    printf("looks %ld\n", looks);
    return leaks ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--outside") == 0)
        return outside(argv[2]);
    const char *rank = getenv("LOCAL_RANK"), *size = getenv("SPY_PROCESSES");
    int k = rank ? atoi(rank) : 0, count = size ? atoi(size) : 1;
    if (k == count - 1)
        close(open(LAST_STARTED, O_CREAT | O_WRONLY, 0600));
    if (k > 0)
        return 0;
    int seen = getpid(), watched = 0, last = 0;
    scan(&seen);
    for (; !last && !leaks; last = access(LAST_STARTED, F_OK) == 0) {
        for (int ahead = 1; ahead <= PIDS_AHEAD; ahead++) {
            if (kill(seen + ahead, 0) != 0)
                continue;
            watch_start(seen + ahead);
            seen += ahead;
            watched++;
            break;
        }
    }
    scan(&seen);
    printf("watched %d\n", watched);
    return leaks ? 1 : 0;
}
