/*
 * The `process` runtime: the same root and namespaces without an OCI runtime. The child of one clone(2)
 * becomes init itself, with no exec on the way. On a machine that gives this user no namespaces at all, it
 * runs on the bare machine.
 */
#include "executor/shim/mount.h"
#include "executor/shim/shim.h"
#include "executor/shim/start.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define GROUPS_MAX 1024
#define LAST_CAPABILITY 63

/* Any failure between clone and init, told to the shim over the channel. */
static void __attribute__((noreturn)) die(int status_fd, const char *what)
{
    char line[200];
    snprintf(line, sizeof line, "error can't %s: %s", what, strerror(errno));
    send(status_fd, line, strlen(line), MSG_NOSIGNAL);
    _exit(125);
}

static bool mount_new(const struct new_root *r, const char *type, const char *const *options,
                      const char *path, unsigned attributes)
{
    _cleanup_close_ int fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0)
        return false;
    for (; options && *options; options += 2)
        if (fsconfig(fs, options[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, options[0], options[1], 0) !=
            0)
            return false;
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return false;
    _cleanup_close_ int fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    _cleanup_close_ int target = own_lookup(r, path, true);
    return fd >= 0 && target >= 0 &&
           move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

/* After the change of root: the kernel's own files that a task has no business with. */
static bool hide_paths(void)
{
    for (size_t i = 0; start_masked_paths[i]; i++) {
        struct stat st;
        if (stat(start_masked_paths[i], &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode) ? mount("berth", start_masked_paths[i], "tmpfs",
                                        MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k") != 0
                                : mount("/dev/null", start_masked_paths[i], NULL, MS_BIND, NULL) != 0)
            return false;
    }
    for (size_t i = 0; start_readonly_paths[i]; i++) {
        if (access(start_readonly_paths[i], F_OK) != 0)
            continue;
        _cleanup_close_ int tree = tree_clone(AT_FDCWD, start_readonly_paths[i], NULL);
        if (tree < 0 || !tree_restrict(tree, TREE_READ_ONLY, NULL) ||
            move_mount(tree, "", AT_FDCWD, start_readonly_paths[i], MOVE_MOUNT_F_EMPTY_PATH) != 0)
            return false;
    }
    return true;
}

static bool set_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int i = 0; i < 2; i++) {
        data[i].effective = data[i].permitted = (uint32_t)(keep >> (32 * i));
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, data) == 0;
}

static bool become_inside(const struct shim *s)
{
    uint64_t keep = s->image_caps ? start_image_capability_bits() : 0;
    for (int c = 0; c <= LAST_CAPABILITY; c++)
        if (!(keep >> c & 1) && prctl(PR_CAPBSET_DROP, c) != 0 && errno != EINVAL)
            return false;
    gid_t groups[GROUPS_MAX];
    size_t n = 0;
    if (!s->container_userns)
        for (; n < s->spec.groups.n && n < GROUPS_MAX; n++)
            groups[n] = (gid_t)strtoul(s->spec.groups.v[n], NULL, 10);
    /* Rootless: the kernel lets nobody drop the user's groups, and he keeps them. */
    if (!s->rootless && setgroups(n, groups) != 0)
        return false;
    return prctl(PR_SET_KEEPCAPS, 1) == 0 && setresgid(s->inside_gid, s->inside_gid, s->inside_gid) == 0 &&
           setresuid(s->inside_uid, s->inside_uid, s->inside_uid) == 0 && set_capabilities(keep);
}

static void enter_root(const struct shim *s, int status_fd)
{
    static const char *const proc_options[] = {NULL};
    bool tty_group =
        !s->rootless && !(s->container_userns && s->map.n_gids == 1 && s->map.gids[0].count == 1);
    const char *const pts_options[] = {
        "newinstance", NULL, "ptmxmode", "0666", "mode", "0620", tty_group ? "gid" : NULL, "5", NULL};
    /* Mounts that came from another user namespace are locked in place: only one made here can become the
     * root. */
    _cleanup_close_ int own = s->container_userns ? tree_clone(AT_FDCWD, NEST_ROOT, NULL) : -1;
    if (s->container_userns &&
        (own < 0 || move_mount(own, "", AT_FDCWD, NEST_ROOT, MOVE_MOUNT_F_EMPTY_PATH) != 0))
        die(status_fd, "take the root as its own");
    struct new_root r = {.fd = open(NEST_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC), .path = NEST_ROOT};
    const unsigned closed = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    if (start_cgroup_namespace(s) && unshare(CLONE_NEWCGROUP) != 0)
        die(status_fd, "create a cgroup namespace");
    if (r.fd < 0 || !mount_new(&r, "proc", proc_options, "/proc", closed | MOUNT_ATTR_NODEV))
        die(status_fd, "mount /proc");
    if (!mount_new(&r, "devpts", pts_options, "/dev/pts", closed))
        die(status_fd, "mount /dev/pts");
    if (!mount_new(&r, "mqueue", NULL, "/dev/mqueue", closed | MOUNT_ATTR_NODEV))
        die(status_fd, "mount /dev/mqueue");
    if (fchdir(r.fd) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 ||
        chdir("/") != 0)
        die(status_fd, "change the root");
    close(r.fd);
    if (!hide_paths())
        die(status_fd, "hide kernel files");
}

static void __attribute__((noreturn)) container(const struct shim *s, int go)
{
    char c;
    if (read(go, &c, 1) != 1)
        _exit(125);
    int nothing[2] = {-1, -1}; /* not the machine's own /dev/null */
    if (pipe2(nothing, O_CLOEXEC) != 0)
        _exit(125);
    bool piped = s->spec.stdin_open && !s->spec.tty;
    start_child_setup(s, (struct start_fds){.in = piped ? s->in_r : nothing[0],
                                            .out = s->spec.tty ? nothing[1] : s->out_w,
                                            .err = s->spec.tty ? nothing[1] : s->err_w,
                                            .init = {-1, s->init_status_fd, -1}});
    const int status_fd = 4;
    if (s->own_mounts) {
        /* In a user namespace this makes us root of it (or the user again), with all rights there until the
         * end. */
        if (s->container_userns && (setresgid(s->inside_gid, s->inside_gid, s->inside_gid) != 0 ||
                                    setresuid(s->inside_uid, s->inside_uid, s->inside_uid) != 0))
            die(status_fd, "take the user's id");
        enter_root(s, status_fd);
        if (!become_inside(s))
            die(status_fd, "become the user");
    } else if (!s->rootless && !become_inside(s)) {
        die(status_fd, "become the user");
    }
    if (s->spec.tty && !terminal_open(status_fd, s->spec.rows, s->spec.cols))
        die(status_fd, "open a terminal");
    struct init_options o = {.status_fd = status_fd,
                             .tty = s->spec.tty != 0,
                             .seccomp = true,
                             .landlock = true,
                             .first = getpid() == 1,
                             .processes = (int)s->spec.processes,
                             .first_rank = s->spec.first_rank,
                             .umask = (mode_t)s->spec.umask,
                             .cwd = s->spec.cwd};
    _exit(init_run(&o, (char **)s->spec.args.v, (char **)s->spec.env.v));
}

bool plain_start(struct shim *s, struct error *err)
{
    int go[2];
    if (pipe2(go, O_CLOEXEC) != 0)
        return error_errno(err, errno, "can't create a pipe");
    uint64_t flags = 0;
    if (s->own_mounts)
        flags |= CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
                 (s->container_userns ? CLONE_NEWUSER : 0);
    FAULT("shim.before_runtime");
    pid_t pid = start_clone(s, flags);
    if (pid == 0) {
        close(go[1]);
        container(s, go[0]);
    }
    close(go[0]);
    if (pid < 0) {
        close(go[1]);
        return error_errno(err, errno, "can't create the task's namespaces");
    }
    s->init_pid = pid;
    FAULT("shim.after_runtime");
    bool ok = !s->container_userns || userns_write_maps(pid, &s->map, s->rootless, err);
    if (ok && write(go[1], "g", 1) != 1)
        ok = error_errno(err, errno, "can't start the task");
    close(go[1]);
    return ok;
}
