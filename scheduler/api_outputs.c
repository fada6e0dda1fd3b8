/*
 * Outputs: listings are walked in the thread pool, files are sent in place. Both start from the task's own
 * folder and never leave it, whatever links a job left there. Those of a task that runs are its node's to
 * bring (outputs_now.h).
 */
#include "scheduler/api.h"
#include "scheduler/beneath.h"
#include "scheduler/outputs_now.h"
#include "scheduler/work_files.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct walk {
    uv_work_t work;
    struct daemon *daemon;
    struct http_request *req;
    char *root, *outputs_dir;
    uint64_t work_of; /* the job whose work files are listed; 0: outputs are */
    uint32_t attempt;
    bool final;
    char *collected; /* the node's own account, for what it skipped */
    struct listing listing;
    char *text; /* the answer */
    struct error err;
};

/* Of the newest attempt that left any: one that never ran leaves nothing, and the next gets what is there. */
static char *root_of(const struct daemon *d, const struct job *job, uint32_t rank, bool work,
                     uint32_t *attempt)
{
    for (*attempt = job->attempt;; --*attempt) {
        char *root = xasprintf("%s/%llu/%u.%u/%s", d->options.outputs_dir, (unsigned long long)job->id,
                               *attempt, rank, work ? "work" : "outputs");
        if (*attempt <= 1 || access(root, F_OK) == 0)
            return root;
        free(root);
    }
}

static int64_t count_ranks(const struct job *job)
{
    struct error ignored;
    _cleanup_json_ cJSON *fixed = job->fixed ? json_parse(job->fixed, strlen(job->fixed), &ignored) : NULL;
    return json_int(json_get(fixed, "resources"), "instance_count", 1);
}

/* `work` and `rank` of the query; a rank that the job lacks is refused. */
static bool read_query(const struct http_request *req, const struct job *job, bool *work, uint32_t *rank,
                       struct error *err)
{
    int64_t n;
    if (!http_request_query_bool(req, "work", false, work, err) ||
        !http_request_query_int(req, "rank", 0, UINT32_MAX, 0, &n, err))
        return false;
    int64_t ranks = n ? count_ranks(job) : 1;
    if (n >= ranks)
        return error_field(err, "rank", "no rank %lld in job %s: its last rank is %lld", (long long)n,
                           job->name, (long long)ranks - 1);
    *rank = (uint32_t)n;
    return true;
}

/* The text is made here too: of a hundred thousand files it would hold the loop up. */
static void write_answer(struct walk *w)
{
    struct error ignored;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    _cleanup_json_ cJSON *collected =
        w->collected ? json_parse(w->collected, strlen(w->collected), &ignored) : NULL;
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(collected, "skipped"))
        cJSON_AddItemToArray(w->listing.skipped, cJSON_Duplicate(item, true));
    json_add_int(o, "attempt", w->attempt);
    listing_give(&w->listing, o);
    cJSON_AddBoolToObject(o, "final", w->final);
    if (w->work_of) {
        char text[WORK_TEXT_BYTES];
        work_files_tell(w->outputs_dir, w->work_of, w->listing.count > 0, text);
        json_add_str(o, "work_files", *text ? text : NULL);
    }
    w->text = json_text(o);
}

/* In the thread pool. */
static void do_walk(uv_work_t *work)
{
    struct walk *w = container_of(work, struct walk, work);
    listing_init(&w->listing);
    int fd = open(w->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0)
        listing_walk(&w->listing, fd);
    else if (errno != ENOENT)
        error_errno(&w->err, errno, "can't list %s", w->root);
    write_answer(w);
}

static void walked(uv_work_t *work, int status)
{
    (void)status;
    struct walk *w = container_of(work, struct walk, work);
    daemon_work_done(w->daemon);
    if (w->err.code == ERROR_NONE) {
        http_respond_text(w->req, 200, "application/json", w->text, strlen(w->text));
    } else {
        http_respond_error(w->req, &w->err);
        free(w->text);
    }
    free(w->root);
    free(w->outputs_dir);
    free(w->collected);
    free(w);
}

void api_get_outputs(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    bool work;
    uint32_t rank = 0;
    const struct job *job = api_own_job(d, req, "see the outputs of");
    if (!job || !api_need_element(req, job, "folder of outputs"))
        return;
    if (!read_query(req, job, &work, &rank, &err)) {
        http_respond_error(req, &err);
        return;
    }
    const struct task *now = work ? NULL : outputs_now_task(job, rank);
    if (now) {
        outputs_now_ask(d, req, job, now, NULL);
        return;
    }
    struct walk *w = xcalloc(1, sizeof *w);
    w->daemon = d;
    w->req = req;
    w->root = root_of(d, job, rank, work, &w->attempt);
    w->outputs_dir = xstrdup(d->options.outputs_dir);
    w->work_of = work ? job->id : 0;
    const struct task *task = job_task(job, w->attempt, rank);
    bool another_follows = w->attempt != job->attempt || job->state == JOB_QUEUED;
    w->final = job_is_final(job) || (!another_follows && task && task->collected);
    w->collected = task ? xstrdup(task->outputs) : NULL;
    daemon_work_for(d, api_caller(d, req).principal, &w->work, do_walk, walked);
}

/* "bytes=A-B", "bytes=A-", "bytes=-N". false where it is none of them: it is then ignored, as RFC 9110 wants.
 */
static bool parse_range(const char *text, uint64_t size, uint64_t *first, uint64_t *last)
{
    char *end;
    if (!text || strncmp(text, "bytes=", 6) != 0 || strchr(text, ','))
        return false;
    text += 6;
    if (*text == '-') {
        uint64_t n = strtoull(text + 1, &end, 10);
        if (end == text + 1 || *end)
            return false;
        *first = n < size ? size - n : 0;
        *last = n ? size - 1 : 0;
        if (!n)
            *first = size;
        return true;
    }
    if (*text < '0' || *text > '9')
        return false;
    *first = strtoull(text, &end, 10);
    if (*end++ != '-')
        return false;
    *last = size ? size - 1 : 0;
    if (!*end)
        return true;
    uint64_t wanted = strtoull(end, &end, 10);
    if (*end || wanted < *first)
        return false;
    if (wanted < *last)
        *last = wanted;
    return true;
}

void api_send_output_file(struct http_request *req, int fd, uint64_t size)
{
    static const char type[] = "application/octet-stream";
    uint64_t first, last;
    if (!parse_range(http_request_header(req, "Range"), size, &first, &last)) {
        http_respond_header(req, "Accept-Ranges", "bytes");
        http_respond_file(req, 200, type, fd, 0, size);
    } else if (first >= size) {
        struct error err = {0};
        close(fd);
        error_set(&err, ERROR_INVALID, "the file has %llu bytes", (unsigned long long)size);
        http_respond_header(req, "Content-Range", "bytes */%llu", (unsigned long long)size);
        http_respond_errors(req, 416, &err, NULL);
    } else {
        http_respond_header(req, "Content-Range", "bytes %llu-%llu/%llu", (unsigned long long)first,
                            (unsigned long long)last, (unsigned long long)size);
        http_respond_file(req, 206, type, fd, first, last - first + 1);
    }
}

void api_get_output_file(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    bool work;
    uint32_t rank = 0, attempt;
    struct stat st;
    const struct job *job = api_own_job(d, req, "see the outputs of");
    if (!job || !api_need_element(req, job, "folder of outputs"))
        return;
    const char *path = http_request_query(req, "path");
    bool ok = read_query(req, job, &work, &rank, &err);
    if (ok && (!path || !*path || *path == '/'))
        ok = error_field(&err, "path", "path is that of a file below the outputs");
    if (!ok) {
        http_respond_error(req, &err);
        return;
    }
    const struct task *now = work ? NULL : outputs_now_task(job, rank);
    if (now) {
        outputs_now_ask(d, req, job, now, path);
        return;
    }
    _cleanup_free_ char *root = root_of(d, job, rank, work, &attempt);
    _cleanup_close_ int dirfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    _cleanup_close_ int fd = dirfd < 0 ? -1 : beneath_open(dirfd, path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int e = errno;
        if (e == ELOOP || e == EXDEV)
            error_set(&err, ERROR_DENIED, "%.512s leads out of the outputs or through a link", path);
        else
            error_errno(&err, e, "%.512s", path);
        http_respond_error(req, &err);
    } else if (!S_ISREG(st.st_mode)) {
        error_field(&err, "path", "%.512s is not a regular file", path);
        http_respond_error(req, &err);
    } else {
        api_send_output_file(req, take_fd(&fd), (uint64_t)st.st_size);
    }
}
