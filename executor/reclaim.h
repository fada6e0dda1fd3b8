/*
 * Without root, what a task made under other ids of its image belongs to sub-ids of the user (subuid(5)), and
 * the user can neither read nor remove it. Taking it back is done inside a user namespace that maps them, as
 * `podman unshare` does. With root all of this is nothing but the plain call. Blocks; for worker threads.
 */
#ifndef BERTH_EXECUTOR_RECLAIM_H
#define BERTH_EXECUTOR_RECLAIM_H

#include "base/error.h"

#include <stdbool.h>

/* Gives everything below the folder `path` to the executor's own user, readable and writable to it. Success
 * where there is nothing to do: with root, or for a user without sub-ids. */
bool reclaim_tree(int dirfd, const char *path, struct error *err);
/* fs_remove_tree, and where that was refused once more as root of the user's namespace. */
bool reclaim_remove_tree(int dirfd, const char *path, struct error *err);

#endif
