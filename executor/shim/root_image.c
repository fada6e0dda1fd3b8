/*
 * The root of a task in a folder image: an overlay, so that the folder itself never changes, in a user
 * namespace in which root is the submitter outside. Where the kernel can't do that, less, and the outcome's
 * notes say what.
 */
#include "executor/shim/root.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <linux/magic.h>

#define ACCOUNT_FILE_BYTES_MAX (4u << 20)
#define HOST_FILE_BYTES_MAX (1u << 20)
#define LOWER NEST "/lower"
#define IMAGE_MARK ".berth-image"

static void note(struct shim *s, const char *text)
{
    size_t used = strlen(s->outcome.notes);
    snprintf(s->outcome.notes + used, sizeof s->outcome.notes - used, "%s%s", used ? "; " : "", text);
}

/* Root inside is the submitter outside, the others come from his sub-id range. A submitter who is root
 * outside lies in the range whole: nobody inside is root outside. */
static bool map_ids(struct shim *s)
{
    const struct spec *spec = &s->spec;
    if (spec->sub_uid_count <= 0 || spec->sub_gid_count <= 0)
        return false;
    uint32_t uids = (uint32_t)spec->sub_uid_count, gids = (uint32_t)spec->sub_gid_count;
    struct id_map *m = &s->map;
    *m = (struct id_map){0};
    if (spec->uid != 0)
        m->uids[m->n_uids++] = (struct id_range){0, (uint32_t)spec->uid, 1};
    m->uids[m->n_uids] = (struct id_range){(uint32_t)m->n_uids, (uint32_t)spec->sub_uid, uids};
    m->n_uids++;
    if (spec->gid != 0)
        m->gids[m->n_gids++] = (struct id_range){0, (uint32_t)spec->gid, 1};
    m->gids[m->n_gids] = (struct id_range){(uint32_t)m->n_gids, (uint32_t)spec->sub_gid, gids};
    m->n_gids++;
    return true;
}

/* root says that a folder is an image by a file of his in it: mapped ids make its files, whatever their
 * modes, the submitter's to read. /etc and /home are folders of root's too. */
static bool is_image(int tree, const struct stat *folder)
{
    struct stat st;
    return !(folder->st_mode & 022) && fstatat(tree, IMAGE_MARK, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && st.st_uid == 0;
}

/* Whoever else can write to the top of an image decides what runs in it, and what Berth finds there. */
static bool check_writers(const struct shim *s, const struct sources *src, struct error *err)
{
    struct statx stx;
    if (kind_of(src->image) != S_IFDIR)
        return error_set(err, ERROR_INVALID, "the image %s is not a directory", s->spec.image_path);
    if (!s->rootless && src->image_type == FUSE_SUPER_MAGIC)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the image %s lies on a FUSE file system: copy it to a local disk",
                         s->spec.image_path);
    if (statx(src->image, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &stx) != 0)
        return error_errno(err, errno, "can't look at the image directory");
    bool others = stx.stx_mode & S_IWOTH || (stx.stx_mode & S_IWGRP && stx.stx_gid != 0 &&
                                             stx.stx_gid != (s->rootless ? getegid() : (gid_t)s->spec.gid));
    if (others)
        return error_set(err, ERROR_DENIED,
                         "the image directory %s may be written by others (mode %04o): chmod go-w %s",
                         s->spec.image_path, stx.stx_mode & 07777u, s->spec.image_path);
    return true;
}

/* The directory's ids as the container's, where they are written as root's on the disk (as mmdebstrap leaves
 * them). One that the user unpacked himself belongs to him already. */
static bool map_lower(const struct shim *s, int tree, int userns_fd, struct error *err)
{
    struct stat st;
    if (fstat(tree, &st) != 0)
        return error_errno(err, errno, "can't look at the image directory");
    if (st.st_uid != 0)
        return true;
    if (s->spec.uid != 0 && !is_image(tree, &st))
        return error_set(err, ERROR_DENIED,
                         "the image directory is root's and has no " IMAGE_MARK " of root's in it");
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
    if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
        return error_errno(err, errno, "can't map the ids of the image directory");
    return true;
}

static bool mount_overlay(const struct shim *s, int upper, int work, struct error *err)
{
    char options[256];
    snprintf(options, sizeof options,
             "lowerdir=" LOWER ",upperdir=/proc/self/fd/%d,workdir=/proc/self/fd/%d%s", upper, work,
             s->rootless ? ",userxattr" : "");
    if (mount("berth", NEST_ROOT, "overlay", MS_NOSUID | MS_NODEV, options) != 0)
        return error_errno(err, errno, "can't mount an overlay over the image folder");
    return true;
}

/* The upper folder stands for "/" inside: it takes its mode and owner from the image's. */
static int upper_folder(int dir_fd, const char *name, uid_t uid, gid_t gid, mode_t mode)
{
    if (mkdirat(dir_fd, name, 0700) != 0 && errno != EEXIST)
        return -1;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && (fchown(fd, uid, gid) != 0 || fchmod(fd, mode) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool overlay_in(const struct shim *s, int dir_fd, const char *upper_name, const char *work_name,
                       const struct stat *lower, struct error *err)
{
    uid_t uid = lower->st_uid;
    gid_t gid = lower->st_gid;
    if (s->rootless) { /* ids that are not mapped can't be given */
        uid = 0;
        gid = 0;
    }
    _cleanup_close_ int upper = upper_folder(dir_fd, upper_name, uid, gid, (lower->st_mode & 07777) | 0755);
    _cleanup_close_ int work = upper_folder(dir_fd, work_name, 0, 0, 0700);
    if (upper < 0 || work < 0)
        return error_errno(err, errno, "can't create the overlay's folders");
    return mount_overlay(s, upper, work, err);
}

/* Overlay on the state folder's disk, else in memory, else the folder itself, read-only. */
static bool put_root(struct shim *s, struct new_root *r, int tree, bool *writable, struct error *err)
{
    if (!tree_restrict(tree, TREE_READ_ONLY | TREE_NO_DEVICES, err))
        return false;
    if (move_mount(tree, "", AT_FDCWD, LOWER, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return error_errno(err, errno, "can't put the image folder in place");
    struct stat lower;
    if (stat(LOWER, &lower) != 0)
        return error_errno(err, errno, "can't look at the image folder");
    *writable = overlay_in(s, SHIM_TASK_FD, "upper", "ovl", &lower, err);
    if (!*writable) {
        _cleanup_close_ int memory = open(NEST "/up", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *writable = memory >= 0 && overlay_in(s, memory, "upper", "ovl", &lower, err);
        if (*writable)
            note(s, "the state folder's filesystem can't hold an overlay: changes to the image are kept in "
                    "memory");
    }
    if (!*writable) {
        if (mount(LOWER, NEST_ROOT, NULL, MS_BIND | MS_REC, NULL) != 0)
            return error_errno(err, errno, "can't bind the image folder");
        note(s, "no overlay can be mounted here: the image is read-only");
    }
    r->fd = open(NEST_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r->fd < 0)
        return error_errno(err, errno, "can't open the new root");
    s->root_writable = *writable;
    return true;
}

/* A file of the task's own, as root inside may change it, over the image's. What the image doesn't let anyone
 * create stays as the image has it. */
static bool put_file(struct new_root *r, const char *path, const void *bytes, size_t n, struct error *err)
{
    char own[64];
    snprintf(own, sizeof own, NEST_FILES "/%s", strrchr(path, '/') + 1);
    _cleanup_close_ int fd = open(own, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || !fs_write_all(fd, bytes, n) ||
        ((r->owner || r->owner_group) && fchown(fd, r->owner, r->owner_group) != 0))
        return error_errno(err, errno, "can't write %s", own);
    _cleanup_close_ int tree = tree_clone(fd, "", err);
    if (tree < 0 || !tree_restrict(tree, TREE_NO_DEVICES, err))
        return false;
    static struct agent_reply reply;
    int stuck = -1;
    _cleanup_close_ int target = agent_make(r->agent, r->fd, path, AGENT_REPLACE_LINK, &reply, &stuck);
    if (stuck >= 0)
        close(stuck);
    char real[AGENT_PATH_BYTES_MAX];
    if (target < 0 || kind_of(target) != S_IFREG || !root_path_of(r, target, real, sizeof real) ||
        strncmp(real, "/etc/", 5) != 0)
        return true;
    return root_put_at(take_fd(&tree), target, path, err);
}

/* The image's own resolv.conf knows nothing of this network. */
static bool take_host_file(struct new_root *r, const char *path, struct error *err)
{
    _cleanup_buf_ struct buf b = {0};
    return !fs_read_file(AT_FDCWD, path, HOST_FILE_BYTES_MAX, &b, NULL) ||
           put_file(r, path, b.data ? b.data : "", b.len, err);
}

/* Adds a line for the user's id to a file such as /etc/passwd of the image, unless one is there. */
static bool add_account(struct new_root *r, const char *path, int64_t id, const char *line, struct error *err)
{
    _cleanup_buf_ struct buf b = {0};
    _cleanup_close_ int fd = agent_read(r->agent, r->fd, path, ACCOUNT_FILE_BYTES_MAX);
    if (fd < 0 && errno != ENOENT)
        return error_errno(err, errno, "can't read the image's %s", path);
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    if (fd >= 0 && !fs_read_file(AT_FDCWD, proc, ACCOUNT_FILE_BYTES_MAX, &b, err))
        return false;
    char wanted[32];
    snprintf(wanted, sizeof wanted, ":%" PRId64 ":", id);
    for (const char *p = b.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        const char *end = p + strcspn(p, "\n"), *first = memchr(p, ':', (size_t)(end - p));
        const char *second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;
        if (second && strncmp(second, wanted, strlen(wanted)) == 0)
            return true;
    }
    if (b.data && b.len && b.data[b.len - 1] != '\n')
        buf_add_char(&b, '\n');
    buf_add_str(&b, line);
    return put_file(r, path, b.data, b.len, err);
}

static bool plain_user(struct shim *s, struct new_root *r, struct error *err)
{
    const struct spec *spec = &s->spec;
    char user[512], group[512];
    const char *name = spec->name ? spec->name : "user", *home = spec->home ? spec->home : "/tmp";
    snprintf(user, sizeof user, "%s:x:%" PRId64 ":%" PRId64 "::%s:/bin/sh\n", name, spec->uid, spec->gid,
             home);
    snprintf(group, sizeof group, "%s:x:%" PRId64 ":\n", name, spec->gid);
    s->inside_uid = (uint32_t)spec->uid;
    s->inside_gid = (uint32_t)spec->gid;
    s->image_caps = false;
    if (!add_account(r, "/etc/passwd", spec->uid, user, err) ||
        !add_account(r, "/etc/group", spec->gid, group, err))
        return false;
    _cleanup_close_ int there = agent_find(r->agent, r->fd, home, 0, NULL);
    if (there >= 0)
        return true;
    _cleanup_close_ int own = source_own(s, "home", 0700, err);
    return own >= 0 && tree_restrict(own, TREE_NO_DEVICES, err) && root_put(r, take_fd(&own), home, err);
}

/* Who root inside is outside creates what the root lacks. */
static bool become_root_inside(const struct shim *s, struct new_root *r, struct error *err)
{
    if (s->rootless || (r->owner == (uid_t)s->spec.uid && r->owner_group == (gid_t)s->spec.gid) || !r->owner)
        return true;
    struct agent_user root_inside = {.uid = r->owner, .gid = r->owner_group};
    agent_stop(r->agent);
    return agent_start(r->agent, &root_inside, err);
}

bool root_build_image(struct shim *s, struct new_root *r, struct sources *src, struct error *err)
{
    snprintf(s->outcome.start_kind, sizeof s->outcome.start_kind, "image_error");
    if (!check_writers(s, src, err))
        return false;
    _cleanup_close_ int userns = -1;
    bool plain = false;
    s->image_caps = true;
    if (!s->rootless) {
        struct error why = {0};
        s->container_userns = map_ids(s) && (userns = userns_of_map(&s->map, &why)) >= 0 &&
                              map_lower(s, src->image, userns, &why);
        plain = !s->container_userns;
        if (plain) {
            char text[sizeof why.message + 80];
            snprintf(text, sizeof text, "the task runs as the plain user, not as root inside (%s)",
                     why.message);
            note(s, text);
        } else {
            r->owner = (uid_t)s->map.uids[0].outside;
            r->owner_group = (gid_t)s->map.gids[0].outside;
        }
    }
    bool writable = false;
    if (!put_root(s, r, src->image, &writable, err) || !become_root_inside(s, r, err))
        return false;
    if (plain && !plain_user(s, r, err))
        return false;
    static const char *const copies[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"};
    for (size_t i = 0; writable && i < sizeof copies / sizeof *copies; i++)
        if (!take_host_file(r, copies[i], err))
            return false;
    s->outcome.start_kind[0] = '\0'; /* what follows is not the image's fault */
    /* Files that a root user's task writes in his own directories are his outside, not the range's. */
    int idmap_fd = s->container_userns && s->spec.uid == 0 ? userns : -1;
    if (!root_put(r, take_fd(&src->tmp), "/tmp", err) ||
        !root_put(r, take_fd(&src->var_tmp), "/var/tmp", err) || !root_put_driver(s, r, err) ||
        !root_put_user(s, r, src, idmap_fd, err) || !root_put_machine(s, r, src, err) ||
        !root_put_own(s, r, src, idmap_fd, err))
        return false;
    return true;
}
