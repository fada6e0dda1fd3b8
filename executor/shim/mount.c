/* The mount calls that both kinds of root share (mount.h). */
#include "executor/shim/mount.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CREATED_MAX 128 /* directories of our own that one path may need */

int tree_clone(int dir_fd, const char *path, struct error *err)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | (*path ? 0 : AT_EMPTY_PATH);
    int fd = open_tree(dir_fd, path, flags);
    if (fd < 0)
        error_errno(err, errno, "can't take the mount of %s", *path ? path : "a directory");
    return fd;
}

bool tree_restrict(int tree_fd, unsigned flags, struct error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID, .propagation = MS_PRIVATE};
    if (flags & TREE_READ_ONLY)
        attr.attr_set |= MOUNT_ATTR_RDONLY;
    if (flags & TREE_NO_DEVICES)
        attr.attr_set |= MOUNT_ATTR_NODEV;
    if (mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
        return error_errno(err, errno, "can't restrict a mount");
    return true;
}

int tmpfs_new(const char *mode, uint64_t size_bytes, bool devices, struct error *err)
{
    char size[32];
    snprintf(size, sizeof size, "%" PRIu64, size_bytes);
    _cleanup_close_ int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    int fd = -1;
    if (fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "source", "berth", 0) == 0 &&
        fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode, 0) == 0 &&
        (size_bytes == 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", size, 0) == 0) &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | (devices ? 0 : MOUNT_ATTR_NODEV));
    if (fd < 0)
        error_errno(err, errno, "can't create a tmpfs");
    return fd;
}

static bool ask(int fd, unsigned mask, struct statx *stx)
{
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, mask, stx) == 0;
}

mode_t kind_of(int fd)
{
    struct statx stx;
    return ask(fd, STATX_TYPE, &stx) ? stx.stx_mode & S_IFMT : 0;
}

static uint64_t device_of(int fd)
{
    struct statx stx;
    return ask(fd, STATX_TYPE, &stx) ? (uint64_t)stx.stx_dev_major << 32 | stx.stx_dev_minor : 0;
}

uint64_t mount_id_of(int fd)
{
    struct statx stx;
    return ask(fd, STATX_MNT_ID, &stx) && stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0;
}

int own_lookup(const struct new_root *r, const char *path, bool directory)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC | (directory ? (unsigned)O_DIRECTORY : 0u),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, r->fd, path + strspn(path, "/"), &how, sizeof how);
}

void root_own(struct new_root *r, int fd)
{
    uint64_t device = device_of(fd);
    if (device && r->n_own < OWN_FILESYSTEMS_MAX)
        r->own[r->n_own++] = device;
}

static bool is_own(const struct new_root *r, int fd)
{
    uint64_t device = device_of(fd);
    for (size_t i = 0; device && i < r->n_own; i++)
        if (r->own[i] == device)
            return true;
    return false;
}

static bool make_own(const struct new_root *r, int dir_fd, const char *name, bool directory)
{
    if ((directory ? mkdirat(dir_fd, name, 0755) : mknodat(dir_fd, name, S_IFREG | 0644, 0)) != 0)
        return false;
    return (!r->owner && !r->owner_group) ||
           fchownat(dir_fd, name, r->owner, r->owner_group, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool copy_entry(void *tmpfs, const struct agent_reply *entry, int entry_fd, struct error *err)
{
    _cleanup_close_ int fd = entry_fd;
    const int new_fd = *(const int *)tmpfs;
    const char *name = entry->text;
    if (fd < 0 || !*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return error_set(err, ERROR_INTERNAL, "a directory has an entry without a name");
    if (S_ISLNK(entry->mode))
        return symlinkat(name + strlen(name) + 1, new_fd, name) == 0 ||
               error_errno(err, errno, "can't copy the link %s", name);
    bool directory = kind_of(fd) == S_IFDIR;
    if ((directory ? mkdirat(new_fd, name, 0755) : mknodat(new_fd, name, S_IFREG | 0644, 0)) != 0)
        return error_errno(err, errno, "can't copy the entry %s", name);
    _cleanup_close_ int tree = tree_clone(fd, "", err);
    if (tree < 0 || move_mount(tree, "", new_fd, name, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't keep the entry %s", name);
    return true;
}

/* A directory in which the user may create nothing gets a tmpfs over it that shows the same entries and takes
 * new ones. */
static bool mimic(struct new_root *r, int old_fd, struct error *err)
{
    struct statx stx;
    char mode[16];
    if (r->n_mimics == MIMICS_MAX)
        return error_set(err, ERROR_LIMIT, "mounts in more than %d read-only directories", MIMICS_MAX);
    if (!ask(old_fd, STATX_MODE, &stx))
        return error_errno(err, errno, "can't look at a directory");
    snprintf(mode, sizeof mode, "%o", stx.stx_mode & 07777u);
    _cleanup_close_ int tmpfs = tmpfs_new(mode, 0, false, err);
    if (tmpfs < 0)
        return false;
    if (move_mount(tmpfs, "", old_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't mount over a directory");
    root_own(r, tmpfs);
    if (!agent_list(r->agent, old_fd, copy_entry, &tmpfs, err))
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

int root_make(struct new_root *r, const char *path, unsigned agent_flags, struct error *err)
{
    static struct agent_reply reply;
    for (int created = 0; created < CREATED_MAX; created++) {
        _cleanup_close_ int stuck = -1;
        int fd = agent_make(r->agent, r->fd, path, agent_flags, &reply, &stuck);
        if (fd >= 0)
            return fd;
        if (stuck < 0) {
            error_errno(err, errno, "can't reach %s inside", path);
            return -1;
        }
        reply.text[NAME_MAX] = '\0';
        bool ok = is_own(r, stuck) ? make_own(r, stuck, reply.text, S_ISDIR(reply.mode)) ||
                                         error_errno(err, errno, "can't create %s", reply.text)
                                   : mimic(r, stuck, err);
        if (!ok) {
            error_wrap(err, "can't create %s inside", path);
            return -1;
        }
    }
    error_set(err, ERROR_LIMIT, "can't create %s inside: it lies too deep", path);
    return -1;
}

bool root_put_at(int tree_fd, int target_fd, const char *path, struct error *err)
{
    _cleanup_close_ int tree = tree_fd;
    mode_t what = kind_of(tree), there = kind_of(target_fd);
    if ((what == S_IFDIR) != (there == S_IFDIR))
        return error_set(err, ERROR_INVALID, "%s inside is %s, and what belongs there is %s", path,
                         there == S_IFDIR ? "a directory" : "not a directory",
                         what == S_IFDIR ? "one" : "none");
    if (move_mount(tree, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't mount %s", path);
    return true;
}

bool root_put(struct new_root *r, int tree_fd, const char *path, struct error *err)
{
    _cleanup_close_ int tree = tree_fd;
    unsigned flags = kind_of(tree) == S_IFDIR ? AGENT_DIRECTORY : 0;
    _cleanup_close_ int target = root_make(r, path, flags, err);
    return target >= 0 && root_put_at(take_fd(&tree), target, path, err);
}

bool root_put_system(struct new_root *r, int tree_fd, const char *path, struct error *err)
{
    _cleanup_close_ int tree = tree_fd;
    _cleanup_close_ int target = root_make(r, path, AGENT_DIRECTORY | AGENT_NO_SYMLINKS, err);
    uint64_t id = mount_id_of(tree);
    if (target < 0)
        return false;
    if (r->n_system == SYSTEM_MOUNTS_MAX || !id)
        return error_set(err, ERROR_INTERNAL, "can't follow the mount of %s", path);
    r->system[r->n_system].path = path;
    r->system[r->n_system++].mount_id = id;
    return root_put_at(take_fd(&tree), target, path, err);
}

bool root_path_of(const struct new_root *r, int fd, char *out, size_t size)
{
    char link[64], path[AGENT_PATH_BYTES_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    size_t root = strlen(r->path);
    if (n <= 0 || (size_t)n >= sizeof path - 1)
        return false;
    path[n] = '\0';
    if (strncmp(path, r->path, root) != 0 || (path[root] != '/' && path[root] != '\0'))
        return false;
    return snprintf(out, size, "%s", path[root] ? path + root : "/") < (int)size;
}

static bool verify(struct new_root *r, struct error *err)
{
    for (size_t i = 0; i < r->n_system; i++) {
        const char *path = r->system[i].path;
        _cleanup_close_ int fd = agent_find(r->agent, r->fd, path, AGENT_NO_SYMLINKS, NULL);
        if (fd < 0)
            return error_errno(err, errno, "%s inside is out of reach", path);
        if (mount_id_of(fd) != r->system[i].mount_id)
            return error_set(err, ERROR_DENIED, "%s inside is not what Berth put there", path);
    }
    return true;
}

bool root_seal(struct new_root *r, struct error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    for (; r->n_mimics > 0; r->n_mimics--) {
        _cleanup_close_ int fd = r->mimics[r->n_mimics - 1];
        if (mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
            return error_errno(err, errno, "can't make a directory read-only again");
    }
    return verify(r, err);
}
