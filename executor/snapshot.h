/*
 * The snapshot of a code folder: its manifest (docs/PROTOCOL.md section 6) and its way into a task's working
 * folder. Manifests come from people: every path is checked when parsed and opened beneath the working folder
 * when made.
 */
#ifndef BERTH_EXECUTOR_SNAPSHOT_H
#define BERTH_EXECUTOR_SNAPSHOT_H

#include "base/error.h"
#include "executor/blob_cache.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define SNAPSHOT_MANIFEST_MAX_BYTES (64u << 20)
#define SNAPSHOT_ENTRIES_MAX 1000000
#define SNAPSHOT_DEPTH_MAX 256 /* components of a path */

enum snapshot_kind { SNAPSHOT_FILE, SNAPSHOT_FOLDER, SNAPSHOT_LINK };

struct snapshot_entry {
    enum snapshot_kind kind;
    mode_t mode;            /* permission bits alone; never setuid, setgid or sticky */
    int64_t size;           /* bytes of a file */
    char *path;             /* relative, checked */
    char *target;           /* of a link, else NULL */
    char sha[BLOB_SHA_MAX]; /* of a file */
    struct timespec mtime;
};

/* Sorted by path, bytewise. Zeroed is empty. */
struct snapshot {
    struct snapshot_entry *entries;
    size_t count, capacity, files;
    int64_t bytes; /* of all files */
    bool untimed;  /* of format 1, which has no modification times */
};

/* Parses a whole manifest. Refuses what could lead out of the folder or is not as the format says: absolute
 * paths, "..", an entry below a file or a link, a path twice, a wrong order, more than the limits. On failure
 * *out is empty. */
bool snapshot_parse(const char *text, size_t len, struct snapshot *out, struct error *err);
void snapshot_finish(struct snapshot *snapshot);
const struct snapshot_entry *snapshot_find(const struct snapshot *snapshot, const char *path);

/*
 * Makes the tree in the empty folder `root_fd` from blobs of the cache, owned by uid and gid where the
 * process may give files away. Every file is an inode of its own (a reflink where the filesystem has them),
 * so that files, directories and links have the modification times of this snapshot, whatever others share
 * their blobs. With a manifest of format 1 all get one time, made from the manifest's hash and long past.
 */
bool snapshot_materialise(const struct snapshot *snapshot, const char *manifest_sha,
                          const struct blob_cache *cache, int root_fd, uid_t uid, gid_t gid,
                          struct error *err);
struct timespec snapshot_mtime(const char *manifest_sha);
/* Whether the regular file `fd` at `path` is as the snapshot made it. It is not read where size and
 * modification time are the snapshot's and nothing has changed the inode since `made`, the end of
 * materialisation. */
bool snapshot_unchanged(const struct snapshot *snapshot, const char *manifest_sha, const char *path, int fd,
                        const struct timespec *made);

#define _cleanup_snapshot_ __attribute__((cleanup(snapshot_finish)))

#endif
