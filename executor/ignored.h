/*
 * The ignored files of a code directory on their way into a task's working directory. They lie in a tree that
 * the user can change, so a child that has become the user opens them, one descriptor at a time, and writes
 * the copies: a file exchanged for a link or a hard link leads to nothing that the user can't read himself.
 *
 * A regular file is a reflink, else a copy up to IGNORED_COPY_MAX_BYTES and IGNORED_ALL_MAX_BYTES together; a
 * larger one is a link to the live file, which the shim mounts outside the working directory. A symbolic link
 * is kept where it stays inside or leads nowhere, and is otherwise a link to the live file as well. What
 * leads to a directory is the live one: the only mounts in the working directory.
 */
#ifndef BERTH_EXECUTOR_IGNORED_H
#define BERTH_EXECUTOR_IGNORED_H

#include "base/error.h"
#include "executor/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#define IGNORED_COPY_MAX_BYTES (INT64_C(256) << 20)
#define IGNORED_ALL_MAX_BYTES (INT64_C(1) << 30)
#define IGNORED_COPY_TRIES 3   /* of a file that changes while it is copied; then as it is */
#define IGNORED_FILE_WAIT_S 60 /* for one file */

enum ignored_kind {
    IGNORED_GONE,
    IGNORED_MOUNT,
    IGNORED_FILE,    /* a file of the task's own */
    IGNORED_LINK,    /* a symbolic link as it was */
    IGNORED_LIVE,    /* a symbolic link to the live file */
    IGNORED_REFUSED, /* `error`, or 0: not a regular file */
    IGNORED_FAILED,  /* it can't be written: `error` */
};

struct ignored_file {
    enum ignored_kind kind;
    int error;
    mode_t mode;
    int64_t size, mtime_ns;
};

struct ignored_request {
    const char *folder; /* the code directory */
    char *const *paths; /* NULL-ended, relative to it */
    const bool *skip;   /* those to leave alone; NULL: none */
    const struct user *user;
    int work_fd;         /* the working directory; -1: nothing is made, the files are only looked at */
    const char *live_at; /* where live files are mounted inside */
};

/* Fills one `files` for each path. Blocks; for worker threads. */
bool ignored_take(const struct ignored_request *request, struct ignored_file *files, struct error *err);

/* The directory of `path` in a working directory, writable while it is held; *name is the last component. */
struct ignored_parent {
    int fd;
    struct stat st;
    const char *name;
};
bool ignored_hold_parent(int work_fd, const char *path, struct ignored_parent *parent);
/* Gives it its mode and modification time back, and closes it. */
void ignored_drop_parent(struct ignored_parent *parent);

#endif
