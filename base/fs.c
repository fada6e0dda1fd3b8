/* Files and folders. Everything that must survive a power cut goes through fs_write_atomic. */
#include "base/fs.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define COPY_CHUNK_BYTES (1 << 20)

bool fs_read_file(int dirfd, const char *path, size_t max_bytes, struct buf *out, struct error *err)
{
    _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "can't open %s", path);
    size_t total = 0;
    for (;;) {
        buf_reserve(out, 65536);
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "can't read %s", path);
        if (n == 0)
            return true;
        total += (size_t)n;
        if (total > max_bytes)
            return error_set(err, ERROR_LIMIT, "%s is larger than %zu bytes", path, max_bytes);
        out->len += (size_t)n;
        out->data[out->len] = '\0';
    }
}

bool fs_write_all(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

static bool fsync_parent(int dirfd, const char *path)
{
    char parent[4096];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash)
        strcpy(parent, ".");
    else if (slash == parent)
        slash[1] = '\0';
    else
        *slash = '\0';
    _cleanup_close_ int fd = openat(dirfd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

bool fs_write_atomic(int dirfd, const char *path, const void *bytes, size_t n, mode_t mode, struct error *err)
{
    char tmp[4096];
    if (snprintf(tmp, sizeof tmp, "%s.%d.tmp", path, (int)getpid()) >= (int)sizeof tmp)
        return error_set(err, ERROR_LIMIT, "path too long: %s", path);
    _cleanup_close_ int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return error_errno(err, errno, "can't create %s", tmp);
    if (!fs_write_all(fd, bytes, n) || fsync(fd) != 0 || renameat(dirfd, tmp, dirfd, path) != 0) {
        int e = errno;
        unlinkat(dirfd, tmp, 0);
        return error_errno(err, e, "can't write %s", path);
    }
    if (!fsync_parent(dirfd, path))
        return error_errno(err, errno, "can't sync the folder of %s", path);
    return true;
}

bool fs_fsync_dir(const char *path, struct error *err)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return error_errno(err, errno, "can't sync %s", path);
    return true;
}

bool fs_mkdirs(const char *path, mode_t mode, struct error *err)
{
    char part[4096];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
        return error_set(err, ERROR_LIMIT, "path too long: %s", path);
    for (char *p = part + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char c = *p;
        *p = '\0';
        if (mkdir(part, mode) != 0 && errno != EEXIST)
            return error_errno(err, errno, "can't create the folder %s", part);
        *p = c;
        if (c == '\0')
            break;
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return error_set(err, ERROR_CONFLICT, "%s is not a folder", path);
    return true;
}

bool fs_link_stays(const char *path, const char *target)
{
    size_t depth = 0;
    bool named = false; /* past the leading ".." */
    if (!*target || *target == '/')
        return false;
    for (const char *p = path; (p = strchr(p, '/')); p++)
        depth++;
    for (const char *p = target; *p; p += *p == '/') {
        size_t n = strcspn(p, "/");
        bool up = n == 2 && p[0] == '.' && p[1] == '.';
        if (up && (named || depth == 0))
            return false;
        depth -= up;
        named = named || (!up && n && !(n == 1 && p[0] == '.'));
        p += n;
    }
    return true;
}

/* Past the hole that `from` stands in, if it does, and `to` as far: a file of holes stays one. */
static bool skip_hole(int from, int to, struct error *err)
{
    off_t at = lseek(from, 0, SEEK_CUR), data = at < 0 ? -1 : lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) { /* nothing but a hole up to the end */
        struct stat st;
        if (fstat(from, &st) != 0 || (st.st_size > at && ftruncate(to, st.st_size) != 0))
            return error_errno(err, errno, "can't copy");
        data = st.st_size > at ? st.st_size : at;
    }
    if (data < 0) /* it can't be asked for holes */
        return true;
    return (lseek(from, data, SEEK_SET) >= 0 && lseek(to, data - at, SEEK_CUR) >= 0) ||
           error_errno(err, errno, "can't copy");
}

/* Bytes to copy next: up to the next hole and `end`; 0 at the end. */
static size_t data_ahead(int from, off_t end, size_t most)
{
    off_t at = lseek(from, 0, SEEK_CUR), hole = at < 0 ? -1 : lseek(from, at, SEEK_HOLE);
    if (at >= 0)
        lseek(from, at, SEEK_SET);
    if (at >= end)
        return 0;
    if ((off_t)most > end - at)
        most = (size_t)(end - at);
    return hole > at && (size_t)(hole - at) < most ? (size_t)(hole - at) : most;
}

bool fs_copy_fd(int from, int to, struct error *err)
{
    if (ioctl(to, FICLONE, from) == 0)
        return true;
    bool ranged = true;
    struct stat st;
    _cleanup_free_ char *chunk = NULL;
    if (fstat(from, &st) != 0)
        return error_errno(err, errno, "can't copy");
    for (;;) {
        ssize_t n;
        if (!skip_hole(from, to, err))
            return false;
        if (ranged) {
            n = copy_file_range(from, NULL, to, NULL, data_ahead(from, st.st_size, 1 << 30), 0);
            if (n < 0 && (errno == EXDEV || errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP ||
                          errno == EPERM)) {
                ranged = false;
                continue;
            }
        } else {
            if (!chunk && !(chunk = malloc(COPY_CHUNK_BYTES)))
                return error_errno(err, ENOMEM, "can't copy");
            n = read(from, chunk, data_ahead(from, st.st_size, COPY_CHUNK_BYTES));
            if (n > 0 && !fs_write_all(to, chunk, (size_t)n))
                n = -1;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "can't copy");
        if (n == 0)
            return true;
    }
}

bool fs_is_network(const char *path, char *name)
{
    /* statfs(2) and linux/magic.h; Lustre, GPFS and CephFS from their own headers */
    static const struct {
        uint32_t magic;
        const char *name;
    } table[] = {
        {0x6969, "nfs"},       {0xff534d42, "cifs"},   {0xfe534d42, "smb2"}, {0x517b, "smb"},
        {0x5346414f, "afs"},   {0x6b414653, "afs"},    {0x73757245, "coda"}, {0x564c, "ncp"},
        {0x00c36400, "ceph"},  {0x0bd00bd0, "lustre"}, {0x47504653, "gpfs"}, {0x01161970, "gfs2"},
        {0x7461636f, "ocfs2"}, {0x01021997, "9p"},     {0x65735546, "fuse"}, {0x19830326, "beegfs"},
    };
    struct statfs fs;
    if (statfs(path, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].magic != (uint32_t)fs.f_type)
            continue;
        if (name)
            snprintf(name, 32, "%s", table[i].name);
        return true;
    }
    return false;
}
