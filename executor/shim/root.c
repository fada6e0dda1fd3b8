/*
 * The root of a task, built in the shim's own mount namespace, so that it is gone with the last process.
 * Order: the root itself, /tmp and /var/tmp, what the user named, and over all of it Berth's own /dev, /proc,
 * /sys and /run. Nothing a user can change lies above or below those, so what comes after (the OCI runtime,
 * or plain.c) meets a finished root.
 */
#include "executor/shim/life.h"
#include "executor/shim/root.h"

#include "base/cleanup.h"
#include "base/fault.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

static bool build_host(struct shim *s, struct new_root *r, struct sources *src, int tree, struct error *err)
{
    if (move_mount(tree, "", AT_FDCWD, NEST_ROOT, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't put the host's root in place");
    r->fd = open(NEST_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0)
        return error_errno(err, errno, "can't open the new root");
    if (!root_put(r, take_fd(&src->tmp), "/tmp", err) ||
        !root_put(r, take_fd(&src->var_tmp), "/var/tmp", err) || !root_put_home(s, r, src, err) ||
        !root_put_user(s, r, src, -1, err) || !root_put_machine(s, r, src, err) ||
        !root_put_own(s, r, src, -1, err) || !root_cover_sockets(s, r, err))
        return false;
    s->root_writable = !root_is_read_only(&s->spec);
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
    static const char *const folders[] = {NEST_ROOT,  NEST_BUNDLE,     NEST_RUNTIME, NEST "/lower",
                                          NEST "/up", NEST "/empty.d", NEST_FILES};
    _cleanup_close_ int fd = tmpfs_new("0755", 0, false, err);
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
static bool reopen_task_directory(struct error *err)
{
    char path[PATH_BYTES_MAX];
    ssize_t n = readlink("/proc/self/fd/3", path, sizeof path - 1);
    struct stat before, after;
    if (n <= 0 || fstat(SHIM_TASK_FD, &before) != 0)
        return error_errno(err, errno, "can't find the task's directory");
    path[n] = '\0';
    _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &after) != 0)
        return error_errno(err, errno, "can't open the task's directory %s again", path);
    if (before.st_dev != after.st_dev || before.st_ino != after.st_ino)
        return error_set(err, ERROR_CONFLICT, "%s is not the task's directory any more", path);
    if (dup3(fd, SHIM_TASK_FD, O_CLOEXEC) < 0)
        return error_errno(err, errno, "can't open the task's directory again");
    return true;
}

/* Every mount of the node's is ours alone from here on: none that is made there later arrives. */
static bool enter_namespace(struct shim *s, struct error *err)
{
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
    /* An automount that the path agent asks for must still arrive in this namespace; the task's is made of
     * private copies (tree_restrict). */
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return error_errno(err, errno, "can't make the mounts private");
    FAULT("shim.namespace_made");
    return true;
}

static bool build(struct shim *s, struct new_root *r, struct sources *src, struct error *err)
{
    bool host = spec_is_host(&s->spec);
    if (!sources_open(s, r->agent, src, err))
        return false;
    _cleanup_close_ int tree = host ? tree_clone(AT_FDCWD, "/", err) : -1;
    unsigned flags = TREE_NO_DEVICES | (root_is_read_only(&s->spec) ? TREE_READ_ONLY : 0u);
    if (host && (tree < 0 || !tree_restrict(tree, flags, err)))
        return false;
    if (!make_nest(err))
        return false;
    return (host ? build_host(s, r, src, tree, err) : root_build_image(s, r, src, err)) &&
           root_put_covers(s, r, src, err) && root_seal(r, err);
}

bool root_prepare(struct shim *s, struct error *err)
{
    struct sources src;
    struct path_agent agent = {.fd = -1, .go_on = life_go_on, .data = s};
    _cleanup_close_ int diag_fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct new_root r = {.fd = -1, .path = NEST_ROOT, .agent = &agent, .diag_fd = diag_fd};
    umask(022);
    if (!enter_namespace(s, err) || !reopen_task_directory(err))
        return false;
    struct agent_user user = source_user(s);
    bool ok = agent_start(&agent, &user, err) && build(s, &r, &src, err);
    agent_stop(&agent);
    s->root_fd = r.fd;
    FAULT("shim.root_built");
    return ok;
}
