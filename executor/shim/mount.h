/*
 * Mounts by descriptor: detached trees, and a root under construction. Invariant: the shim itself looks
 * nothing up, creates nothing and lists nothing in a tree that a user can change; the path agent does
 * (agent.h), and what it can't create because the user can't stands in a tmpfs of the shim's own.
 */
#ifndef BERTH_SHIM_MOUNT_H
#define BERTH_SHIM_MOUNT_H

#include "base/error.h"
#include "executor/shim/agent.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define OWN_FILESYSTEMS_MAX 128
#define MIMICS_MAX 64
#define SYSTEM_MOUNTS_MAX 8

/* A root under construction. */
struct new_root {
    int fd;           /* the directory that will be "/" */
    const char *path; /* the same, by path */
    struct path_agent *agent;
    int diag_fd; /* sock_diag(7), made before any user namespace, so that it gives real ids; -1 */
    uid_t owner; /* who owns what is made in filesystems of our own */
    gid_t owner_group;
    uint64_t
        own[OWN_FILESYSTEMS_MAX]; /* device numbers of the filesystems that the shim made for this task */
    size_t n_own;
    int mimics[MIMICS_MAX]; /* the tmpfs mounts that stand for read-only directories */
    size_t n_mimics;
    struct {
        const char *path;
        uint64_t mount_id;
    } system[SYSTEM_MOUNTS_MAX]; /* what root_put_system put where */
    size_t n_system;
};

enum tree_flags { TREE_READ_ONLY = 1, TREE_NO_DEVICES = 2 };

/* A detached recursive copy of the mounts at a path (or at a descriptor where path is ""). -1 on failure. The
 * path is never one of a user's. */
int tree_clone(int dir_fd, const char *path, struct error *err);
/* Changes a detached tree and all below it; nosuid always. Nothing that is mounted elsewhere later arrives in
 * it. */
bool tree_restrict(int tree_fd, unsigned flags, struct error *err);
/* Detached tmpfs. size_bytes 0: the kernel's default. */
int tmpfs_new(const char *mode, uint64_t size_bytes, bool devices, struct error *err);
/* What an O_PATH descriptor is (S_IFDIR, ...), as the kernel has it in memory: no file system is asked. 0:
 * not known. */
mode_t kind_of(int fd);

/* Opens (O_PATH) a path in a tree of the shim's own: no links. -1 with errno set. */
int own_lookup(const struct new_root *r, const char *path, bool directory);
/* Opens (O_PATH) what stands at a path inside, made where it is missing. -1 on failure. */
int root_make(struct new_root *r, const char *path, unsigned agent_flags, struct error *err);
/* Puts a detached tree at a path inside, made where it is missing. Closes tree_fd in any case. */
bool root_put(struct new_root *r, int tree_fd, const char *path, struct error *err);
/* The same onto a descriptor of the target. */
bool root_put_at(int tree_fd, int target_fd, const char *path, struct error *err);
/* As root_put for "/dev" and the like: no link on the way, and root_verify looks whether it is to be seen. */
bool root_put_system(struct new_root *r, int tree_fd, const char *path, struct error *err);
/* Where a descriptor inside stands, as the task will see it. */
bool root_path_of(const struct new_root *r, int fd, char *out, size_t size);
/* Notes that a mount is of our own making. */
void root_own(struct new_root *r, int fd);
/* Nothing more is added: what stands for read-only directories becomes read-only itself, and what
 * root_put_system put somewhere must be what stands there. */
bool root_seal(struct new_root *r, struct error *err);

/* The id of the mount that fd is on, as in /proc/self/mountinfo; 0: not known. */
uint64_t mount_id_of(int fd);

#endif
