/* What a job has changed. It follows from what lies in the collected work/ and what no longer lies in the
 * working directory, so that a collection that a kill interrupted finds all of it again. */
#include "executor/kept.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "executor/beneath.h"
#include "executor/bring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

struct search {
    const struct order *order;
    const struct kept_files *before;
    const struct ignore *rules;
    struct kept_files *changes;
    size_t dropped;
    char path[BENEATH_PATH_MAX + 1];
};

static enum kept_how how_of(const struct search *s, const struct kept_file *was)
{
    bool is_new = was ? was->how == KEPT_NEW || (was->kind == KEPT_ABSENT && was->how == KEPT_AS_IT_WAS)
                      : kept_is_ignored(s->rules, s->order->spec, s->path);
    return is_new ? KEPT_NEW : was ? KEPT_CHANGED : KEPT_AS_IT_WAS;
}

static void note_kept(struct search *s, int fd, const char *name, const struct stat *st)
{
    char target[PATH_MAX] = "";
    bool link = S_ISLNK(st->st_mode);
    enum kept_how how = how_of(s, kept_find(s->before, s->path));
    if (how == KEPT_AS_IT_WAS || (!link && !S_ISREG(st->st_mode)))
        return;
    if (s->changes->count == KEPT_FILES_MAX) {
        s->dropped++;
        return;
    }
    if (link) {
        ssize_t n = readlinkat(fd, name, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = '\0';
    }
    struct kept_file *file = kept_add(s->changes, s->path, link ? KEPT_LINK : KEPT_FILE, how);
    file->target = link ? xstrdup(target) : NULL;
    file->mode = st->st_mode & 0777;
    file->size = st->st_size;
    file->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* Takes fd. */
static void search_directory(struct search *s, int fd, int depth)
{
    _cleanup_dir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    size_t base = strlen(s->path);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, BRING_PARTIAL) == 0 ||
            fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            snprintf(s->path + base, sizeof s->path - base, "%s%s", base ? "/" : "", name) >=
                (int)(sizeof s->path - base))
            continue;
        if (S_ISDIR(st.st_mode) && depth < KEPT_DEPTH_MAX)
            search_directory(s, beneath_openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY, 0, false),
                             depth + 1);
        else if (!S_ISDIR(st.st_mode))
            note_kept(s, dirfd(dir), name, &st);
        s->path[base] = '\0';
    }
}

static bool is_gone(int work_fd, const char *path)
{
    const char *name;
    struct stat st;
    _cleanup_close_ int parent = beneath_open_parent(work_fd, path, false, 0, &name);
    if (parent < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    return fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

static void note_removed(struct search *s, int work_fd)
{
    size_t found = s->changes->count;
    for (size_t i = 0; i < s->before->count; i++) {
        const struct kept_file *was = &s->before->items[i];
        struct kept_files listed = {s->changes->items, found, 0};
        bool mattered = was->kind == KEPT_ABSENT ? was->how == KEPT_REMOVED
                                                 : was->kind != KEPT_MOUNT && was->how != KEPT_NEW;
        if (mattered && !kept_find(&listed, was->path) && is_gone(work_fd, was->path))
            kept_add(s->changes, was->path, KEPT_ABSENT, KEPT_REMOVED);
    }
    kept_sort(s->changes);
}

static bool had_earlier(const struct kept_files *before)
{
    for (size_t i = 0; i < before->count; i++)
        if (before->items[i].how != KEPT_AS_IT_WAS)
            return true;
    return false;
}

bool kept_changes(const struct order *order, const struct kept_files *before, const struct ignore *rules,
                  int work_fd, struct kept_files *changes, struct error *err)
{
    _cleanup_free_ struct search *s = xcalloc(1, sizeof *s);
    *s = (struct search){.order = order, .before = before, .rules = rules, .changes = changes};
    _cleanup_free_ char *work = xasprintf("%s/work", order->outputs_path);
    search_directory(s, open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), 0);
    kept_sort(changes);
    note_removed(s, work_fd);
    if (s->dropped)
        log_warn("%s: more than %d ignored files have changed: %zu don't pass on to the next attempt",
                 order->task, KEPT_FILES_MAX, s->dropped);
    if (!changes->count && !had_earlier(before))
        return true;
    if (!fs_mkdirs(order->outputs_path, 0700, err))
        return error_wrap(err, "the list of ignored files");
    _cleanup_close_ int to = open(order->outputs_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    FAULT("executor.before_kept");
    if (to < 0 || !kept_write(changes, to, err))
        return to < 0 ? error_errno(err, errno, "can't open %s", order->outputs_path)
                      : error_wrap(err, "the list of ignored files");
    FAULT("executor.kept");
    kept_forget_earlier(order);
    return true;
}
