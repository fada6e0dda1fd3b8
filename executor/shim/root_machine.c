/*
 * What a task's root has of the machine: /dev with the usual nodes and the leased GPUs', an empty /proc for
 * the runtime to mount on, /sys, and in `host` a /run of its own. These come last and stand in file systems
 * that the shim makes for the task, so that whoever prepares them further meets nothing of the user's.
 */
#include "executor/shim/root.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Below /run: what a program needs to look names and users up, and people's removable disks. Each is taken
 * where it exists. */
static const char *const run_kept[] = {
    "/run/systemd/resolve", /* systemd-resolved: resolv.conf, and nss-resolve's socket */
    "/run/systemd/userdb",  /* nss-systemd */
    "/run/nscd",
    "/run/nslcd",
    "/run/sssd",
    "/run/avahi-daemon",
    "/run/resolvconf",
    "/run/media",
    "/run/nvidia-persistenced",
};
#define RUN_KEPT (sizeof run_kept / sizeof *run_kept)

bool root_keeps_run(const char *path)
{
    for (size_t i = 0; i < RUN_KEPT; i++)
        if (path_is_below(path, run_kept[i]))
            return true;
    return false;
}

/* The machine's device under the same name in our own /dev: a node of the task's own, so that a runtime that
 * gives it away gives away nothing of the machine's; where none can be made, the machine's is bound. One that
 * the machine lacks is skipped. */
static bool put_device(int dev_fd, const char *name, struct error *err)
{
    char path[PATH_BYTES_MAX];
    struct stat st;
    snprintf(path, sizeof path, "/dev/%s", name);
    if (stat(path, &st) != 0 || !S_ISCHR(st.st_mode))
        return true;
    if (mknodat(dev_fd, name, S_IFCHR | 0600, st.st_rdev) == 0) {
        _cleanup_close_ int node = openat(dev_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (node >= 0 && fchmodat(dev_fd, name, st.st_mode & 07777, 0) == 0 &&
            fchownat(dev_fd, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) == 0)
            return true;
        return error_errno(err, errno, "can't prepare the device %s", name);
    }
    if (errno == EEXIST)
        return true;
    if (mknodat(dev_fd, name, S_IFREG | 0600, 0) != 0)
        return error_errno(err, errno, "can't create %s", path);
    _cleanup_close_ int tree = tree_clone(AT_FDCWD, path, err);
    if (tree < 0 || move_mount(tree, "", dev_fd, name, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't bind the device %s", name);
    return true;
}

/* The leased GPUs' nodes, those that open MIG instances, and what all of them need. */
static bool put_gpus(const struct shim *s, int dev_fd, struct error *err)
{
    static const char *const common[] = {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"};
    char name[64];
    bool any = false;
    for (size_t i = 0; i < s->spec.gpu_minors.n; i++) {
        snprintf(name, sizeof name, "/dev/nvidia%s", s->spec.gpu_minors.v[i]);
        if (strcmp(s->spec.gpu_minors.v[i], "-1") == 0 || access(name, F_OK) != 0)
            continue;
        any = true;
        if (!put_device(dev_fd, name + strlen("/dev/"), err))
            return false;
    }
    if (!any)
        return true;
    if (s->spec.gpu_caps.n && mkdirat(dev_fd, "nvidia-caps", 0755) != 0)
        return error_errno(err, errno, "can't create /dev/nvidia-caps");
    for (size_t i = 0; i < s->spec.gpu_caps.n; i++) {
        snprintf(name, sizeof name, "nvidia-caps/nvidia-cap%s", s->spec.gpu_caps.v[i]);
        if (!put_device(dev_fd, name, err))
            return false;
    }
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (!put_device(dev_fd, common[i], err))
            return false;
    return true;
}

static bool own_directory(const struct new_root *r, int dir_fd, const char *name, struct error *err)
{
    if (mkdirat(dir_fd, name, 0755) != 0 ||
        ((r->owner || r->owner_group) &&
         fchownat(dir_fd, name, r->owner, r->owner_group, AT_SYMLINK_NOFOLLOW)))
        return error_errno(err, errno, "can't create %s", name);
    return true;
}

/* A tmpfs that the task's root inside owns. */
static int own_tmpfs(struct new_root *r, const char *mode, uint64_t size, bool devices, struct error *err)
{
    int fd = tmpfs_new(mode, size, devices, err);
    if (fd < 0)
        return -1;
    root_own(r, fd);
    if ((r->owner || r->owner_group) && fchownat(fd, "", r->owner, r->owner_group, AT_EMPTY_PATH) != 0) {
        error_errno(err, errno, "can't give a tmpfs to root inside");
        close(fd);
        return -1;
    }
    return fd;
}

static bool put_shm(const struct shim *s, struct new_root *r, struct error *err)
{
    uint64_t size = (uint64_t)s->spec.shm_bytes;
    if (!size && s->spec.memory_bytes > 0)
        size = (uint64_t)s->spec.memory_bytes / 2;
    _cleanup_close_ int tree = own_tmpfs(r, "1777", size, false, err);
    _cleanup_close_ int target = own_lookup(r, "/dev/shm", true);
    if (tree < 0)
        return false;
    if (target < 0)
        return error_errno(err, errno, "can't open /dev/shm inside");
    return root_put_at(take_fd(&tree), target, "/dev/shm", err);
}

/* Attached before it is filled, since only an attached tree takes bound nodes. */
static bool put_dev(struct shim *s, struct new_root *r, struct error *err)
{
    static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const char *const directories[] = {"pts", "mqueue", "shm"};
    static const struct {
        const char *name, *to;
    } links[] = {{"ptmx", "pts/ptmx"},         {"core", "/proc/kcore"},       {"fd", "/proc/self/fd"},
                 {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}};
    _cleanup_close_ int dev = own_tmpfs(r, "0755", 1 << 20, true, err);
    int attached = dev < 0 ? -1 : fcntl(dev, F_DUPFD_CLOEXEC, 0);
    if (attached < 0 || !root_put_system(r, attached, "/dev", err))
        return false;
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        if (!put_device(dev, nodes[i], err))
            return false;
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlinkat(links[i].to, dev, links[i].name) != 0)
            return error_errno(err, errno, "can't create /dev/%s", links[i].name);
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        if (!own_directory(r, dev, directories[i], err))
            return false;
    return put_gpus(s, dev, err) && put_shm(s, r, err);
}

/* Where /etc/resolv.conf leads below /run: its directory, since the file is replaced now and then. */
static void resolver_directory(char *out, size_t size)
{
    out[0] = '\0';
    char real[PATH_BYTES_MAX];
    if (!realpath("/etc/resolv.conf", real) || !path_is_below(real, "/run"))
        return;
    char *slash = strrchr(real, '/');
    if (slash - real > 4)
        *slash = '\0';
    snprintf(out, size, "%s", real);
}

/* Before the machine's /run is out of sight. */
static size_t take_kept(int *trees, const char **paths, const char *resolver)
{
    size_t n = 0;
    for (size_t i = 0; i < RUN_KEPT; i++) {
        int fd = tree_clone(AT_FDCWD, run_kept[i], NULL);
        if (fd < 0)
            continue;
        paths[n] = run_kept[i];
        trees[n++] = fd;
    }
    if (*resolver && !root_keeps_run(resolver) && (trees[n] = tree_clone(AT_FDCWD, resolver, NULL)) >= 0)
        paths[n++] = resolver;
    return n;
}

static bool put_run(struct new_root *r, struct error *err)
{
    int trees[RUN_KEPT + 1];
    const char *paths[RUN_KEPT + 1];
    char resolver[PATH_BYTES_MAX];
    resolver_directory(resolver, sizeof resolver);
    size_t n = take_kept(trees, paths, resolver), i = 0;
    _cleanup_close_ int run = own_tmpfs(r, "0755", 64 << 20, false, err);
    int attached = run < 0 ? -1 : fcntl(run, F_DUPFD_CLOEXEC, 0);
    bool ok = attached >= 0 && root_put_system(r, attached, "/run", err);
    for (; ok && i < n; i++)
        ok = tree_restrict(trees[i], TREE_READ_ONLY | TREE_NO_DEVICES, err) &&
             root_put(r, take_fd(&trees[i]), paths[i], err);
    for (i = 0; i < n; i++)
        if (trees[i] >= 0)
            close(trees[i]);
    if (ok && (mkdirat(run, "lock", 0755) != 0 || fchmodat(run, "lock", 01777, 0) != 0))
        return error_errno(err, errno, "can't create /run/lock");
    return ok;
}

bool root_put_machine(struct shim *s, struct new_root *r, struct sources *src, struct error *err)
{
    int proc = tmpfs_new("0555", 4096, false, err);
    return proc >= 0 && root_put_system(r, proc, "/proc", err) &&
           root_put_system(r, take_fd(&src->sys), "/sys", err) && put_dev(s, r, err) &&
           (!spec_is_host(&s->spec) || put_run(r, err));
}
