/* What the state directory's file system says of itself. */
#include "scheduler/storage.h"

#include "base/cleanup.h"
#include "scheduler/beneath.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (1ULL << 20)
#define STORAGE_DEPTH_MAX 512

uint64_t storage_free_bytes(const char *path)
{
    struct statvfs st;
    if (statvfs(path, &st) != 0)
        return UINT64_MAX;
    return (uint64_t)(geteuid() == 0 ? st.f_bfree : st.f_bavail) * st.f_frsize;
}

/* Takes dirfd. */
static uint64_t bytes_below(int dirfd, unsigned depth)
{
    _cleanup_dir_ DIR *dir = fdopendir(dirfd);
    uint64_t sum = 0;
    if (!dir) {
        close(dirfd);
        return 0;
    }
    for (struct dirent *e; depth < STORAGE_DEPTH_MAX && (e = readdir(dir));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        sum += (uint64_t)st.st_blocks * 512;
        if (!S_ISDIR(st.st_mode))
            continue;
        int fd = beneath_open(dirfd, e->d_name, O_RDONLY | O_DIRECTORY);
        if (fd >= 0)
            sum += bytes_below(fd, depth + 1);
    }
    return sum;
}

uint64_t storage_bytes_below(int dirfd)
{
    return bytes_below(dirfd, 0);
}

bool storage_admit(const struct daemon *d, uint64_t bytes, struct error *err)
{
    uint64_t left = storage_free_bytes(d->options.state_dir);
    if (left >= STORAGE_FLOOR_BYTES && left - STORAGE_FLOOR_BYTES >= bytes)
        return true;
    error_set(err, ERROR_NO_SPACE,
              "disk full: %llu MiB are free in the state directory %s, and %llu MiB stay free",
              (unsigned long long)(left / MIB), d->options.state_dir,
              (unsigned long long)(STORAGE_FLOOR_BYTES / MIB));
    return error_hint(err, "free space in %s; what runs goes on", d->options.state_dir);
}
