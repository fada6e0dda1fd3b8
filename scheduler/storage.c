/* What the state directory's file system says of itself. */
#include "scheduler/storage.h"

#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (1ULL << 20)

uint64_t storage_free_bytes(const char *path)
{
    struct statvfs st;
    if (statvfs(path, &st) != 0)
        return UINT64_MAX;
    return (uint64_t)(geteuid() == 0 ? st.f_bfree : st.f_bavail) * st.f_frsize;
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
