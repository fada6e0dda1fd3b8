/* One file of a task's, moved or copied. The invariant: it appears under its name whole (rename) or not at
 * all, and is the inode that was opened or a copy of it, whatever its user exchanges meanwhile. */
#include "executor/bring.h"

#include "base/cleanup.h"
#include "base/error.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* The file becomes the service's, in a directory that nobody else can change. */
static bool finish_file(int fd, const struct stat *st)
{
    if (geteuid() == 0 && fchown(fd, 0, 0) != 0)
        return false;
    /* after the owner: chown(2) drops setuid, and this does for good */
    return fchmod(fd, (st->st_mode & 0777) | 0600) == 0;
}

/* Moves the inode itself: first under a name that the user can't exchange, then, when it is what was opened
 * as `from` and has no other name, to its place. Renaming what has other names would give the user a way to
 * it.
 */
static bool move_file(int from_folder, const char *from_name, int from, const struct stat *st, int to,
                      const char *name)
{
    struct stat moved;
    if (st->st_nlink != 1 || renameat(from_folder, from_name, to, BRING_PARTIAL) != 0)
        return false;
    if (fstatat(to, BRING_PARTIAL, &moved, AT_SYMLINK_NOFOLLOW) == 0 && moved.st_ino == st->st_ino &&
        moved.st_dev == st->st_dev && moved.st_nlink == 1 && finish_file(from, st) &&
        fstat(from, &moved) == 0 && moved.st_nlink == 1 && renameat(to, BRING_PARTIAL, to, name) == 0)
        return true;
    fs_remove_tree(to, BRING_PARTIAL, NULL); /* exchanged meanwhile; what was opened is copied */
    return false;
}

bool bring_file(int from_folder, const char *from_name, int from, const struct stat *st, int to,
                const char *name)
{
    if (move_file(from_folder, from_name, from, st, to, name))
        return true;
    int fd = openat(to, BRING_PARTIAL, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    struct error err = {0};
    struct timespec times[2] = {st->st_atim, st->st_mtim};
    bool ok = fs_copy_fd(from, fd, &err);
    if (!ok)
        errno = err.sys_errno ? err.sys_errno : EIO;
    else
        ok = finish_file(fd, st) && futimens(fd, times) == 0;
    int saved = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        saved = errno;
    }
    if (ok && renameat(to, BRING_PARTIAL, to, name) == 0)
        return true;
    if (ok)
        saved = errno;
    unlinkat(to, BRING_PARTIAL, 0);
    errno = saved;
    return false;
}
