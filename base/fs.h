/* Files and folders: whole-file reads, durable writes, recursive removal that never leaves its folder. */
#ifndef BERTH_BASE_FS_H
#define BERTH_BASE_FS_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads a whole file (at most max_bytes; more is ERROR_LIMIT) and appends it to out. dirfd may be AT_FDCWD.
 */
bool fs_read_file(int dirfd, const char *path, size_t max_bytes, struct buf *out, struct error *err);
/* Durable and atomic: temporary file, write, fsync, rename, fsync of the folder. After true it survives a
 * power cut. */
bool fs_write_atomic(int dirfd, const char *path, const void *bytes, size_t n, mode_t mode,
                     struct error *err);
/* write(2) until all is out; false with errno set. */
bool fs_write_all(int fd, const void *bytes, size_t n);
/* mkdir -p; folders made here get `mode`. */
bool fs_mkdirs(const char *path, mode_t mode, struct error *err);
bool fs_fsync_dir(const char *path, struct error *err);
/* rm -rf of a tree that its user may change meanwhile (fs_remove.c): every directory is a descriptor that was
 * opened without following links or crossing mounts, root takes each from its user before it looks inside,
 * and any depth takes at most FS_REMOVE_LEVELS descriptors. Goes on past what can't be removed and returns
 * the first error. A missing path is success. */
bool fs_remove_tree(int dirfd, const char *path, struct error *err);
#define FS_REMOVE_LEVELS 64 /* open directories at a time; what lies deeper is moved up first */
/* Opens the directory `name` (one component) of `dirfd`: no link is followed and no mount entered (ELOOP or
 * ENOTDIR, EXDEV). An owner without permission for it gives himself 0700 first, by descriptor. -1 with errno.
 */
int fs_open_directory(int dirfd, const char *name);
/* chmod of what an O_PATH descriptor refers to, never of a name. */
bool fs_chmod_fd(int fd, mode_t mode);
/* Whether the symbolic link `path`, relative to a tree, leads nowhere outside it by its text: relative, with
 * ".." only in front and no more of them than directories above the link. Links that all are so lead nowhere
 * outside through each other either. */
bool fs_link_stays(const char *path, const char *target);
/* Copies the bytes of an open file to another (reflink, else copy_file_range, else read and write), from
 * where `from` stands to its end as it is at the call: whoever goes on appending keeps nobody here. */
bool fs_copy_fd(int from, int to, struct error *err);
/* true where the path lies on a network filesystem (NFS, CIFS, SMB2, AFS, Ceph, Lustre, FUSE-sshfs...;
 * statfs(2) f_type). `name` (may be NULL, at least 32 bytes) gets the filesystem's name. */
bool fs_is_network(const char *path, char *name);

#endif
