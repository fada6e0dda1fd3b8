/*
 * The probe of what this node can enforce. What can only be known by trying is tried, in a child that is gone
 * before the answer is read: namespaces, an overlay, whether an OCI runtime runs at all.
 */
#include "executor/isolation.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "executor/subids.h"

#include <fcntl.h>
#include <pwd.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LANDLOCK_ABI_SCOPES 6 /* kernel 6.12 */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#endif

static void missing(struct isolation *iso, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void missing(struct isolation *iso, const char *fmt, ...)
{
    if (iso->n_missing == ISOLATION_MISSING_MAX)
        return;
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is above
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    iso->missing[iso->n_missing++] = xstrdup(text);
}

/* The program of that name along a fixed PATH: never from a folder that a user may have put first. */
static char *find_program(const char *name)
{
    static const char *const folders[] = {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                          "/usr/bin",        "/sbin",          "/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char *path = xasprintf("%s/%s", folders[i], name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return NULL;
}

/* Runs `try` in a child and tells whether it returned 0. */
static bool in_child(int (*try)(void *data), void *data)
{
    pid_t child = fork();
    if (child == 0)
        _exit(try(data));
    int status = 1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && status == 0;
}

static int write_text(const char *path, const char *text)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : 1;
}

static int try_userns(void *data)
{
    (void)data;
    char users[64], groups[64];
    snprintf(users, sizeof users, "0 %u 1\n", (unsigned)geteuid());
    snprintf(groups, sizeof groups, "0 %u 1\n", (unsigned)getegid());
    /* The group as well: without it nothing can be created on a filesystem mounted there (EOVERFLOW). */
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/uid_map", users) == 0 &&
                   write_text("/proc/self/setgroups", "deny") == 0 &&
                   write_text("/proc/self/gid_map", groups) == 0
               ? 0
               : 1;
}

/* An overlay in memory, in namespaces of the child's own. */
static int try_overlay(void *data)
{
    bool root = *(bool *)data;
    if (root ? unshare(CLONE_NEWNS) != 0 : try_userns(NULL) != 0)
        return 1;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("berth", "/tmp", "tmpfs", 0, "size=1m") != 0)
        return 1;
    if (mkdir("/tmp/l", 0755) != 0 || mkdir("/tmp/u", 0755) != 0 || mkdir("/tmp/w", 0755) != 0 ||
        mkdir("/tmp/m", 0755) != 0)
        return 1;
    return mount("berth", "/tmp/m", "overlay", 0,
                 root ? "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w"
                      : "lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w,userxattr") == 0
               ? 0
               : 1;
}

/* A private copy of the whole tree, made read-only at once: what every task's root begins with. */
static int try_mounts(void *data)
{
    if (*(bool *)data ? unshare(CLONE_NEWNS) != 0 : try_userns(NULL) != 0)
        return 1;
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_SLAVE};
    int tree = mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0
                   ? open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE)
                   : -1;
    return tree >= 0 && mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) == 0 ? 0
                                                                                                       : 1;
}

static bool has_kill_file(const struct cgroup_tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        char path[CGROUP_PATH_MAX + 32];
        snprintf(path, sizeof path, "%s/cgroup.kill", t->h[i].base);
        if (t->h[i].v2 && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static void say_missing(struct isolation *iso, bool root, bool mounts)
{
    const char *why = iso->cgroups.why[0] ? iso->cgroups.why : "the controller is not there";
    const char *way = root ? "boot with cgroup v2, or mount the cgroup filesystem writable"
                           : "start Berth by `systemd-run --user --scope -p Delegate=yes berth up`, or let "
                             "an administrator run the service";
    if (!iso->cpu)
        missing(iso, "cores are bound softly, a task may leave them (%s): %s", why, way);
    if (!iso->memory)
        missing(iso, "memory is not limited (%s): %s", why, way);
    if (!iso->pids)
        missing(iso, "the number of processes is not limited (%s): %s", why, way);
    if (!iso->freeze)
        missing(iso, "tasks are paused by SIGSTOP, which a task can notice (%s): %s", why, way);
    if (!iso->users)
        missing(iso,
                "only %s's own jobs run here: an administrator can run the service for all (systemctl enable "
                "--now berth)",
                getenv("USER") ? getenv("USER") : "this user");
    if (!iso->userns)
        missing(iso, "user namespaces can't be created: image folders run as the plain user (sysctl "
                     "user.max_user_namespaces, "
                     "kernel.unprivileged_userns_clone)");
    if (!iso->overlay)
        missing(iso, "overlays can't be mounted: image folders are read-only (needs kernel 5.11 or root)");
    if (!mounts)
        missing(iso, "roots can't be built (needs kernel 5.12 and the right to create mount namespaces): "
                     "only `runtime: process` runs, on the bare machine");
    if (!iso->landlock_scope)
        missing(iso, "abstract Unix sockets of the node can be reached (Landlock scopes need kernel 6.12)");
    if (!root) {
        struct subids ids;
        const struct passwd *user = getpwuid(geteuid()); /* $USER may be unset or somebody else's */
        subids_find(user ? user->pw_name : NULL, geteuid(), false, &ids);
        char *helper = find_program("newuidmap");
        if (!ids.uid_count || !helper)
            missing(iso, "image folders have one id inside: apt-get install uidmap, and a line for the user "
                         "in /etc/subuid and /etc/subgid");
        free(helper);
    }
}

bool isolation_probe(struct isolation *iso, const char *tag, struct error *err)
{
    memset(iso, 0, sizeof *iso);
    bool root = geteuid() == 0;
    cgroup_tree_setup(&iso->cgroups, tag);
    iso->cpu = iso->cgroups.controllers & CGROUP_CPUSET;
    iso->memory = iso->cgroups.controllers & CGROUP_MEMORY;
    iso->pids = iso->cgroups.controllers & CGROUP_PIDS;
    iso->freeze = iso->cgroups.controllers & CGROUP_FREEZER;
    iso->cgroup_kill = has_kill_file(&iso->cgroups);
    iso->users = root;
    iso->userns = in_child(try_userns, NULL);
    iso->overlay = in_child(try_overlay, &root);
    bool mounts = in_child(try_mounts, &root);
    iso->devices = mounts; /* a /dev with the leased ones only, nodev on everything else */
    iso->landlock_scope = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u) >= LANDLOCK_ABI_SCOPES;
    iso->runtimes = runtimes_create(mounts ? NULL : "roots can't be built here");
    say_missing(iso, root, mounts);
    (void)err;
    return true;
}

void isolation_finish(struct isolation *iso)
{
    cgroup_tree_remove(&iso->cgroups, NULL);
    for (size_t i = 0; i < iso->n_missing; i++)
        free(iso->missing[i]);
    runtimes_destroy(iso->runtimes);
    memset(iso, 0, sizeof *iso);
}

bool isolation_tag(const char *state_dir, char *out, struct error *err)
{
    struct stat st;
    if (stat(state_dir, &st) != 0)
        return error_errno(err, errno, "can't look at %s", state_dir);
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a over device and inode */
    const uint64_t parts[2] = {(uint64_t)st.st_dev, (uint64_t)st.st_ino};
    for (size_t i = 0; i < 16; i++)
        h = (h ^ (parts[i / 8] >> (i % 8 * 8) & 0xff)) * 0x100000001b3u;
    snprintf(out, 16, "b%012" PRIx64, h & 0xffffffffffffu);
    return true;
}
