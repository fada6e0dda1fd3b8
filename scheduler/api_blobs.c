/*
 * Blobs over HTTP. Uploads are hashed and written in the thread pool, one piece after the other; the sender
 * is held back meanwhile, so that an upload never holds more than one piece.
 */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/log.h"
#include "scheduler/blobs.h"
#include "scheduler/engine.h"
#include "scheduler/storage.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct upload {
    uv_work_t work;
    char *state_dir, *temporary;
    char sha[BLOB_SHA_TEXT + 1];
    struct daemon *daemon;
    struct owner_upload owner; /* principal 0: not counted */
    struct http_request *req;  /* NULL: the sender has gone */
    struct buf piece;
    uint64_t expected_bytes, received_bytes; /* expected: UINT64_MAX where the length isn't told */
    int fd;
    gnutls_hash_hd_t hash;
    struct error err;
    bool busy, last;
};

bool api_sha_valid(const char *sha)
{
    return blob_sha_valid(sha);
}

static void upload_free(struct upload *u)
{
    if (u->owner.principal)
        owners_end_upload(&u->daemon->owners, &u->owner);
    if (u->hash)
        gnutls_hash_deinit(u->hash, NULL);
    if (u->fd >= 0)
        close(u->fd);
    if (u->temporary)
        unlink(u->temporary);
    buf_finish(&u->piece);
    free(u->temporary);
    free(u->state_dir);
    free(u);
}

/* In the thread pool. */
static bool write_piece(struct upload *u)
{
    if (!u->hash && gnutls_hash_init(&u->hash, GNUTLS_DIG_SHA256) < 0)
        return error_set(&u->err, ERROR_INTERNAL, "can't hash");
    if (u->piece.len && gnutls_hash(u->hash, u->piece.data, u->piece.len) < 0)
        return error_set(&u->err, ERROR_INTERNAL, "can't hash");
    /* Also where the blob is there already: how long an upload takes tells nobody what others have. */
    if (u->fd < 0) {
        u->temporary = xasprintf("%s/blobs/incoming/XXXXXX", u->state_dir);
        u->fd = mkostemp(u->temporary, O_CLOEXEC);
        if (u->fd < 0) {
            int e = errno;
            free(take_ptr(u->temporary));
            return error_errno(&u->err, e, "can't store blob %s", u->sha);
        }
    }
    if (u->fd >= 0 && u->piece.len && !fs_write_all(u->fd, u->piece.data, u->piece.len))
        return error_errno(&u->err, errno, "can't store blob %s", u->sha);
    return true;
}

static bool finish_blob(struct upload *u)
{
    uint8_t got[32], wanted[32];
    gnutls_hash_deinit(take_ptr(u->hash), got);
    blob_sha_to_bytes(u->sha, wanted);
    if (memcmp(got, wanted, sizeof got) != 0)
        return error_field(&u->err, "sha", "the bytes that came do not have the SHA-256 %s", u->sha);
    _cleanup_free_ char *path = blob_path(u->state_dir, u->sha);
    if (fchmod(u->fd, 0400) != 0 || fdatasync(u->fd) != 0)
        return error_errno(&u->err, errno, "can't store blob %s", u->sha);
    FAULT("blobs.before_rename");
    if (rename(u->temporary, path) != 0)
        return error_errno(&u->err, errno, "can't store blob %s", u->sha);
    FAULT("blobs.after_rename");
    free(take_ptr(u->temporary));
    return true; /* the names are synced once for each tree, before its first job is acknowledged
                    (submit_code.c) */
}

static void do_work(uv_work_t *work)
{
    struct upload *u = container_of(work, struct upload, work);
    if (u->err.code == ERROR_NONE && write_piece(u) && u->last)
        (void)finish_blob(u);
    buf_clear(&u->piece);
}

static void work_done(uv_work_t *work, int status)
{
    (void)status;
    struct upload *u = container_of(work, struct upload, work);
    u->busy = false;
    daemon_work_done(u->daemon);
    if (!u->req) {
        upload_free(u);
        return;
    }
    struct http_request *req = u->req;
    if (!u->last && !u->daemon->stopping) {
        http_request_go_on(req);
        return;
    }
    if (!u->last) {
        u->req = NULL;
        http_request_set_data(req, NULL);
        upload_free(u); /* the server ends the request */
        return;
    }
    http_request_set_data(req, NULL);
    if (u->err.code == ERROR_NO_SPACE && !u->err.hint[0])
        error_hint(&u->err, "free space on the disk of the state directory %s", u->state_dir);
    if (u->err.code == ERROR_NONE && engine_writable(u->daemon, &u->err)) {
        owners_add(u->daemon, u->owner.principal, u->sha, u->received_bytes);
        engine_answer(u->daemon, req, 201, NULL, NULL, 0);
    } else {
        http_respond_error(req, &u->err);
    }
    upload_free(u);
}

static void start_work(struct daemon *d, struct upload *u)
{
    assert(!u->busy); /* one piece at a time */
    u->busy = true;
    daemon_work(d, &u->work, do_work, work_done);
}

/* From here on it counts for who sends it. */
static void begin_owned(struct daemon *d, struct http_request *req, struct upload *u)
{
    uint64_t length = u->expected_bytes == UINT64_MAX ? 0 : u->expected_bytes;
    if (!engine_writable(d, &u->err) || !storage_admit(d, length, &u->err))
        return;
    uint32_t principal = principals_ensure(&d->principals, d->journal, api_caller(d, req).name);
    if (!shares_admit_blob(d, principal, length, &u->err))
        return;
    u->owner.principal = principal;
    memcpy(u->owner.sha, u->sha, sizeof u->owner.sha);
    owners_begin_upload(&d->owners, &u->owner);
    owners_count_arriving(&d->owners, &u->owner, length);
}

static struct upload *upload_of(struct http_request *req, struct daemon *d)
{
    struct upload *u = http_request_data(req);
    if (u)
        return u;
    u = xcalloc(1, sizeof *u);
    u->fd = -1;
    u->daemon = d;
    u->req = req;
    u->state_dir = xstrdup(d->options.state_dir);
    const char *sha = http_request_param(req, 0), *length = http_request_header(req, "Content-Length");
    u->expected_bytes = length ? strtoull(length, NULL, 10) : UINT64_MAX;
    if (blob_sha_valid(sha)) {
        memcpy(u->sha, sha, sizeof u->sha);
        begin_owned(d, req, u);
    } else {
        error_field(&u->err, "sha", "'%.80s' is no SHA-256 in 64 lower-case hexadecimal digits", sha);
    }
    http_request_set_data(req, u);
    return u;
}

void api_blob_piece(struct http_request *req, void *context, const char *bytes, size_t n)
{
    struct upload *u = upload_of(req, context);
    u->received_bytes += n;
    if (u->err.code != ERROR_NONE)
        return;
    if (!storage_admit(u->daemon, n, &u->err))
        return;
    if (u->expected_bytes == UINT64_MAX) {
        if (!shares_admit_blob(u->daemon, u->owner.principal, n, &u->err))
            return;
        owners_count_arriving(&u->daemon->owners, &u->owner, n);
    }
    buf_add(&u->piece, bytes, n);
    if (u->received_bytes >= u->expected_bytes && u->piece.len <= HTTP_PIECE_MAX_BYTES)
        return; /* the rest goes with the end */
    http_request_hold(req);
    start_work(context, u);
}

void api_put_blob(struct http_request *req, void *context)
{
    struct upload *u = upload_of(req, context);
    u->last = true;
    start_work(context, u);
}

void api_blob_dropped(struct http_request *req, void *context)
{
    (void)context;
    struct upload *u = http_request_data(req);
    if (!u)
        return;
    http_request_set_data(req, NULL);
    u->req = NULL;
    if (!u->busy)
        upload_free(u);
}

/* ---- nodes fetch what their tasks need ---- */

static int compare_shas(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static const struct blob_set *blobs_of_job(struct node *node, const struct job *job)
{
    struct blob_set *set, *tmp;
    struct error err = {0};
    list_for_each(set, tmp, &node->blob_sets, link) if (set->job == job->id) return set;
    set = xcalloc(1, sizeof *set);
    set->job = job->id;
    if (!blob_manifest_read(node->daemon->options.state_dir, job->manifest, &set->shas, &set->count, &err))
        log_error("job %s: its manifest: %s", job->name, err.message);
    list_append(&node->blob_sets, &set->link);
    return set;
}

void node_forget_blobs(struct node *node, uint64_t job)
{
    struct blob_set *set, *tmp;
    list_for_each(set, tmp, &node->blob_sets, link) if (set->job == job)
    {
        list_remove(&set->link);
        free(set->shas);
        free(set);
    }
}

static bool node_may_fetch(struct node *node, const char *sha)
{
    struct daemon *d = node->daemon;
    struct task_id *ids = xcalloc(CORE_NODE_TASKS_MAX, sizeof *ids);
    uint32_t count = core_node_tasks(d->core, (struct node_id){node->id}, ids, CORE_NODE_TASKS_MAX);
    uint8_t wanted[32];
    bool may = false;
    blob_sha_to_bytes(sha, wanted);
    for (uint32_t i = 0; i < count && i < CORE_NODE_TASKS_MAX && !may; i++) {
        const struct job *job = jobs_get(&d->jobs, ids[i].job.v);
        if (!job || !job->manifest[0])
            continue;
        if (strcmp(job->manifest, sha) == 0) {
            may = true;
        } else {
            const struct blob_set *set = blobs_of_job(node, job);
            may = set->count && bsearch(wanted, set->shas, set->count, 32, compare_shas);
        }
    }
    free(ids);
    return may;
}

void node_get_blob(struct http_request *req, void *context)
{
    struct node *node = context;
    struct error err = {0};
    const char *sha = http_request_param(req, 0);
    struct stat st;
    if (!blob_sha_valid(sha)) {
        error_field(&err, "sha", "'%.80s' is no SHA-256", sha);
    } else if (!node_may_fetch(node, sha)) {
        log_warn("node %s asked for blob %s, which none of its tasks needs: refused", node->name, sha);
        error_set(&err, ERROR_DENIED, "blob %s belongs to no task of node %s", sha, node->name);
    } else {
        _cleanup_free_ char *path = blob_path(node->daemon->options.state_dir, sha);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && fstat(fd, &st) == 0) {
            http_respond_file(req, 200, "application/octet-stream", fd, 0, (uint64_t)st.st_size);
            return;
        }
        error_errno(&err, errno, "blob %s", sha);
        if (fd >= 0)
            close(fd);
    }
    http_respond_error(req, &err);
}
