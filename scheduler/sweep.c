/* The sweep of work folders: oldest first. */
#include "scheduler/sweep.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "scheduler/beneath.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SWEEP_DEPTH_MAX 512

struct swept {
    char *path;
    int64_t at_ms;
    uint64_t bytes;
};

struct sweep {
    uv_work_t work;
    struct daemon *daemon;
    char *outputs_dir;
    uint64_t *live;
    size_t live_count;
};

/* Takes dirfd. */
static uint64_t bytes_below(int dirfd, unsigned depth)
{
    _cleanup_dir_ DIR *dir = fdopendir(dirfd);
    uint64_t sum = 0;
    if (!dir) {
        close(dirfd);
        return 0;
    }
    for (struct dirent *e; depth < SWEEP_DEPTH_MAX && (e = readdir(dir));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        sum += (uint64_t)st.st_blocks * 512;
        if (!S_ISDIR(st.st_mode))
            continue;
        int fd = beneath_open(dirfd, e->d_name, O_RDONLY | O_DIRECTORY);
        if (fd >= 0)
            sum += bytes_below(fd, depth + 1);
    }
    return sum;
}

uint64_t sweep_bytes_below(int dirfd)
{
    return bytes_below(dirfd, 0);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int oldest_first(const void *a, const void *b)
{
    const struct swept *x = a, *y = b;
    return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms;
}

static void find_work(const char *outputs_dir, const char *job, struct swept **found, size_t *count)
{
    _cleanup_free_ char *folder = xasprintf("%s/%s", outputs_dir, job);
    _cleanup_dir_ DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat st;
        char *path = xasprintf("%s/%s/work", folder, e->d_name);
        int fd = e->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &st) != 0) {
            if (fd >= 0)
                close(fd);
            free(path);
            continue;
        }
        *found = xrealloc(*found, (*count + 1) * sizeof **found);
        (*found)[(*count)++] = (struct swept){path, (int64_t)st.st_ctim.tv_sec * 1000, bytes_below(fd, 0)};
    }
}

void sweep_outputs(const char *outputs_dir, const uint64_t *live, size_t live_count, int64_t now_ms,
                   int64_t keep_ms, uint64_t keep_bytes)
{
    struct swept *found = NULL;
    size_t count = 0;
    uint64_t total = 0;
    _cleanup_dir_ DIR *dir = opendir(outputs_dir);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char *end;
        uint64_t job = strtoull(e->d_name, &end, 10);
        if (end == e->d_name || *end ||
            (live_count && bsearch(&job, live, live_count, sizeof job, by_number)))
            continue;
        find_work(outputs_dir, e->d_name, &found, &count);
    }
    for (size_t i = 0; i < count; i++)
        total += found[i].bytes;
    if (count)
        qsort(found, count, sizeof *found, oldest_first);
    for (size_t i = 0; i < count; i++) {
        struct error err = {0};
        bool old = now_ms - found[i].at_ms > keep_ms;
        if (old || total > keep_bytes) {
            log_info("removing %s: %s", found[i].path,
                     old ? "its time is over" : "room is needed for newer ones");
            if (!fs_remove_tree(AT_FDCWD, found[i].path, &err))
                log_warn("%s", err.message);
            total -= found[i].bytes;
        }
        free(found[i].path);
    }
    free(found);
}

static void do_sweep(uv_work_t *work)
{
    struct sweep *s = container_of(work, struct sweep, work);
    sweep_outputs(s->outputs_dir, s->live, s->live_count, clock_wall_ms(), SWEEP_KEEP_MS, SWEEP_KEEP_BYTES);
}

static void swept(uv_work_t *work, int status)
{
    (void)status;
    struct sweep *s = container_of(work, struct sweep, work);
    daemon_work_done(s->daemon);
    free(s->outputs_dir);
    free(s->live);
    free(s);
}

void sweep_start(struct daemon *d)
{
    struct sweep *s = xcalloc(1, sizeof *s);
    struct job *job, *tmp;
    s->outputs_dir = xstrdup(d->options.outputs_dir);
    s->live = xcalloc(d->jobs.live_count + 1, sizeof *s->live);
    list_for_each(job, tmp, &d->jobs.live, link) s->live[s->live_count++] = job->id; /* in the order of ids */
    qsort(s->live, s->live_count, sizeof *s->live, by_number);
    s->daemon = d;
    daemon_work(d, &s->work, do_sweep, swept);
}
