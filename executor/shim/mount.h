/* Mounts by descriptor: detached trees, paths that can't leave the new root, targets made where they are
 * missing. */
#ifndef BERTH_SHIM_MOUNT_H
#define BERTH_SHIM_MOUNT_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OWN_FILESYSTEMS_MAX 128
#define MIMICS_MAX 64

/* A root under construction. */
struct new_root {
    int fd;           /* the folder that will be "/" */
    const char *path; /* the same, by path */
    uid_t user;       /* whose rights making a missing folder takes, outside filesystems of our own */
    gid_t group;
    uid_t owner; /* who owns what is made in filesystems of our own */
    gid_t owner_group;
    dev_t own[OWN_FILESYSTEMS_MAX]; /* filesystems that the shim made for this task alone */
    size_t n_own;
    int mimics[MIMICS_MAX]; /* the tmpfs mounts that stand for read-only folders */
    size_t n_mimics;
};

enum tree_flags { TREE_READ_ONLY = 1, TREE_NO_DEVICES = 2 };

/* A detached recursive copy of the mounts at a path (or at a descriptor where path is ""). -1 on failure. */
int tree_clone(int dir_fd, const char *path, struct error *err);
/* Changes a detached tree and all below it; nosuid always. */
bool tree_restrict(int tree_fd, unsigned flags, struct error *err);
/* Detached tmpfs. size_bytes 0: the kernel's default. */
int tmpfs_new(const char *mode, uint64_t size_bytes, struct error *err);

/* Opens (O_PATH) what stands at a path inside; links are followed inside. -1 with errno set. */
int root_lookup(const struct new_root *r, const char *path, bool follow);
/* As root_lookup, but makes what is missing: folders, or an empty file at the end. */
int root_make(struct new_root *r, const char *path, bool folder, struct error *err);
/* Puts a detached tree at a path inside, made where it is missing. Closes tree_fd in any case. */
bool root_put(struct new_root *r, int tree_fd, const char *path, struct error *err);
/* Says that a mount is of our own making. */
void root_own(struct new_root *r, int fd);
/* Nothing more is added: what stands for read-only folders becomes read-only itself. */
bool root_seal(struct new_root *r, struct error *err);
/* Replaces a file inside (in filesystems of our own only). */
bool root_write(struct new_root *r, const char *path, const void *bytes, size_t n, mode_t mode,
                struct error *err);

#endif
