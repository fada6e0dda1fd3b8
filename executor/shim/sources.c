/*
 * Opening what the user named, as the user: a child becomes him (setgroups, setgid, setuid), opens the paths
 * and hands the descriptors back. So no right of the service ever stands behind a path that came from a job
 * file.
 */
#include "executor/shim/root.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OPEN_WAIT_MS 60000 /* a network filesystem that does not answer */
#define GROUPS_MAX 1024

static bool become_user(const struct spec *s)
{
    gid_t groups[GROUPS_MAX];
    size_t n = s->groups.n < GROUPS_MAX ? s->groups.n : GROUPS_MAX;
    for (size_t i = 0; i < n; i++)
        groups[i] = (gid_t)strtoul(s->groups.v[i], NULL, 10);
    return setgroups(n, groups) == 0 && setresgid((gid_t)s->gid, (gid_t)s->gid, (gid_t)s->gid) == 0 &&
           setresuid((uid_t)s->uid, (uid_t)s->uid, (uid_t)s->uid) == 0;
}

/* One message: the errno, and with 0 the descriptor. */
static bool send_fd(int socket_fd, int e, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec io = {.iov_base = &e, .iov_len = sizeof e};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control.room;
        m.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(socket_fd, &m, MSG_NOSIGNAL) == sizeof e;
}

/* -1 with errno set. */
static int receive_fd(int socket_fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    int e = 0, fd = -1;
    struct iovec io = {.iov_base = &e, .iov_len = sizeof e};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    struct pollfd p = {.fd = socket_fd, .events = POLLIN};
    int ready = poll(&p, 1, OPEN_WAIT_MS);
    if (ready == 0) {
        errno = ETIMEDOUT;
        return -1;
    }
    if (ready < 0 || recvmsg(socket_fd, &m, MSG_CMSG_CLOEXEC) != sizeof e) {
        errno = EIO;
        return -1;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    errno = e ? e : EIO;
    return fd;
}

static void __attribute__((noreturn))
open_for_parent(const struct spec *s, const char *const *paths, size_t n, int socket_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bool ready = become_user(s);
    int e = errno;
    for (size_t i = 0; i < n; i++) {
        int fd = ready ? open(paths[i], O_PATH | O_CLOEXEC) : -1;
        if (!send_fd(socket_fd, fd >= 0 ? 0 : ready ? errno : e, fd))
            _exit(1);
        if (fd >= 0)
            close(fd);
    }
    _exit(0);
}

static bool open_as_user(const struct shim *s, const char *const *paths, size_t n, int *fds, int *errors,
                         struct error *err)
{
    if (n == 0)
        return true;
    if (s->rootless) { /* the shim is the user, and has no rights beyond his outside its namespace */
        for (size_t i = 0; i < n; i++) {
            fds[i] = open(paths[i], O_PATH | O_CLOEXEC);
            errors[i] = fds[i] < 0 ? errno : 0;
        }
        return true;
    }
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return error_errno(err, errno, "can't create a socket pair");
    pid_t child = fork();
    if (child == 0)
        open_for_parent(&s->spec, paths, n, pair[1]);
    close(pair[1]);
    _cleanup_close_ int socket_fd = pair[0];
    if (child < 0)
        return error_errno(err, errno, "can't fork");
    for (size_t i = 0; i < n; i++) {
        fds[i] = receive_fd(socket_fd);
        errors[i] = fds[i] < 0 ? errno : 0;
        if (errors[i] == ETIMEDOUT) {
            for (size_t rest = i; rest < n; rest++) {
                fds[rest] = -1;
                errors[rest] = ETIMEDOUT;
            }
            break;
        }
    }
    kill(child, SIGKILL); /* it has said all, or hangs */
    waitpid(child, NULL, errors[n - 1] == ETIMEDOUT ? WNOHANG : 0);
    return true;
}

/* A folder of the task's own, made where the executor made none. */
static int own_folder(const struct shim *s, const char *name, mode_t mode, struct error *err)
{
    if (mkdirat(SHIM_TASK_FD, name, 0700) == 0) {
        if (fchmodat(SHIM_TASK_FD, name, mode, 0) != 0)
            return error_errno(err, errno, "can't prepare %s", name), -1;
        if (!(mode & S_ISVTX) && !s->rootless &&
            fchownat(SHIM_TASK_FD, name, (uid_t)s->spec.uid, (gid_t)s->spec.gid, AT_SYMLINK_NOFOLLOW) != 0)
            return error_errno(err, errno, "can't hand %s to the user", name), -1;
    } else if (errno != EEXIST) {
        return error_errno(err, errno, "can't create %s", name), -1;
    }
    return tree_clone(SHIM_TASK_FD, name, err);
}

bool sources_open(struct shim *s, struct sources *src, struct error *err)
{
    const struct spec *spec = &s->spec;
    size_t n = spec->bind_sources.n, extra = n;
    const char **paths = xcalloc(n + 2, sizeof *paths);
    int *fds = xcalloc(n + 2, sizeof *fds), *errors = xcalloc(n + 2, sizeof *errors);
    memcpy(paths, spec->bind_sources.v, n * sizeof *paths);
    size_t image = SIZE_MAX, cache = SIZE_MAX;
    if (!spec_is_host(spec))
        paths[image = extra++] = spec->image_path;
    src->binds = fds;
    src->image = src->cache = src->work = src->tmp = src->var_tmp = -1;
    if (!open_as_user(s, paths, extra, fds, errors, err))
        return false;
    if (spec->cache_dir) { /* below the service's own folder: not walked with the user's rights, but his to
                              use */
        cache = extra++;
        fds[cache] = open(spec->cache_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        errors[cache] = fds[cache] < 0 ? errno : 0;
        paths[cache] = spec->cache_dir;
    }
    for (size_t i = 0; i < extra; i++) {
        bool optional = i < n && strchr(spec->bind_flags.v[i], 'o');
        if (fds[i] < 0 && optional && errors[i] == ENOENT)
            continue;
        if (fds[i] < 0) {
            snprintf(s->outcome.start_kind, sizeof s->outcome.start_kind, "%s",
                     i == image ? "image_error" : "start_error");
            return error_errno(err, errors[i], "can't open %s %s as %s",
                               i == image ? "the image folder" : "the mount source", paths[i],
                               spec->name ? spec->name : "the user");
        }
        int tree = tree_clone(fds[i], "", err);
        close(fds[i]);
        fds[i] = tree;
        if (tree < 0)
            return error_wrap(err, "%s", paths[i]);
    }
    if (image != SIZE_MAX)
        src->image = fds[image];
    if (spec->cache_dir)
        src->cache = fds[cache];
    if (spec->work_target && (src->work = own_folder(s, "work", 0755, err)) < 0)
        return false;
    src->tmp = own_folder(s, "tmp", 01777, err);
    src->var_tmp = src->tmp < 0 ? -1 : own_folder(s, "vartmp", 01777, err);
    return src->var_tmp >= 0 && tree_restrict(src->tmp, TREE_NO_DEVICES, err) &&
           tree_restrict(src->var_tmp, TREE_NO_DEVICES, err);
}
