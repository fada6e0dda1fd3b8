/* The check of a submission's code, in the thread pool: the manifest is read, and every file that it names is
 * looked up among the submitter's own entries. */
#include "scheduler/submit_code.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

struct code_check {
    uv_work_t work;
    struct daemon *daemon;
    uint32_t principal;
    uint64_t generation; /* of the owners when it began */
    char manifest[BLOB_SHA_TEXT + 1];
    char *state_dir, *journal;
    uint8_t (*shas)[32];
    size_t count;
    bool *own;
    struct error err;
    void (*done)(void *data, const struct error *why);
    void *data;
};

static void note_own(void *data, size_t at, const struct journal_blob *blob)
{
    (void)blob;
    ((bool *)data)[at] = true;
}

/* A power cut may have taken a name, but not its entry. */
static void note_own_file(void *data, size_t at, const struct journal_blob *blob)
{
    struct code_check *c = data;
    char sha[BLOB_SHA_TEXT + 1];
    blob_sha_from_bytes(blob->sha, sha);
    c->own[at] = blob_exists(c->state_dir, sha);
}

/* The names of all files, so that the job's answer promises them, too. */
static bool sync_names(struct code_check *c)
{
    bool holds[256] = {0};
    uint8_t manifest[32];
    blob_sha_to_bytes(c->manifest, manifest);
    holds[manifest[0]] = true;
    for (size_t i = 0; i < c->count; i++)
        holds[c->shas[i][0]] = true;
    for (unsigned i = 0; i < 256; i++) {
        _cleanup_free_ char *path = xasprintf("%s/blobs/%02x", c->state_dir, i);
        if (holds[i] && !fs_fsync_dir(path, &c->err))
            return false;
    }
    return true;
}

static bool refuse_manifest(struct code_check *c)
{
    error_field(&c->err, "submission.code.manifest", "the code's manifest %s was not uploaded by you",
                c->manifest);
    return error_hint(&c->err, "upload what POST /v1/blobs/missing lists, then submit again");
}

static bool check_files(struct code_check *c, struct journal_reader *reader)
{
    size_t missing = 0, first = 0;
    c->own = xcalloc(c->count + 1, sizeof *c->own);
    if (!journal_read_own_blobs(reader, c->principal, (const uint8_t(*)[32])c->shas, c->count, note_own_file,
                                c, &c->err))
        return false;
    for (size_t i = c->count; i-- > 0;) {
        if (c->own[i])
            continue;
        missing++;
        first = i;
    }
    if (!missing)
        return sync_names(c);
    char sha[BLOB_SHA_TEXT + 1];
    blob_sha_from_bytes(c->shas[first], sha);
    error_field(&c->err, "submission.code.manifest",
                "%zu of the %zu files in the code's manifest were not uploaded by you, the first is %s",
                missing, c->count, sha);
    return error_hint(&c->err, "upload what POST /v1/blobs/missing lists, then submit again");
}

static bool check_code(struct code_check *c, struct journal_reader *reader)
{
    uint8_t sha[1][32];
    bool own = false;
    blob_sha_to_bytes(c->manifest, sha[0]);
    if (!journal_read_own_blobs(reader, c->principal, (const uint8_t(*)[32])sha, 1, note_own, &own, &c->err))
        return false;
    if (!own || !blob_exists(c->state_dir, c->manifest))
        return refuse_manifest(c);
    if (blob_manifest_read(c->state_dir, c->manifest, &c->shas, &c->count, &c->err))
        return check_files(c, reader);
    snprintf(c->err.field, sizeof c->err.field, "submission.code.manifest");
    return false;
}

static void do_check(uv_work_t *work)
{
    struct code_check *c = container_of(work, struct code_check, work);
    struct journal_reader *reader = journal_reader_open(c->journal, &c->err);
    if (reader)
        (void)check_code(c, reader);
    journal_reader_close(reader);
}

static void check_free(struct code_check *c)
{
    free(c->state_dir);
    free(c->journal);
    free(c->shas);
    free(c->own);
    free(c);
}

static void checked(uv_work_t *work, int status)
{
    (void)status;
    struct code_check *c = container_of(work, struct code_check, work);
    struct daemon *d = c->daemon;
    daemon_work_done(d);
    if (c->generation != d->owners.generation) { /* entries were removed meanwhile */
        submit_check_code(d, c->principal, c->manifest, c->done, c->data);
    } else {
        if (c->err.code == ERROR_NONE)
            owners_set_checked(&d->owners, c->principal, c->manifest);
        c->done(c->data, c->err.code == ERROR_NONE ? NULL : &c->err);
    }
    check_free(c);
}

void submit_check_code(struct daemon *d, uint32_t principal, const char *manifest,
                       void (*done)(void *data, const struct error *why), void *data)
{
    struct code_check *c = xcalloc(1, sizeof *c);
    c->daemon = d;
    c->principal = principal;
    c->generation = d->owners.generation;
    snprintf(c->manifest, sizeof c->manifest, "%s", manifest);
    c->state_dir = xstrdup(d->options.state_dir);
    c->journal = xasprintf("%s/journal", d->options.state_dir);
    c->done = done;
    c->data = data;
    daemon_work_for(d, principal, &c->work, do_check, checked);
}
