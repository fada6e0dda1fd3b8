/*
 * The mount calls that both kinds of root share. Invariant: no path inside the new root is ever resolved
 * against the shim's own root, and what the shim makes outside filesystems of its own it makes with the
 * user's rights.
 */
#include "executor/shim/mount.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MIMIC_ENTRIES_MAX 8192
#define DEPTH_MAX 64

int tree_clone(int dir_fd, const char *path, struct error *err)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | (*path ? 0 : AT_EMPTY_PATH);
    int fd = open_tree(dir_fd, path, flags);
    if (fd < 0)
        error_errno(err, errno, "can't take the mount of %s", *path ? path : "a folder");
    return fd;
}

bool tree_restrict(int tree_fd, unsigned flags, struct error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID, .propagation = MS_SLAVE};
    if (flags & TREE_READ_ONLY)
        attr.attr_set |= MOUNT_ATTR_RDONLY;
    if (flags & TREE_NO_DEVICES)
        attr.attr_set |= MOUNT_ATTR_NODEV;
    if (mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
        return error_errno(err, errno, "can't restrict a mount");
    return true;
}

int tmpfs_new(const char *mode, uint64_t size_bytes, struct error *err)
{
    char size[32];
    snprintf(size, sizeof size, "%" PRIu64, size_bytes);
    _cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    int fd = -1;
    if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "source", "berth", 0) == 0 &&
        fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode, 0) == 0 &&
        (size_bytes == 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", size, 0) == 0) &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (fd < 0)
        error_errno(err, errno, "can't create a tmpfs");
    return fd;
}

int root_lookup(const struct new_root *r, const char *path, bool follow)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | (follow ? 0u : (unsigned)O_NOFOLLOW),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    while (*path == '/')
        path++;
    return (int)syscall(SYS_openat2, r->fd, *path ? path : ".", &how, sizeof how);
}

void root_own(struct new_root *r, int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && r->n_own < OWN_FILESYSTEMS_MAX)
        r->own[r->n_own++] = st.st_dev;
}

static bool is_own(const struct new_root *r, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return false;
    for (size_t i = 0; i < r->n_own; i++)
        if (r->own[i] == st.st_dev)
            return true;
    return false;
}

static bool make_node(int dir_fd, const char *name, bool folder)
{
    return (folder ? mkdirat(dir_fd, name, 0755) : mknodat(dir_fd, name, S_IFREG | 0644, 0)) == 0 ||
           errno == EEXIST;
}

static bool make_one(const struct new_root *r, int dir_fd, const char *name, bool folder)
{
    if (is_own(r, dir_fd)) {
        if (!make_node(dir_fd, name, folder))
            return false;
        if (r->owner || r->owner_group)
            fchownat(dir_fd, name, r->owner, r->owner_group, AT_SYMLINK_NOFOLLOW);
        return true;
    }
    /* A folder of the user's (his snapshot, a mount that he named): no more rights than he has. */
    setfsgid(r->group);
    setfsuid(r->user);
    bool ok = make_node(dir_fd, name, folder);
    int e = errno;
    setfsuid(0);
    setfsgid(0);
    errno = e;
    return ok;
}

/* Into the tmpfs at new_fd: every entry of old_fd, so that one more can stand beside them. */
static bool copy_entries(int old_fd, int new_fd, struct error *err)
{
    int list_fd = openat(old_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *dir = list_fd >= 0 ? fdopendir(list_fd) : NULL;
    if (!dir)
        return error_errno(err, errno, "can't list a folder");
    size_t n = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        const char *name = e->d_name;
        struct stat st;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            fstatat(old_fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0)
            continue;
        if (++n > MIMIC_ENTRIES_MAX)
            return error_set(err, ERROR_LIMIT, "a folder has more than %d entries", MIMIC_ENTRIES_MAX);
        if (S_ISLNK(st.st_mode)) {
            char target[4096];
            ssize_t length = readlinkat(old_fd, name, target, sizeof target - 1);
            if (length > 0) {
                target[length] = '\0';
                symlinkat(target, new_fd, name);
            }
            continue;
        }
        if (!make_node(new_fd, name, S_ISDIR(st.st_mode)))
            return error_errno(err, errno, "can't copy the entry %s", name);
        _cleanup_close_ int tree = tree_clone(old_fd, name, err);
        if (tree < 0 || move_mount(tree, "", new_fd, name, MOVE_MOUNT_F_EMPTY_PATH) != 0)
            return error_errno(err, errno, "can't keep the entry %s", name);
    }
    return true;
}

/* A read-only folder gets a tmpfs over it that shows the same entries and takes new ones. */
static bool mimic(struct new_root *r, const char *path, struct error *err)
{
    _cleanup_close_ int old_fd = root_lookup(r, path, true);
    struct stat st;
    if (old_fd < 0 || fstat(old_fd, &st) != 0)
        return error_errno(err, errno, "can't look at %s", path);
    char mode[16];
    snprintf(mode, sizeof mode, "%o", st.st_mode & 07777);
    _cleanup_close_ int tmpfs = tmpfs_new(mode, 0, err);
    if (tmpfs < 0)
        return false;
    if (move_mount(tmpfs, "", old_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't mount over %s", path);
    root_own(r, tmpfs);
    if (r->n_mimics == MIMICS_MAX)
        return error_set(err, ERROR_LIMIT, "mounts in more than %d read-only folders", MIMICS_MAX);
    if (!copy_entries(old_fd, tmpfs, err))
        return false;
    r->mimics[r->n_mimics++] = take_fd(&tmpfs);
    /* Over "/" itself the descriptor of the root is the one below by now. */
    int fresh = open(r->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fresh >= 0) {
        close(r->fd);
        r->fd = fresh;
    }
    return true;
}

static int make_at(struct new_root *r, const char *path, bool folder, int depth, struct error *err)
{
    int fd = root_lookup(r, path, true);
    if (fd >= 0)
        return fd;
    if (errno != ENOENT || depth > DEPTH_MAX) {
        error_errno(err, depth > DEPTH_MAX ? ELOOP : errno, "can't reach %s inside", path);
        return -1;
    }
    char parent[4096];
    snprintf(parent, sizeof parent, "%s", path);
    size_t n = strlen(parent);
    while (n > 1 && parent[n - 1] == '/')
        parent[--n] = '\0';
    char *slash = strrchr(parent, '/');
    if (!slash || slash[1] == '\0') {
        error_set(err, ERROR_INVALID, "%s is no place for a mount", path);
        return -1;
    }
    char name[256];
    snprintf(name, sizeof name, "%s", slash + 1);
    slash[slash == parent] = '\0';
    for (int try = 0; try < 2; try++) {
        _cleanup_close_ int dir_fd = make_at(r, parent, true, depth + 1, err);
        if (dir_fd < 0)
            return -1;
        if (make_one(r, dir_fd, name, folder)) {
            fd = root_lookup(r, path, true);
            if (fd < 0)
                error_errno(err, errno, "can't create %s inside", path);
            return fd;
        }
        if (try == 1 || !mimic(r, parent, err))
            break;
    }
    error_wrap(err, "can't create %s inside", path);
    return -1;
}

int root_make(struct new_root *r, const char *path, bool folder, struct error *err)
{
    return make_at(r, path, folder, 0, err);
}

bool root_put(struct new_root *r, int tree_fd, const char *path, struct error *err)
{
    _cleanup_close_ int tree = tree_fd;
    struct stat st, there;
    if (fstat(tree, &st) != 0)
        return error_errno(err, errno, "can't look at what belongs at %s", path);
    _cleanup_close_ int target = root_make(r, path, S_ISDIR(st.st_mode), err);
    if (target < 0)
        return false;
    if (fstat(target, &there) == 0 && S_ISDIR(st.st_mode) != S_ISDIR(there.st_mode))
        return error_set(err, ERROR_INVALID, "%s inside is %s folder, and what belongs there is %s", path,
                         S_ISDIR(there.st_mode) ? "a" : "no", S_ISDIR(st.st_mode) ? "one" : "none");
    if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't mount %s", path);
    return true;
}

bool root_seal(struct new_root *r, struct error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    for (; r->n_mimics > 0; r->n_mimics--) {
        _cleanup_close_ int fd = r->mimics[r->n_mimics - 1];
        if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
            return error_errno(err, errno, "can't make a folder read-only again");
    }
    return true;
}

bool root_write(struct new_root *r, const char *path, const void *bytes, size_t n, mode_t mode,
                struct error *err)
{
    char parent[4096];
    snprintf(parent, sizeof parent, "%s", path);
    char *name = strrchr(parent, '/');
    *name++ = '\0';
    _cleanup_close_ int dir_fd = root_make(r, *parent ? parent : "/", true, err);
    if (dir_fd < 0)
        return false;
    unlinkat(dir_fd, name, 0); /* a link that leads anywhere */
    _cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0 || !fs_write_all(fd, bytes, n) ||
        ((r->owner || r->owner_group) && fchown(fd, r->owner, r->owner_group) != 0))
        return error_errno(err, errno, "can't write %s inside", path);
    return true;
}
