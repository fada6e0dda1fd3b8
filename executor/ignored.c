/* The child that takes ignored files. It allocates nothing that it needs to free, and ends with its work. */
#include "executor/ignored.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "executor/as_user.h"
#include "executor/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

struct taking {
    const struct ignored_request *request;
    int live_fd, work_fd;
    int64_t copied_bytes;
};

bool ignored_hold_parent(int work_fd, const char *path, struct ignored_parent *parent)
{
    parent->fd = beneath_open_parent(work_fd, path, true, 0755, &parent->name);
    if (parent->fd < 0 || fstat(parent->fd, &parent->st) != 0 ||
        ((parent->st.st_mode & 0300) != 0300 &&
         fchmod(parent->fd, (parent->st.st_mode & 0777) | 0300) != 0)) {
        int saved = errno;
        if (parent->fd >= 0)
            close(parent->fd);
        parent->fd = -1;
        errno = saved;
        return false;
    }
    return true;
}

void ignored_drop_parent(struct ignored_parent *parent)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, parent->st.st_mtim};
    if ((parent->st.st_mode & 0300) != 0300)
        fchmod(parent->fd, parent->st.st_mode & 0777);
    futimens(parent->fd, times);
    close(parent->fd);
    parent->fd = -1;
}

static int64_t nanoseconds(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static bool same_content(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && nanoseconds(&a->st_mtim) == nanoseconds(&b->st_mtim);
}

static void note_stat(struct ignored_file *file, const struct stat *st)
{
    file->mode = st->st_mode & 0777;
    file->size = st->st_size;
    file->mtime_ns = nanoseconds(&st->st_mtim);
}

static void make_link(const struct taking *t, const char *path, const char *target, enum ignored_kind kind,
                      struct ignored_file *file)
{
    struct ignored_parent parent;
    file->kind = kind;
    if (t->work_fd < 0)
        return;
    bool held = ignored_hold_parent(t->work_fd, path, &parent);
    if (!held || symlinkat(target, parent.fd, parent.name) != 0) {
        file->kind = IGNORED_FAILED;
        file->error = errno;
    }
    if (held)
        ignored_drop_parent(&parent);
}

static void make_live(const struct taking *t, const char *path, struct ignored_file *file)
{
    char target[PATH_MAX];
    if (snprintf(target, sizeof target, "%s/%s", t->request->live_at ? t->request->live_at : "", path) >=
        (int)sizeof target) {
        file->kind = IGNORED_REFUSED;
        file->error = ENAMETOOLONG;
        return;
    }
    make_link(t, path, target, IGNORED_LIVE, file);
}

/* No copy is larger, whatever the file grows to meanwhile. */
static bool copy_bounded(int from, int to, int64_t max_bytes)
{
    struct rlimit limit, before;
    struct error err = {0};
    if (getrlimit(RLIMIT_FSIZE, &before) != 0)
        return false;
    limit = before;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > (rlim_t)max_bytes)
        limit.rlim_cur = (rlim_t)max_bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
    bool ok = fs_copy_fd(from, to, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    errno = err.sys_errno;
    return ok;
}

/* The bytes of `from` into the new file `to`. False with errno set; EFBIG: too large to be copied. */
static bool copy_bytes(struct taking *t, int from, int to, struct stat *st)
{
    int64_t left = IGNORED_ALL_MAX_BYTES - t->copied_bytes;
    int64_t most = left < IGNORED_COPY_MAX_BYTES ? left : IGNORED_COPY_MAX_BYTES;
    if (ioctl(to, FICLONE, from) == 0)
        return fstat(from, st) == 0;
    for (int i = 0; i < IGNORED_COPY_TRIES; i++) {
        struct stat after;
        if (fstat(from, st) != 0)
            return false;
        if (st->st_size > most) {
            errno = EFBIG;
            return false;
        }
        if (lseek(from, 0, SEEK_SET) != 0 || lseek(to, 0, SEEK_SET) != 0 || ftruncate(to, 0) != 0 ||
            !copy_bounded(from, to, most) || fstat(from, &after) != 0)
            return false;
        if (same_content(st, &after))
            break;
    }
    t->copied_bytes += st->st_size;
    return true;
}

static void copy_file(struct taking *t, const char *path, int from, struct stat *st,
                      struct ignored_file *file)
{
    struct ignored_parent parent;
    if (!ignored_hold_parent(t->work_fd, path, &parent)) {
        file->kind = IGNORED_FAILED;
        file->error = errno;
        return;
    }
    int to = openat(parent.fd, parent.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = to >= 0 && copy_bytes(t, from, to, st);
    struct timespec times[2] = {st->st_atim, st->st_mtim};
    ok = ok && fchmod(to, st->st_mode & 0777) == 0 && futimens(to, times) == 0;
    file->error = ok ? 0 : errno;
    file->kind = ok ? IGNORED_FILE : IGNORED_FAILED;
    if (to >= 0) {
        if (!ok)
            unlinkat(parent.fd, parent.name, 0);
        close(to);
    }
    ignored_drop_parent(&parent);
    if (!ok && file->error == EFBIG) {
        file->error = 0;
        make_live(t, path, file);
    }
    note_stat(file, st);
}

static void take_regular(struct taking *t, const char *path, int fd, struct stat *st,
                         struct ignored_file *file)
{
    char self[32];
    note_stat(file, st);
    file->kind = IGNORED_FILE;
    if (t->work_fd < 0)
        return;
    /* what was looked at is what is read, whatever has its name by now */
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    _cleanup_close_ int from = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (from < 0) {
        file->kind = IGNORED_REFUSED;
        file->error = errno;
        return;
    }
    copy_file(t, path, from, st, file);
}

static void take_link(const struct taking *t, const char *path, int fd, const struct stat *st,
                      struct ignored_file *file)
{
    char target[PATH_MAX];
    struct stat there;
    ssize_t n = readlinkat(fd, "", target, sizeof target - 1);
    target[n < 0 ? 0 : n] = '\0';
    note_stat(file, st);
    bool leads = fstatat(t->live_fd, path, &there, 0) == 0;
    if (n <= 0) {
        file->kind = IGNORED_REFUSED;
        file->error = errno;
    } else if (fs_link_stays(path, target) || !leads) {
        make_link(t, path, target, IGNORED_LINK, file);
    } else if (S_ISDIR(there.st_mode)) {
        file->kind = IGNORED_MOUNT;
    } else if (S_ISREG(there.st_mode)) {
        note_stat(file, &there);
        make_live(t, path, file);
    } else {
        file->kind = IGNORED_REFUSED;
    }
}

static void take(struct taking *t, const char *path, struct ignored_file *file)
{
    struct stat st;
    _cleanup_close_ int fd = beneath_openat(t->live_fd, path, O_PATH, 0, false);
    if (fd < 0 || fstat(fd, &st) != 0) {
        file->error = errno;
        file->kind = errno == ENOENT || errno == ENOTDIR ? IGNORED_GONE : IGNORED_REFUSED;
    } else if (S_ISDIR(st.st_mode)) {
        file->kind = IGNORED_MOUNT;
    } else if (S_ISREG(st.st_mode)) {
        take_regular(t, path, fd, &st, file);
    } else if (S_ISLNK(st.st_mode)) {
        take_link(t, path, fd, &st, file);
    } else {
        file->kind = IGNORED_REFUSED;
    }
}

static void __attribute__((noreturn))
take_all(const struct ignored_request *request, pid_t parent, int answers)
{
    int fds[2] = {answers, request->work_fd};
    struct taking t = {.request = request, .work_fd = -1};
    if (!as_user_become(request->user, parent, fds, request->work_fd < 0 ? 1 : 2))
        _exit(1);
    if (request->work_fd >= 0)
        t.work_fd = fds[1];
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_DFL);
    t.live_fd = open(request->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int lost = t.live_fd < 0 ? errno : 0;
    for (size_t i = 0; request->paths[i]; i++) {
        struct ignored_file file = {0};
        if (request->skip && request->skip[i])
            continue;
        if (!lost) {
            take(&t, request->paths[i], &file);
        } else {
            file.error = lost;
            file.kind = lost == ENOENT || lost == ENOTDIR ? IGNORED_GONE : IGNORED_REFUSED;
        }
        if (!fs_write_all(fds[0], &file, sizeof file))
            _exit(1);
    }
    _exit(0);
}

bool ignored_take(const struct ignored_request *request, struct ignored_file *files, struct error *err)
{
    int ends[2];
    bool ok = true;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_errno(err, errno, "can't take the ignored files");
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        take_all(request, parent, ends[1]);
    close(ends[1]);
    for (size_t i = 0; ok && request->paths[i]; i++) {
        if (request->skip && request->skip[i])
            continue;
        if (child < 0 || !as_user_read(ends[0], &files[i], sizeof files[i],
                                       clock_boot_ms() + IGNORED_FILE_WAIT_S * INT64_C(1000)))
            ok = error_set(
                err, ERROR_TIMEOUT,
                "can't take the ignored file %.512s: its file system did not answer within %d s, or "
                "the process that copies it was ended",
                request->paths[i], IGNORED_FILE_WAIT_S);
        else if (files[i].kind == IGNORED_FAILED)
            ok = error_errno(err, files[i].error, "can't copy the ignored file %.512s", request->paths[i]);
        FAULT("executor.ignored_taken");
    }
    close(ends[0]);
    as_user_end(child);
    return ok;
}
