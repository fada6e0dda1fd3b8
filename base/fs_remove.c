/* Recursive removal of a tree that a user can change while it goes on. The invariants: nothing but unlinkat,
 * renameat and mkdirat acts on a name, and these act on the name's directory entry alone; everything else
 * acts on a descriptor that was opened beneath the tree, without links, on one mount. */
#include "base/fs.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NAME_BYTES_MAX 255
#define ENTRY_TRIES 16 /* of one name that changes its kind while it is removed */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* one number on every architecture, Linux 6.6 */
#endif

/* What tells mounts apart: their ids (Linux 5.8), else the file systems. False with errno set. */
static bool mount_of(int fd, uint64_t *out)
{
    struct statx stx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, &stx) != 0)
        return false;
    *out =
        stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : (uint64_t)stx.stx_dev_major << 32 | stx.stx_dev_minor;
    return true;
}

static int open_below(int dirfd, const char *name, int flags)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };
    int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof how);
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) /* EPERM: a seccomp profile older than the call */
        return fd;
    uint64_t above, at;
    _cleanup_close_ int plain = openat(dirfd, name, flags | O_CLOEXEC | O_NOFOLLOW);
    if (plain < 0 || !mount_of(dirfd, &above) || !mount_of(plain, &at))
        return -1;
    if (above != at) {
        errno = EXDEV;
        return -1;
    }
    return take_fd(&plain);
}

bool fs_chmod_fd(int fd, mode_t mode)
{
    char proc[64];
    if (syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0)
        return true;
    if (errno != ENOSYS && errno != EPERM)
        return false;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd); /* the descriptor's own inode, whatever its name */
    return chmod(proc, mode) == 0;
}

/* `path` is an O_PATH descriptor of a directory that can't be opened for lack of permission. */
static int open_own(int path)
{
    struct stat st;
    if (fstat(path, &st) != 0)
        return -1;
    if (st.st_uid != geteuid() || (st.st_mode & 0700) == 0700) {
        errno = EACCES;
        return -1;
    }
    return fs_chmod_fd(path, 0700) ? openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

int fs_open_directory(int dirfd, const char *name)
{
    int fd = open_below(dirfd, name, O_RDONLY | O_DIRECTORY);
    if (fd >= 0 || errno != EACCES)
        return fd;
    _cleanup_close_ int path = open_below(dirfd, name, O_PATH | O_DIRECTORY);
    return path < 0 ? -1 : open_own(path);
}

/* Immutable and append-only inodes refuse removal. false where that was not what refused it. */
static bool clear_flags(int fd)
{
    int flags;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0 || !(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
        return false;
    flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

/* A file of several names keeps its flags: another of them may lie elsewhere. */
static bool clear_flags_of(int dirfd, const char *name)
{
    struct stat st;
    char proc[64];
    _cleanup_close_ int path = open_below(dirfd, name, O_PATH);
    if (path < 0 || fstat(path, &st) != 0 ||
        !(S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink == 1)))
        return false;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", path);
    _cleanup_close_ int fd = open(proc, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 && clear_flags(fd);
}

/* Root takes the directory from its user, so that nothing is added or exchanged in it any more; anybody else
 * makes sure of his own permission. */
static void seize(int fd)
{
    struct stat st;
    bool root = geteuid() == 0;
    if (fstat(fd, &st) != 0)
        return;
    if (root && (st.st_uid != 0 || st.st_gid != 0) && fchown(fd, 0, 0) != 0 && errno == EPERM &&
        (!clear_flags(fd) || fchown(fd, 0, 0) != 0))
        return;
    if (root ? (st.st_mode & 07777) != 0700 : st.st_uid == geteuid() && (st.st_mode & 0700) != 0700)
        fchmod(fd, 0700);
}

struct level {
    DIR *dir;
    char name[NAME_BYTES_MAX + 1]; /* in the level above */
};

struct removal {
    struct level levels[FS_REMOVE_LEVELS];
    size_t depth;      /* levels in use */
    unsigned serial;   /* of names of directories that were moved up */
    bool again;        /* the top has new entries: another pass over it */
    uint64_t removed;  /* in this pass */
    struct error *err; /* the first failure */
    bool failed;
};

static void fail(struct removal *r, int e, const char *name)
{
    if (r->failed)
        return;
    r->failed = true;
    if (e == EXDEV || e == EBUSY)
        error_set(r->err, ERROR_CONFLICT, "can't remove %s: it is a mount point; unmount it first", name);
    else
        error_errno(r->err, e, "can't remove %s", name);
}

/* Takes fd. */
static bool enter(struct removal *r, int fd, const char *name)
{
    seize(fd);
    struct level *level = &r->levels[r->depth];
    level->dir = fdopendir(fd);
    if (!level->dir) {
        int e = errno;
        close(fd);
        fail(r, e, name);
        return false;
    }
    snprintf(level->name, sizeof level->name, "%s", name);
    r->depth++;
    return true;
}

/* Moves a directory that lies too deep to the top of the tree. */
static int move_up(struct removal *r, int from, const char *name)
{
    int top = dirfd(r->levels[0].dir);
    for (;;) {
        char to[64];
        snprintf(to, sizeof to, ".berth-removed-%u", r->serial++);
        if (renameat2(from, name, top, to, RENAME_NOREPLACE) == 0) {
            r->again = true;
            r->removed++;
            return 0;
        }
        if (errno != EEXIST || !r->serial)
            return errno;
    }
}

/* One name of the deepest level. Returns 0, or the errno that stands in the way. */
static int remove_name(struct removal *r, int at, const char *name, bool directory)
{
    int e = 0;
    for (int tries = 0; tries < ENTRY_TRIES; tries++, directory = !directory) {
        if (!directory) {
            if (unlinkat(at, name, 0) == 0) {
                r->removed++;
                return 0;
            }
            e = errno;
            if (e == EPERM && (clear_flags(at) || clear_flags_of(at, name)))
                directory = !directory; /* once more as it is */
            else if (e != EISDIR && e != EPERM)
                return e;
            continue;
        }
        if (r->depth == FS_REMOVE_LEVELS) {
            e = move_up(r, at, name);
            if (e != EPERM || !(clear_flags(at) || clear_flags_of(at, name)))
                return e;
            directory = !directory;
            continue;
        }
        int fd = fs_open_directory(at, name);
        if (fd >= 0) {
            enter(r, fd, name);
            return 0;
        }
        e = errno;
        if (e != ENOTDIR && e != ELOOP)
            return e;
    }
    return e;
}

/* The deepest level is empty: it goes, and the one above goes on. */
static void leave(struct removal *r)
{
    struct level *level = &r->levels[--r->depth];
    closedir(level->dir);
    if (!r->depth)
        return;
    int at = dirfd(r->levels[r->depth - 1].dir);
    bool gone = unlinkat(at, level->name, AT_REMOVEDIR) == 0;
    if (!gone && errno == EPERM && (clear_flags(at) || clear_flags_of(at, level->name)))
        gone = unlinkat(at, level->name, AT_REMOVEDIR) == 0;
    if (gone)
        r->removed++;
    else if (errno == ENOTEMPTY || errno == EEXIST)
        r->again = true; /* an error below, or entries that came while it was read */
    else if (errno != ENOENT)
        fail(r, errno, level->name);
}

static void remove_contents(struct removal *r)
{
    while (r->depth) {
        DIR *dir = r->levels[r->depth - 1].dir;
        struct dirent *entry = readdir(dir);
        if (entry) {
            const char *name = entry->d_name;
            if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                continue;
            int e = remove_name(r, dirfd(dir), name, entry->d_type == DT_DIR);
            if (e && e != ENOENT)
                fail(r, e, name);
        } else if (r->depth == 1 && r->again && r->removed) {
            r->again = false;
            r->removed = 0;
            rewinddir(dir);
        } else {
            leave(r);
        }
    }
}

bool fs_remove_tree(int dirfd, const char *path, struct error *err)
{
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES) {
        _cleanup_close_ int own = openat(dirfd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        fd = own < 0 ? -1 : open_own(own);
    }
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP) && unlinkat(dirfd, path, 0) == 0)
        return true;
    if (fd < 0)
        return errno == ENOENT ? true : error_errno(err, errno, "can't open %s to remove it", path);
    struct removal *r = calloc(1, sizeof *r);
    if (!r) {
        close(fd);
        return error_errno(err, ENOMEM, "can't remove %s", path);
    }
    r->err = err;
    if (enter(r, fd, path))
        remove_contents(r);
    if (!r->failed && unlinkat(dirfd, path, AT_REMOVEDIR) != 0 && errno != ENOENT)
        fail(r, errno, path);
    bool ok = !r->failed;
    free(r);
    return ok;
}
