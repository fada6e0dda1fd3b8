/*
 * What goes into a task's root from outside: what the user named, opened by the path agent, and the task's
 * own directories.
 */
#include "executor/shim/root.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GROUPS_MAX 1024

struct agent_user source_user(const struct shim *s)
{
    static gid_t groups[GROUPS_MAX];
    size_t n = s->spec.groups.n < GROUPS_MAX ? s->spec.groups.n : GROUPS_MAX;
    for (size_t i = 0; i < n; i++)
        groups[i] = (gid_t)strtoul(s->spec.groups.v[i], NULL, 10);
    return (struct agent_user){.itself = s->rootless,
                               .uid = (uid_t)s->spec.uid,
                               .gid = (gid_t)s->spec.gid,
                               .groups = groups,
                               .n_groups = n};
}

int source_own(const struct shim *s, const char *name, mode_t mode, struct error *err)
{
    if (mkdirat(SHIM_TASK_FD, name, 0700) == 0) {
        if (fchmodat(SHIM_TASK_FD, name, mode, 0) != 0)
            return error_errno(err, errno, "can't prepare %s", name), -1;
        if (!(mode & S_ISVTX) && !s->rootless &&
            fchownat(SHIM_TASK_FD, name, (uid_t)s->spec.uid, (gid_t)s->spec.gid, AT_SYMLINK_NOFOLLOW) != 0)
            return error_errno(err, errno, "can't give %s to the user", name), -1;
    } else if (errno != EEXIST) {
        return error_errno(err, errno, "can't create %s", name), -1;
    }
    _cleanup_close_ int fd = openat(SHIM_TASK_FD, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "can't open %s", name), -1;
    return tree_clone(fd, "", err);
}

/* Where it lies, links resolved; what the kernel can't name is nowhere of Berth's. */
static char *real_path(int fd)
{
    char link[64], path[PATH_BYTES_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    return n > 0 ? xasprintf("%.*s", (int)n, path) : xstrdup("");
}

static bool refused(struct shim *s, bool image, const char *path, struct error *err)
{
    snprintf(s->outcome.start_kind, sizeof s->outcome.start_kind, "%s",
             image ? "image_error" : "start_error");
    const char *name = s->spec.name ? s->spec.name : "the user";
    s->outcome.image_errno = image ? errno : 0;
    if (errno == ETIMEDOUT)
        return error_set(
            err, ERROR_TIMEOUT, "can't open %s %s as %s: its file system did not answer within %d s",
            image ? "the image directory" : "the mount source", path, name, AGENT_WAIT_MS / 1000);
    return error_errno(err, errno, "can't open %s %s as %s",
                       image ? "the image directory" : "the mount source", path, name);
}

/* A detached tree of what stands at the path; -1 with errno set, or `err`. */
static int open_tree_of(struct path_agent *agent, const char *path, struct agent_reply *reply, char **real,
                        struct error *err)
{
    _cleanup_close_ int fd = agent_open(agent, path, reply);
    if (fd < 0)
        return -1;
    if (real)
        *real = real_path(fd);
    int tree = tree_clone(fd, "", err);
    if (tree < 0)
        error_wrap(err, "%s", path);
    return tree;
}

/* Automounted directories are mounted by being looked at, and arrive in no tree that was cloned before. */
static void mount_automounts(const struct shim *s, struct path_agent *agent)
{
    const char *const paths[] = {s->spec.home, s->spec.work_target, s->spec.cwd};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char path[PATH_BYTES_MAX];
        if (!paths[i] || snprintf(path, sizeof path, "%s/.", paths[i]) >= (int)sizeof path)
            continue;
        int fd = agent_open(agent, path, NULL);
        if (fd >= 0)
            close(fd);
    }
}

/* A home at "/" would be all of the machine. */
static bool home_is_apart(const char *home)
{
    return home && *home == '/' && home[strspn(home, "/")] && !strstr(home, "/.");
}

bool sources_open(struct shim *s, struct path_agent *agent, struct sources *src, struct error *err)
{
    static struct agent_reply reply;
    const struct spec *spec = &s->spec;
    size_t n = spec->bind_sources.n;
    *src = (struct sources){
        .image = -1, .cache = -1, .home = -1, .work = -1, .code = -1, .tmp = -1, .var_tmp = -1, .sys = -1};
    src->binds = xcalloc(n + 1, sizeof *src->binds);
    src->bind_paths = xcalloc(n + 1, sizeof *src->bind_paths);
    src->placed = xcalloc(n + 1, sizeof *src->placed);
    for (size_t i = 0; i <= n; i++)
        src->placed[i] = -1;
    if (spec_is_host(spec))
        mount_automounts(s, agent);
    for (size_t i = 0; i < n; i++) {
        if (strchr(spec->bind_flags.v[i], 'b')) {
            /* not walked with the user's rights, but his to read */
            if ((src->binds[i] = tree_clone(AT_FDCWD, spec->bind_sources.v[i], err)) < 0)
                return error_wrap(err, "%s", spec->bind_targets.v[i]);
            continue;
        }
        src->binds[i] = open_tree_of(agent, spec->bind_sources.v[i], NULL, &src->bind_paths[i], err);
        bool optional = strchr(spec->bind_flags.v[i], 'o') != NULL;
        if (src->binds[i] >= 0 || (optional && (errno == ENOENT || errno == ENOTDIR || errno == EACCES)))
            continue;
        return err->code == ERROR_NONE ? refused(s, false, spec->bind_sources.v[i], err) : false;
    }
    if (!spec_is_host(spec)) {
        src->image = open_tree_of(agent, spec->image_path, &reply, NULL, err);
        if (src->image < 0)
            return err->code == ERROR_NONE ? refused(s, true, spec->image_path, err) : false;
        src->image_type = reply.fs_type;
    }
    if (spec_is_host(spec) && !spec->read_only && root_is_read_only(spec) && home_is_apart(spec->home) &&
        (src->home = open_tree_of(agent, spec->home, &reply, NULL, err)) < 0 && err->code != ERROR_NONE)
        return false;
    /* Below the service's own directory: not walked with the user's rights, but his to use. */
    if (spec->cache_dir && (src->cache = tree_clone(AT_FDCWD, spec->cache_dir, err)) < 0)
        return false;
    if (spec->work_target && (src->work = source_own(s, "work", 0755, err)) < 0)
        return false;
    if (spec->code_target && (src->code = source_own(s, "work", 0755, err)) < 0)
        return false;
    if ((src->sys = tree_clone(AT_FDCWD, "/sys", err)) < 0 ||
        (src->tmp = source_own(s, "tmp", 01777, err)) < 0 ||
        (src->var_tmp = source_own(s, "vartmp", 01777, err)) < 0)
        return false;
    return tree_restrict(src->tmp, TREE_NO_DEVICES, err) &&
           tree_restrict(src->var_tmp, TREE_NO_DEVICES, err) &&
           tree_restrict(src->sys, TREE_READ_ONLY | TREE_NO_DEVICES, err);
}
