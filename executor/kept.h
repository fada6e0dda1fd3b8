/*
 * What becomes of ignored files: the list of how each stood when a task began (in the task's directory), and
 * of those that the job has changed (KEPT_LIST beside its outputs, which are in work/). The changes stay with
 * the job: the next attempt finds them in place of the code directory's files, and takes its list over whole,
 * so that the newest list is all there is.
 */
#ifndef BERTH_EXECUTOR_KEPT_H
#define BERTH_EXECUTOR_KEPT_H

#include "base/buf.h"
#include "base/error.h"
#include "executor/order.h"
#include "executor/user.h"
#include "proto/ignore.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define KEPT_LIST "ignored"         /* the name of both */
#define KEPT_FILES_MAX 20000        /* that pass on to the next attempt; later ones stay in work/ */
#define KEPT_BYTES_MAX (128u << 20) /* of a list */
#define KEPT_NAMED 8                /* in a note; the rest is counted */
#define KEPT_DEPTH_MAX 128

enum kept_kind {
    KEPT_ABSENT, /* nothing was there */
    KEPT_MOUNT,  /* a live directory */
    KEPT_FILE,
    KEPT_LINK, /* a symbolic link */
    KEPT_LIVE, /* a symbolic link to a live file */
    KEPT_KINDS
};

enum kept_how { KEPT_AS_IT_WAS, KEPT_CHANGED, KEPT_NEW, KEPT_REMOVED, KEPT_HOWS };

struct kept_file {
    char *path;
    char *target; /* of a symbolic link; NULL */
    enum kept_kind kind;
    enum kept_how how; /* not as the code directory has it, from an earlier attempt on */
    int64_t mode, size, mtime_ns;
};

struct kept_files {
    struct kept_file *items; /* sorted by path, once kept_sort was called */
    size_t count, capacity;
};

struct kept_file *kept_add(struct kept_files *files, const char *path, enum kept_kind kind,
                           enum kept_how how); /* valid until the next one */
void kept_sort(struct kept_files *files);
const struct kept_file *kept_find(const struct kept_files *files, const char *path);
void kept_finish(struct kept_files *files);
bool kept_write(const struct kept_files *files, int dirfd, struct error *err);
/* Sorted. A missing list is empty, and *found (may be NULL) false. */
bool kept_read(int dirfd, struct kept_files *out, bool *found, struct error *err);
/* "last.ckpt (changed), log.1 (new), and 3 more" */
void kept_describe(const struct kept_files *files, struct buf *out);
/* Whether a file or link still is as it was when the task began, at `made`. */
bool kept_unchanged(const struct kept_file *file, const struct stat *st, const struct timespec *made);

/* The rules of the code directory's ignore files, which the job brought along; ignore_finish. */
void kept_rules(const struct job_spec *spec, struct ignore *out);
/* Whether they ignore a path of the working directory. What Python leaves behind (__pycache__) is of no
 * interest to anybody. */
bool kept_is_ignored(const struct ignore *rules, const struct job_spec *spec, const char *path);

/* kept_carry.c: puts what the attempts before left into the working directory, and adds it to `files`.
 * *attempt is the one that left it; 0: the job that this one continues, or nobody. */
bool kept_carry(const struct order *order, int work_fd, const struct user *user, struct kept_files *files,
                uint32_t *attempt, struct error *err);
/* The newest list is whole: what the attempts before kept of their own goes. */
void kept_forget_earlier(const struct order *order);

/* kept_changes.c: after collection into `to` (work/ in it): finds what has changed since the task began with
 * `before`, and keeps the list beside it. May be done again. */
bool kept_changes(const struct order *order, const struct kept_files *before, const struct ignore *rules,
                  int work_fd, struct kept_files *changes, struct error *err);

#define _cleanup_kept_ __attribute__((cleanup(kept_finish)))

#endif
