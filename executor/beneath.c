/* Opening of untrusted paths. Nothing here follows a link, whichever kernel it runs on. */
#include "executor/beneath.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

bool beneath_path_valid(const char *path)
{
    size_t total = strlen(path);
    if (total == 0 || total > BENEATH_PATH_MAX || path[0] == '/')
        return false;
    for (const char *p = path;;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || n > BENEATH_NAME_MAX || (n == 1 && p[0] == '.') ||
            (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        if (p[n] == '\0')
            return true;
        p += n + 1;
    }
}

static int open_by_components(int dirfd, const char *path, int flags, mode_t mode, bool same_device)
{
    struct stat root, st;
    if (fstat(dirfd, &root) != 0)
        return -1;
    _cleanup_close_ int at = dup(dirfd);
    for (const char *p = path; at >= 0;) {
        char name[BENEATH_NAME_MAX + 1];
        size_t n = strcspn(p, "/");
        memcpy(name, p, n);
        name[n] = '\0';
        bool last = p[n] == '\0';
        int next = openat(at, name, last ? flags : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, mode);
        if (next < 0)
            return -1;
        close(at);
        at = next;
        if (same_device && (fstat(at, &st) != 0 || st.st_dev != root.st_dev)) {
            errno = EXDEV;
            return -1;
        }
        if (last)
            return take_fd(&at);
        p += n + 1;
    }
    return -1;
}

int beneath_openat(int dirfd, const char *path, int flags, mode_t mode, bool same_device)
{
    flags |= O_CLOEXEC | O_NOFOLLOW;
    if (path[0] == '\0' || strcmp(path, ".") == 0)
        return openat(dirfd, ".", flags, mode);
    if (!beneath_path_valid(path)) {
        errno = EINVAL;
        return -1;
    }
    struct open_how how = {
        .flags = (unsigned)flags,
        .mode = flags & (O_CREAT | O_TMPFILE) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
                   (same_device ? RESOLVE_NO_XDEV : 0u),
    };
    int fd;
    do
        fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN)); /* EAGAIN: a rename went on beside it */
    /* EPERM: a seccomp profile older than the call */
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return open_by_components(dirfd, path, flags, mode, same_device);
    return fd;
}

int beneath_open_parent(int dirfd, const char *path, bool make, mode_t mode, const char **name)
{
    if (!beneath_path_valid(path)) {
        errno = EINVAL;
        return -1;
    }
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    if (!slash)
        return beneath_openat(dirfd, "", O_RDONLY | O_DIRECTORY, 0, false);
    char parent[BENEATH_PATH_MAX + 1];
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    int fd = beneath_openat(dirfd, parent, O_RDONLY | O_DIRECTORY, 0, false);
    if (fd >= 0 || errno != ENOENT || !make)
        return fd;
    const char *last;
    _cleanup_close_ int above = beneath_open_parent(dirfd, parent, true, mode, &last);
    if (above < 0 || (mkdirat(above, last, mode) != 0 && errno != EEXIST))
        return -1;
    return openat(above, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}
