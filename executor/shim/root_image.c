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

#define ACCOUNT_FILE_BYTES_MAX (4u << 20)
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

/* The folder's ids as the container's, where they are written as root's on the disk (as mmdebstrap leaves
 * them). A folder that the user unpacked himself belongs to him already. */
static bool map_lower(const struct shim *s, int tree, int userns_fd, struct error *err)
{
    struct stat st;
    if (fstat(tree, &st) != 0)
        return error_errno(err, errno, "can't look at the image folder");
    if (st.st_uid != 0)
        return true;
    if (s->spec.uid != 0 && !is_image(tree, &st))
        return error_set(err, ERROR_DENIED,
                         "the image folder is root's and has no " IMAGE_MARK " of root's in it");
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns_fd};
    if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0)
        return error_errno(err, errno, "can't map the ids of the image folder");
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
    if (*writable)
        root_own(r, r->fd);
    return true;
}

/* A copy of a file of the host's: the image's own resolv.conf knows nothing of this network. Where the
 * image's folder belongs to ids that aren't ours, the host's file is mounted over the image's. */
static bool take_host_file(struct new_root *r, const char *path, struct error *err)
{
    _cleanup_buf_ struct buf b = {0};
    if (!fs_read_file(AT_FDCWD, path, 1 << 20, &b, NULL) || root_write(r, path, b.data, b.len, 0644, NULL))
        return true;
    _cleanup_close_ int there = root_lookup(r, path, true);
    if (there < 0)
        return true; /* nor does the image have one */
    int tree = tree_clone(AT_FDCWD, path, err);
    return tree >= 0 && tree_restrict(tree, TREE_READ_ONLY | TREE_NO_DEVICES, err) &&
           root_put(r, tree, path, err);
}

/* Adds a line for the user's id to a file such as /etc/passwd of the image, unless one is there. */
static bool add_account(struct new_root *r, const char *path, int64_t id, const char *line, struct error *err)
{
    _cleanup_buf_ struct buf b = {0};
    _cleanup_close_ int fd = root_lookup(r, path, true);
    if (fd >= 0) {
        char proc[64];
        snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
        if (!fs_read_file(AT_FDCWD, proc, ACCOUNT_FILE_BYTES_MAX, &b, err))
            return false;
    }
    char wanted[32];
    snprintf(wanted, sizeof wanted, ":%" PRId64 ":", id);
    for (const char *p = b.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        const char *first = strchr(p, ':'), *second = first ? strchr(first + 1, ':') : NULL;
        if (second && strncmp(second, wanted, strlen(wanted)) == 0)
            return true;
    }
    if (b.data && b.len && b.data[b.len - 1] != '\n')
        buf_add_char(&b, '\n');
    buf_add_str(&b, line);
    return root_write(r, path, b.data, b.len, 0644, err);
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
    uid_t owner = r->owner;
    gid_t owner_group = r->owner_group;
    r->owner = (uid_t)spec->uid;
    r->owner_group = (gid_t)spec->gid;
    _cleanup_close_ int fd = root_make(r, home, true, err);
    r->owner = owner;
    r->owner_group = owner_group;
    return fd >= 0;
}

bool root_build_image(struct shim *s, struct new_root *r, struct sources *src, struct error *err)
{
    snprintf(s->outcome.start_kind, sizeof s->outcome.start_kind, "image_error");
    struct stat st;
    if (fstat(src->image, &st) != 0 || !S_ISDIR(st.st_mode))
        return error_set(err, ERROR_INVALID, "the image %s is not a folder", s->spec.image_path);
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
    if (!put_root(s, r, src->image, &writable, err))
        return false;
    if (plain && !plain_user(s, r, err))
        return false;
    static const char *const copies[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/hostname"};
    for (size_t i = 0; writable && i < sizeof copies / sizeof *copies; i++)
        if (!take_host_file(r, copies[i], err))
            return false;
    _cleanup_close_ int proc = root_make(r, "/proc", true, err);
    int sys = proc < 0 ? -1 : tree_clone(AT_FDCWD, "/sys", err);
    if (sys < 0 || !tree_restrict(sys, TREE_READ_ONLY | TREE_NO_DEVICES, err) ||
        !root_put(r, sys, "/sys", err) || !root_put(r, src->tmp, "/tmp", err) ||
        !root_put(r, src->var_tmp, "/var/tmp", err) || !root_put_dev(s, r, err) ||
        !root_put_driver(s, r, err))
        return false;
    /* Files that a root user's task writes in his own folders are his outside, not the range's. */
    if (!root_put_work(s, r, src, s->container_userns && s->spec.uid == 0 ? userns : -1, err))
        return false;
    s->outcome.start_kind[0] = '\0';
    return true;
}
