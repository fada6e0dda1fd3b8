/*
 * Who may read a blob: the principals that uploaded it. The journal has one entry for each (principal, SHA);
 * here are their sums and what was found out about manifests. Invariant: an upload, a listing and a
 * submission read entries of their own principal alone, so that nobody learns what another has.
 */
#ifndef BERTH_SCHEDULER_OWNERS_H
#define BERTH_SCHEDULER_OWNERS_H

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "scheduler/blobs.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define OWNERS_CHECKED_MAX 4096                  /* manifests whose files are known to be their submitter's */
#define OWNERS_TOUCH_MS (24LL * 3600 * 1000)     /* an entry's time is written anew once it is older */
#define OWNERS_KEEP_MS (14LL * 24 * 3600 * 1000) /* an entry that nothing refers to goes after this time */

struct daemon;
struct journal_blob;

/* What one principal stores. */
struct owner_use {
    uint64_t count, bytes;
    uint64_t arriving_bytes; /* of uploads that have not ended */
};

struct owner_table {
    struct map use;      /* by principal; owned */
    struct map checked;  /* "PRINCIPAL:MANIFEST" */
    uint64_t generation; /* counts removals of entries: what was checked before one is checked again */
    uv_mutex_t lock;     /* of what follows, which the sweep reads in the thread pool */
    bool sweeping;
    struct map used;   /* by SHA: uploaded or reported as present since the sweep began */
    struct list going; /* uploads that have not ended */
};

/* An upload as the table knows it. */
struct owner_upload {
    struct list link;
    char sha[BLOB_SHA_TEXT + 1];
    uint32_t principal;
    uint64_t bytes; /* counted as arriving */
};

void owners_init(struct owner_table *t);
void owners_finish(struct owner_table *t);
/* After recovery: the sums. */
bool owners_load(struct daemon *d, struct error *err);
/* Never NULL; valid until owners_finish. */
struct owner_use *owners_use(struct owner_table *t, uint32_t principal);

void owners_begin_upload(struct owner_table *t, struct owner_upload *upload);
void owners_count_arriving(struct owner_table *t, struct owner_upload *upload, uint64_t bytes);
void owners_end_upload(struct owner_table *t, struct owner_upload *upload);
/* The blob is whole and on disk: the entry is added to the journal's open batch. */
void owners_add(struct daemon *d, uint32_t principal, const char *sha, uint64_t bytes);
/* It was reported as present: its time is written anew where it is old. */
void owners_touch(struct daemon *d, const struct journal_blob *blob);

/* Whether `principal` has uploaded a manifest and all of its files, as far as is known without a look at the
 * disk; and that they are, found out since `generation`. */
bool owners_checked(const struct owner_table *t, uint32_t principal, const char *manifest);
void owners_set_checked(struct owner_table *t, uint32_t principal, const char *manifest);

/* For the sweep. From begin to end no blob that comes into use is removed: owners_remove_file, which may be
 * called in the thread pool, removes one that has not. */
void owners_begin_sweep(struct owner_table *t);
void owners_end_sweep(struct owner_table *t);
bool owners_remove_file(struct owner_table *t, const char *sha, const char *path);
bool owners_in_use(struct owner_table *t, const char *sha);
void owners_remove(struct daemon *d, const struct journal_blob *blob);

#endif
