/*
 * The blob store: files named by their SHA-256 under STATE/blobs/ab/cdef.... A blob appears by rename, whole
 * and synced; it never changes.
 */
#ifndef BERTH_SCHEDULER_BLOBS_H
#define BERTH_SCHEDULER_BLOBS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOB_SHA_TEXT 64 /* hexadecimal digits, lower case */
#define BLOB_MANIFEST_MAX_BYTES (256 << 20)

bool blob_sha_valid(const char *sha);
/* STATE/blobs/ab/cdef...; the caller frees. */
char *blob_path(const char *state_dir, const char *sha);
bool blob_exists(const char *state_dir, const char *sha);
/* Makes the folders and removes what interrupted uploads left. */
bool blobs_prepare(const char *state_dir, struct error *err);
void blob_sha_to_bytes(const char *sha, uint8_t bytes[32]);
/* The SHAs that a manifest names, sorted; the caller frees *shas. */
bool blob_manifest_read(const char *state_dir, const char *sha, uint8_t (**shas)[32], size_t *count,
                        struct error *err);

#endif
