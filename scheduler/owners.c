/* The table of owners. Owns the sums; the entries themselves are in the journal. */
#include "scheduler/owners.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "scheduler/daemon.h"

#include <stdlib.h>
#include <string.h>

static char present; /* the value of a set's members */

void owners_init(struct owner_table *t)
{
    memset(t, 0, sizeof *t);
    uv_mutex_init(&t->lock);
    list_init(&t->going);
}

void owners_finish(struct owner_table *t)
{
    map_finish_free(&t->use);
    map_finish(&t->checked);
    map_finish(&t->used);
    uv_mutex_destroy(&t->lock);
}

struct owner_use *owners_use(struct owner_table *t, uint32_t principal)
{
    struct owner_use *use = map_get_num(&t->use, principal);
    if (!use) {
        use = xcalloc(1, sizeof *use);
        map_put_num(&t->use, principal, use);
    }
    return use;
}

static void load_use(void *data, uint32_t principal, uint64_t count, uint64_t bytes)
{
    struct owner_use *use = owners_use(data, principal);
    use->count = count;
    use->bytes = bytes;
}

bool owners_load(struct daemon *d, struct error *err)
{
    return journal_read_blob_use(d->reader, load_use, &d->owners, err);
}

/* ---- uploads ---- */

static void set_used(struct owner_table *t, const char *sha)
{
    if (t->sweeping)
        map_put_str(&t->used, sha, &present);
}

void owners_begin_upload(struct owner_table *t, struct owner_upload *upload)
{
    uv_mutex_lock(&t->lock);
    list_append(&t->going, &upload->link);
    set_used(t, upload->sha);
    uv_mutex_unlock(&t->lock);
}

void owners_count_arriving(struct owner_table *t, struct owner_upload *upload, uint64_t bytes)
{
    owners_use(t, upload->principal)->arriving_bytes += bytes;
    upload->bytes += bytes;
}

void owners_end_upload(struct owner_table *t, struct owner_upload *upload)
{
    owners_use(t, upload->principal)->arriving_bytes -= upload->bytes;
    upload->bytes = 0;
    uv_mutex_lock(&t->lock);
    list_remove(&upload->link);
    uv_mutex_unlock(&t->lock);
}

static void note_present(void *data, size_t at, const struct journal_blob *blob)
{
    (void)at;
    (void)blob;
    *(bool *)data = true;
}

void owners_add(struct daemon *d, uint32_t principal, const char *sha, uint64_t bytes)
{
    struct error err = {0};
    struct journal_blob blob = {.principal = principal, .bytes = bytes, .used_ms = clock_wall_ms()};
    bool again = false;
    blob_sha_to_bytes(sha, blob.sha);
    uv_mutex_lock(&d->owners.lock);
    set_used(&d->owners, sha);
    uv_mutex_unlock(&d->owners.lock);
    if (!journal_read_own_blobs(d->reader, principal, (const uint8_t(*)[32]) & blob.sha, 1, note_present,
                                &again, &err))
        log_warn("blob %s: %s", sha, err.message);
    if (!again) {
        struct owner_use *use = owners_use(&d->owners, principal);
        use->count++;
        use->bytes += bytes;
    }
    journal_add_blob(d->journal, &blob);
}

void owners_touch(struct daemon *d, const struct journal_blob *blob)
{
    char sha[BLOB_SHA_TEXT + 1];
    blob_sha_from_bytes(blob->sha, sha);
    uv_mutex_lock(&d->owners.lock);
    set_used(&d->owners, sha);
    uv_mutex_unlock(&d->owners.lock);
    struct journal_blob now = *blob;
    now.used_ms = clock_wall_ms();
    if (now.used_ms - blob->used_ms >= OWNERS_TOUCH_MS)
        journal_add_blob(d->journal, &now);
}

/* ---- manifests ---- */

static char *checked_key(uint32_t principal, const char *manifest)
{
    return xasprintf("%u:%s", principal, manifest);
}

bool owners_checked(const struct owner_table *t, uint32_t principal, const char *manifest)
{
    _cleanup_free_ char *key = checked_key(principal, manifest);
    return map_get_str(&t->checked, key) != NULL;
}

static void forget_checked(struct owner_table *t)
{
    map_finish(&t->checked);
    memset(&t->checked, 0, sizeof t->checked);
}

void owners_set_checked(struct owner_table *t, uint32_t principal, const char *manifest)
{
    _cleanup_free_ char *key = checked_key(principal, manifest);
    if (t->checked.count >= OWNERS_CHECKED_MAX)
        forget_checked(t);
    map_put_str(&t->checked, key, &present);
}

/* ---- the sweep ---- */

void owners_begin_sweep(struct owner_table *t)
{
    struct owner_upload *upload, *tmp;
    uv_mutex_lock(&t->lock);
    t->sweeping = true;
    list_for_each(upload, tmp, &t->going, link) set_used(t, upload->sha);
    uv_mutex_unlock(&t->lock);
}

void owners_end_sweep(struct owner_table *t)
{
    uv_mutex_lock(&t->lock);
    t->sweeping = false;
    map_finish(&t->used);
    memset(&t->used, 0, sizeof t->used);
    uv_mutex_unlock(&t->lock);
}

bool owners_in_use(struct owner_table *t, const char *sha)
{
    uv_mutex_lock(&t->lock);
    bool used = map_get_str(&t->used, sha) != NULL;
    uv_mutex_unlock(&t->lock);
    return used;
}

bool owners_remove_file(struct owner_table *t, const char *sha, const char *path)
{
    /* Under the lock: an upload that begins after it brings its own file. */
    uv_mutex_lock(&t->lock);
    bool removed = !map_get_str(&t->used, sha) && unlink(path) == 0;
    uv_mutex_unlock(&t->lock);
    return removed;
}

void owners_remove(struct daemon *d, const struct journal_blob *blob)
{
    struct owner_use *use = owners_use(&d->owners, blob->principal);
    use->count -= use->count > 0;
    use->bytes -= use->bytes > blob->bytes ? blob->bytes : use->bytes;
    d->owners.generation++;
    forget_checked(&d->owners);
    journal_remove_blob(d->journal, blob->principal, blob->sha);
}
