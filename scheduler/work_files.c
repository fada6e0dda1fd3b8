/* Retention of work files. */
#include "scheduler/work_files.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"
#include "scheduler/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

uint64_t work_files_default_share(const char *outputs_dir)
{
    struct statvfs st;
    uint64_t tenth = statvfs(outputs_dir, &st) == 0 ? (uint64_t)st.f_blocks * st.f_frsize / 10 : 0;
    return tenth > WORK_SHARE_MIN ? tenth : WORK_SHARE_MIN;
}

char *work_files_date(int64_t wall_ms, char out[WORK_DATE_BYTES])
{
    struct tm tm;
    time_t s = (time_t)(wall_ms / 1000);
    strftime(out, WORK_DATE_BYTES, "%Y-%m-%d", gmtime_r(&s, &tm));
    return out;
}

static int64_t ms_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- what there is ---- */

static void find_of_job(int job_fd, struct work_files *w)
{
    struct stat st;
    _cleanup_dir_ DIR *dir = fdopendir(job_fd);
    if (!dir) {
        close(job_fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        _cleanup_free_ char *path = xasprintf("%s/work", e->d_name);
        int fd =
            e->d_name[0] == '.' ? -1 : openat(job_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue;
        if (fstat(fd, &st) == 0 && ms_of(st.st_ctim) > w->at_ms)
            w->at_ms = ms_of(st.st_ctim);
        w->bytes += storage_bytes_below(fd);
    }
    if (fstatat(job_fd, WORK_GOES, &st, AT_SYMLINK_NOFOLLOW) == 0)
        w->goes_ms = ms_of(st.st_mtim);
    w->begun = fstatat(job_fd, WORK_REMOVED, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

void work_files_find(const char *outputs_dir, struct work_list *out)
{
    *out = (struct work_list){0};
    size_t room = 0;
    _cleanup_dir_ DIR *dir = opendir(outputs_dir);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *end;
        struct work_files w = {.job = strtoull(e->d_name, &end, 10)};
        if (end == e->d_name || *end)
            continue;
        int fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue;
        find_of_job(fd, &w);
        if (!w.at_ms)
            continue;
        if (out->count == room) {
            room = room ? room * 2 : 64;
            out->items = xrealloc(out->items, room * sizeof *out->items);
        }
        out->items[out->count++] = w;
    }
}

void work_files_finish(struct work_list *l)
{
    free(l->items);
    *l = (struct work_list){0};
}

/* ---- what stays ---- */

static int newest_first_of_each(const void *a, const void *b)
{
    const struct work_files *x = a, *y = b;
    if (x->principal != y->principal)
        return x->principal < y->principal ? -1 : 1;
    if (x->at_ms != y->at_ms)
        return x->at_ms > y->at_ms ? -1 : 1;
    return x->job > y->job ? -1 : x->job < y->job;
}

/* All of one principal, newest first. `later`: what will be stored once what is announced has gone. */
static void judge_one(struct work_files *w, size_t count, uint64_t share, int64_t now_ms)
{
    uint64_t stored = 0;
    for (size_t i = 0; i < count; i++) {
        bool old = now_ms - w[i].at_ms > WORK_KEEP_MS;
        w[i].fate = i && old && !w[i].live ? WORK_TOO_OLD : WORK_STAYS;
        if (w[i].begun)
            w[i].fate = WORK_MAKES_ROOM;
        stored += w[i].fate == WORK_STAYS ? w[i].bytes : 0;
    }
    uint64_t later = stored;
    for (size_t i = count; i-- > 1 && later > share;) {
        if (w[i].live || w[i].fate != WORK_STAYS)
            continue;
        bool due = w[i].goes_ms && w[i].goes_ms <= now_ms;
        w[i].fate = due || stored / 2 > share ? WORK_MAKES_ROOM : WORK_GOES_LATER;
        later -= w[i].bytes;
        stored -= w[i].fate == WORK_MAKES_ROOM ? w[i].bytes : 0;
    }
}

void work_files_judge(struct work_list *l, const uint64_t *share, int64_t now_ms)
{
    if (l->count)
        qsort(l->items, l->count, sizeof *l->items, newest_first_of_each);
    for (size_t i = 0, n; i < l->count; i += n) {
        uint32_t principal = l->items[i].principal;
        for (n = 1; i + n < l->count && l->items[i + n].principal == principal; n++)
            ;
        judge_one(&l->items[i], n, share[principal], now_ms);
    }
}

/* ---- what goes ---- */

static bool announce(int job_fd, int64_t goes_ms)
{
    struct timespec at[2] = {{.tv_nsec = UTIME_OMIT},
                             {.tv_sec = goes_ms / 1000, .tv_nsec = goes_ms % 1000 * 1000000}};
    _cleanup_close_ int fd = openat(job_fd, WORK_GOES, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 && futimens(fd, at) == 0;
}

/* Before they go: a listing that finds none must know why. */
static bool record_removal(int job_fd, const struct work_files *w, int64_t now_ms, struct error *err)
{
    char text[WORK_TEXT_BYTES], day[WORK_DATE_BYTES];
    int n = snprintf(text, sizeof text, "were removed %s %s", work_files_date(now_ms, day),
                     w->fate == WORK_TOO_OLD ? "after 7 days" : "to free space");
    return fs_write_atomic(job_fd, WORK_REMOVED, text, (size_t)n, 0600, err);
}

static void remove_of_job(int job_fd, struct error *err)
{
    int fd = openat(job_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_dir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        error_errno(err, errno, "can't list its attempts");
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; err->code == ERROR_NONE && (e = readdir(dir));) {
        _cleanup_free_ char *path = xasprintf("%s/work", e->d_name);
        if (e->d_name[0] != '.' && faccessat(job_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            fs_remove_tree(job_fd, path, err);
    }
    if (err->code == ERROR_NONE)
        unlinkat(job_fd, WORK_GOES, 0);
}

static void apply_one(int job_fd, struct work_files *w, int64_t now_ms)
{
    struct error err = {0};
    if (w->fate == WORK_STAYS) {
        w->news = w->goes_ms && unlinkat(job_fd, WORK_GOES, 0) == 0;
    } else if (w->fate == WORK_GOES_LATER) {
        w->news = !w->goes_ms && announce(job_fd, now_ms + WORK_NOTICE_MS);
        w->goes_ms = w->news ? now_ms + WORK_NOTICE_MS : w->goes_ms;
    } else {
        if (w->begun || record_removal(job_fd, w, now_ms, &err))
            remove_of_job(job_fd, &err);
        w->news = err.code == ERROR_NONE;
    }
    if (err.code != ERROR_NONE)
        log_warn("the work files of job %llu: %s", (unsigned long long)w->job, err.message);
}

void work_files_apply(const char *outputs_dir, const struct work_list *l, int64_t now_ms)
{
    for (size_t i = 0; i < l->count; i++) {
        struct work_files *w = &l->items[i];
        if (w->fate == WORK_STAYS && !w->goes_ms)
            continue;
        _cleanup_free_ char *path = xasprintf("%s/%llu", outputs_dir, (unsigned long long)w->job);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0)
            apply_one(fd, w, now_ms);
    }
}

void work_files_tell(const char *outputs_dir, uint64_t job, bool stored, char out[WORK_TEXT_BYTES])
{
    struct stat st;
    char day[WORK_DATE_BYTES];
    _cleanup_free_ char *path = xasprintf("%s/%llu", outputs_dir, (unsigned long long)job);
    _cleanup_close_ int job_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    out[0] = '\0';
    if (job_fd >= 0 && stored && fstatat(job_fd, WORK_GOES, &st, AT_SYMLINK_NOFOLLOW) == 0)
        snprintf(out, WORK_TEXT_BYTES, "go on %s to free space", work_files_date(ms_of(st.st_mtim), day));
    if (job_fd < 0 || stored)
        return;
    _cleanup_close_ int fd = openat(job_fd, WORK_REMOVED, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? 0 : read(fd, out, WORK_TEXT_BYTES - 1);
    out[n > 0 ? n : 0] = '\0';
}
