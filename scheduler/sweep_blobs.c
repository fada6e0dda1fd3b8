/* The sweep of blobs. What it sees of the journal and of the live jobs is as old as its start; what comes
 * into use after that is kept by owners.c. */
#include "scheduler/sweep_blobs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct sha_list {
    uint8_t (*v)[32];
    size_t count, capacity;
};

/* A manifest of live jobs. */
struct live_code {
    uint32_t principal;
    char manifest[BLOB_SHA_TEXT + 1];
};

struct blob_sweep {
    uv_work_t work;
    struct daemon *daemon;
    char *state_dir, *journal;
    int64_t now_ms, keep_ms, file_age_ms;
    struct live_code *live;
    size_t live_count;
    struct map wanted;      /* "PRINCIPAL:SHA" of live jobs */
    struct sha_list needed; /* SHAs with an entry or a live job, sorted */
    struct journal_blob *expired;
    size_t expired_count, expired_capacity;
    uint64_t removed;
    struct error err;
};

static void add_sha(struct sha_list *l, const uint8_t sha[32])
{
    if (l->count == l->capacity) {
        l->capacity = l->capacity ? l->capacity * 2 : 1024;
        l->v = xrealloc(l->v, l->capacity * sizeof *l->v);
    }
    memcpy(l->v[l->count++], sha, 32);
}

static int compare_shas(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static void want(struct blob_sweep *s, uint32_t principal, const uint8_t sha[32])
{
    char text[BLOB_SHA_TEXT + 1], key[BLOB_SHA_TEXT + 16];
    blob_sha_from_bytes(sha, text);
    snprintf(key, sizeof key, "%u:%s", principal, text);
    map_put_str(&s->wanted, key, s);
    add_sha(&s->needed, sha);
}

static bool add_live(struct blob_sweep *s, const struct live_code *code)
{
    uint8_t manifest[32];
    _cleanup_free_ uint8_t(*shas)[32] = NULL;
    size_t count;
    struct error err = {0};
    blob_sha_to_bytes(code->manifest, manifest);
    want(s, code->principal, manifest);
    if (!blob_manifest_read(s->state_dir, code->manifest, &shas, &count, &err)) {
        log_warn("blobs are not removed now: manifest %s of a live job: %s", code->manifest, err.message);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        want(s, code->principal, shas[i]);
    return true;
}

static void look_at_entry(void *data, const struct journal_blob *blob)
{
    struct blob_sweep *s = data;
    char text[BLOB_SHA_TEXT + 1], key[BLOB_SHA_TEXT + 16];
    add_sha(&s->needed, blob->sha); /* the file goes with the next sweep, once the entry has gone */
    if (s->now_ms - blob->used_ms <= s->keep_ms)
        return;
    blob_sha_from_bytes(blob->sha, text);
    snprintf(key, sizeof key, "%u:%s", blob->principal, text);
    if (map_get_str(&s->wanted, key))
        return;
    if (s->expired_count == s->expired_capacity) {
        s->expired_capacity = s->expired_capacity ? s->expired_capacity * 2 : 1024;
        s->expired = xrealloc(s->expired, s->expired_capacity * sizeof *s->expired);
    }
    s->expired[s->expired_count++] = *blob;
}

static void sweep_file(struct blob_sweep *s, int dirfd, const char *start, const char *name)
{
    struct stat st;
    char sha[BLOB_SHA_TEXT + 1];
    uint8_t bytes[32];
    if (strlen(name) != BLOB_SHA_TEXT - 2)
        return;
    snprintf(sha, sizeof sha, "%.2s%s", start, name);
    if (!blob_sha_valid(sha) || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        s->now_ms - (int64_t)st.st_mtim.tv_sec * 1000 <= s->file_age_ms)
        return;
    blob_sha_to_bytes(sha, bytes);
    if (s->needed.count && bsearch(bytes, s->needed.v, s->needed.count, 32, compare_shas))
        return;
    _cleanup_free_ char *path = blob_path(s->state_dir, sha);
    s->removed += owners_remove_file(&s->daemon->owners, sha, path);
}

static void sweep_files(struct blob_sweep *s)
{
    if (s->needed.count)
        qsort(s->needed.v, s->needed.count, 32, compare_shas);
    for (unsigned i = 0; i < 256; i++) {
        char start[3];
        snprintf(start, sizeof start, "%02x", i);
        _cleanup_free_ char *path = xasprintf("%s/blobs/%s", s->state_dir, start);
        _cleanup_dir_ DIR *dir = opendir(path);
        for (struct dirent *e; dir && (e = readdir(dir));)
            sweep_file(s, dirfd(dir), start, e->d_name);
    }
}

static void do_sweep(uv_work_t *work)
{
    struct blob_sweep *s = container_of(work, struct blob_sweep, work);
    for (size_t i = 0; i < s->live_count; i++)
        if (!add_live(s, &s->live[i]))
            return;
    struct journal_reader *reader = journal_reader_open(s->journal, &s->err);
    if (reader && journal_read_blobs(reader, look_at_entry, s, &s->err))
        sweep_files(s);
    else
        s->expired_count = 0;
    journal_reader_close(reader);
}

static void swept(uv_work_t *work, int status)
{
    (void)status;
    struct blob_sweep *s = container_of(work, struct blob_sweep, work);
    struct daemon *d = s->daemon;
    char sha[BLOB_SHA_TEXT + 1];
    size_t entries = 0;
    daemon_work_done(d);
    for (size_t i = 0; i < s->expired_count && journal_healthy(d->journal, NULL); i++) {
        blob_sha_from_bytes(s->expired[i].sha, sha);
        if (owners_in_use(&d->owners, sha))
            continue;
        owners_remove(d, &s->expired[i]);
        entries++;
    }
    owners_end_sweep(&d->owners);
    if (s->err.code != ERROR_NONE)
        log_warn("blobs are not removed now: %s", s->err.message);
    if (entries || s->removed)
        log_info("blobs: %zu entries of owners expired, %llu files removed", entries,
                 (unsigned long long)s->removed);
    map_finish(&s->wanted);
    free(s->needed.v);
    free(s->expired);
    free(s->live);
    free(s->state_dir);
    free(s->journal);
    free(s);
}

static int compare_live(const void *a, const void *b)
{
    const struct live_code *x = a, *y = b;
    return x->principal != y->principal ? (x->principal < y->principal ? -1 : 1)
                                        : strcmp(x->manifest, y->manifest);
}

static void list_live(struct blob_sweep *s)
{
    struct job *job, *tmp;
    size_t kept = 0;
    s->live = xcalloc(s->daemon->jobs.live_count + 1, sizeof *s->live);
    list_for_each(job, tmp, &s->daemon->jobs.live, link)
    {
        if (!job->manifest[0])
            continue;
        s->live[s->live_count].principal = job->principal;
        memcpy(s->live[s->live_count++].manifest, job->manifest, sizeof s->live->manifest);
    }
    if (s->live_count)
        qsort(s->live, s->live_count, sizeof *s->live, compare_live);
    for (size_t i = 0; i < s->live_count; i++)
        if (!kept || compare_live(&s->live[kept - 1], &s->live[i]) != 0)
            s->live[kept++] = s->live[i];
    s->live_count = kept;
}

/* Everything that was uploaded before the sweep began is in the journal now. */
static void begin(void *data)
{
    struct blob_sweep *s = data;
    s->now_ms = clock_wall_ms();
    list_live(s);
    daemon_work(s->daemon, &s->work, do_sweep, swept);
}

void sweep_blobs_start(struct daemon *d, int64_t keep_ms, int64_t file_age_ms)
{
    if (d->owners.sweeping || d->stopping)
        return;
    struct blob_sweep *s = xcalloc(1, sizeof *s);
    s->daemon = d;
    s->keep_ms = keep_ms;
    s->file_age_ms = file_age_ms;
    s->state_dir = xstrdup(d->options.state_dir);
    s->journal = xasprintf("%s/journal", d->options.state_dir);
    owners_begin_sweep(&d->owners);
    journal_then(d->journal, begin, NULL, s);
}
