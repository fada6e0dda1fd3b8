/*
 * Small helpers over cJSON, which owns all memory as usual (cJSON_Delete). Numbers that pass 2^53 travel as
 * decimal strings; the readers here take both.
 *
 * Names of files, words of a command and values of variables are bytes. A byte 0x80 to 0xff of a string that
 * is not part of a UTF-8 character travels as the escape \udc80 to \udcff, a lone surrogate, which stands for
 * nothing else in JSON (PEP 383: Python's os.fsencode() gives the bytes). Writing and parsing do both ways,
 * so that a string in memory is the bytes themselves.
 */
#ifndef BERTH_PROTO_JSON_H
#define BERTH_PROTO_JSON_H

#include "base/buf.h"
#include "base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_EXACT_MAX (INT64_C(1) << 53) /* the largest magnitude that a double holds exactly */

static inline void json_cleanup_fn(cJSON **j)
{
    cJSON_Delete(*j);
}
#define _cleanup_json_ __attribute__((cleanup(json_cleanup_fn)))

/* Parses one JSON text that fills `len` bytes. Refuses trailing bytes, NULs (also as \u0000), invalid UTF-8
 * and nesting over cJSON's limit, naming line and column. The caller deletes the result. */
cJSON *json_parse(const char *text, size_t len, struct error *err);
/* The same for what a stranger sent: texts of more than max_values values are refused before any is made, so
 * that the cost is bounded by len and max_values. */
cJSON *json_parse_bounded(const char *text, size_t len, size_t max_values, struct error *err);
/* The bytes that json_text would have, without making it. */
size_t json_size(const cJSON *j);
/* Compact text appended to out. */
void json_write(const cJSON *j, struct buf *out);
char *json_text(const cJSON *j);     /* compact; the caller frees */
char *json_indented(const cJSON *j); /* for people; the caller frees */

/* A field's text (borrowed), or `missing` where it is absent or of another type. */
const char *json_str(const cJSON *object, const char *field, const char *missing);
int64_t json_int(const cJSON *object, const char *field, int64_t missing); /* number or decimal string */
bool json_bool(const cJSON *object, const char *field, bool missing);
const cJSON *json_get(const cJSON *object,
                      const char *field); /* case-sensitive; NULL where absent, or where object is NULL */
/* One item as an integer: exact numbers and decimal strings; false for all else. */
bool json_item_int(const cJSON *item, int64_t *out);

/* As strings beyond JSON_EXACT_MAX. */
void json_add_int(cJSON *object, const char *field, int64_t value);
/* null where text is NULL; bytes that are not UTF-8 become U+FFFD: for text that people read. */
void json_add_str(cJSON *object, const char *field, const char *text);
/* null where it is NULL; every byte is kept: for what programs use again, such as names of files. */
void json_add_bytes(cJSON *object, const char *field, const char *bytes);
cJSON *json_int_item(int64_t value);
bool json_is_utf8(const char *text, size_t len);

#endif
