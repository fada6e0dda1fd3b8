/* From attempt to attempt. What is read lies in directories of the executor's own; what is written to is a
 * working directory that no process of the user's can reach yet. */
#include "executor/kept.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "executor/beneath.h"
#include "executor/ignored.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* The outputs directory of another attempt of the same task; -1: there is none. */
static int open_attempt(const struct order *order, uint32_t attempt)
{
    const char *slash = strrchr(order->outputs_path, '/');
    _cleanup_free_ char *path = xasprintf("%.*s/%u.%u", (int)(slash - order->outputs_path),
                                          order->outputs_path, attempt, order->id.rank);
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool give(int fd, const struct user *user)
{
    return geteuid() != 0 || fchown(fd, user->uid, user->gid) == 0;
}

/* The directories that a kept file lies in, as the attempt before had them. */
static bool make_parents(int work_fd, int kept_fd, const char *path, const struct user *user)
{
    char part[BENEATH_PATH_MAX + 1];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part; (slash = strchr(slash, '/')); slash++) {
        const char *name;
        struct stat st;
        *slash = '\0';
        _cleanup_close_ int above = beneath_open_parent(work_fd, part, false, 0, &name);
        if (above < 0)
            return false;
        if (mkdirat(above, name, 0700) == 0) {
            _cleanup_close_ int made = beneath_openat(above, name, O_RDONLY | O_DIRECTORY, 0, false);
            _cleanup_close_ int was = beneath_openat(kept_fd, part, O_RDONLY | O_DIRECTORY, 0, false);
            mode_t mode = was >= 0 && fstat(was, &st) == 0 ? st.st_mode & 0777 : 0755;
            if (made < 0 || !give(made, user) || fchmod(made, mode) != 0)
                return false;
        } else if (errno != EEXIST) {
            return false;
        }
        *slash = '/';
    }
    return true;
}

static bool put_file(int from, const struct kept_file *file, const struct ignored_parent *parent,
                     const struct user *user, struct error *err)
{
    _cleanup_close_ int to =
        openat(parent->fd, parent->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct timespec times[2] = {
        {.tv_nsec = UTIME_NOW},
        {.tv_sec = file->mtime_ns / 1000000000, .tv_nsec = file->mtime_ns % 1000000000}};
    if (times[1].tv_nsec < 0) {
        times[1].tv_sec--;
        times[1].tv_nsec += 1000000000;
    }
    if (to >= 0 && !fs_copy_fd(from, to, err))
        return false;
    if (to < 0 || !give(to, user) || fchmod(to, (mode_t)file->mode) != 0 || futimens(to, times) != 0)
        return error_errno(err, errno, "can't write");
    return true;
}

static bool put_link(const struct kept_file *file, const struct ignored_parent *parent,
                     const struct user *user, struct error *err)
{
    if (symlinkat(file->target, parent->fd, parent->name) != 0 ||
        (geteuid() == 0 &&
         fchownat(parent->fd, parent->name, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) != 0))
        return error_errno(err, errno, "can't write");
    return true;
}

/* false with err. What is no longer there, or not as the list says, is left out. */
static bool put(int kept_fd, int work_fd, const struct kept_file *file, const struct user *user, bool *there,
                struct error *err)
{
    struct ignored_parent parent;
    _cleanup_close_ int from = -1;
    *there = false;
    if (file->kind == KEPT_FILE) {
        struct stat st;
        from = beneath_openat(kept_fd, file->path, O_RDONLY | O_NONBLOCK, 0, false);
        if (from < 0 || fstat(from, &st) != 0 || !S_ISREG(st.st_mode))
            return true;
    }
    if (!make_parents(work_fd, kept_fd, file->path, user) ||
        !ignored_hold_parent(work_fd, file->path, &parent))
        return error_errno(err, errno, "can't make its directory");
    bool ok = file->kind == KEPT_FILE ? put_file(from, file, &parent, user, err)
                                      : put_link(file, &parent, user, err);
    ignored_drop_parent(&parent);
    *there = ok;
    return ok;
}

/* Reads the list of that directory of outputs, which it takes. *found, *kept_fd: its work/, or -1. */
static bool read_left(int fd_taken, struct kept_files *list, bool *found, int *kept_fd, struct error *err)
{
    _cleanup_close_ int fd = fd_taken;
    *found = false;
    if (fd >= 0 && !kept_read(fd, list, found, err))
        return false;
    if (*found)
        *kept_fd = openat(fd, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return true;
}

/* The newest attempt of a rank that has a list, in the directory of the job that is continued; 0: none has.
 */
static uint32_t newest_list(int job, uint32_t rank)
{
    uint32_t newest = 0;
    int list_fd = openat(job, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        uint64_t attempt, of;
        const char *rest = e->d_name;
        _cleanup_free_ char *path = xasprintf("%s/" KEPT_LIST, e->d_name);
        if (ids_take_decimal(&rest, UINT32_MAX, &attempt) && *rest++ == '.' &&
            ids_take_decimal(&rest, UINT32_MAX, &of) && !*rest && of == rank && attempt > newest &&
            faccessat(job, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            newest = (uint32_t)attempt;
    }
    return newest;
}

/* Of the job that this one continues: the same rank's, else the first one's. */
static int open_continued(const struct order *order)
{
    _cleanup_close_ int job =
        order->continue_path ? open(order->continue_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                             : -1;
    if (job < 0)
        return -1;
    char name[24];
    uint32_t rank = order->id.rank, attempt = newest_list(job, rank);
    if (!attempt && rank)
        attempt = newest_list(job, rank = 0);
    snprintf(name, sizeof name, "%u.%u", attempt, rank);
    return attempt ? openat(job, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
}

bool kept_carry(const struct order *order, int work_fd, const struct user *user, struct kept_files *files,
                uint32_t *attempt, struct error *err)
{
    _cleanup_kept_ struct kept_files list = {0};
    _cleanup_close_ int kept_fd = -1;
    bool found = false;
    *attempt = 0;
    for (uint32_t a = order->id.attempt; !found && a-- > 1;) {
        if (!read_left(open_attempt(order, a), &list, &found, &kept_fd, err))
            return false;
        *attempt = found ? a : 0;
    }
    if (!found && !read_left(open_continued(order), &list, &found, &kept_fd, err))
        return false;
    for (size_t i = 0; i < list.count; i++) {
        const struct kept_file *file = &list.items[i];
        bool removed = file->how == KEPT_REMOVED, there = removed;
        if (!removed && kept_fd >= 0 && !put(kept_fd, work_fd, file, user, &there, err))
            return *attempt ? error_wrap(err, "what attempt %u left of %.512s", *attempt, file->path)
                            : error_wrap(err, "what job %s left of %.512s", order->continues, file->path);
        FAULT("executor.kept_carried");
        if (!there)
            continue;
        struct kept_file *added = kept_add(files, file->path, file->kind, file->how);
        added->target = file->target ? xstrdup(file->target) : NULL;
        added->mode = file->mode;
        added->size = file->size;
        added->mtime_ns = file->mtime_ns;
    }
    return true;
}

/* The file, and the directories that are empty without it. */
static void remove_kept(int kept_fd, const char *path)
{
    char part[BENEATH_PATH_MAX + 1];
    const char *name;
    snprintf(part, sizeof part, "%s", path);
    for (int flags = 0;; flags = AT_REMOVEDIR) {
        _cleanup_close_ int parent = beneath_open_parent(kept_fd, part, false, 0, &name);
        if (parent < 0 || unlinkat(parent, name, flags) != 0)
            return;
        char *slash = strrchr(part, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

void kept_forget_earlier(const struct order *order)
{
    for (uint32_t a = order->id.attempt; a-- > 1;) {
        _cleanup_kept_ struct kept_files list = {0};
        struct error err = {0};
        bool found;
        _cleanup_close_ int fd = open_attempt(order, a);
        if (fd < 0)
            continue;
        if (!kept_read(fd, &list, &found, &err)) {
            log_warn("%s: attempt %u: %s", order->task, a, err.message);
            continue;
        }
        _cleanup_close_ int kept_fd = openat(fd, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        for (size_t i = 0; kept_fd >= 0 && i < list.count; i++)
            if (list.items[i].how != KEPT_REMOVED)
                remove_kept(kept_fd, list.items[i].path);
        if (!found)
            continue;
        unlinkat(fd, KEPT_LIST, 0);
        unlinkat(fd, "work", AT_REMOVEDIR);
        const char *slash = strrchr(order->outputs_path, '/');
        _cleanup_free_ char *path = xasprintf("%.*s/%u.%u", (int)(slash - order->outputs_path),
                                              order->outputs_path, a, order->id.rank);
        rmdir(path); /* where nothing else is in it */
    }
}
