/*
 * A child for each look: it becomes the user for good and answers through a pipe. The user may stop it or
 * leave it hanging in a file system, so its parent keeps the time and kills it.
 */
#include "executor/look.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Keeps nothing of the executor's but the pipe, and lets nobody of the user's in. */
static bool become(const struct user *user, int *out)
{
    if (dup2(*out, 0) != 0)
        return false;
    *out = 0;
    close_range(1, ~0u, 0);
    bool ok = geteuid() != 0 || (setgroups(user->group_count, user->groups) == 0 &&
                                 setresgid(user->gid, user->gid, user->gid) == 0 &&
                                 setresuid(user->uid, user->uid, user->uid) == 0);
    prctl(PR_SET_DUMPABLE, 0);
    return ok;
}

/* One answer of the child's; false at its end, or when its time is over. */
static bool read_answer(int fd, void *answer, size_t size, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms - clock_boot_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, left > 0 ? (int)left : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        return ready > 0 && read(fd, answer, size) == (ssize_t)size;
    }
}

/* Also of one that hangs or is stopped. */
static void end(pid_t child)
{
    if (child <= 0)
        return;
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
}

bool look_is_directory(const char *path, const struct user *user)
{
    int ends[2];
    char is = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        struct stat st;
        is = become(user, &ends[1]) && (stat(path, &st) == 0 ? S_ISDIR(st.st_mode) : errno == EACCES);
        _exit(fs_write_all(ends[1], &is, 1) ? 0 : 1);
    }
    close(ends[1]);
    bool answered = read_answer(ends[0], &is, 1, clock_boot_ms() + LOOK_LIMIT_S * 1000);
    close(ends[0]);
    end(child);
    return answered && is;
}

static void __attribute__((noreturn))
write_missing(const char *folder, char *const *paths, const struct user *user, int out)
{
    struct stat st;
    if (!become(user, &out))
        _exit(1);
    int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool gone = at < 0 && (errno == ENOENT || errno == ENOTDIR);
    for (size_t i = 0; (at >= 0 || gone) && paths[i]; i++) {
        bool missing = gone || (fstatat(at, paths[i], &st, AT_SYMLINK_NOFOLLOW) != 0 &&
                                (errno == ENOENT || errno == ENOTDIR));
        if (missing && !fs_write_all(out, &i, sizeof i))
            _exit(1);
    }
    _exit(0);
}

size_t look_missing(const char *folder, char *const *paths, const struct user *user, const char **first)
{
    int ends[2];
    size_t count = 0, paths_count = 0, index;
    while (paths[paths_count])
        paths_count++;
    if (!paths_count || pipe2(ends, O_CLOEXEC) != 0)
        return 0;
    pid_t child = fork();
    if (child == 0)
        write_missing(folder, paths, user, ends[1]);
    close(ends[1]);
    int64_t until_ms = clock_boot_ms() + LOOK_LIMIT_S * 1000;
    while (read_answer(ends[0], &index, sizeof index, until_ms))
        if (index < paths_count && !count++)
            *first = paths[index];
    close(ends[0]);
    end(child);
    return count;
}
