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

#define BLOB_SHA_TEXT 64                   /* hexadecimal digits, lower case */
#define BLOB_MANIFEST_MAX_BYTES (64 << 20) /* as executors take it */

bool blob_sha_valid(const char *sha);
/* STATE/blobs/ab/cdef...; the caller frees. */
char *blob_path(const char *state_dir, const char *sha);
bool blob_exists(const char *state_dir, const char *sha);
/* Makes the folders and removes what interrupted uploads left. */
bool blobs_prepare(const char *state_dir, struct error *err);
void blob_sha_to_bytes(const char *sha, uint8_t bytes[32]);
void blob_sha_from_bytes(const uint8_t bytes[32], char sha[BLOB_SHA_TEXT + 1]);
/* The SHAs that a manifest names, sorted; the caller frees *shas. A line of another form is an error. */
bool blob_manifest_read(const char *state_dir, const char *sha, uint8_t (**shas)[32], size_t *count,
                        struct error *err);

#endif
