/*
 * What a task's root has of the user: the working directory, the mounts that he named, his cache. The targets
 * are found and made by the path agent, and none of them may stand where Berth or the machine is.
 */
#include "executor/shim/root.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Where Berth places something of its own in a tree of its own. */
#define OWN_PLACE "/run/berth/"

bool path_is_below(const char *path, const char *directory)
{
    size_t n = strlen(directory);
    return strncmp(path, directory, n) == 0 &&
           (path[n] == '\0' || path[n] == '/' || (n && directory[n - 1] == '/'));
}

static bool is_own_place(const char *target)
{
    return strncmp(target, OWN_PLACE, strlen(OWN_PLACE)) == 0 && !strstr(target, "/..");
}

/* NULL: it may be mounted there; else why not. */
static const char *forbidden(const struct spec *spec, const char *path)
{
    static const char *const of_the_machine[] = {"/dev", "/proc", "/sys", "/run"};
    if (strcmp(path, "/") == 0)
        return "it is the root of the task";
    for (size_t i = 0; i < sizeof of_the_machine / sizeof *of_the_machine; i++)
        if (path_is_below(path, of_the_machine[i]))
            return "nothing may be mounted at or below /dev, /proc, /sys and /run";
    for (size_t i = 0; i < spec->covers.n; i++)
        if (path_is_below(path, spec->covers.v[i]) || path_is_below(spec->covers.v[i], path))
            return "Berth's own files are there";
    return NULL;
}

/* Gives a tree's ids another meaning (mount_setattr(2), MOUNT_ATTR_IDMAP). */
static bool idmap(int tree, int userns_fd, struct error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
        return error_errno(err, errno, "can't map the ids of a mount");
    return true;
}

/* Closes the tree in any case. */
static bool put_at_target(struct shim *s, struct new_root *r, int tree_fd, const char *target,
                          struct error *err)
{
    _cleanup_close_ int tree = tree_fd;
    char real[AGENT_PATH_BYTES_MAX];
    const char *why = forbidden(&s->spec, target); /* before anything is made */
    if (why)
        return error_set(err, ERROR_DENIED, "can't mount at %s: %s", target, why);
    _cleanup_close_ int fd = root_make(r, target, kind_of(tree) == S_IFDIR ? AGENT_DIRECTORY : 0, err);
    if (fd < 0)
        return false;
    if (!root_path_of(r, fd, real, sizeof real))
        return error_set(err, ERROR_DENIED, "can't mount at %s: where it leads can't be named", target);
    why = forbidden(&s->spec, real);
    if (why)
        return error_set(err, ERROR_DENIED, "can't mount at %s, which is %s: %s", target, real, why);
    return root_put_at(take_fd(&tree), fd, target, err);
}

/* Takes the tree over and closes it in any case. */
static bool put_directory(struct shim *s, struct new_root *r, int *tree, const char *target, int idmap_fd,
                          bool own, struct error *err)
{
    if (*tree < 0 || !target || is_own_place(target) != own)
        return true;
    _cleanup_close_ int fd = take_fd(tree);
    return tree_restrict(fd, TREE_NO_DEVICES, err) && (idmap_fd < 0 || idmap(fd, idmap_fd, err)) &&
           (own ? root_put(r, take_fd(&fd), target, err) : put_at_target(s, r, take_fd(&fd), target, err));
}

/* With `own` those that Berth itself places in its own directory, without it the others. */
static bool put_bind(struct shim *s, struct new_root *r, struct sources *src, size_t i, int idmap_fd,
                     bool own, struct error *err)
{
    const struct spec *spec = &s->spec;
    const char *target = spec->bind_targets.v[i];
    bool live_file = strchr(spec->bind_flags.v[i], 'l') != NULL;
    if (src->binds[i] < 0 || strchr(spec->bind_flags.v[i], 'b') || (live_file && is_own_place(target)) != own)
        return true;
    _cleanup_close_ int tree = take_fd(&src->binds[i]);
    bool rw = strchr(spec->bind_flags.v[i], 'w') != NULL;
    bool berths = path_is_below(src->bind_paths[i], BERTH_RUN_DIR);
    for (size_t k = 0; k < spec->covers.n; k++)
        berths = berths || path_is_below(src->bind_paths[i], spec->covers.v[k]);
    if (berths)
        return error_set(err, ERROR_DENIED, "can't mount %s: Berth's own files are there",
                         spec->bind_sources.v[i]);
    if (!tree_restrict(tree, TREE_NO_DEVICES | (rw ? 0 : TREE_READ_ONLY), err))
        return false;
    /* A mount whose file system can't map ids still serves for reading. */
    if (idmap_fd >= 0 && !idmap(tree, idmap_fd, rw ? err : NULL) && rw)
        return error_wrap(err, "%s", spec->bind_sources.v[i]);
    src->placed[i] = fcntl(tree, F_DUPFD_CLOEXEC, 0);
    return (own ? root_put(r, take_fd(&tree), target, err)
                : put_at_target(s, r, take_fd(&tree), target, err)) ||
           error_wrap(err, "the mount of %s", spec->bind_sources.v[i]);
}

/* Another job's outputs: Berth's own tree, for reading. */
static bool put_own_binds(struct shim *s, struct new_root *r, struct sources *src, int idmap_fd, bool own,
                          struct error *err)
{
    const struct spec *spec = &s->spec;
    for (size_t i = 0; i < spec->bind_sources.n; i++) {
        if (!strchr(spec->bind_flags.v[i], 'b'))
            continue;
        if (src->binds[i] >= 0 && !tree_restrict(src->binds[i], TREE_READ_ONLY, err))
            return false;
        if (!put_directory(s, r, &src->binds[i], spec->bind_targets.v[i], idmap_fd, own, err))
            return error_wrap(err, "the input %s", spec->bind_targets.v[i]);
    }
    return true;
}

bool root_is_read_only(const struct spec *spec)
{
    return spec->read_only || spec->uid == 0;
}

bool root_put_home(struct shim *s, struct new_root *r, struct sources *src, struct error *err)
{
    if (src->home < 0)
        return true;
    _cleanup_close_ int tree = take_fd(&src->home);
    return tree_restrict(tree, TREE_NO_DEVICES, err) &&
           (root_put(r, take_fd(&tree), s->spec.home, err) || error_wrap(err, "the home"));
}

bool root_put_user(struct shim *s, struct new_root *r, struct sources *src, int idmap_fd, struct error *err)
{
    uint64_t mount_id = s->spec.code_target && src->work >= 0 ? mount_id_of(src->work) : 0;
    if (!put_directory(s, r, &src->work, s->spec.work_target, idmap_fd, false, err))
        return error_wrap(err, "the working directory");
    code_mount_note(s, mount_id);
    for (size_t i = 0; i < s->spec.bind_sources.n; i++)
        if (!put_bind(s, r, src, i, idmap_fd, false, err))
            return false;
    if (!put_own_binds(s, r, src, idmap_fd, false, err))
        return false;
    return put_directory(s, r, &src->cache, s->spec.cache_target, idmap_fd, false, err) ||
           error_wrap(err, "the user's cache");
}

bool root_put_own(struct shim *s, struct new_root *r, struct sources *src, int idmap_fd, struct error *err)
{
    for (size_t i = 0; i < s->spec.bind_sources.n; i++)
        if (!put_bind(s, r, src, i, idmap_fd, true, err))
            return false;
    return (put_directory(s, r, &src->work, s->spec.work_target, idmap_fd, true, err) ||
            error_wrap(err, "the working directory")) &&
           put_own_binds(s, r, src, idmap_fd, true, err) &&
           (put_directory(s, r, &src->code, s->spec.code_target, idmap_fd, true, err) ||
            error_wrap(err, "the second mount of the working directory")) &&
           (put_directory(s, r, &src->cache, s->spec.cache_target, idmap_fd, true, err) ||
            error_wrap(err, "the user's cache"));
}
