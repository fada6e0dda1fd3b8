/*
 * Blobs that the executor has fetched: `FOLDER/ab/cdef...`, content-addressed by SHA-256, root-only. A blob
 * appears whole and with the right hash (temporary file, hash, rename) or not at all. After another boot the
 * cache is emptied: it is not fsync'ed, and a power cut may have torn it. Functions here may be used from
 * several threads; a blob_writer from one.
 */
#ifndef BERTH_EXECUTOR_BLOB_CACHE_H
#define BERTH_EXECUTOR_BLOB_CACHE_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOB_SHA_MAX 65                          /* 64 hex characters and a NUL */
#define BLOB_CACHE_MAX_BYTES (INT64_C(20) << 30) /* swept down to this */
#define BLOB_MAX_BYTES (INT64_C(64) << 30)

struct blob_cache {
    int fd; /* the folder */
};

struct blob_writer; /* one blob on its way in */

bool blob_cache_sha_valid(const char *sha); /* 64 lower-case hex characters */
bool blob_cache_init(struct blob_cache *cache, const char *folder, struct error *err);
void blob_cache_finish(struct blob_cache *cache);
bool blob_cache_has(const struct blob_cache *cache, const char *sha);
int blob_cache_open(const struct blob_cache *cache,
                    const char *sha); /* read-only descriptor or -1 with errno */
bool blob_cache_read(const struct blob_cache *cache, const char *sha, size_t max_bytes, struct buf *out,
                     struct error *err);
/* Removes the blobs used longest ago until at most max_bytes are left. */
bool blob_cache_sweep(const struct blob_cache *cache, int64_t max_bytes, struct error *err);

struct blob_writer *blob_writer_create(const struct blob_cache *cache, const char *sha, struct error *err);
bool blob_writer_add(struct blob_writer *writer, const void *bytes, size_t n, struct error *err);
/* Checks the hash and puts the blob in place. The writer is gone either way. */
bool blob_writer_commit(struct blob_writer *writer, struct error *err);
void blob_writer_destroy(struct blob_writer *writer); /* gives up; takes NULL */

/* SHA-256 of at most max_bytes that are left to read of `fd`, as hex. */
bool blob_hash_fd(int fd, int64_t max_bytes, char sha[BLOB_SHA_MAX], struct error *err);

#endif
