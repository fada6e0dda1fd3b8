/* The copy of stored outputs into a new attempt. The invariant: a file appears under its name whole (rename),
 * and nothing that is stored changes. */
#include "executor/outputs_seed.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/beneath.h"
#include "executor/bring.h"
#include "executor/hard_links.h"
#include "executor/outputs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define KEPT "outputs"
#define MARK_MAX 64 /* the text of an entry's inode and change time */

struct source {
    uint32_t attempt, rank;
};

struct run {
    struct outputs_seed *seed;
    struct source source;
    bool own; /* the source is this rank's */
    bool of_another_job;
    struct map taken; /* paths that were brought */
    struct hard_links links;
    struct buf record; /* of OUTPUTS_SEED_FILE: mark, path, mark, path... each NUL-ended */
    struct error *err;
};

/* What of an inode no user can put back once he has changed it. A directory changes with what is put into it.
 */
static void format_mark(const struct stat *st, char out[MARK_MAX])
{
    bool directory = S_ISDIR(st->st_mode);
    snprintf(out, MARK_MAX, "%" PRIu64 ".%" PRId64 ".%ld", (uint64_t)st->st_ino,
             directory ? 0 : (int64_t)st->st_ctim.tv_sec, directory ? 0 : st->st_ctim.tv_nsec);
}

static void note_brought(struct run *r, const char *path, const struct stat *st)
{
    char mark[MARK_MAX];
    map_put_str(&r->taken, path, r);
    if (r->own)
        return;
    format_mark(st, mark);
    buf_add(&r->record, mark, strlen(mark) + 1);
    buf_add(&r->record, path, strlen(path) + 1);
}

static bool give(const struct run *r, int fd, const struct stat *st)
{
    return (geteuid() != 0 || fchown(fd, r->seed->uid, r->seed->gid) == 0) &&
           fchmod(fd, st->st_mode & 0777) == 0;
}

static bool failed(struct run *r, const char *path)
{
    return error_errno(r->err, errno, "can't bring outputs/%s of attempt %u", path, r->source.attempt);
}

/* The snapshot may have something of another kind under the name. */
static bool put(int to, const char *name)
{
    if (renameat(to, BRING_PARTIAL, to, name) == 0)
        return true;
    return (errno == EISDIR || errno == ENOTEMPTY) && fs_remove_tree(to, name, NULL) &&
           renameat(to, BRING_PARTIAL, to, name) == 0;
}

static bool bring_regular(struct run *r, int from, const char *name, int to, const char *path)
{
    struct stat st, made;
    struct error err = {0};
    _cleanup_close_ int in = beneath_openat(from, name, O_RDONLY | O_NONBLOCK, 0, true);
    if (in < 0 || fstat(in, &st) != 0)
        return errno == ENOENT || failed(r, path); /* a peer's later attempt has taken its place */
    if (!S_ISREG(st.st_mode))
        return true;
    bool linked = r->own && st.st_nlink > 1;
    if (!linked || !hard_links_link(&r->links, &st, r->seed->outputs_fd, to, name)) {
        _cleanup_close_ int out =
            openat(to, BRING_PARTIAL, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        const struct timespec times[2] = {st.st_atim, st.st_mtim};
        if (out < 0)
            return failed(r, path);
        if (!fs_copy_fd(in, out, &err)) {
            *r->err = err;
            return error_wrap(r->err, "outputs/%s of attempt %u", path, r->source.attempt);
        }
        if (!give(r, out, &st) || futimens(out, times) != 0 || !put(to, name) || fstat(out, &made) != 0)
            return failed(r, path);
        if (linked)
            hard_links_note(&r->links, &st, r->seed->outputs_fd, path);
        note_brought(r, path, &made);
    } else {
        note_brought(r, path, &st);
    }
    r->seed->files++;
    r->seed->bytes += st.st_size;
    if (!r->of_another_job && r->source.attempt > r->seed->attempt)
        r->seed->attempt = r->source.attempt;
    return true;
}

static bool bring_link(struct run *r, int from, const char *name, int to, const char *path,
                       const struct stat *st)
{
    char target[BENEATH_PATH_MAX + 1];
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    struct stat made;
    ssize_t n = readlinkat(from, name, target, sizeof target - 1);
    if (n < 0)
        return errno == ENOENT || failed(r, path);
    target[n] = '\0';
    if (!fs_link_stays(path, target))
        return true;
    if (symlinkat(target, to, BRING_PARTIAL) != 0 ||
        (geteuid() == 0 &&
         fchownat(to, BRING_PARTIAL, r->seed->uid, r->seed->gid, AT_SYMLINK_NOFOLLOW) != 0) ||
        utimensat(to, BRING_PARTIAL, times, AT_SYMLINK_NOFOLLOW) != 0 || !put(to, name) ||
        fstatat(to, name, &made, AT_SYMLINK_NOFOLLOW) != 0)
        return failed(r, path);
    note_brought(r, path, &made);
    return true;
}

static bool bring_tree(struct run *r, int from, int to, const char *prefix, int depth);

static bool bring_directory(struct run *r, int from, const char *name, int to, const char *path, int depth)
{
    struct stat st;
    _cleanup_close_ int in = beneath_openat(from, name, O_RDONLY | O_DIRECTORY, 0, true);
    if (in < 0 || fstat(in, &st) != 0)
        return errno == ENOENT || failed(r, path);
    int made = mkdirat(to, name, 0700);
    _cleanup_close_ int out = beneath_openat(to, name, O_RDONLY | O_DIRECTORY, 0, true);
    if (out < 0 && !map_get_str(&r->taken, path)) { /* the snapshot has a file there */
        made = fs_remove_tree(to, name, NULL) ? mkdirat(to, name, 0700) : -1;
        out = beneath_openat(to, name, O_RDONLY | O_DIRECTORY, 0, true);
    }
    if (out < 0)
        return map_get_str(&r->taken, path) || failed(r, path);
    if (!bring_tree(r, in, out, path, depth + 1))
        return false;
    if (made != 0)
        return true;
    struct stat given;
    if (!give(r, out, &st) || fstat(out, &given) != 0)
        return failed(r, path);
    note_brought(r, path, &given);
    return true;
}

static bool bring_entry(struct run *r, int from, const char *name, int to, const char *path, int depth)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || failed(r, path);
    if (S_ISDIR(st.st_mode))
        return depth == OUTPUTS_DEPTH_MAX || bring_directory(r, from, name, to, path, depth);
    if (map_get_str(&r->taken, path))
        return true;
    if (S_ISLNK(st.st_mode))
        return bring_link(r, from, name, to, path, &st);
    return bring_regular(r, from, name, to, path);
}

static bool bring_tree(struct run *r, int from, int to, const char *prefix, int depth)
{
    int list_fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    struct dirent *entry;
    if (!dir)
        return failed(r, prefix);
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strcmp(entry->d_name, BRING_PARTIAL) == 0)
            continue;
        if (atomic_load(r->seed->cancelled))
            return true;
        _cleanup_free_ char *path =
            *prefix ? xasprintf("%s/%s", prefix, entry->d_name) : xstrdup(entry->d_name);
        if (!bring_entry(r, from, entry->d_name, to, path, depth))
            return false;
    }
    return true;
}

/* The job's own folder of outputs, where those of its tasks lie; -1 where nothing is stored of it yet. */
static int open_job(const char *stored)
{
    _cleanup_free_ char *job = xstrdup(stored);
    char *slash = strrchr(job, '/');
    if (!slash || slash == job)
        return -1;
    *slash = '\0';
    return open(job, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* "ATTEMPT.RANK" of an attempt ahead of `before`. */
static bool parse_source(const char *name, uint32_t before, struct source *out)
{
    uint64_t attempt, rank;
    if (!ids_take_decimal(&name, UINT32_MAX, &attempt) || *name++ != '.' ||
        !ids_take_decimal(&name, UINT32_MAX, &rank) || *name || attempt >= before)
        return false;
    *out = (struct source){(uint32_t)attempt, (uint32_t)rank};
    return true;
}

static int newest_first(const void *a, const void *b)
{
    const struct source *x = a, *y = b;
    if (x->attempt != y->attempt)
        return x->attempt > y->attempt ? -1 : 1;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

static struct source *list_sources(int job, uint32_t before, size_t *count)
{
    struct source *all = NULL, one;
    size_t capacity = 0;
    *count = 0;
    int list_fd = openat(job, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!parse_source(entry->d_name, before, &one))
            continue;
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            all = xrealloc(all, capacity * sizeof *all);
        }
        all[(*count)++] = one;
    }
    if (*count)
        qsort(all, *count, sizeof *all, newest_first);
    return all;
}

static bool bring_source(struct run *r, int job, const struct source *source)
{
    char path[sizeof KEPT + 24];
    snprintf(path, sizeof path, "%u.%u/" KEPT, source->attempt, source->rank);
    r->source = *source;
    r->own = source->rank == r->seed->id.rank;
    _cleanup_close_ int from = beneath_openat(job, path, O_RDONLY | O_DIRECTORY, 0, true);
    if (from < 0)
        return errno == ENOENT || failed(r, "");
    return bring_tree(r, from, r->seed->outputs_fd, "", 0);
}

/* Attempts ahead of `before`, of the job whose directory this is; takes it. */
static bool bring_job(struct run *r, int job_fd, uint32_t before)
{
    _cleanup_close_ int job = job_fd;
    size_t count;
    bool ok = true;
    if (job < 0)
        return true;
    _cleanup_free_ struct source *sources = list_sources(job, before, &count);
    for (int own = 1; own >= 0; own--)
        for (size_t i = 0; ok && i < count; i++)
            if ((sources[i].rank == r->seed->id.rank) == (own == 1))
                ok = bring_source(r, job, &sources[i]);
    return ok;
}

bool outputs_seed_run(struct outputs_seed *seed, struct error *err)
{
    struct run r = {.seed = seed, .err = err};
    bool ok = seed->only_continued || bring_job(&r, open_job(seed->stored), seed->id.attempt);
    r.of_another_job = true;
    if (ok && seed->continued)
        ok =
            bring_job(&r, open(seed->continued, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), UINT32_MAX);
    if (ok && r.record.len)
        ok = fs_write_atomic(seed->task_fd, OUTPUTS_SEED_FILE, r.record.data, r.record.len, 0600, err);
    map_finish(&r.taken);
    hard_links_finish(&r.links);
    buf_finish(&r.record);
    return ok;
}

void outputs_supersede(const char *stored, struct task_id id)
{
    _cleanup_close_ int job = open_job(stored);
    size_t count;
    if (job < 0)
        return;
    _cleanup_free_ struct source *sources = list_sources(job, id.attempt, &count);
    for (size_t i = count; i-- > 0;) { /* the oldest first: after a kill the newest is what is left */
        char name[24], path[sizeof KEPT + sizeof name];
        if (sources[i].rank != id.rank)
            continue;
        snprintf(name, sizeof name, "%u.%u", sources[i].attempt, sources[i].rank);
        snprintf(path, sizeof path, "%s/" KEPT, name);
        fs_remove_tree(job, path, NULL);
        unlinkat(job, name, AT_REMOVEDIR); /* unless work/ is there */
    }
}

void outputs_seeded_read(struct outputs_seeded *seeded, int task_fd)
{
    _cleanup_buf_ struct buf text = {0};
    *seeded = (struct outputs_seeded){0};
    if (!fs_read_file(task_fd, OUTPUTS_SEED_FILE, OUTPUTS_SEED_FILE_MAX_BYTES, &text, NULL))
        return;
    const char *end = text.data ? text.data + text.len : NULL;
    for (const char *mark = text.data; mark && mark < end;) {
        const char *path = mark + strnlen(mark, (size_t)(end - mark)) + 1;
        if (path >= end)
            return;
        free(map_put_str(&seeded->by_path, path, xstrdup(mark)));
        path += strnlen(path, (size_t)(end - path)) + 1;
        mark = path;
    }
}

bool outputs_seeded_unchanged(const struct outputs_seeded *seeded, const char *path, const struct stat *st)
{
    char mark[MARK_MAX];
    const char *then = map_get_str(&seeded->by_path, path);
    format_mark(st, mark);
    return then && strcmp(then, mark) == 0;
}

void outputs_seeded_finish(struct outputs_seeded *seeded)
{
    map_finish_free(&seeded->by_path);
}
