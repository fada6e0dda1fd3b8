/*
 * The path agent's own process: it becomes the user, keeps nothing but its socket, and answers requests until
 * the shim closes the other end.
 */
#include "executor/shim/agent.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define SOCKET_FD 3

/* A user of id 0 has root's files, and none of root's rights over others'. */
static bool drop_rights(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    return syscall(SYS_capset, &header, data) == 0;
}

static bool become(const struct agent_user *u)
{
    if (u->itself)
        return true;
    return setgroups(u->n_groups, u->groups) == 0 && setresgid(u->gid, u->gid, u->gid) == 0 &&
           setresuid(u->uid, u->uid, u->uid) == 0 && drop_rights();
}

static int open_inside(int root_fd, const char *path, unsigned flags, int open_flags)
{
    struct open_how how = {.flags = (unsigned)open_flags | O_CLOEXEC |
                                    (flags & AGENT_NO_FOLLOW ? (unsigned)O_NOFOLLOW : 0u),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS |
                                      (flags & AGENT_NO_SYMLINKS ? RESOLVE_NO_SYMLINKS : 0u)};
    while (*path == '/')
        path++;
    return (int)syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof how);
}

static bool is_link(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

static bool create(int dir_fd, const char *name, bool directory, bool replace_link)
{
    for (int try = 0; try < 2; try++) {
        if ((directory ? mkdirat(dir_fd, name, 0755) : mknodat(dir_fd, name, S_IFREG | 0644, 0)) == 0)
            return true;
        int e = errno;
        if (e != EEXIST || !is_link(dir_fd, name)) {
            errno = e;
            return e == EEXIST;
        }
        errno = ELOOP; /* it leads nowhere, else it had been found */
        if (!replace_link || unlinkat(dir_fd, name, 0) != 0)
            return false;
    }
    return false;
}

/* The directory that a component is missing in, by the path of all before it. */
static int parent_of(int root_fd, const char *prefix, size_t n, unsigned flags)
{
    char parent[AGENT_PATH_BYTES_MAX];
    memcpy(parent, prefix, n);
    parent[n] = '\0';
    return open_inside(root_fd, parent, flags & AGENT_NO_SYMLINKS, O_PATH | O_DIRECTORY);
}

/* -1 with errno set; *stuck as in agent_make. */
static int make(int root_fd, const char *path, unsigned flags, struct agent_reply *reply, int *stuck)
{
    char prefix[AGENT_PATH_BYTES_MAX];
    for (size_t end = 0, begin; path[end];) {
        begin = end + strspn(path + end, "/");
        end = begin + strcspn(path + begin, "/");
        if (end == begin)
            break;
        bool last = path[end + strspn(path + end, "/")] == '\0';
        memcpy(prefix, path, end);
        prefix[end] = '\0';
        unsigned how = flags & (AGENT_NO_SYMLINKS | (last ? AGENT_NO_FOLLOW : 0u));
        int fd = open_inside(root_fd, prefix, how, O_PATH);
        if (fd >= 0 || errno != ENOENT) {
            if (fd < 0)
                return -1;
            close(fd);
            continue;
        }
        char name[NAME_MAX + 1];
        if (end - begin >= sizeof name) {
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(name, path + begin, end - begin);
        name[end - begin] = '\0';
        _cleanup_close_ int dir_fd = parent_of(root_fd, path, begin, flags);
        if (dir_fd < 0)
            return -1;
        if (create(dir_fd, name, !last || flags & AGENT_DIRECTORY, last && flags & AGENT_REPLACE_LINK))
            continue;
        if (errno == EACCES || errno == EPERM || errno == EROFS) {
            int e = errno;
            snprintf(reply->text, sizeof reply->text, "%s", name);
            reply->mode = last && !(flags & AGENT_DIRECTORY) ? S_IFREG : S_IFDIR;
            *stuck = take_fd(&dir_fd);
            errno = e;
        }
        return -1;
    }
    return open_inside(root_fd, path, flags & (AGENT_NO_SYMLINKS | AGENT_NO_FOLLOW), O_PATH);
}

/* The whole of a regular file; a FIFO is never waited for. */
static int read_inside(int root_fd, const char *path, uint64_t bytes_max)
{
    _cleanup_close_ int fd = open_inside(root_fd, path, 0, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    int out = memfd_create("berth-file", MFD_CLOEXEC);
    char chunk[65536];
    uint64_t total = 0;
    ssize_t n = 0;
    while (out >= 0 && total <= bytes_max && (n = read(fd, chunk, sizeof chunk)) > 0) {
        total += (uint64_t)n;
        if (write(out, chunk, (size_t)n) != n)
            n = -1;
        if (n < 0)
            break;
    }
    int e = n < 0 ? errno : EFBIG;
    if (out >= 0 && n >= 0 && total <= bytes_max && lseek(out, 0, SEEK_SET) == 0)
        return out;
    if (out >= 0)
        close(out);
    errno = e;
    return -1;
}

static void describe(int fd, bool ask_type, struct agent_reply *reply)
{
    struct stat st;
    struct statfs fs;
    if (fstat(fd, &st) == 0) {
        reply->mode = st.st_mode;
        reply->uid = st.st_uid;
        reply->gid = st.st_gid;
    }
    if (ask_type && fstatfs(fd, &fs) == 0)
        reply->fs_type = (int64_t)fs.f_type;
}

static int list_entry(int socket_fd, int dir_fd, const char *name, struct agent_reply *reply)
{
    memset(reply, 0, sizeof *reply);
    _cleanup_close_ int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return 0; /* gone, or not to be reached: nobody will see it */
    describe(fd, false, reply);
    reply->more = 1;
    size_t n = strlen(name);
    memcpy(reply->text, name, n + 1);
    if (S_ISLNK(reply->mode)) {
        ssize_t length = readlinkat(fd, "", reply->text + n + 1, sizeof reply->text - n - 2);
        if (length < 0)
            return 0;
        reply->text[n + 1 + (size_t)length] = '\0';
    }
    return agent_send(socket_fd, reply, sizeof *reply, fd) ? 1 : -1;
}

static int list(int socket_fd, int dir_fd, struct agent_reply *reply)
{
    int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
    int e = dir ? 0 : errno, sent = 0;
    for (struct dirent *entry; dir && !e && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (sent == AGENT_LIST_ENTRIES_MAX) {
            e = E2BIG;
            break;
        }
        int n = list_entry(socket_fd, dir_fd, entry->d_name, reply);
        if (n < 0)
            _exit(1);
        sent += n;
    }
    memset(reply, 0, sizeof *reply);
    errno = e;
    return -1;
}

static int answer(int socket_fd, const struct agent_request *r, int fd, struct agent_reply *reply)
{
    int found = -1;
    switch ((enum agent_op)r->op) {
    case AGENT_OPEN:
        return open(r->path, O_PATH | O_CLOEXEC);
    case AGENT_FIND:
        return open_inside(fd, r->path, r->flags, O_PATH);
    case AGENT_MAKE: {
        int stuck = -1;
        found = make(fd, r->path, r->flags, reply, &stuck);
        if (stuck >= 0)
            reply->error = errno;
        return stuck >= 0 ? stuck : found;
    }
    case AGENT_READ:
        return read_inside(fd, r->path, r->bytes_max);
    case AGENT_LIST:
        return list(socket_fd, fd, reply);
    }
    errno = EINVAL;
    return -1;
}

void agent_serve(const struct agent_user *user, int socket_fd)
{
    static struct agent_request r;
    static struct agent_reply reply;
    pid_t parent = getppid();
    int e = 0;
    if (dup2(socket_fd, SOCKET_FD) != SOCKET_FD)
        _exit(1);
    close_range(SOCKET_FD + 1, ~0u, 0);
    if (!become(user))
        e = errno ? errno : EPERM;
    /* A change of ids undoes these. */
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    umask(022);
    for (int fd; agent_receive(SOCKET_FD, &r, sizeof r, &fd);) {
        memset(&reply, 0, sizeof reply);
        r.path[sizeof r.path - 1] = '\0';
        int found = -1;
        if (e)
            errno = e;
        else
            found = answer(SOCKET_FD, &r, fd, &reply);
        if (found < 0)
            reply.error = r.op == AGENT_LIST && errno == 0 ? 0 : errno ? errno : EIO;
        else if (!reply.error)
            describe(found, r.op == AGENT_OPEN, &reply);
        if (!agent_send(SOCKET_FD, &reply, sizeof reply, found))
            _exit(1);
        if (found >= 0)
            close(found);
        if (fd >= 0)
            close(fd);
    }
    _exit(0);
}
