/* The upload of a snapshot. Files may change, vanish and come between reading and sending: the manifest goes
 * last and names what was sent. */
#include "cli/snapshot.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/map.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct blob {
    const char *sha;
    struct code_item *item; /* NULL: bytes in memory */
    const struct buf *bytes;
};

enum put_result { PUT_DONE, PUT_CHANGED, PUT_FAILED };

/* From `fd`, or the bytes in memory. PUT_CHANGED: the descriptor no longer holds these bytes. */
static enum put_result put_bytes(struct client *client, const char *sha, int fd, int64_t size,
                                 const struct buf *bytes, struct error *err)
{
    char path[32 + SNAPSHOT_SHA_MAX];
    snprintf(path, sizeof path, "/v1/blobs/%s", sha);
    struct http_easy_request request = {.method = "PUT", .path = path};
    if (bytes) {
        request.body = bytes->data;
        request.body_len = bytes->len;
    } else {
        request.body_fd = fd;
        request.body_fd_len = size;
    }
    _cleanup_answer_ struct http_easy_answer answer = {0};
    struct error failure = {0};
    if (!http_easy_perform(client->http, &request, &answer, &failure)) {
        if (failure.code == ERROR_CONFLICT && !bytes)
            return PUT_CHANGED;
        if (err)
            *err = failure;
        client_explain(client, err);
        return PUT_FAILED;
    }
    FAULT("cli.blob_uploaded");
    if (answer.status >= 200 && answer.status <= 299)
        return PUT_DONE;
    client_refusal(&answer, err);
    return answer.status == 400 && !bytes ? PUT_CHANGED : PUT_FAILED;
}

static int open_spool(struct error *err)
{
    const char *folder = getenv("TMPDIR");
    folder = folder && *folder ? folder : "/tmp";
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        _cleanup_free_ char *name = xasprintf("%s/berth-XXXXXX", folder);
        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0)
            unlink(name);
    }
    if (fd < 0)
        error_errno(err, errno, "can't create a temporary file in %s", folder);
    return fd;
}

/* A file that changed since it was read: a private copy of what it is now is hashed and sent, so that nothing
 * can come between again. */
static bool put_copy(struct code_snapshot *s, int root, struct client *client, struct code_item *item,
                     struct error *err)
{
    struct stat st;
    _cleanup_close_ int fd = code_snapshot_open(s, root, item->path, err);
    if (fd < 0 && code_snapshot_is_gone(errno)) {
        item->gone = true;
        code_snapshot_note(&s->vanished, item->path);
        return true;
    }
    _cleanup_close_ int spool = fd < 0 ? -1 : open_spool(err);
    if (spool < 0)
        return false;
    if (fstat(fd, &st) != 0 || !code_snapshot_hash(fd, st.st_size, spool, item->sha, &item->size) ||
        lseek(spool, 0, SEEK_SET) != 0)
        return error_errno(err, errno, "can't copy %s/%s", s->path, item->path);
    item->mode = st.st_mode & (S_IFMT | 0777);
    item->mtime_ns = code_snapshot_mtime(&st);
    code_snapshot_note(&s->changing, item->path);
    return put_bytes(client, item->sha, spool, item->size, NULL, err) == PUT_DONE ||
           error_wrap(err, "sending %s", item->path);
}

/* The content of items[at], from the first item that still has it; those that have it no more get their new
 * one.
 */
static bool put_item(struct code_snapshot *s, int root, struct client *client, size_t at, int64_t *sent,
                     struct error *err)
{
    char sha[SNAPSHOT_SHA_MAX];
    memcpy(sha, s->items[at].sha, sizeof sha);
    for (size_t i = at; i < s->count; i++) {
        struct code_item *item = &s->items[i];
        if (item->gone || !S_ISREG(item->mode) || strcmp(item->sha, sha) != 0)
            continue;
        _cleanup_close_ int fd = code_snapshot_open(s, root, item->path, err);
        if (fd < 0 && !code_snapshot_is_gone(errno))
            return false;
        enum put_result result = fd < 0 ? PUT_CHANGED : put_bytes(client, sha, fd, item->size, NULL, err);
        if (result == PUT_FAILED)
            return error_wrap(err, "sending %s", item->path);
        if (result == PUT_CHANGED && !put_copy(s, root, client, item, err))
            return false;
        *sent += item->gone ? 0 : item->size;
        if (result == PUT_DONE)
            return true;
    }
    return true; /* nothing has it any more */
}

static bool put_blob(struct code_snapshot *s, int root, struct client *client, const struct blob *blob,
                     int64_t *sent, struct error *err)
{
    if (blob->item)
        return put_item(s, root, client, (size_t)(blob->item - s->items), sent, err);
    *sent += (int64_t)blob->bytes->len;
    return put_bytes(client, blob->sha, -1, 0, blob->bytes, err) == PUT_DONE ||
           error_wrap(err, "sending the list of files");
}

/* Sends what of blobs[0..count) is missing there. */
static bool put_missing(struct code_snapshot *s, int root, struct client *client, const struct blob *blobs,
                        size_t count, code_snapshot_progress_fn *progress, void *ctx, int64_t *sent,
                        struct error *err)
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
        ok = put_blob(s, root, client, &blobs[i], sent, err);
        if (progress)
            progress(ctx, "sending", ++done, total);
    }
    map_finish(&wanted);
    return ok;
}

bool code_snapshot_upload(struct code_snapshot *s, struct client *client, code_snapshot_progress_fn *progress,
                          void *ctx, int64_t *sent_bytes, struct error *err)
{
    int64_t sent = 0, before = s->vanished.count + s->changing.count;
    char diff_sha[SNAPSHOT_SHA_MAX];
    _cleanup_close_ int root = open(s->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_errno(err, errno, "can't open %s", s->path);
    struct map seen = {0};
    _cleanup_free_ struct blob *blobs = xcalloc((size_t)s->files + 2, sizeof *blobs);
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++)
        if (!s->items[i].gone && S_ISREG(s->items[i].mode) && !map_put_str(&seen, s->items[i].sha, &seen))
            blobs[count++] = (struct blob){.sha = s->items[i].sha, .item = &s->items[i]};
    map_finish(&seen);
    if (s->git.diff.len) {
        code_snapshot_sha(s->git.diff.data, s->git.diff.len, diff_sha);
        blobs[count++] = (struct blob){.sha = diff_sha, .bytes = &s->git.diff};
    }
    bool ok = true;
    for (size_t at = 0; ok && at < count; at += SNAPSHOT_MISSING_BATCH) {
        size_t n = count - at > SNAPSHOT_MISSING_BATCH ? SNAPSHOT_MISSING_BATCH : count - at;
        ok = put_missing(s, root, client, blobs + at, n, progress, ctx, &sent, err);
    }
    if (ok && s->vanished.count + s->changing.count > before)
        code_snapshot_write_manifest(s);
    const struct blob manifest = {.sha = s->manifest_sha, .bytes = &s->manifest};
    ok = ok && (s->live || put_missing(s, root, client, &manifest, 1, NULL, NULL, &sent, err));
    if (sent_bytes)
        *sent_bytes = sent;
    return ok;
}
