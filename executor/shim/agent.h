/*
 * The path agent: a child of the shim that has become the task's user. Every path that the user named, or
 * that leads through a tree that he can change, is resolved, listed, read or created by this child alone; the
 * shim gets descriptors and mounts onto them. So no right of the service ever stands behind such a path, and
 * a file system that never answers (a dead NFS server, the user's own FUSE) hangs the child, which can be
 * killed.
 */
#ifndef BERTH_SHIM_AGENT_H
#define BERTH_SHIM_AGENT_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define AGENT_WAIT_MS 60000         /* for all answers of one preparation */
#define AGENT_PATH_BYTES_MAX 4096   /* with the NUL */
#define AGENT_LIST_ENTRIES_MAX 8192 /* of one directory */

/* Whose rights it has. */
struct agent_user {
    bool itself; /* as the shim is: the shim is that user already */
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t n_groups;
};

struct path_agent {
    pid_t pid; /* 0: none */
    int fd;
    int64_t
        until_ms; /* CLOCK_BOOTTIME: the end of waiting, also for those started again; 0: from the first on */
    bool (*go_on)(
        void *data); /* asked while an answer is waited for; false: it is no longer wanted. NULL: none */
    void *data;
};

enum agent_flags {
    AGENT_DIRECTORY = 1,    /* make: the last component is a directory, else a regular file */
    AGENT_NO_SYMLINKS = 2,  /* no component may be a symbolic link */
    AGENT_NO_FOLLOW = 4,    /* the last component may be one, and is not followed */
    AGENT_REPLACE_LINK = 8, /* make: a symbolic link that leads nowhere is replaced */
};

/* What is known of the descriptor that came along. `error` is an errno value. */
struct agent_reply {
    int32_t error;
    uint32_t more; /* list: an entry, and others follow */
    uint32_t mode, uid, gid;
    int64_t fs_type;                     /* statfs(2) f_type; 0 where it was not asked */
    char text[2 * AGENT_PATH_BYTES_MAX]; /* list: the name, and after its NUL a link's target; make: the name
                                            that could not be created */
};

bool agent_start(struct path_agent *a, const struct agent_user *user, struct error *err);
/* Also of one that was never started. Never waits for a child that hangs. */
void agent_stop(struct path_agent *a);

/* O_PATH descriptors, owned by the caller; -1 with errno set. ETIMEDOUT: no answer (ECANCELED: nobody wants
 * it any more), the agent is gone, and every later call fails likewise. `reply` may be NULL. */
int agent_open(struct path_agent *a, const char *path, struct agent_reply *reply);
/* A path inside the tree at root_fd, which it can't leave (openat2(2), RESOLVE_IN_ROOT). */
int agent_find(struct path_agent *a, int root_fd, const char *path, unsigned flags,
               struct agent_reply *reply);
/* As agent_find, but creates what is missing. Where a directory refuses that (EACCES, EPERM, EROFS), *stuck
 * is that directory, and reply->text the name it lacks. */
int agent_make(struct path_agent *a, int root_fd, const char *path, unsigned flags, struct agent_reply *reply,
               int *stuck);
/* The bytes of a regular file inside, at most bytes_max, as a memory file. EFBIG, EINVAL (not a regular
 * file). */
int agent_read(struct path_agent *a, int root_fd, const char *path, uint64_t bytes_max);

/* Entries of a directory, one a call; fd is the callee's. */
typedef bool agent_entry(void *context, const struct agent_reply *entry, int fd, struct error *err);
bool agent_list(struct path_agent *a, int dir_fd, agent_entry *each, void *context, struct error *err);

/* agent_serve.c: the child's part. */
enum agent_op { AGENT_OPEN, AGENT_FIND, AGENT_MAKE, AGENT_READ, AGENT_LIST };
struct agent_request {
    uint32_t op, flags;
    uint64_t bytes_max;
    char path[AGENT_PATH_BYTES_MAX];
};
void agent_serve(const struct agent_user *user, int socket_fd) __attribute__((noreturn));
/* One datagram with a descriptor (-1: none). False with errno set; receive: 0 bytes is EPIPE. */
bool agent_send(int socket_fd, const void *bytes, size_t n, int fd);
bool agent_receive(int socket_fd, void *bytes, size_t n, int *fd);

#endif
