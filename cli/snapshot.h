/*
 * The snapshot of a code folder, as the submitter's side sees it: a walk by the ignore files, SHA-256 of
 * every file, the manifest (docs/PROTOCOL.md section 6), and the upload of what the scheduler lacks.
 */
#ifndef BERTH_CLI_SNAPSHOT_H
#define BERTH_CLI_SNAPSHOT_H

#include "base/buf.h"
#include "base/error.h"
#include "cli/client.h"
#include "cli/git.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define SNAPSHOT_DEFAULT_MAX_BYTES                                                                           \
    (INT64_C(1) << 30) /* of a folder that was not named (CLI.md "Defaults")                                 \
                        */
#define SNAPSHOT_DEFAULT_MAX_FILES 50000
#define SNAPSHOT_MAX_ENTRIES 1000000
#define SNAPSHOT_MAX_DEPTH 256
#define SNAPSHOT_LEFT_OUT_MAX 4096 /* paths that the job finds again at their place (JOB_LEFT_OUT_MAX) */
#define SNAPSHOT_COUNT_MAX                                                                                   \
    200000                    /* files below ignored folders that are counted before it says "more than" */
#define SNAPSHOT_HASH_TRIES 3 /* of a file that changes while it is read */
#define SNAPSHOT_MISSING_BATCH 50000 /* hashes in one question */
#define SNAPSHOT_SHA_MAX 65

struct code_item {
    char *path;   /* relative to the folder */
    char *target; /* of a link, else NULL */
    int64_t size;
    int64_t mtime_ns;           /* since 1970; clamped to what 64 bits hold */
    unsigned mode;              /* with the type bits */
    char sha[SNAPSHOT_SHA_MAX]; /* of a file, once hashed */
    bool gone;                  /* vanished since the walk: not in the manifest */
};

/* What happened to how many files, with the first of them. */
struct code_note {
    int64_t count;
    char *example;
};

struct code_snapshot {
    char *path; /* absolute, without links or "..": what stands in the job's record */
    struct code_item *items;
    size_t count, capacity;
    int64_t files, bytes;
    char **left_out; /* maximal subtrees, relative; ".git" among them */
    size_t left_out_count, left_out_dropped;
    int64_t left_out_files; /* files in them, .git not counted; at most SNAPSHOT_COUNT_MAX */
    bool left_out_more;     /* there are more than were counted */
    char **ignore;          /* the ignore files' rules as the job has them (docs/PROTOCOL.md section 6) */
    size_t ignore_count, ignore_bytes, ignore_dropped;
    bool live;              /* nothing of it is copied (code_snapshot_take_live) */
    const cJSON *privates;  /* borrowed, while it is walked */
    uint64_t privates_seen; /* bit n: the walk has met item n */
    char *ignore_above;     /* the directory's path below the repository's top, which they start from; "" */
    char *largest;          /* of the files left out; NULL */
    int64_t largest_bytes;
    int64_t special; /* sockets, pipes and devices: skipped */
    char *special_example;
    int64_t links_out; /* links that lead out of the folder: kept as links */
    char *links_out_example;
    int64_t links_dangling;
    struct code_note vanished; /* between the walk and the end of the upload: skipped */
    struct code_note changing; /* while they were read or sent: taken as they were when opened */
    struct buf manifest;
    char manifest_sha[SNAPSHOT_SHA_MAX];
    struct git_facts git;
};

/* Progress for a terminal: how many of how many files are done. May be NULL. */
typedef void code_snapshot_progress_fn(void *ctx, const char *what, int64_t done, int64_t total);

/* Walks and hashes `path`. With `limited` a folder larger than the defaults allow is ERROR_LIMIT with the
 * options to give; a home folder or "/" always is. `privates` (an array of texts, or NULL) are ignored
 * directories whose files the job gets as its own: they are left out one by one. The caller finishes *out in
 * every case. */
bool code_snapshot_take(const char *path, const cJSON *privates, bool limited,
                        code_snapshot_progress_fn *progress, void *ctx, struct code_snapshot *out,
                        struct error *err);
/* Sends the blobs that the scheduler lacks, the manifest last. *sent_bytes (may be NULL) is what went over.
 * Files that changed or vanished since they were read are read again or skipped, and noted; the manifest, its
 * hash and the counts are then others than before. */
bool code_snapshot_upload(struct code_snapshot *snapshot, struct client *client,
                          code_snapshot_progress_fn *progress, void *ctx, int64_t *sent_bytes,
                          struct error *err);
/* Of a directory that the job runs in itself: only what git says of it. */
bool code_snapshot_take_live(const char *path, struct code_snapshot *out, struct error *err);
void code_snapshot_finish(struct code_snapshot *snapshot);

/* Inside: the walk (code_snapshot_walk.c) fills items and what was left out; nothing is hashed yet. */
int64_t code_snapshot_mtime(const struct stat *st);
bool code_snapshot_walk(struct code_snapshot *snapshot, bool limited, struct error *err);
/* A regular file of the snapshot, without following a link at its end; -1 with errno and err. */
int code_snapshot_open(const struct code_snapshot *snapshot, int root, const char *path, struct error *err);
bool code_snapshot_is_gone(int e); /* the errno of a file that vanished or became something else */
/* SHA-256 of at most `limit` bytes; *size is how many there were. They also go to `copy` where it is not -1.
 */
bool code_snapshot_hash(int fd, int64_t limit, int copy, char *sha, int64_t *size);
void code_snapshot_note(struct code_note *note, const char *path);
/* Writes the manifest, its hash and the counts of files and bytes from the items. */
void code_snapshot_write_manifest(struct code_snapshot *snapshot);
/* SHA-256 in hex of bytes. */
void code_snapshot_sha(const void *bytes, size_t n, char *sha);

#define _cleanup_code_snapshot_ __attribute__((cleanup(code_snapshot_finish)))

#endif
