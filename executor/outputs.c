/* Collection of outputs. The invariants: nothing is read but regular files that lie in the task's own tree,
 * and a file appears in the outputs folder whole (rename) or not at all. */
#include "executor/outputs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "executor/beneath.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEPT "outputs"
#define APART "work"
#define PARTIAL ".berth-partial"

struct collection {
    const struct outputs_request *request;
    struct outputs_report *report;
    int kept_fd, apart_fd;
    dev_t device;
    int64_t seen;
    char path[BENEATH_PATH_MAX + 1]; /* of the entry at hand, relative to work/ */
};

static void skip(struct collection *c, const char *why, ...) __attribute__((format(printf, 2, 3)));

static void skip(struct collection *c, const char *why, ...)
{
    struct outputs_report *report = c->report;
    report->skipped_total++;
    if (report->skipped_count == OUTPUTS_SKIPPED_MAX)
        return;
    char text[512];
    va_list ap;
    va_start(ap, why);
    vsnprintf(text, sizeof text, why, ap);
    va_end(ap);
    report->skipped[report->skipped_count++] = (struct outputs_skipped){xstrdup(c->path), xstrdup(text)};
}

static bool is_left_out(const struct collection *c)
{
    for (char *const *p = c->request->left_out; p && *p; p++) {
        size_t n = strlen(*p);
        while (n && (*p)[n - 1] == '/')
            n--;
        if (strncmp(*p, c->path, n) == 0 && c->path[n] == '\0')
            return true;
    }
    return false;
}

/* The file becomes the service's, in a directory that nobody else can change. */
static bool finish_file(int fd, const struct stat *st)
{
    if (geteuid() == 0 && fchown(fd, 0, 0) != 0)
        return false;
    /* after the owner: chown(2) drops setuid, and this does for good */
    return fchmod(fd, (st->st_mode & 0777) | 0600) == 0;
}

/* Moves the inode itself: first under a name that the user can't exchange, then, when it is what was opened
 * as `from` and has no other name, to its place. Renaming what has other names would give the user a way to
 * it.
 */
static bool move_file(int from_folder, const char *from_name, int from, const struct stat *st, int to,
                      const char *name)
{
    struct stat moved;
    if (st->st_nlink != 1 || renameat(from_folder, from_name, to, PARTIAL) != 0)
        return false;
    if (fstatat(to, PARTIAL, &moved, AT_SYMLINK_NOFOLLOW) == 0 && moved.st_ino == st->st_ino &&
        moved.st_dev == st->st_dev && moved.st_nlink == 1 && finish_file(from, st) &&
        fstat(from, &moved) == 0 && moved.st_nlink == 1 && renameat(to, PARTIAL, to, name) == 0)
        return true;
    fs_remove_tree(to, PARTIAL, NULL); /* exchanged meanwhile; what was opened is copied */
    return false;
}

/* Into the folder `to` under `name`. false with errno set. */
static bool bring(struct collection *c, int from_folder, int from, const struct stat *st, int to,
                  const char *name)
{
    const char *slash = strrchr(c->path, '/');
    if (move_file(from_folder, slash ? slash + 1 : c->path, from, st, to, name))
        return true;
    int fd = openat(to, PARTIAL, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    struct error err = {0};
    struct timespec times[2] = {st->st_atim, st->st_mtim};
    bool ok = fs_copy_fd(from, fd, &err);
    if (!ok)
        errno = err.sys_errno ? err.sys_errno : EIO;
    else
        ok = finish_file(fd, st) && futimens(fd, times) == 0;
    int saved = errno;
    if (close(fd) != 0 && ok) {
        ok = false;
        saved = errno;
    }
    if (ok && renameat(to, PARTIAL, to, name) == 0)
        return true;
    if (ok)
        saved = errno;
    unlinkat(to, PARTIAL, 0);
    errno = saved;
    return false;
}

/* Where the entry at hand goes; *below is its path there. */
static int place_of(const struct collection *c, const char **below)
{
    bool kept = strncmp(c->path, KEPT "/", sizeof KEPT) == 0;
    *below = kept ? c->path + sizeof KEPT : c->path;
    return kept ? c->kept_fd : c->apart_fd;
}

static const struct snapshot_entry *entry_of(const struct collection *c)
{
    return c->request->snapshot ? snapshot_find(c->request->snapshot, c->path) : NULL;
}

static void collect_file(struct collection *c, int folder, const char *name)
{
    _cleanup_close_ int fd = beneath_openat(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, true);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        skip(c, "can't be read: %s", strerror(errno));
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        skip(c, "changed its kind while it was collected");
        return;
    }
    if (st.st_nlink > 1 && geteuid() == 0 && st.st_uid != c->request->uid) {
        skip(c, "a hard link to a file of another user");
        return;
    }
    const char *below;
    int place = place_of(c, &below);
    bool kept = place == c->kept_fd;
    if (c->request->snapshot &&
        snapshot_unchanged(c->request->snapshot, c->request->manifest_sha, c->path, fd, &c->request->made))
        return;
    if (!kept && c->report->work_bytes + st.st_size > c->request->work_max_bytes) {
        skip(c, "over the %lld GB that are kept of files outside ./outputs",
             (long long)(c->request->work_max_bytes >> 30));
        return;
    }
    const char *last;
    _cleanup_close_ int to = beneath_open_parent(place, below, true, 0700, &last);
    if (to < 0 || !bring(c, folder, fd, &st, to, last)) {
        c->report->disk_full |= kept && (errno == ENOSPC || errno == EDQUOT);
        skip(c, "can't be put into the outputs folder: %s", strerror(errno));
        return;
    }
    FAULT("executor.file_collected");
    if (!kept) {
        c->report->work_files++;
        c->report->work_bytes += st.st_size;
    }
}

static void collect_link(struct collection *c, int folder, const char *name, const struct stat *st)
{
    const struct snapshot_entry *entry = entry_of(c);
    char target[BENEATH_PATH_MAX + 1];
    const char *below, *last;
    ssize_t n = readlinkat(folder, name, target, sizeof target - 1);
    if (n < 0) {
        skip(c, "can't be read: %s", strerror(errno));
        return;
    }
    target[n] = '\0';
    int place = place_of(c, &below);
    if (entry && entry->kind == SNAPSHOT_LINK && strcmp(entry->target, target) == 0)
        return;
    if (!fs_link_stays(below, target)) {
        skip(c, "a symbolic link that leaves the %s (to %.256s)",
             place == c->kept_fd ? "outputs" : "working directory", target);
        return;
    }
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    _cleanup_close_ int to = beneath_open_parent(place, below, true, 0700, &last);
    if (to < 0 || !fs_remove_tree(to, PARTIAL, NULL) || symlinkat(target, to, PARTIAL) != 0 ||
        renameat(to, PARTIAL, to, last) != 0 || utimensat(to, last, times, AT_SYMLINK_NOFOLLOW) != 0)
        skip(c, "can't be put into the outputs directory: %s", strerror(errno));
}

/* The directory itself, so that an empty one is kept too. Others of work/ come with what the job made in
 * them.
 */
static void collect_directory(struct collection *c, const struct stat *st)
{
    const char *below, *last;
    int place = place_of(c, &below);
    if (strcmp(c->path, KEPT) == 0 || entry_of(c))
        return;
    _cleanup_close_ int to = beneath_open_parent(place, below, true, 0700, &last);
    if (to < 0 || (mkdirat(to, last, 0700) != 0 && errno != EEXIST)) {
        skip(c, "can't be put into the outputs directory: %s", strerror(errno));
        return;
    }
    _cleanup_close_ int made = beneath_openat(to, last, O_RDONLY | O_DIRECTORY, 0, false);
    if (made >= 0)
        fchmod(made, (st->st_mode & 0777) | 0700);
}

static const char *kind_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFIFO:
        return "a named pipe";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "not a regular file";
    }
}

static void collect_folder(struct collection *c, int folder, int depth);

/* Where the job put a link in the place of outputs/: the directory that it leads to, when that is its own. */
static void collect_linked_outputs(struct collection *c, int work)
{
    char target[BENEATH_PATH_MAX + 1];
    ssize_t n = readlinkat(work, KEPT, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = '\0';
    while (n > 1 && target[n - 1] == '/')
        target[--n] = '\0';
    const char *path = strncmp(target, "./", 2) == 0 ? target + 2 : target;
    _cleanup_close_ int fd =
        !fs_link_stays(KEPT, target) ? -1 : beneath_openat(work, path, O_RDONLY | O_DIRECTORY, 0, true);
    if (fd >= 0 && beneath_path_valid(path))
        collect_folder(c, fd, 1);
    else
        skip(c, "replaced by a symbolic link (to %.256s) that leads to no directory in the working directory",
             target);
}

static void collect_entry(struct collection *c, int folder, const char *name, int depth)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        skip(c, "can't be looked at: %s", strerror(errno));
        return;
    }
    if (strcmp(name, PARTIAL) == 0) {
        skip(c, "a name that berth uses itself; give it another");
        return;
    }
    if (S_ISREG(st.st_mode)) {
        collect_file(c, folder, name);
        return;
    }
    if (S_ISLNK(st.st_mode)) {
        if (strcmp(c->path, KEPT) == 0)
            collect_linked_outputs(c, folder);
        else
            collect_link(c, folder, name, &st);
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        skip(c, "%s", kind_name(st.st_mode));
        return;
    }
    if (st.st_dev != c->device) {
        skip(c, "another filesystem");
        return;
    }
    if (depth == OUTPUTS_DEPTH_MAX) {
        skip(c, "nested more than %d deep", OUTPUTS_DEPTH_MAX);
        return;
    }
    _cleanup_close_ int fd = fs_open_directory(folder, name);
    if (fd < 0)
        skip(c, "can't be opened: %s", strerror(errno));
    else {
        collect_directory(c, &st);
        collect_folder(c, fd, depth + 1);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, so that what fits under the limit does not depend on the filesystem's order. */
static void collect_folder(struct collection *c, int folder, int depth)
{
    char **names = NULL;
    size_t count = 0, capacity = 0, base = strlen(c->path);
    int list_fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    if (!dir) {
        if (list_fd >= 0)
            close(list_fd);
        skip(c, "can't be listed: %s", strerror(errno));
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (c->seen++ >= OUTPUTS_FILES_MAX) {
            if (c->seen == OUTPUTS_FILES_MAX + 1)
                skip(c, "more than %d entries: this and later ones are left behind", OUTPUTS_FILES_MAX);
            break;
        }
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 32;
            names = xrealloc(names, capacity * sizeof *names);
        }
        names[count++] = xstrdup(entry->d_name);
    }
    closedir(dir);
    if (count)
        qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        size_t room = sizeof c->path - base;
        int n = snprintf(c->path + base, room, "%s%s", base ? "/" : "", names[i]);
        if (n >= (int)room)
            skip(c, "its path is longer than %d bytes", BENEATH_PATH_MAX);
        else if (!is_left_out(c))
            collect_entry(c, folder, names[i], depth);
        c->path[base] = '\0';
        free(names[i]);
    }
    free(names);
}

/* What is there in the end, also from a run before a kill. */
static void count_tree(int folder, int depth, int64_t *files, int64_t *bytes)
{
    int list_fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISREG(st.st_mode)) {
            ++*files;
            *bytes += st.st_size;
        } else if (S_ISDIR(st.st_mode) && depth < OUTPUTS_DEPTH_MAX) {
            _cleanup_close_ int fd =
                openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (fd >= 0)
                count_tree(fd, depth + 1, files, bytes);
        }
    }
}

static int open_folder(const char *to, const char *name, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", to, name);
    if (!fs_mkdirs(path, 0700, err))
        return -1;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        error_errno(err, errno, "can't open %s", path);
    return fd;
}

bool outputs_collect(const struct outputs_request *request, struct outputs_report *report, struct error *err)
{
    memset(report, 0, sizeof *report);
    _cleanup_close_ int kept = open_folder(request->to, KEPT, err);
    _cleanup_close_ int apart = kept < 0 ? -1 : open_folder(request->to, APART, err);
    struct stat st;
    if (apart < 0)
        return error_wrap(err, "outputs");
    if (fstat(request->work_fd, &st) != 0)
        return error_errno(err, errno, "outputs: can't look at the working folder");
    struct collection *c = xcalloc(1, sizeof *c);
    c->request = request;
    c->report = report;
    c->kept_fd = kept;
    c->apart_fd = apart;
    c->device = st.st_dev;
    count_tree(apart, 0, &report->work_files, &report->work_bytes);
    collect_folder(c, request->work_fd, 0);
    count_tree(kept, 0, &report->files, &report->bytes);
    free(c);
    return true;
}

void outputs_report_finish(struct outputs_report *report)
{
    for (size_t i = 0; i < report->skipped_count; i++) {
        free(report->skipped[i].path);
        free(report->skipped[i].why);
    }
    memset(report, 0, sizeof *report);
}
