/* The walk over a code folder: what goes into the snapshot, what the ignore files leave out. By descriptors,
 * so that a folder that is moved away meanwhile leads nowhere else. */
#include "cli/snapshot.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "proto/ignore.h"
#include "proto/jobspec.h"
#include "proto/json.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

struct walk {
    struct code_snapshot *snapshot;
    struct ignore ignore;
    const char *ignore_name; /* ".amlignore" or ".gitignore" */
    char *above;             /* the folder's path below the repository's top; "" */
    bool limited;
    int depth;
    struct error *err;
};

/* ---- what is refused whole ---- */

static bool is_home(const char *path)
{
    struct stat st, other;
    if (stat(path, &st) != 0)
        return false;
    _cleanup_free_ char *home = where_home();
    if (home && stat(home, &other) == 0 && st.st_dev == other.st_dev && st.st_ino == other.st_ino)
        return true;
    const struct passwd *entry;
    bool found = false;
    setpwent();
    while (!found && (entry = getpwent()))
        found = entry->pw_dir && strcmp(entry->pw_dir, path) == 0 && strcmp(path, "/") != 0 &&
                (entry->pw_uid == 0 || (entry->pw_uid >= 1000 && entry->pw_uid < 65534));
    endpwent();
    return found;
}

static bool refuse_folder(const char *path, const char *why, struct error *err)
{
    error_set(err, ERROR_LIMIT, "the folder %s is not copied as the job's code: %s", path, why);
    return error_hint(err, "--code DIR with the folder that holds the code, or --no-code");
}

static bool check_limits(struct walk *w)
{
    const struct code_snapshot *s = w->snapshot;
    char why[200];
    if (s->count > SNAPSHOT_MAX_ENTRIES) {
        snprintf(why, sizeof why, "it has more than %d entries", SNAPSHOT_MAX_ENTRIES);
        return refuse_folder(s->path, why, w->err);
    }
    if (!w->limited || (s->files <= SNAPSHOT_DEFAULT_MAX_FILES && s->bytes <= SNAPSHOT_DEFAULT_MAX_BYTES))
        return true;
    if (s->files > SNAPSHOT_DEFAULT_MAX_FILES)
        snprintf(why, sizeof why, "it has more than %d files that no ignore file leaves out",
                 SNAPSHOT_DEFAULT_MAX_FILES);
    else
        snprintf(why, sizeof why, "what no ignore file leaves out is larger than 1 GB");
    return refuse_folder(s->path, why, w->err);
}

/* ---- what is left out ---- */

static void note_left_file(struct code_snapshot *s, const char *path, int64_t size)
{
    s->left_out_files++;
    if (s->largest && size <= s->largest_bytes)
        return;
    free(s->largest);
    s->largest = xstrdup(path);
    s->largest_bytes = size;
}

/* Counts what is below an ignored folder, up to the limit; what can't be read is not counted. */
static void count_left(struct code_snapshot *s, int dirfd, const char *name, const char *path, int depth)
{
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || depth > SNAPSHOT_MAX_DEPTH)
        return;
    _cleanup_dir_ DIR *dir = fdopendir(fd);
    if (!dir)
        return;
    int list_fd = take_fd(&fd);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (s->left_out_files >= SNAPSHOT_COUNT_MAX) {
            s->left_out_more = true;
            return;
        }
        struct stat st;
        if (fstatat(list_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        _cleanup_free_ char *below = xasprintf("%s/%s", path, entry->d_name);
        if (S_ISDIR(st.st_mode))
            count_left(s, list_fd, entry->d_name, below, depth + 1);
        else if (S_ISREG(st.st_mode))
            note_left_file(s, below, st.st_size);
    }
}

/* Whether that ignored directory is one of those whose files are the job's own. "./data/" is data. */
static bool is_private(struct code_snapshot *s, const char *path)
{
    const cJSON *item;
    int n = 0;
    cJSON_ArrayForEach(item, s->privates)
    {
        const char *text = cJSON_IsString(item) ? item->valuestring : "";
        while (strncmp(text, "./", 2) == 0)
            text += 2;
        size_t length = strlen(text);
        while (length && text[length - 1] == '/')
            length--;
        if (n < JOB_PRIVATE_MAX && strlen(path) == length && strncmp(path, text, length) == 0) {
            s->privates_seen |= UINT64_C(1) << n;
            return true;
        }
        n++;
    }
    return false;
}

static struct code_item *add_item(struct code_snapshot *s, const char *path, const struct stat *st);
static bool leave_out(struct walk *w, int dirfd, const char *name, const char *path, const struct stat *st);

/* Its directories are the snapshot's, its files are left out one by one. */
static bool leave_out_each(struct walk *w, int dirfd, const char *name, const char *path,
                           const struct stat *st, int depth)
{
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int list_fd = fd < 0 ? -1 : dup(fd);
    _cleanup_dir_ DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    bool ok = true;
    if (!dir || depth > SNAPSHOT_MAX_DEPTH)
        return error_set(w->err, ERROR_LIMIT, "can't read the private directory %s: %s", path,
                         dir ? "it is nested too deeply" : strerror(errno));
    add_item(w->snapshot, path, st);
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        struct stat below;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(fd, entry->d_name, &below, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        _cleanup_free_ char *inside = xasprintf("%s/%s", path, entry->d_name);
        if (strlen(inside) >= PATH_MAX)
            ok = error_set(w->err, ERROR_LIMIT, "the path %.200s... is too long", inside);
        else
            ok = S_ISDIR(below.st_mode) ? leave_out_each(w, fd, entry->d_name, inside, &below, depth + 1)
                                        : leave_out(w, fd, entry->d_name, inside, &below);
        if (ok && w->snapshot->left_out_dropped) {
            error_set(w->err, ERROR_LIMIT,
                      "the private directory %s has too many files: at most %d paths are "
                      "left out one by one",
                      path, SNAPSHOT_LEFT_OUT_MAX);
            return error_hint(w->err, "without --private all jobs share the directory itself");
        }
    }
    return ok;
}

static bool leave_out(struct walk *w, int dirfd, const char *name, const char *path, const struct stat *st)
{
    struct code_snapshot *s = w->snapshot;
    bool git = strcmp(name, ".git") == 0;
    if (S_ISDIR(st->st_mode) && !git && is_private(s, path))
        return leave_out_each(w, dirfd, name, path, st, w->depth);
    if (S_ISDIR(st->st_mode) && !git)
        count_left(s, dirfd, name, path, w->depth);
    else if (S_ISREG(st->st_mode) && !git)
        note_left_file(s, path, st->st_size);
    if (s->left_out_count == SNAPSHOT_LEFT_OUT_MAX) {
        s->left_out_dropped++;
        return true;
    }
    s->left_out = xrealloc(s->left_out, (s->left_out_count + 1) * sizeof *s->left_out);
    s->left_out[s->left_out_count++] = xstrdup(path);
    return true;
}

/* ---- what is taken ---- */

int64_t code_snapshot_mtime(const struct stat *st)
{
    int64_t ns;
    if (__builtin_mul_overflow((int64_t)st->st_mtim.tv_sec, INT64_C(1000000000), &ns) ||
        __builtin_add_overflow(ns, (int64_t)st->st_mtim.tv_nsec, &ns) || ns == INT64_MIN)
        return st->st_mtim.tv_sec < 0 ? -INT64_MAX : INT64_MAX;
    return ns;
}

static struct code_item *add_item(struct code_snapshot *s, const char *path, const struct stat *st)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 256;
        s->items = xrealloc(s->items, s->capacity * sizeof *s->items);
    }
    struct code_item *item = &s->items[s->count++];
    *item = (struct code_item){
        .path = xstrdup(path), .mode = st->st_mode & (S_IFMT | 0777), .mtime_ns = code_snapshot_mtime(st)};
    return item;
}

/* Whether a link at `path` leads out of the folder, by its text alone: "a/../../x" and absolute paths
 * elsewhere do. */
static bool leads_out(const struct code_snapshot *s, const char *path, const char *target)
{
    size_t root = strlen(s->path);
    if (target[0] == '/')
        return strncmp(target, s->path, root) != 0 || (target[root] != '/' && target[root] != '\0');
    int depth = 0;
    for (const char *p = path; (p = strchr(p, '/')); p++)
        depth++;
    for (const char *p = target; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.') {
            if (--depth < 0)
                return true;
        } else if (n && !(n == 1 && p[0] == '.')) {
            depth++;
        }
        p += n;
        p += *p == '/';
    }
    return false;
}

static bool take_link(struct walk *w, int dirfd, const char *name, const char *path, const struct stat *st)
{
    struct code_snapshot *s = w->snapshot;
    char target[PATH_MAX];
    ssize_t n = readlinkat(dirfd, name, target, sizeof target - 1);
    if (n < 0 && (code_snapshot_is_gone(errno) || errno == EINVAL)) {
        code_snapshot_note(&s->vanished, path);
        return true;
    }
    if (n <= 0)
        return error_errno(w->err, n < 0 ? errno : EINVAL, "can't read the link %s/%s", s->path, path);
    target[n] = '\0';
    struct code_item *item = add_item(s, path, st);
    item->target = xstrdup(target);
    item->size = n;
    struct stat there;
    if (leads_out(s, path, target)) {
        if (!s->links_out++)
            s->links_out_example = xstrdup(path);
    } else if (fstatat(dirfd, name, &there, 0) != 0) {
        s->links_dangling++;
    }
    return true;
}

static bool walk_folder(struct walk *w, int dirfd, const char *name, const char *path, bool *vanished);

static bool take_entry(struct walk *w, int dirfd, const char *name, const char *path)
{
    struct code_snapshot *s = w->snapshot;
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (!code_snapshot_is_gone(errno))
            return error_errno(w->err, errno, "can't look at %s/%s", s->path, path);
        code_snapshot_note(&s->vanished, path);
        return true;
    }
    bool is_folder = S_ISDIR(st.st_mode);
    _cleanup_free_ char *from_top = *w->above ? xasprintf("%s/%s", w->above, path) : NULL;
    if (strcmp(name, ".git") == 0 || ignore_matches(&w->ignore, from_top ? from_top : path, is_folder)) {
        return leave_out(w, dirfd, name, path, &st);
    }
    if (is_folder) {
        size_t at = s->count;
        add_item(s, path, &st);
        if (!check_limits(w))
            return false;
        bool vanished = false;
        bool ok = walk_folder(w, dirfd, name, path, &vanished);
        s->items[at].gone = vanished;
        return ok;
    }
    if (S_ISLNK(st.st_mode))
        return take_link(w, dirfd, name, path, &st);
    if (!S_ISREG(st.st_mode)) {
        if (!s->special++)
            s->special_example = xstrdup(path);
        return true;
    }
    add_item(s, path, &st)->size = st.st_size;
    s->files++;
    s->bytes += st.st_size;
    return check_limits(w);
}

static bool walk_folder(struct walk *w, int dirfd, const char *name, const char *path, bool *vanished)
{
    struct code_snapshot *s = w->snapshot;
    if (w->depth == SNAPSHOT_MAX_DEPTH)
        return error_set(w->err, ERROR_LIMIT, "folders in %s are nested more than %d deep", s->path,
                         SNAPSHOT_MAX_DEPTH);
    _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int list_fd = fd < 0 ? -1 : dup(fd);
    _cleanup_dir_ DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    if (!dir && fd < 0 && *path && code_snapshot_is_gone(errno)) {
        *vanished = true;
        code_snapshot_note(&s->vanished, path);
        return true;
    }
    if (!dir) {
        error_errno(w->err, errno, "can't read the folder %s%s%s", s->path, *path ? "/" : "", path);
        return error_hint(w->err, "make it readable, or leave it out in %s", w->ignore_name);
    }
    _cleanup_free_ char *base = xasprintf("%s%s%s", w->above, *w->above && *path ? "/" : "", path);
    if (!ignore_push_file(&w->ignore, base, fd, w->ignore_name, w->err))
        return false;
    w->depth++;
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        _cleanup_free_ char *below = *path ? xasprintf("%s/%s", path, entry->d_name) : xstrdup(entry->d_name);
        if (strlen(below) >= PATH_MAX)
            ok = error_set(w->err, ERROR_LIMIT, "the path %.200s... in %s is too long", below, s->path);
        else
            ok = take_entry(w, fd, entry->d_name, below);
    }
    w->depth--;
    ignore_pop(&w->ignore);
    return ok;
}

/* The rules of .git/info/exclude, which come after all others; where .git is a file, as in a worktree, in the
 * repository that it names. Links are followed, as git does. */
static bool push_exclude(struct walk *w, const char *git)
{
    char path[2 * PATH_MAX];
    _cleanup_buf_ struct buf text = {0}, common = {0};
    struct error ignored;
    snprintf(path, sizeof path, "%s/info/exclude", git);
    if (fs_read_file(AT_FDCWD, git, PATH_MAX, &text, &ignored) && strncmp(text.data, "gitdir: ", 8) == 0) {
        char *named = text.data + 8;
        named[strcspn(named, "\n")] = '\0';
        const char *slash = strrchr(git, '/');
        int above = *named == '/' ? 0 : (int)(slash - git) + 1; /* relative to where .git stands */
        int n = snprintf(path, sizeof path, "%.*s%s/commondir", above, git, named);
        bool is_worktree = fs_read_file(AT_FDCWD, path, PATH_MAX, &common, &ignored) && common.len;
        if (is_worktree)
            common.data[strcspn(common.data, "\n")] = '\0';
        n -= (int)strlen("/commondir");
        if (is_worktree && common.data[0] == '/')
            snprintf(path, sizeof path, "%s/info/exclude", common.data);
        else
            snprintf(path + n, sizeof path - (size_t)n, "/%s%sinfo/exclude", is_worktree ? common.data : "",
                     is_worktree ? "/" : "");
    }
    buf_clear(&text);
    if (!fs_read_file(AT_FDCWD, path, IGNORE_FILE_MAX_BYTES, &text, &ignored)) {
        if (ignored.code != ERROR_NOT_FOUND && ignored.sys_errno != ENOTDIR && w->err) {
            *w->err = ignored;
            return false;
        }
        buf_clear(&text);
    }
    ignore_push(&w->ignore, "", text.data ? text.data : "", text.len);
    return true;
}

/* Rules of the folders above, down from the repository's top; without a repository there are none. */
static bool push_above(struct walk *w, const char *folder)
{
    char top[PATH_MAX];
    snprintf(top, sizeof top, "%s", folder);
    size_t len = strlen(folder);
    char git[PATH_MAX + 8];
    for (;;) {
        struct stat st;
        snprintf(git, sizeof git, "%s/.git", top);
        if (lstat(git, &st) == 0)
            break;
        char *slash = strrchr(top, '/');
        if (!slash || slash == top) {
            w->above = xstrdup("");
            return true;
        }
        *slash = '\0';
        len = (size_t)(slash - top);
    }
    w->above = xstrdup(folder[len] ? folder + len + 1 : "");
    if (!push_exclude(w, git))
        return false;
    for (char *p = w->above; *p; p++) { /* every folder from the top to the one above `folder` */
        if (p != w->above && p[-1] != '/')
            continue;
        _cleanup_free_ char *base =
            p == w->above ? xstrdup("") : xstrndup(w->above, (size_t)(p - w->above) - 1);
        _cleanup_free_ char *path = xasprintf("%s%s%s", top, *base ? "/" : "", base);
        _cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || !ignore_push_file(&w->ignore, base, fd, w->ignore_name, NULL))
            ignore_push(&w->ignore, base, "", 0);
    }
    return true;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct code_item *)a)->path, ((const struct code_item *)b)->path);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The rules travel with the job: its node tells by them which of its new files are ignored ones. */
static void keep_rules(void *data, const char *base, const char *text, size_t len)
{
    struct code_snapshot *s = data;
    size_t bytes = strlen(base) + 1 + len;
    if (s->ignore_count == JOB_IGNORE_FILES_MAX || bytes > JOB_IGNORE_MAX_BYTES - s->ignore_bytes ||
        memchr(text, '\0', len) || !json_is_utf8(text, len)) {
        s->ignore_dropped++;
        return;
    }
    s->ignore_bytes += bytes;
    s->ignore = xrealloc(s->ignore, (s->ignore_count + 1) * sizeof *s->ignore);
    s->ignore[s->ignore_count++] = xasprintf("%s\n%.*s", base, (int)len, text);
}

static bool refuse_unseen(const struct code_snapshot *s, struct error *err)
{
    int n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, s->privates)
    {
        if (n < JOB_PRIVATE_MAX && !(s->privates_seen >> n & 1)) {
            error_field(err, "private",
                        "the private directory %s is no directory that an ignore file leaves out",
                        cJSON_IsString(item) ? item->valuestring : "?");
            return error_hint(err, "name a whole ignored directory by its path in %s", s->path);
        }
        n++;
    }
    return true;
}

bool code_snapshot_walk(struct code_snapshot *s, bool limited, struct error *err)
{
    struct walk w = {.snapshot = s,
                     .limited = limited,
                     .err = err,
                     .ignore_name = ".gitignore",
                     .ignore = {.pushed = keep_rules, .data = s}};
    if (strcmp(s->path, "/") == 0)
        return refuse_folder(s->path, "it is the whole machine", err);
    if (is_home(s->path))
        return refuse_folder(s->path, "it is a home folder", err);
    _cleanup_free_ char *aml = xasprintf("%s/.amlignore", s->path);
    struct stat st;
    if (lstat(aml, &st) == 0) {
        w.ignore_name = ".amlignore";
        w.above = xstrdup("");
    } else if (!push_above(&w, s->path)) {
        ignore_finish(&w.ignore);
        free(w.above);
        return false;
    }
    bool vanished; /* only below it */
    bool ok = walk_folder(&w, AT_FDCWD, s->path, "", &vanished) && refuse_unseen(s, err);
    ignore_finish(&w.ignore);
    s->ignore_above = take_ptr(w.above);
    if (s->count)
        qsort(s->items, s->count, sizeof *s->items, by_path);
    if (s->left_out_count)
        qsort(s->left_out, s->left_out_count, sizeof *s->left_out, by_text);
    return ok;
}
