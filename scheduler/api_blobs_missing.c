/* POST /v1/blobs/missing: which blobs the caller has not uploaded. Looked up in the thread pool, among the
 * caller's own entries alone: another's blob is answered as one that nobody has. */
#include "scheduler/api.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

struct lookup {
    uv_work_t work;
    struct daemon *daemon;
    struct http_request *req;
    char *journal;
    uint32_t principal;
    uint8_t (*shas)[32];
    size_t count;
    struct journal_blob *own; /* for each of shas; principal 0: missing */
    struct error err;
};

static void lookup_free(struct lookup *l)
{
    free(l->journal);
    free(l->shas);
    free(l->own);
    free(l);
}

static void note_own(void *data, size_t at, const struct journal_blob *blob)
{
    struct lookup *l = data;
    char sha[BLOB_SHA_TEXT + 1];
    blob_sha_from_bytes(blob->sha, sha);
    if (blob_exists(l->daemon->options.state_dir, sha)) /* a power cut may have taken the name */
        l->own[at] = *blob;
}

static void do_lookup(uv_work_t *work)
{
    struct lookup *l = container_of(work, struct lookup, work);
    struct journal_reader *reader = journal_reader_open(l->journal, &l->err);
    if (reader)
        (void)journal_read_own_blobs(reader, l->principal, l->shas, l->count, note_own, l, &l->err);
    journal_reader_close(reader);
}

static void answer(struct lookup *l)
{
    if (l->err.code != ERROR_NONE) {
        http_respond_error(l->req, &l->err);
        lookup_free(l);
        return;
    }
    char sha[BLOB_SHA_TEXT + 1];
    struct buf body = {0};
    const char *comma = "";
    buf_add_str(&body, "{\"missing\":[");
    for (size_t i = 0; i < l->count; i++) {
        if (l->own[i].principal) {
            owners_touch(l->daemon, &l->own[i]);
            continue;
        }
        blob_sha_from_bytes(l->shas[i], sha);
        buf_printf(&body, "%s\"%s\"", comma, sha);
        comma = ",";
    }
    buf_add_str(&body, "]}");
    size_t n = body.len;
    http_respond_text(l->req, 200, "application/json", buf_take(&body), n);
    lookup_free(l);
}

static void looked_up(uv_work_t *work, int status)
{
    (void)status;
    struct lookup *l = container_of(work, struct lookup, work);
    daemon_work_done(l->daemon);
    answer(l);
}

static bool read_shas(const cJSON *blobs, struct lookup *l, struct error *err)
{
    const cJSON *item;
    if (!cJSON_IsArray(blobs))
        return error_field(err, "blobs", "blobs is a list of SHA-256 digests");
    int count = cJSON_GetArraySize(blobs);
    if (count > API_BLOBS_MISSING_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d blobs in one request", API_BLOBS_MISSING_MAX);
    l->shas = xcalloc((size_t)count + 1, sizeof *l->shas);
    l->own = xcalloc((size_t)count + 1, sizeof *l->own);
    cJSON_ArrayForEach(item, blobs)
    {
        const char *sha = cJSON_GetStringValue(item);
        if (!sha || !blob_sha_valid(sha))
            return error_field(err, "blobs", "'%.80s' is no SHA-256 in 64 lower-case hexadecimal digits",
                               sha ? sha : "?");
        blob_sha_to_bytes(sha, l->shas[l->count++]);
    }
    return true;
}

void api_post_blobs_missing(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body = api_body(req, "blobs");
    if (!body)
        return;
    struct lookup *l = xcalloc(1, sizeof *l);
    l->daemon = d;
    l->req = req;
    l->principal = api_caller(d, req).principal;
    if (!read_shas(json_get(body, "blobs"), l, &err)) {
        lookup_free(l);
        http_respond_error(req, &err);
        return;
    }
    l->journal = xasprintf("%s/journal", d->options.state_dir);
    daemon_work_for(d, l->principal, &l->work, do_lookup, looked_up);
}
