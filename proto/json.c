/* Helpers over cJSON: strict parsing, 64-bit numbers. */
#include "proto/json.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool json_is_utf8(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = text_utf8_length(text + i, len - i);
        if (!n)
            return false;
        i += n;
    }
    return true;
}

static bool refuse_at(const char *text, const char *at, const char *what, struct error *err)
{
    int line = 1;
    const char *start = text;
    for (const char *p = text; p < at; p++) {
        if (*p != '\n')
            continue;
        line++;
        start = p + 1;
    }
    return error_set(err, ERROR_INVALID, "not valid JSON: line %d, column %d: %s", line,
                     (int)(at - start) + 1, what);
}

/* A NUL would cut a C string short and with it what was checked: "\u0000" is refused where a string holds it.
 */
static const char *find_escaped_nul(const char *text, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] != '\\')
            continue;
        if (len - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
            return text + i;
        i++;
    }
    return NULL;
}

/* ---- bytes that are no UTF-8 ---- */

#define ESCAPE_BYTES 6 /* \udcXX */

/* The code of the \uXXXX at p, or -1. */
static int escaped_code(const char *p, const char *end)
{
    int code = 0;
    if (end - p < ESCAPE_BYTES || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < ESCAPE_BYTES; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

/* The next escape of a byte in [p, end), or end. */
static const char *find_escaped_byte(const char *p, const char *end)
{
    while (p < end && (p = memchr(p, '\\', (size_t)(end - p)))) {
        int code = escaped_code(p, end);
        if (code >= 0xdc80 && code <= 0xdcff)
            return p;
        int low = code >= 0xd800 && code <= 0xdbff ? escaped_code(p + ESCAPE_BYTES, end) : -1;
        if (low >= 0xdc00 && low <= 0xdfff)
            p += 2 * ESCAPE_BYTES; /* a pair: one character */
        else
            p += code >= 0 ? ESCAPE_BYTES : 2;
    }
    return end;
}

/* Appends the text with each escape of a byte as that byte. */
static void decode_bytes(const char *text, size_t len, struct buf *out)
{
    for (const char *p = text, *end = text + len; p < end;) {
        const char *next = find_escaped_byte(p, end);
        buf_add(out, p, (size_t)(next - p));
        if (next < end) {
            buf_add_char(out, (char)(escaped_code(next, end) & 0xff));
            next += ESCAPE_BYTES;
        }
        p = next;
    }
}

/* What cJSON printed, with the bytes that are no UTF-8 escaped; they can only stand in strings. Takes it. */
static char *encode_bytes(char *text)
{
    struct buf out = {0};
    if (!text)
        abort(); /* out of memory, as xmalloc */
    size_t len = strlen(text);
    if (json_is_utf8(text, len))
        return text;
    for (size_t i = 0; i < len;) {
        size_t n = text_utf8_length(text + i, len - i);
        if (n)
            buf_add(&out, text + i, n);
        else
            buf_printf(&out, "\\udc%02x", (unsigned char)text[i]);
        i += n ? n : 1;
    }
    free(text);
    return buf_take(&out);
}

cJSON *json_parse(const char *text, size_t len, struct error *err)
{
    const char *nul = memchr(text, '\0', len);
    if (!nul)
        nul = find_escaped_nul(text, len);
    if (nul) {
        refuse_at(text, nul, "a NUL byte is not allowed", err);
        return NULL;
    }
    if (!json_is_utf8(text, len)) {
        error_set(err, ERROR_INVALID, "not valid JSON: the text is not UTF-8");
        return NULL;
    }
    _cleanup_buf_ struct buf decoded = {0};
    if (find_escaped_byte(text, text + len) < text + len) {
        decode_bytes(text, len, &decoded);
        text = decoded.data;
        len = decoded.len;
    }
    const char *end = text;
    cJSON *j = cJSON_ParseWithLengthOpts(text, len, &end, false);
    if (!j) {
        refuse_at(text, end && end >= text && end <= text + len ? end : text, "unexpected here", err);
        return NULL;
    }
    while (end < text + len && strchr(" \t\r\n", *end))
        end++;
    if (end < text + len) {
        cJSON_Delete(j);
        refuse_at(text, end, "nothing may follow the value", err);
        return NULL;
    }
    return j;
}

/* No fewer than the text has: the first one, and one behind each comma and opening bracket. */
static size_t count_values(const char *text, size_t len)
{
    size_t count = 1;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            quoted = !quoted;
        else if (quoted)
            i += text[i] == '\\';
        else
            count += text[i] == ',' || text[i] == '[' || text[i] == '{';
    }
    return count;
}

cJSON *json_parse_bounded(const char *text, size_t len, size_t max_values, struct error *err)
{
    if (count_values(text, len) > max_values) {
        error_set(err, ERROR_LIMIT, "the JSON text has more than %zu values", max_values);
        return NULL;
    }
    return json_parse(text, len, err);
}

/* With its quotes, escaped as cJSON prints it. */
static size_t string_size(const char *s)
{
    size_t n = 2;
    for (; *s; s++) {
        if (strchr("\"\\\b\f\n\r\t", *s))
            n += 2;
        else
            n += (unsigned char)*s < 0x20 ? 6 : 1;
    }
    return n;
}

static size_t integer_size(int n)
{
    size_t size = n < 0 ? 2 : 1;
    for (n /= 10; n; n /= 10)
        size++;
    return size;
}

size_t json_size(const cJSON *j)
{
    if (cJSON_IsString(j))
        return string_size(j->valuestring);
    if (!cJSON_IsArray(j) && !cJSON_IsObject(j)) {
        char text[64];
        if (cJSON_IsNumber(j) && j->valueint &&
            j->valuedouble == (double)j->valueint) /* most: cJSON's own way is slow */
            return integer_size(j->valueint);
        return cJSON_PrintPreallocated((cJSON *)j, text, sizeof text, false) ? strlen(text) : 0;
    }
    size_t n = 2;
    const cJSON *item;
    cJSON_ArrayForEach(item, j) n +=
        (item->prev->next ? 1 : 0) + (item->string ? string_size(item->string) + 1 : 0) + json_size(item);
    return n;
}

char *json_text(const cJSON *j)
{
    return encode_bytes(cJSON_PrintUnformatted(j));
}

char *json_indented(const cJSON *j)
{
    return encode_bytes(cJSON_Print(j));
}

void json_write(const cJSON *j, struct buf *out)
{
    char *text = json_text(j);
    buf_add_str(out, text);
    free(text);
}

const cJSON *json_get(const cJSON *object, const char *field)
{
    return object ? cJSON_GetObjectItemCaseSensitive(object, field) : NULL;
}

const char *json_str(const cJSON *object, const char *field, const char *missing)
{
    const cJSON *item = json_get(object, field);
    return cJSON_IsString(item) ? item->valuestring : missing;
}

bool json_item_int(const cJSON *item, int64_t *out)
{
    if (cJSON_IsNumber(item)) {
        double d = item->valuedouble;
        if (!(d >= -(double)JSON_EXACT_MAX && d <= (double)JSON_EXACT_MAX) || (double)(int64_t)d != d)
            return false;
        *out = (int64_t)d;
        return true;
    }
    if (!cJSON_IsString(item))
        return false;
    const char *s = item->valuestring;
    if (!((*s >= '0' && *s <= '9') || (*s == '-' && s[1] >= '0' && s[1] <= '9')))
        return false;
    char *end;
    errno = 0;
    long long n = strtoll(s, &end, 10);
    if (errno || *end)
        return false;
    *out = n;
    return true;
}

int64_t json_int(const cJSON *object, const char *field, int64_t missing)
{
    int64_t n;
    return json_item_int(json_get(object, field), &n) ? n : missing;
}

bool json_bool(const cJSON *object, const char *field, bool missing)
{
    const cJSON *item = json_get(object, field);
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : missing;
}

cJSON *json_int_item(int64_t value)
{
    if (value <= JSON_EXACT_MAX && value >= -JSON_EXACT_MAX)
        return cJSON_CreateNumber((double)value);
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return cJSON_CreateString(text);
}

void json_add_int(cJSON *object, const char *field, int64_t value)
{
    cJSON_AddItemToObject(object, field, json_int_item(value));
}

void json_add_bytes(cJSON *object, const char *field, const char *bytes)
{
    cJSON_AddItemToObject(object, field, bytes ? cJSON_CreateString(bytes) : cJSON_CreateNull());
}

void json_add_str(cJSON *object, const char *field, const char *text)
{
    if (!text) {
        cJSON_AddNullToObject(object, field);
        return;
    }
    size_t len = strlen(text);
    if (json_is_utf8(text, len)) {
        cJSON_AddStringToObject(object, field, text);
        return;
    }
    struct buf clean = {0};
    for (size_t i = 0; i < len;) {
        size_t n = text_utf8_length(text + i, len - i);
        if (n)
            buf_add(&clean, text + i, n);
        else
            buf_add_str(&clean, "\xef\xbf\xbd");
        i += n ? n : 1;
    }
    cJSON_AddStringToObject(object, field, clean.data);
    buf_finish(&clean);
}
