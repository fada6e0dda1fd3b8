/* NUL-ended "key=value" records. */
#include "proto/kv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void kv_add(struct buf *out, const char *key, const char *value)
{
    buf_add_str(out, key);
    buf_add_char(out, '=');
    buf_add(out, value, strlen(value) + 1);
}

void kv_add_int(struct buf *out, const char *key, int64_t value)
{
    kv_addf(out, key, "%" PRId64, value);
}

void kv_addf(struct buf *out, const char *key, const char *fmt, ...)
{
    va_list ap;
    buf_add_str(out, key);
    buf_add_char(out, '=');
    va_start(ap, fmt);
    buf_vprintf(out, fmt, ap);
    va_end(ap);
    buf_add_char(out, '\0');
}

const char *kv_next(const char *data, size_t len, const char *key, size_t *cursor)
{
    size_t key_len = key ? strlen(key) : 0;
    while (*cursor < len) {
        const char *record = data + *cursor;
        const char *end = memchr(record, '\0', len - *cursor);
        if (!end)
            return NULL;
        *cursor = (size_t)(end - data) + 1;
        if (!key)
            return record;
        if (strncmp(record, key, key_len) == 0 && record[key_len] == '=')
            return record + key_len + 1;
    }
    return NULL;
}

const char *kv_get(const char *data, size_t len, const char *key)
{
    size_t cursor = 0;
    return kv_next(data, len, key, &cursor);
}

int64_t kv_get_int(const char *data, size_t len, const char *key, int64_t missing)
{
    const char *value = kv_get(data, len, key);
    if (!value || !*value)
        return missing;
    char *end;
    long long n = strtoll(value, &end, 10);
    return *end ? missing : n;
}
