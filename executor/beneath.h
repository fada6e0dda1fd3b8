/*
 * Paths that come from outside, opened so that they cannot leave their folder: openat2 with RESOLVE_BENEATH,
 * NO_SYMLINKS and NO_MAGICLINKS (and NO_XDEV where asked); kernels without it (before 5.6) go one component
 * at a time with O_NOFOLLOW.
 */
#ifndef BERTH_EXECUTOR_BENEATH_H
#define BERTH_EXECUTOR_BENEATH_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

#define BENEATH_PATH_MAX 4095
#define BENEATH_NAME_MAX 255

/* A path that may name something in a folder: relative, no empty, "." or ".." component, within the limits.
 */
bool beneath_path_valid(const char *path);
/* As openat(2); -1 with errno set. "" or "." opens the folder itself. O_CLOEXEC and O_NOFOLLOW are always
 * added. */
int beneath_openat(int dirfd, const char *path, int flags, mode_t mode, bool same_device);
/* Opens the folder that holds `path`, making missing folders with `mode` where `make`; *name (borrowed from
 * path) is the last component. -1 with errno set. */
int beneath_open_parent(int dirfd, const char *path, bool make, mode_t mode, const char **name);

#endif
