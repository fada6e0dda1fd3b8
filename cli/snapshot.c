/* Hashes, the manifest, and the upload. */
#include "cli/snapshot.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/map.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define READ_CHUNK_BYTES (1 << 20)

static void write_hex(const unsigned char *digest, char *sha)
{
    for (int i = 0; i < 32; i++)
        snprintf(sha + 2 * i, 3, "%02x", digest[i]);
}

void code_snapshot_sha(const void *bytes, size_t n, char *sha)
{
    unsigned char digest[32];
    gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes, n, digest);
    write_hex(digest, sha);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Hashes what the descriptor holds; *size is how much that was. */
static bool hash_fd(int fd, char *chunk, char *sha, int64_t *size)
{
    gnutls_hash_hd_t hash;
    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) != 0)
        return false;
    unsigned char digest[32];
    ssize_t n;
    *size = 0;
    while ((n = read(fd, chunk, READ_CHUNK_BYTES)) > 0 || (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        gnutls_hash(hash, chunk, (size_t)n);
        *size += n;
    }
    int e = errno;
    gnutls_hash_deinit(hash, digest);
    write_hex(digest, sha);
    errno = e;
    return n == 0;
}

/* Opens a snapshot's file without following a link at its end. */
static int open_item(const struct code_snapshot *s, int root, const char *path, struct error *err)
{
    int fd = openat(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        error_errno(err, errno, "can't read %s/%s", s->path, path);
        error_hint(err, "make it readable, or leave it out in .amlignore or .gitignore");
    }
    return fd;
}

static bool hash_item(const struct code_snapshot *s, int root, struct code_item *item, char *chunk,
                      struct error *err)
{
    for (int i = 0; i < SNAPSHOT_HASH_TRIES; i++) {
        _cleanup_close_ int fd = open_item(s, root, item->path, err);
        struct stat before, after;
        if (fd < 0)
            return false;
        if (fstat(fd, &before) != 0 || !S_ISREG(before.st_mode))
            return error_set(err, ERROR_CONFLICT, "%s/%s changed while it was read", s->path, item->path);
        if (!hash_fd(fd, chunk, item->sha, &item->size))
            return error_errno(err, errno, "can't read %s/%s", s->path, item->path);
        if (fstat(fd, &after) == 0 && same_file(&before, &after) && item->size == after.st_size) {
            item->mode = after.st_mode & (S_IFMT | 0777);
            item->mtime_ns = code_snapshot_mtime(&after);
            return true;
        }
    }
    error_set(err, ERROR_CONFLICT, "%s/%s changes while it is read, so that no copy of it would be whole",
              s->path, item->path);
    return error_hint(err, "submit again when it is written, or leave it out in .amlignore or .gitignore");
}

/* Bytes below 0x21, 0x7f and "%" as %XX. */
static void add_encoded(struct buf *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p < 0x21 || *p == 0x7f || *p == '%')
            buf_printf(out, "%%%02X", *p);
        else
            buf_add_char(out, (char)*p);
    }
}

static void write_manifest(struct code_snapshot *s)
{
    buf_add_str(&s->manifest, "berth-tree 2\n");
    for (size_t i = 0; i < s->count; i++) {
        const struct code_item *item = &s->items[i];
        if (S_ISREG(item->mode))
            buf_printf(&s->manifest, "%o %lld %s ", item->mode & 0777, (long long)item->size, item->sha);
        else if (S_ISDIR(item->mode))
            buf_printf(&s->manifest, "%o 0 - ", item->mode);
        else
            buf_printf(&s->manifest, "120000 %lld - ", (long long)item->size);
        buf_printf(&s->manifest, "%lld ", (long long)item->mtime_ns);
        add_encoded(&s->manifest, item->path);
        if (item->target) {
            buf_add_char(&s->manifest, '\0');
            add_encoded(&s->manifest, item->target);
        }
        buf_add_char(&s->manifest, '\n');
    }
    code_snapshot_sha(s->manifest.data, s->manifest.len, s->manifest_sha);
}

bool code_snapshot_take(const char *path, bool limited, code_snapshot_progress_fn *progress, void *ctx,
                        struct code_snapshot *s, struct error *err)
{
    *s = (struct code_snapshot){0};
    char real[PATH_MAX];
    if (!realpath(path, real)) {
        error_errno(err, errno, "can't use the code folder %s", path);
        return error_hint(err, "--code DIR names another, --no-code none");
    }
    s->path = xstrdup(real);
    struct stat st;
    if (stat(real, &st) != 0 || !S_ISDIR(st.st_mode)) {
        error_set(err, ERROR_INVALID, "the code folder %s is not a folder", path);
        return error_hint(err, "--code DIR names the folder that the code lies in");
    }
    if (!code_snapshot_walk(s, limited, err))
        return false;
    _cleanup_close_ int root = open(real, O_PATH | O_DIRECTORY | O_CLOEXEC);
    _cleanup_free_ char *chunk = xmalloc(READ_CHUNK_BYTES);
    if (root < 0)
        return error_errno(err, errno, "can't open %s", real);
    int64_t done = 0;
    s->bytes = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!S_ISREG(s->items[i].mode))
            continue;
        if (!hash_item(s, root, &s->items[i], chunk, err))
            return false;
        s->bytes += s->items[i].size;
        if (progress)
            progress(ctx, "reading", ++done, s->files);
    }
    write_manifest(s);
    git_read(s->path, &s->git);
    return true;
}

/* ---- upload ---- */

struct blob {
    const char *sha;
    const struct code_item *item; /* NULL: bytes in memory */
    const struct buf *bytes;
};

static bool put_blob(const struct code_snapshot *s, int root, struct client *client, const struct blob *blob,
                     struct error *err)
{
    char path[32 + SNAPSHOT_SHA_MAX];
    snprintf(path, sizeof path, "/v1/blobs/%s", blob->sha);
    struct http_easy_request request = {.method = "PUT", .path = path};
    _cleanup_close_ int fd = -1;
    if (blob->item) {
        fd = open_item(s, root, blob->item->path, err);
        if (fd < 0)
            return false;
        request.body_fd = fd;
        request.body_fd_len = blob->item->size;
    } else {
        request.body = blob->bytes->data;
        request.body_len = blob->bytes->len;
    }
    _cleanup_answer_ struct http_easy_answer answer = {0};
    if (!http_easy_perform(client->http, &request, &answer, err)) {
        if (err && err->code == ERROR_CONFLICT)
            return error_wrap(err, "%s/%s", s->path, blob->item ? blob->item->path : "");
        return client_explain(client, err);
    }
    FAULT("cli.blob_uploaded");
    if (answer.status >= 200 && answer.status <= 299)
        return true;
    client_refusal(&answer, err);
    if (blob->item && answer.status == 400) {
        error_set(err, ERROR_CONFLICT, "%s/%s changed between reading and sending it", s->path,
                  blob->item->path);
        return error_hint(err,
                          "submit again when it is written, or leave it out in .amlignore or .gitignore");
    }
    return error_wrap(err, "sending %s", blob->item ? blob->item->path : "the list of files");
}

/* Sends what of blobs[0..count) is missing there. */
static bool put_missing(const struct code_snapshot *s, int root, struct client *client,
                        const struct blob *blobs, size_t count, code_snapshot_progress_fn *progress,
                        void *ctx, int64_t *sent, struct error *err)
{
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(body, "blobs");
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(blobs[i].sha));
    _cleanup_json_ cJSON *answer = client_call(client, "POST", "/v1/blobs/missing", body, 0, err);
    if (!answer)
        return false;
    const cJSON *missing = json_get(answer, "missing"), *sha;
    struct map wanted = {0};
    int64_t total = cJSON_GetArraySize(missing), done = 0;
    cJSON_ArrayForEach(sha, missing)
    {
        if (cJSON_IsString(sha))
            map_put_str(&wanted, sha->valuestring, &wanted);
    }
    bool ok = true;
    for (size_t i = 0; ok && i < count && wanted.count; i++) {
        if (!map_remove_str(&wanted, blobs[i].sha))
            continue;
        ok = put_blob(s, root, client, &blobs[i], err);
        *sent += blobs[i].item ? blobs[i].item->size : (int64_t)blobs[i].bytes->len;
        if (progress)
            progress(ctx, "sending", ++done, total);
    }
    map_finish(&wanted);
    return ok;
}

bool code_snapshot_upload(struct code_snapshot *s, struct client *client, code_snapshot_progress_fn *progress,
                          void *ctx, int64_t *sent_bytes, struct error *err)
{
    int64_t sent = 0;
    char diff_sha[SNAPSHOT_SHA_MAX];
    _cleanup_close_ int root = open(s->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_errno(err, errno, "can't open %s", s->path);
    struct map seen = {0};
    _cleanup_free_ struct blob *blobs = xcalloc((size_t)s->files + 2, sizeof *blobs);
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++)
        if (S_ISREG(s->items[i].mode) && !map_put_str(&seen, s->items[i].sha, &seen))
            blobs[count++] = (struct blob){.sha = s->items[i].sha, .item = &s->items[i]};
    map_finish(&seen);
    if (s->git.diff.len) {
        code_snapshot_sha(s->git.diff.data, s->git.diff.len, diff_sha);
        blobs[count++] = (struct blob){.sha = diff_sha, .bytes = &s->git.diff};
    }
    blobs[count++] = (struct blob){.sha = s->manifest_sha, .bytes = &s->manifest};
    bool ok = true;
    for (size_t at = 0; ok && at < count; at += SNAPSHOT_MISSING_BATCH) {
        size_t n = count - at > SNAPSHOT_MISSING_BATCH ? SNAPSHOT_MISSING_BATCH : count - at;
        ok = put_missing(s, root, client, blobs + at, n, progress, ctx, &sent, err);
    }
    if (sent_bytes)
        *sent_bytes = sent;
    return ok;
}

void code_snapshot_finish(struct code_snapshot *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->items[i].path);
        free(s->items[i].target);
    }
    for (size_t i = 0; i < s->left_out_count; i++)
        free(s->left_out[i]);
    free(s->items);
    free(s->left_out);
    free(s->path);
    free(s->largest);
    free(s->special_example);
    free(s->links_out_example);
    buf_finish(&s->manifest);
    git_finish(&s->git);
    *s = (struct code_snapshot){0};
}
