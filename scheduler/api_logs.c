/*
 * GET /v1/jobs/JOB/logs. A follower holds a descriptor, an offset and a watch, and never more than one piece
 * of the log. Invariant: whether the log is final is looked at before the read that finds nothing more.
 */
#include "scheduler/follow.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "scheduler/api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char type[] = "application/octet-stream";

struct follower {
    struct list link;
    struct daemon *daemon;
    struct http_request *req;
    uint64_t job, array; /* array: whose element the job is; 0: of none */
    uint32_t attempt, rank;
    bool one_attempt, errors;
    int fd;
    uint64_t offset;
    uv_fs_event_t *watch;
    bool watches_folder; /* the file is not there yet */
};

struct log_request {
    int64_t attempt, rank, offset, tail;
    bool follow, errors;
};

static char *log_path(const struct daemon *d, uint64_t job, uint32_t attempt, uint32_t rank, bool errors)
{
    return xasprintf("%s/%llu/%u.%u.%s", d->options.log_dir, (unsigned long long)job, attempt, rank,
                     errors ? "err" : "log");
}

static int open_log(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void close_log(struct follower *f)
{
    if (f->watch)
        uv_close((uv_handle_t *)f->watch, free_handle);
    f->watch = NULL;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    struct follower *f = watch->data;
    http_stream_wake(f->req);
}

static bool watch(struct follower *f, const char *path, bool folder)
{
    if (f->watch && f->watches_folder == folder)
        return false;
    if (f->watch)
        uv_close((uv_handle_t *)f->watch, free_handle);
    f->watch = xcalloc(1, sizeof *f->watch);
    f->watches_folder = folder;
    uv_fs_event_init(&f->daemon->loop, f->watch);
    f->watch->data = f;
    int rc = uv_fs_event_start(f->watch, on_change, path, 0);
    if (rc != 0)
        log_error("%s can't be watched (%s): its followers see it when the job's state changes", path,
                  uv_strerror(rc));
    return rc == 0;
}

/* Watches the file, or its folder as long as there is no file. True where that is new: it must be looked at
 * once more, since it may have changed before the watch began. */
static bool watch_log(struct follower *f, const char *path)
{
    if (f->fd >= 0)
        return watch(f, path, false);
    _cleanup_free_ char *folder =
        xasprintf("%s/%llu", f->daemon->options.log_dir, (unsigned long long)f->job);
    return (mkdir(folder, 0700) == 0 || errno == EEXIST) && watch(f, folder, true);
}

enum stage { STAGE_GROWS, STAGE_NEXT, STAGE_FINAL };

static enum stage stage_of(const struct follower *f)
{
    struct daemon *d = f->daemon;
    const struct job *job = jobs_find_id(&d->jobs, d->reader, f->job);
    const struct job *array = !job && f->array ? jobs_find_id(&d->jobs, d->reader, f->array) : NULL;
    if (!job) /* an element that has not begun grows as long as its array may begin it */
        return array && !(job_is_final(array) && array->evictable) ? STAGE_GROWS : STAGE_FINAL;
    const struct task *task = job_task(job, f->attempt, f->rank);
    bool over = (task && task->exited && task->released) || job->attempt > f->attempt;
    if (!f->one_attempt && job->attempt > f->attempt)
        return STAGE_NEXT;
    if ((job_is_final(job) && job->evictable) || (f->one_attempt && over))
        return STAGE_FINAL;
    return STAGE_GROWS;
}

static ssize_t pull(void *data, char *out, size_t max)
{
    struct follower *f = data;
    for (;;) {
        enum stage stage = stage_of(f);
        _cleanup_free_ char *path = log_path(f->daemon, f->job, f->attempt, f->rank, f->errors);
        if (f->fd < 0)
            f->fd = open_log(path);
        if (f->fd >= 0) {
            ssize_t n = pread(f->fd, out, max, (off_t)f->offset);
            if (n > 0) {
                f->offset += (uint64_t)n;
                return n;
            }
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0) {
                log_error("can't read %s: %s", path, strerror(errno));
                return HTTP_PULL_BREAK;
            }
        } else if (errno != ENOENT) {
            log_error("can't open %s: %s", path, strerror(errno));
            return HTTP_PULL_BREAK;
        }
        if (stage == STAGE_FINAL)
            return HTTP_PULL_END;
        if (stage == STAGE_NEXT) {
            close_log(f);
            f->attempt++;
            f->offset = 0;
        } else if (!watch_log(f, path)) {
            return HTTP_PULL_WAIT;
        }
    }
}

static void done(void *data)
{
    struct follower *f = data;
    close_log(f);
    list_remove(&f->link);
    free(f);
}

void follow_job_changed(struct daemon *d, uint64_t job)
{
    struct follower *f, *tmp;
    list_for_each(f, tmp, &d->followers, link) if (f->job == job || f->array == job) http_stream_wake(f->req);
}

static bool read_query(struct http_request *req, struct log_request *want, struct error *err)
{
    const char *stream = http_request_query(req, "stream");
    if (!http_request_query_int(req, "attempt", 1, UINT32_MAX, 0, &want->attempt, err) ||
        !http_request_query_int(req, "rank", 0, UINT32_MAX, 0, &want->rank, err) ||
        !http_request_query_int(req, "offset", 0, INT64_MAX, 0, &want->offset, err) ||
        !http_request_query_int(req, "tail", 0, INT64_MAX, -1, &want->tail, err) ||
        !http_request_query_bool(req, "follow", false, &want->follow, err))
        return false;
    if (stream && strcmp(stream, "out") != 0 && strcmp(stream, "err") != 0)
        return error_field(err, "stream", "stream is out or err, not '%.40s'", stream);
    want->errors = stream && strcmp(stream, "err") == 0;
    return true;
}

static void start_following(struct daemon *d, struct http_request *req, const struct job *job,
                            uint32_t attempt, const struct log_request *want, int fd, uint64_t offset)
{
    struct follower *f = xcalloc(1, sizeof *f);
    *f = (struct follower){.daemon = d,
                           .req = req,
                           .job = job->id,
                           .array = job->array_job,
                           .attempt = attempt,
                           .rank = (uint32_t)want->rank,
                           .one_attempt = want->attempt != 0,
                           .errors = want->errors,
                           .fd = fd,
                           .offset = offset};
    list_append(&d->followers, &f->link);
    http_respond_stream(req, 200, type, &(struct http_stream){pull, done, f});
}

void api_get_logs(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    struct log_request want = {0};
    const struct job *job = api_own_job(d, req, "read the log of");
    if (!job || !api_need_element(req, job, "log"))
        return;
    if (!read_query(req, &want, &err)) {
        http_respond_error(req, &err);
        return;
    }
    /* without an attempt: the present one, the first where there was none yet */
    uint32_t attempt = want.attempt ? (uint32_t)want.attempt : job->attempt ? job->attempt : 1;
    _cleanup_free_ char *path = log_path(d, job->id, attempt, (uint32_t)want.rank, want.errors);
    _cleanup_close_ int fd = open_log(path);
    struct stat st = {0};
    if ((fd < 0 && errno != ENOENT) || (fd >= 0 && fstat(fd, &st) != 0)) {
        error_errno(&err, errno, "the log of job %s", job->name);
        http_respond_error(req, &err);
        return;
    }
    const struct task *task = job_task(job, attempt, (uint32_t)want.rank);
    if (fd < 0 && job_is_final(job) && task && task->log_bytes && !want.errors) {
        error_set(&err, ERROR_NOT_FOUND, "the log of job %s was removed", job->name);
        error_hint(&err, "berth show %s says why", job->name);
        http_respond_error(req, &err);
        return;
    }
    uint64_t size = fd >= 0 ? (uint64_t)st.st_size : 0, offset = (uint64_t)want.offset;
    if (want.tail >= 0)
        offset = size > (uint64_t)want.tail ? size - (uint64_t)want.tail : 0;
    http_respond_header(req, "X-Berth-Attempt", "%u", attempt);
    http_respond_header(req, "X-Berth-Offset", "%llu", (unsigned long long)offset);
    if (want.follow)
        start_following(d, req, job, attempt, &want, take_fd(&fd), offset);
    else if (fd >= 0 && offset < size)
        http_respond_file(req, 200, type, take_fd(&fd), offset, size - offset);
    else
        http_respond_text(req, 200, type, xstrdup(""), 0);
}
