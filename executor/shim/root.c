/*
 * The root of a task in `host`: the machine as it is, read-only, with what must be private put over it; and
 * what both kinds of root share. All of it in the shim's own mount namespace, so that it is gone with the
 * last process.
 */
#include "executor/shim/root.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define SOCKETS_MAX 16384
#define PROC_NET_UNIX_BYTES_MAX (16u << 20)

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

/* Sockets outside /run and /tmp that name services are reached by. */
static const char *const sockets_kept[] = {"/var/lib/sss/pipes/nss", "/var/lib/sss/pipes/pam",
                                           "/var/run/nscd/socket"};

static bool put_tmpfs(struct new_root *r, const char *path, const char *mode, uint64_t size,
                      struct error *err)
{
    int fd = tmpfs_new(mode, size, err);
    if (fd < 0)
        return false;
    root_own(r, fd);
    if ((r->owner || r->owner_group) && fchownat(fd, "", r->owner, r->owner_group, AT_EMPTY_PATH) != 0) {
        close(fd);
        return error_errno(err, errno, "can't hand %s to root inside", path);
    }
    return root_put(r, fd, path, err);
}

static bool put_clone(struct new_root *r, const char *source, const char *target, unsigned flags,
                      struct error *err)
{
    int fd = tree_clone(AT_FDCWD, source, err);
    return fd >= 0 && (flags == 0 || tree_restrict(fd, flags, err)) && root_put(r, fd, target, err);
}

static bool link_inside(struct new_root *r, const char *to, const char *folder, const char *name,
                        struct error *err)
{
    _cleanup_close_ int dir_fd = root_lookup(r, folder, true);
    if (dir_fd < 0 || (symlinkat(to, dir_fd, name) != 0 && errno != EEXIST))
        return error_errno(err, errno, "can't link %s/%s", folder, name);
    return true;
}

static bool put_device(struct new_root *r, const char *path, struct error *err)
{
    return access(path, F_OK) != 0 || put_clone(r, path, path, 0, err);
}

/* The leased GPUs' nodes, those that open MIG instances, and what all of them need. */
static bool put_gpus(struct shim *s, struct new_root *r, struct error *err)
{
    static const char *const common[] = {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"};
    char path[PATH_BYTES_MAX];
    bool any = false;
    for (size_t i = 0; i < s->spec.gpu_minors.n; i++) {
        snprintf(path, sizeof path, "/dev/nvidia%s", s->spec.gpu_minors.v[i]);
        if (strcmp(s->spec.gpu_minors.v[i], "-1") == 0 || access(path, F_OK) != 0)
            continue;
        any = true;
        if (!put_clone(r, path, path, 0, err))
            return false;
    }
    for (size_t i = 0; any && i < s->spec.gpu_caps.n; i++) {
        snprintf(path, sizeof path, "/dev/nvidia-caps/nvidia-cap%s", s->spec.gpu_caps.v[i]);
        if (!put_device(r, path, err))
            return false;
    }
    for (size_t i = 0; any && i < sizeof common / sizeof *common; i++) {
        snprintf(path, sizeof path, "/dev/%s", common[i]);
        if (!put_device(r, path, err))
            return false;
    }
    return true;
}

/* /dev with the usual nodes and the leased GPUs', nothing else. The nodes are bound, so that it works without
 * the right to make any; everywhere else in the root devices are switched off. */
bool root_put_dev(struct shim *s, struct new_root *r, struct error *err)
{
    static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const struct {
        const char *name, *to;
    } links[] = {{"ptmx", "pts/ptmx"},         {"core", "/proc/kcore"},       {"fd", "/proc/self/fd"},
                 {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}};
    char path[PATH_BYTES_MAX];
    if (!put_tmpfs(r, "/dev", "0755", 1 << 20, err))
        return false;
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        snprintf(path, sizeof path, "/dev/%s", nodes[i]);
        if (!put_clone(r, path, path, 0, err))
            return false;
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (!link_inside(r, links[i].to, "/dev", links[i].name, err))
            return false;
    if (!put_gpus(s, r, err))
        return false;
    _cleanup_close_ int pts = root_make(r, "/dev/pts", true, err);
    _cleanup_close_ int mqueue = pts < 0 ? -1 : root_make(r, "/dev/mqueue", true, err);
    uint64_t shm = (uint64_t)s->spec.shm_bytes;
    if (!shm && s->spec.memory_bytes > 0)
        shm = (uint64_t)s->spec.memory_bytes / 2;
    return mqueue >= 0 && put_tmpfs(r, "/dev/shm", "1777", shm, err);
}

/* Gives a tree's ids another meaning (mount_setattr(2), MOUNT_ATTR_IDMAP). */
static bool idmap(int tree, int userns_fd, struct error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
        return error_errno(err, errno, "can't map the ids of a mount");
    return true;
}

bool root_put_work(struct shim *s, struct new_root *r, struct sources *src, int idmap_fd, struct error *err)
{
    const struct spec *spec = &s->spec;
    if (src->work >= 0) {
        if (!tree_restrict(src->work, TREE_NO_DEVICES, err) ||
            (idmap_fd >= 0 && !idmap(src->work, idmap_fd, err)) ||
            !root_put(r, src->work, spec->work_target, err))
            return error_wrap(err, "the working folder");
    }
    for (size_t i = 0; i < spec->bind_sources.n; i++) {
        if (src->binds[i] < 0)
            continue;
        bool rw = strchr(spec->bind_flags.v[i], 'w') != NULL;
        if (!tree_restrict(src->binds[i], TREE_NO_DEVICES | (rw ? 0 : TREE_READ_ONLY), err))
            return false;
        /* A mount whose filesystem can't map ids still serves for reading. */
        if (idmap_fd >= 0 && !idmap(src->binds[i], idmap_fd, err) && rw)
            return error_wrap(err, "%s", spec->bind_sources.v[i]);
        if (!root_put(r, src->binds[i], spec->bind_targets.v[i], err))
            return error_wrap(err, "the mount of %s", spec->bind_sources.v[i]);
    }
    if (src->cache >= 0 && spec->cache_target &&
        (!tree_restrict(src->cache, TREE_NO_DEVICES, err) ||
         (idmap_fd >= 0 && !idmap(src->cache, idmap_fd, err)) ||
         !root_put(r, src->cache, spec->cache_target, err)))
        return error_wrap(err, "the user's cache");
    return true;
}

static bool cover(struct new_root *r, int target, bool folder, struct error *err)
{
    _cleanup_close_ int tree = tree_clone(AT_FDCWD, folder ? NEST "/empty.d" : NEST "/empty", err);
    if (tree < 0 || !tree_restrict(tree, TREE_READ_ONLY | TREE_NO_DEVICES, err))
        return false;
    (void)r;
    if (move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't cover a path");
    return true;
}

bool root_put_covers(struct shim *s, struct new_root *r, struct error *err)
{
    for (size_t i = 0; i < s->spec.covers.n; i++) {
        _cleanup_close_ int target = root_lookup(r, s->spec.covers.v[i], true);
        struct stat st;
        if (target < 0 || fstat(target, &st) != 0)
            continue; /* not to be seen inside anyway */
        if (!cover(r, target, S_ISDIR(st.st_mode), err))
            return error_wrap(err, "%s", s->spec.covers.v[i]);
    }
    return true;
}

static bool under(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 &&
           (path[n] == '\0' || path[n] == '/' || (n && folder[n - 1] == '/'));
}

static bool socket_allowed(const struct spec *s, const char *path)
{
    for (size_t i = 0; i < sizeof sockets_kept / sizeof *sockets_kept; i++)
        if (strcmp(path, sockets_kept[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof run_kept / sizeof *run_kept; i++)
        if (under(path, run_kept[i]))
            return true;
    for (size_t i = 0; i < s->allow_sockets.n; i++)
        if (under(path, s->allow_sockets.v[i]))
            return true;
    for (size_t i = 0; i < s->bind_targets.n; i++) /* named by the user: wanted */
        if (under(path, s->bind_targets.v[i]))
            return true;
    return false;
}

/* Every Unix socket that is bound to a path at this moment (/proc/net/unix, last column) and can be seen
 * inside. */
bool root_cover_sockets(struct shim *s, struct new_root *r, struct error *err)
{
    _cleanup_buf_ struct buf list = {0};
    if (!fs_read_file(AT_FDCWD, "/proc/net/unix", PROC_NET_UNIX_BYTES_MAX, &list, NULL) || !list.len)
        return true;
    char *rest = list.data;
    int n = 0;
    for (char *line; (line = strsep(&rest, "\n")) && n < SOCKETS_MAX;) {
        char *path = strchr(line, '/');
        if (!path || path == line || path[-1] != ' ' || socket_allowed(&s->spec, path))
            continue;
        _cleanup_close_ int target = root_lookup(r, path, false);
        struct stat st;
        if (target < 0 || fstat(target, &st) != 0 || !S_ISSOCK(st.st_mode))
            continue;
        n++;
        if (!cover(r, target, false, err))
            return error_wrap(err, "the socket %s", path);
    }
    return true;
}

/* Where /etc/resolv.conf leads below /run: its folder, since the file is replaced now and then. */
static void resolver_folder(char *out, size_t size)
{
    out[0] = '\0';
    char real[PATH_BYTES_MAX];
    if (!realpath("/etc/resolv.conf", real) || !under(real, "/run"))
        return;
    char *slash = strrchr(real, '/');
    if (slash - real > 4)
        *slash = '\0';
    snprintf(out, size, "%s", real);
}

static bool put_run(struct shim *s, struct new_root *r, struct error *err)
{
    (void)s;
    int trees[sizeof run_kept / sizeof *run_kept + 1];
    const char *paths[sizeof run_kept / sizeof *run_kept + 1];
    size_t n = 0;
    char resolver[PATH_BYTES_MAX];
    resolver_folder(resolver, sizeof resolver);
    bool known = !*resolver;
    for (size_t i = 0; i < sizeof run_kept / sizeof *run_kept; i++) {
        known = known || under(resolver, run_kept[i]);
        int fd = tree_clone(AT_FDCWD, run_kept[i], NULL);
        if (fd < 0)
            continue;
        paths[n] = run_kept[i];
        trees[n++] = fd;
    }
    if (!known && (trees[n] = tree_clone(AT_FDCWD, resolver, NULL)) >= 0)
        paths[n++] = resolver;
    if (!put_tmpfs(r, "/run", "0755", 64 << 20, err))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!tree_restrict(trees[i], TREE_READ_ONLY | TREE_NO_DEVICES, err) ||
            !root_put(r, trees[i], paths[i], err))
            return false;
    _cleanup_close_ int run = root_lookup(r, "/run", true);
    if (run < 0 || mkdirat(run, "lock", 0755) != 0 || fchmodat(run, "lock", 01777, 0) != 0)
        return error_errno(err, errno, "can't create /run/lock");
    return true;
}

static bool build_host(struct shim *s, struct new_root *r, struct sources *src, int tree, struct error *err)
{
    if (move_mount(tree, "", AT_FDCWD, NEST_ROOT, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't put the host's root in place");
    r->fd = open(NEST_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0)
        return error_errno(err, errno, "can't open the new root");
    if (!root_put(r, src->tmp, "/tmp", err) || !root_put(r, src->var_tmp, "/var/tmp", err) ||
        !root_put_dev(s, r, err) || !put_run(s, r, err) || !root_put_work(s, r, src, -1, err) ||
        !root_cover_sockets(s, r, err))
        return false;
    s->inside_uid = (uint32_t)s->spec.uid;
    s->inside_gid = (uint32_t)s->spec.gid;
    if (s->rootless && strcmp(s->spec.runtime, "runc") == 0) {
        s->init_maps_user = true;
        s->inside_uid = s->inside_gid = 0;
    } else if (s->rootless) { /* root of the shim's namespace looks like the user again inside */
        s->container_userns = true;
        s->map = (struct id_map){.uids = {{(uint32_t)s->spec.uid, 0, 1}},
                                 .gids = {{(uint32_t)s->spec.gid, 0, 1}},
                                 .n_uids = 1,
                                 .n_gids = 1};
    }
    return true;
}

/* The tmpfs over /tmp in which the shim works: root, bundle, the runtime's state. */
static bool make_nest(struct error *err)
{
    static const char *const folders[] = {NEST_ROOT,     NEST_BUNDLE, NEST_RUNTIME,
                                          NEST "/lower", NEST "/up",  NEST "/empty.d"};
    _cleanup_close_ int fd = tmpfs_new("0755", 0, err);
    if (fd < 0 || move_mount(fd, "", AT_FDCWD, NEST, MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) != 0)
        return error_errno(err, errno, "can't mount over " NEST);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (mkdir(folders[i], 0755) != 0)
            return error_errno(err, errno, "can't create %s", folders[i]);
    if (chmod(NEST "/empty.d", 0) != 0 || mknod(NEST "/empty", S_IFREG, 0) != 0)
        return error_errno(err, errno, "can't create %s", NEST "/empty");
    return true;
}

/* A descriptor belongs to the mount namespace that it was opened in, and only our own mounts can be cloned.
 */
static bool reopen_task_folder(struct error *err)
{
    char path[PATH_BYTES_MAX];
    ssize_t n = readlink("/proc/self/fd/3", path, sizeof path - 1);
    struct stat before, after;
    if (n <= 0 || fstat(SHIM_TASK_FD, &before) != 0)
        return error_errno(err, errno, "can't find the task's folder");
    path[n] = '\0';
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &after) != 0)
        return error_errno(err, errno, "can't open the task's folder %s again", path);
    if (before.st_dev != after.st_dev || before.st_ino != after.st_ino)
        return error_set(err, ERROR_CONFLICT, "%s is not the task's folder any more", path);
    if (dup3(fd, SHIM_TASK_FD, O_CLOEXEC) < 0)
        return error_errno(err, errno, "can't open the task's folder again");
    return true;
}

bool root_prepare(struct shim *s, struct error *err)
{
    struct sources src;
    umask(022);
    s->no_namespaces = true;
    if (mount_setattr(-1, "", AT_EMPTY_PATH, NULL, 0) != 0 && errno == ENOSYS)
        return error_errno(err, errno, "this kernel is too old to build roots (5.12 can)");
    if (s->rootless) {
        if (!userns_enter(s, err))
            return false;
    } else if (unshare(CLONE_NEWNS) != 0) {
        return error_errno(err, errno, "can't create a mount namespace");
    }
    s->no_namespaces = false;
    /* Mounts of the node arrive (automounts), ours never leave. */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return error_errno(err, errno, "can't make the mounts private");
    FAULT("shim.namespace_made");
    if (!reopen_task_folder(err) || !sources_open(s, &src, err))
        return false;
    bool host = spec_is_host(&s->spec);
    struct new_root r = {.fd = -1,
                         .path = NEST_ROOT,
                         .user = s->rootless ? 0 : (uid_t)s->spec.uid,
                         .group = s->rootless ? 0 : (gid_t)s->spec.gid};
    _cleanup_close_ int tree = host ? tree_clone(AT_FDCWD, "/", err) : -1;
    if (host && (tree < 0 || !tree_restrict(tree, TREE_READ_ONLY | TREE_NO_DEVICES, err)))
        return false;
    if (!make_nest(err))
        return false;
    bool ok = host ? build_host(s, &r, &src, tree, err) : root_build_image(s, &r, &src, err);
    if (ok)
        ok = root_put_covers(s, &r, err) && root_seal(&r, err);
    s->root_fd = r.fd;
    FAULT("shim.root_built");
    return ok;
}
