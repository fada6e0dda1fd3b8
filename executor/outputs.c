/* Collection of outputs. The invariants: nothing is read but regular files that lie in the task's own tree,
 * and a file appears in the outputs folder whole (rename) or not at all. */
#include "executor/outputs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "executor/beneath.h"
#include "executor/bring.h"
#include "executor/hard_links.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEPT "outputs"
#define APART "work"
#define OPEN_TRIES 16

struct collection {
    const struct outputs_request *request;
    struct outputs_report *report;
    int kept_fd, apart_fd;
    dev_t device;
    struct stat linked; /* the directory that the link `outputs` leads to; st_ino 0: none */
    int64_t seen, asked;
    struct hard_links links;
    char path[BENEATH_PATH_MAX + 1]; /* of the entry at hand, relative to work/ */
    char linked_path[BENEATH_PATH_MAX + 1], real_path[2 * BENEATH_PATH_MAX + 2]; /* see real_path */
};

/* Where the entry at hand lies, which the snapshot knows it by: not below outputs/ where that is a link. */
static const char *real_path(struct collection *c)
{
    if (!c->linked_path[0] || strncmp(c->path, KEPT "/", sizeof KEPT) != 0)
        return c->path;
    snprintf(c->real_path, sizeof c->real_path, "%s/%s", c->linked_path, c->path + sizeof KEPT);
    return c->real_path;
}

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

/* Whether `path` is left out or, where `below`, lies in what is. */
static bool is_left_out(const struct collection *c, const char *path, bool below)
{
    for (char *const *p = c->request->left_out; p && *p; p++) {
        size_t n = strlen(*p);
        while (n && (*p)[n - 1] == '/')
            n--;
        if (strncmp(*p, path, n) == 0 && (path[n] == '\0' || (below && path[n] == '/')))
            return true;
    }
    return false;
}

/* The rest of `path` below `directory` ("" for itself), or NULL. */
static const char *strip_directory(const char *path, const char *directory)
{
    size_t n = strlen(directory);
    if (strncmp(path, directory, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    return path + n + strspn(path + n, "/");
}

/* What `target` names below the working directory as the task saw it, or NULL. */
static const char *below_work(const struct collection *c, const char *target)
{
    return c->request->work_path ? strip_directory(target, c->request->work_path) : NULL;
}

/* Where the entry at hand goes; *below is its path there. */
static int place_of(const struct collection *c, const char **below)
{
    bool kept = strncmp(c->path, KEPT "/", sizeof KEPT) == 0;
    *below = kept ? c->path + sizeof KEPT : c->path;
    return kept ? c->kept_fd : c->apart_fd;
}

static const struct snapshot_entry *entry_of(struct collection *c)
{
    return c->request->snapshot ? snapshot_find(c->request->snapshot, real_path(c)) : NULL;
}

/* Brought here from another rank, which keeps it, and not changed since. `below` is its path in outputs/. */
static bool is_of_another_rank(const struct collection *c, const char *below, const struct stat *st)
{
    return c->request->seeded && outputs_seeded_unchanged(c->request->seeded, below, st);
}

/* How the ignored file at hand stood when the task began; NULL where it is another, or new. */
static const struct kept_file *ignored_entry(const struct collection *c)
{
    return c->request->ignored ? kept_find(c->request->ignored, c->path) : NULL;
}

static bool is_ignored(struct collection *c)
{
    if (ignored_entry(c))
        return true;
    return c->request->rules && c->asked++ < KEPT_FILES_MAX &&
           kept_is_ignored(c->request->rules, c->request->spec, c->path);
}

static void sync_file(int folder, const char *name)
{
    _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) == 0)
        fsync(folder);
}

static void collect_file(struct collection *c, int folder, const char *name)
{
    _cleanup_close_ int fd = beneath_openat(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, true);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        c->report->incomplete = true;
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
    if (c->request->snapshot && snapshot_unchanged(c->request->snapshot, c->request->manifest_sha,
                                                   real_path(c), fd, &c->request->made))
        return;
    if (kept && is_of_another_rank(c, below, &st))
        return;
    const struct kept_file *was = kept ? NULL : ignored_entry(c);
    if (was && kept_unchanged(was, &st, &c->request->made))
        return;
    bool stays = !kept && is_ignored(c);
    if (!kept && !stays && c->report->work_bytes + st.st_size > c->request->work_max_bytes) {
        skip(c, "over the %lld GB that are kept of files outside ./outputs",
             (long long)(c->request->work_max_bytes >> 30));
        return;
    }
    const char *last;
    _cleanup_close_ int to = beneath_open_parent(place, below, true, 0700, &last);
    if (to >= 0 && st.st_nlink > 1 && hard_links_link(&c->links, &st, place, to, last))
        return;
    if (to < 0 || !bring_file(folder, name, fd, &st, to, last)) {
        c->report->disk_full |= (kept || stays) && (errno == ENOSPC || errno == EDQUOT);
        c->report->incomplete |= kept;
        skip(c, "can't be put into the outputs folder: %s", strerror(errno));
        return;
    }
    FAULT("executor.file_collected");
    if (stays)
        sync_file(to, last); /* what the attempt before left goes for it */
    if (st.st_nlink > 1)
        hard_links_note(&c->links, &st, place, below);
    if (!kept) {
        c->report->work_files++;
        c->report->work_bytes += stays ? 0 : st.st_size;
    }
}

/* A path into the task's own tree (ln -s $BERTH_OUTPUTS/ck10 $BERTH_OUTPUTS/latest) leads nowhere once that
 * tree is gone: it becomes relative to the link, at `below` in its place. The caller frees it.
 */
static char *make_relative(const struct collection *c, const char *below, const char *target)
{
    const char *rest = below_work(c, target);
    if (rest && strncmp(c->path, KEPT "/", sizeof KEPT) == 0)
        rest = strip_directory(rest, KEPT);
    if (!rest)
        return xstrdup(target);
    _cleanup_buf_ struct buf out = {0};
    for (const char *p = below; (p = strchr(p, '/')); p++)
        buf_add_str(&out, "../");
    buf_add_str(&out, *rest ? rest : ".");
    return buf_take(&out);
}

static void collect_link(struct collection *c, int folder, const char *name, const struct stat *st)
{
    const struct snapshot_entry *entry = entry_of(c);
    char seen[BENEATH_PATH_MAX + 1];
    const char *below, *last;
    ssize_t n = readlinkat(folder, name, seen, sizeof seen - 1);
    if (n < 0) {
        skip(c, "can't be read: %s", strerror(errno));
        return;
    }
    seen[n] = '\0';
    int place = place_of(c, &below);
    if (entry && entry->kind == SNAPSHOT_LINK && strcmp(entry->target, seen) == 0)
        return;
    if (place == c->kept_fd && is_of_another_rank(c, below, st))
        return;
    const struct kept_file *was = place == c->kept_fd ? NULL : ignored_entry(c);
    if (was && was->target && was->how == KEPT_AS_IT_WAS && strcmp(was->target, seen) == 0)
        return;
    _cleanup_free_ char *target = make_relative(c, below, seen);
    if (!fs_link_stays(below, target)) {
        skip(c, "a symbolic link that leaves the %s (to %.256s)",
             place == c->kept_fd ? "outputs" : "working directory", target);
        return;
    }
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    _cleanup_close_ int to = beneath_open_parent(place, below, true, 0700, &last);
    if (to < 0 || !fs_remove_tree(to, BRING_PARTIAL, NULL) || symlinkat(target, to, BRING_PARTIAL) != 0 ||
        renameat(to, BRING_PARTIAL, to, last) != 0 || utimensat(to, last, times, AT_SYMLINK_NOFOLLOW) != 0)
        skip(c, "can't be put into the outputs directory: %s", strerror(errno));
}

/* The directory itself, so that an empty one is kept too. Others of work/ come with what the job made in
 * them.
 */
static void collect_directory(struct collection *c, const struct stat *st)
{
    const char *below, *last;
    int place = place_of(c, &below);
    if (strcmp(c->path, KEPT) == 0 || entry_of(c) ||
        (place == c->kept_fd && is_of_another_rank(c, below, st)))
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

/* `path` without its "." and empty components, in place. */
static void drop_empty_components(char *path)
{
    char *to = path;
    for (const char *p = path; *p; p += *p == '/') {
        size_t n = strcspn(p, "/");
        if (n && !(n == 1 && *p == '.')) {
            if (to != path)
                *to++ = '/';
            memmove(to, p, n);
            to += n;
        }
        p += n;
    }
    *to = '\0';
}

/* Where the job put a link in the place of outputs/: the directory that it leads to, when that is its own.
 * Before the walk, which would bring that directory to work/.
 */
static void collect_linked_outputs(struct collection *c)
{
    char target[BENEATH_PATH_MAX + 1], path[BENEATH_PATH_MAX + 1];
    ssize_t n = readlinkat(c->request->work_fd, KEPT, target, sizeof target - 1);
    target[n < 0 ? 0 : n] = '\0';
    const char *own = below_work(c, target);
    snprintf(path, sizeof path, "%s", own ? own : target);
    bool stays = fs_link_stays(KEPT, path);
    drop_empty_components(path);
    if (stays && is_left_out(c, path, true)) {
        c->report->incomplete = true;
        skip(c,
             "replaced by a symbolic link to %.256s, which is left out of the snapshot: what the job wrote "
             "there is in the code directory itself",
             path);
        return;
    }
    _cleanup_close_ int fd = stays && beneath_path_valid(path)
                                 ? beneath_openat(c->request->work_fd, path, O_RDONLY | O_DIRECTORY, 0, true)
                                 : -1;
    if (fd >= 0 && fstat(fd, &c->linked) == 0) {
        snprintf(c->linked_path, sizeof c->linked_path, "%s", path);
        collect_folder(c, fd, 1);
    } else {
        c->report->incomplete = true;
        skip(c, "replaced by a symbolic link (to %.256s) that leads to no directory in the working directory",
             target);
    }
}

/* outputs/ was there when the job began. Where it is a directory no more, the job hears what became of it. */
static void collect_replaced_outputs(struct collection *c)
{
    struct stat st;
    strcpy(c->path, KEPT);
    if (fstatat(c->request->work_fd, KEPT, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        c->report->incomplete = true;
        if (errno == ENOENT)
            skip(c, "removed or renamed by the job: what it made elsewhere is under --work");
        else
            skip(c, "can't be looked at: %s", strerror(errno));
    } else if (S_ISLNK(st.st_mode)) {
        collect_linked_outputs(c);
    } else if (S_ISREG(st.st_mode)) {
        c->report->incomplete = true;
        skip(c,
             "a regular file in place of the directory: what the job made outside ./outputs is under --work");
    }
    c->path[0] = '\0';
}

/* What Python compiles next to a source: made again at any time, and in the way of whoever fetches it. */
static bool is_bytecode(const struct collection *c, const char *name)
{
    size_t n = strlen(name);
    return strncmp(c->path, KEPT "/", sizeof KEPT) != 0 &&
           (strcmp(name, "__pycache__") == 0 || (n > 4 && strcmp(name + n - 4, ".pyc") == 0));
}

static void collect_entry(struct collection *c, int folder, const char *name, int depth)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        skip(c, "can't be looked at: %s", strerror(errno));
        return;
    }
    if (strcmp(name, BRING_PARTIAL) == 0) {
        skip(c, "a name that berth uses itself; give it another");
        return;
    }
    if (is_bytecode(c, name))
        return;
    if (S_ISREG(st.st_mode)) {
        collect_file(c, folder, name);
        return;
    }
    if (S_ISLNK(st.st_mode)) {
        if (strcmp(c->path, KEPT) != 0) /* collect_replaced_outputs has had that one */
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
    if (c->linked.st_ino && st.st_ino == c->linked.st_ino && st.st_dev == c->linked.st_dev)
        return; /* kept already, as outputs/ */
    _cleanup_close_ int fd = fs_open_directory(folder, name);
    if (fd < 0) {
        c->report->incomplete = true;
        skip(c, "can't be opened: %s", strerror(errno));
    } else {
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
        c->report->incomplete = true;
        skip(c, "can't be listed: %s", strerror(errno));
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (c->seen++ >= OUTPUTS_FILES_MAX) {
            c->report->incomplete = true;
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
        else if (!is_left_out(c, real_path(c), false))
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

/* Another task of the job may take an empty parent away at the same moment. */
static int open_folder(const char *to, const char *name, struct error *err)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", to, name);
    for (int try = 0; try < OPEN_TRIES; try++) {
        struct error failed = {0};
        int fd =
            fs_mkdirs(path, 0700, &failed) ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (fd >= 0)
            return fd;
        if (failed.code == ERROR_NONE)
            error_errno(&failed, errno, "can't open %s", path);
        if (err)
            *err = failed;
    }
    return -1;
}

/* A task that made nothing leaves nothing: whoever reads takes what is missing for empty. */
static void remove_empty(const char *to)
{
    static const char *const parts[] = {KEPT, APART};
    _cleanup_free_ char *job = xstrdup(to);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s", to, parts[i]);
        rmdir(path);
    }
    if (rmdir(to) != 0)
        return;
    char *slash = strrchr(job, '/');
    if (slash && slash != job) {
        *slash = '\0';
        rmdir(job);
    }
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
    collect_replaced_outputs(c);
    collect_folder(c, request->work_fd, 0);
    count_tree(kept, 0, &report->files, &report->bytes);
    hard_links_finish(&c->links);
    free(c);
    remove_empty(request->to);
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
