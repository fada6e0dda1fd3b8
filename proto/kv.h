/*
 * The encoding of the shim's folder: records "key=value", each ended by a NUL, as /proc/PID/environ has them.
 * Values may hold any byte but NUL; a repeated key is a list. It needs no library, so that the shim stays a
 * small static program.
 */
#ifndef BERTH_PROTO_KV_H
#define BERTH_PROTO_KV_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void kv_add(struct buf *out, const char *key, const char *value);
void kv_add_int(struct buf *out, const char *key, int64_t value);
void kv_addf(struct buf *out, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* First value of `key` in `data` of `len` bytes (borrowed from data), or NULL. The last record must end with
 * a NUL; a torn one is ignored. */
const char *kv_get(const char *data, size_t len, const char *key);
int64_t kv_get_int(const char *data, size_t len, const char *key, int64_t missing);
/* Walks the records of `key` (all records where key is NULL: the whole "key=value"): start with *cursor = 0;
 * NULL at the end. */
const char *kv_next(const char *data, size_t len, const char *key, size_t *cursor);

#endif
