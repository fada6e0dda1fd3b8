/* The walk over tables of fields and the checks of single values. Every problem is noted and the walk goes
 * on, so that one refusal names all. */
#include "proto/jobspec_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "proto/excerpt.h"
#include "proto/suggest.h"
#include "proto/units.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note(struct spec_reader *r, const char *path, bool unsupported, const char *fmt, va_list ap)
{
    struct job_spec_problems *p = r->problems;
    p->total++;
    if (p->count == JOB_ERRORS_MAX)
        return; /* before any text is made: the cost of a file with a million faults stays linear */
    char text[ERROR_MESSAGE_MAX / 2];
    vsnprintf(text, sizeof text, fmt, ap);
    p->items[p->count++] = (struct job_spec_problem){xstrdup(path), xstrdup(text), unsupported};
}

void spec_problem(struct spec_reader *r, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    note(r, path, false, fmt, ap);
    va_end(ap);
}

void spec_not_honoured(struct spec_reader *r, const char *path, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    note(r, path, true, fmt, ap);
    va_end(ap);
}

struct excerpt spec_shown(const cJSON *value)
{
    return excerpt_of(cJSON_IsString(value) ? value->valuestring : spec_type_name(value));
}

struct excerpt spec_shown_scalar(const cJSON *value)
{
    _cleanup_free_ char *text = spec_scalar_text(value);
    return excerpt_of(text ? text : spec_type_name(value));
}

const char *spec_type_name(const cJSON *value)
{
    if (cJSON_IsString(value))
        return "text";
    if (cJSON_IsNumber(value))
        return "a number";
    if (cJSON_IsBool(value))
        return "a boolean";
    if (cJSON_IsArray(value))
        return "a list";
    if (cJSON_IsObject(value))
        return "a mapping";
    return "nothing";
}

void spec_join(char *out, const char *path, const char *name)
{
    struct excerpt shown = excerpt_within(name, SPEC_NAME_SHOWN);
    for (char *p = shown.text; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = '?';
    snprintf(out, SPEC_FIELD_PATH_MAX, "%s%s%s", excerpt_within(path, SPEC_NAME_SHOWN).text, *path ? "." : "",
             shown.text);
}

void spec_read_object(struct spec_reader *r, const cJSON *object, const char *path,
                      const struct spec_field *fields, size_t count)
{
    if (!cJSON_IsObject(object)) {
        spec_problem(r, path, "must be a mapping of fields, not %s", spec_type_name(object));
        return;
    }
    uint64_t seen = 0; /* one bit a field: no table has more than 64 */
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        char full[SPEC_FIELD_PATH_MAX];
        size_t i = 0;
        while (i < count && strcmp(fields[i].name, item->string) != 0)
            i++;
        if (i == count && r->problems->count == JOB_ERRORS_MAX) {
            r->problems->total++; /* nobody reads a suggestion for it */
            continue;
        }
        spec_join(full, path, item->string);
        if (i == count) {
            const char *near = suggest_nearest(item->string, fields, count, sizeof *fields);
            if (near)
                spec_problem(r, full, "unknown field; did you mean `%s`?", near);
            else
                spec_problem(r, full, "unknown field");
            continue;
        }
        if (seen & UINT64_C(1) << i) {
            spec_problem(r, full, "given twice");
            continue; /* the first one is held already */
        }
        seen |= UINT64_C(1) << i;
        if (cJSON_IsNull(item))
            continue;
        if (fields[i].read)
            fields[i].read(r, item, full);
        else
            spec_not_honoured(r, full, "a field of the service that Berth does not honour yet: take it out");
    }
}

static bool has_control(const char *s, bool one_line)
{
    for (; *s; s++)
        if (*s == 0x7f || ((unsigned char)*s < 0x20 && (one_line || !strchr("\t\n\r", *s))))
            return true;
    return false;
}

void spec_text(struct spec_reader *r, const cJSON *value, const char *path, size_t max, bool one_line,
               char **out)
{
    if (!cJSON_IsString(value)) {
        spec_problem(r, path, "must be text, not %s", spec_type_name(value));
        return;
    }
    size_t len = strlen(value->valuestring);
    if (len > max) {
        spec_problem(r, path, "is %zu bytes long; at most %zu are allowed", len, max);
        return;
    }
    if (has_control(value->valuestring, one_line)) {
        spec_problem(r, path, "has control characters in it");
        return;
    }
    free(*out);
    *out = xstrdup(value->valuestring);
}

void spec_int(struct spec_reader *r, const cJSON *value, const char *path, int64_t min, int64_t max,
              int64_t *out)
{
    int64_t n;
    if (!json_item_int(value, &n)) {
        if (cJSON_IsNumber(value))
            spec_problem(r, path, "must be a whole number, not %g", value->valuedouble);
        else if (cJSON_IsString(value))
            spec_problem(r, path, "must be a whole number, not \"%s\"", EXCERPT(value->valuestring));
        else
            spec_problem(r, path, "must be a whole number, not %s", spec_type_name(value));
        return;
    }
    if (n < min || n > max) {
        spec_problem(r, path, "must be between %" PRId64 " and %" PRId64 ", not %" PRId64, min, max, n);
        return;
    }
    *out = n;
}

void spec_bool(struct spec_reader *r, const cJSON *value, const char *path, bool *out)
{
    if (cJSON_IsBool(value))
        *out = cJSON_IsTrue(value);
    else
        spec_problem(r, path, "must be true or false, not %s", spec_type_name(value));
}

void spec_bytes(struct spec_reader *r, const cJSON *value, const char *path, int64_t min, int64_t max,
                int64_t *out)
{
    int64_t n = -1;
    bool ok = cJSON_IsString(value) ? units_parse_bytes(value->valuestring, &n) : json_item_int(value, &n);
    char low[16], high[16];
    if (!ok) {
        if (cJSON_IsString(value))
            spec_problem(r, path, "must be a size such as 512M or 2G, not \"%s\"",
                         EXCERPT(value->valuestring));
        else
            spec_problem(r, path, "must be a size such as 512M or 2G, not %s", spec_type_name(value));
    } else if (n < min || n > max) {
        char is[16];
        spec_problem(r, path, "must be between %s and %s, not %s", units_format_bytes(min, low),
                     units_format_bytes(max, high), n < 0 ? "negative" : units_format_bytes(n, is));
    } else {
        *out = n;
    }
}

void spec_path(struct spec_reader *r, const cJSON *value, const char *path, char **out)
{
    const char *text = cJSON_IsString(value) ? value->valuestring : NULL;
    if (!text)
        spec_problem(r, path, "must be text, not %s", spec_type_name(value));
    else if (strlen(text) > JOB_PATH_MAX)
        spec_problem(r, path, "is %zu bytes long; at most %d are allowed", strlen(text), JOB_PATH_MAX);
    else if (*text != '/')
        spec_problem(r, path, "must be an absolute path, not \"%s\"", EXCERPT(text));
    else {
        free(*out);
        *out = xstrdup(text);
    }
}

void spec_strings(struct spec_reader *r, const cJSON *value, const char *path, size_t max_count,
                  size_t max_len, struct job_strings *out)
{
    if (!cJSON_IsArray(value)) {
        spec_problem(r, path, "must be a list of texts, not %s", spec_type_name(value));
        return;
    }
    size_t count = (size_t)cJSON_GetArraySize(value);
    if (count > max_count) {
        spec_problem(r, path, "has %zu items; at most %zu are allowed", count, max_count);
        return;
    }
    out->items = xcalloc(count + 1, sizeof *out->items);
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        if (!cJSON_IsString(item)) {
            spec_problem(r, path, "item %zu must be text, not %s", out->count + 1, spec_type_name(item));
            return;
        }
        if (strlen(item->valuestring) > max_len) {
            spec_problem(r, path, "item %zu is longer than %zu bytes", out->count + 1, max_len);
            return;
        }
        out->items[out->count++] = xstrdup(item->valuestring);
    }
}

char *spec_scalar_text(const cJSON *value)
{
    if (cJSON_IsString(value))
        return xstrdup(value->valuestring);
    if (cJSON_IsBool(value))
        return xstrdup(cJSON_IsTrue(value) ? "true" : "false");
    return cJSON_IsNumber(value) ? json_text(value) : NULL;
}

void spec_pairs(struct spec_reader *r, const cJSON *value, const char *path, size_t max_count, size_t max_len,
                struct job_pairs *out)
{
    if (!cJSON_IsObject(value)) {
        spec_problem(r, path, "must be a mapping of names to values, not %s", spec_type_name(value));
        return;
    }
    size_t count = (size_t)cJSON_GetArraySize(value);
    if (count > max_count) {
        spec_problem(r, path, "has %zu items; at most %zu are allowed", count, max_count);
        return;
    }
    out->items = xcalloc(count, sizeof *out->items);
    struct map seen = {0};
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        char full[SPEC_FIELD_PATH_MAX];
        spec_join(full, path, item->string);
        if (map_put_str(&seen, item->string, (void *)item)) {
            spec_problem(r, full, "given twice");
            continue;
        }
        char *text = cJSON_IsNull(item) ? xstrdup("") : spec_scalar_text(item);
        if (!text)
            spec_problem(r, full, "must be text, not %s", spec_type_name(item));
        else if (strlen(text) > max_len || strlen(item->string) > max_len)
            spec_problem(r, full, "is longer than %zu bytes", max_len);
        else
            out->items[out->count++] = (struct job_pair){xstrdup(item->string), take_ptr(text)};
        free(text);
    }
    map_finish(&seen);
}

static bool variable_name_valid(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_')
            return false;
    return true;
}

void spec_check_environment(struct spec_reader *r, const struct job_pairs *pairs, const char *path,
                            size_t *used)
{
    for (size_t i = 0; i < pairs->count; i++) {
        char full[SPEC_FIELD_PATH_MAX];
        spec_join(full, path, pairs->items[i].name);
        size_t bytes = strlen(pairs->items[i].name) + strlen(pairs->items[i].value) + 2;
        if (!variable_name_valid(pairs->items[i].name))
            spec_problem(
                r, full,
                "is not a name of an environment variable: letters, digits and _ only, not a digit first");
        else if (bytes - 1 > JOB_VARIABLE_MAX_BYTES)
            spec_problem(r, full,
                         "is %zu bytes; one variable may have %d (put it in a file in the code folder)",
                         bytes - 1, JOB_VARIABLE_MAX_BYTES);
        bool was_over = *used > JOB_ENVIRONMENT_MAX_BYTES;
        *used += bytes;
        if (!was_over && *used > JOB_ENVIRONMENT_MAX_BYTES)
            spec_problem(
                r, path,
                "all variables together pass %d bytes (put the large ones in a file in the code folder)",
                JOB_ENVIRONMENT_MAX_BYTES);
    }
}

void spec_word(struct spec_reader *r, const cJSON *v, const char *path, const char *const *words,
               size_t count, int *out)
{
    _cleanup_buf_ struct buf list = {0};
    for (size_t i = 0; i < count; i++) {
        if (cJSON_IsString(v) && strcasecmp(v->valuestring, words[i]) == 0) {
            *out = (int)i;
            return;
        }
        buf_printf(&list, "%s%s", i ? ", " : "", words[i]);
    }
    spec_problem(r, path, "must be one of %s, not %s", list.data, spec_shown(v).text);
}

void spec_duration(struct spec_reader *r, const cJSON *value, const char *path, int64_t max_ms,
                   int64_t *out_ms)
{
    char most[24];
    int64_t ms = -1, n;
    bool number = cJSON_IsNumber(value);
    if (number && json_item_int(value, &n))
        ms = n < 0 || n > max_ms / 1000 ? -1 : n * 1000;
    else if (number || !cJSON_IsString(value) || !units_parse_duration(value->valuestring, &ms)) {
        spec_problem(r, path, "must be a time such as 90 (seconds), 15m or 1h30m, not %s",
                     spec_shown_scalar(value).text);
        return;
    }
    if (ms < 0 || ms > max_ms)
        spec_problem(r, path, "must be between 0 and %s, not %s", units_format_exact(max_ms, most),
                     spec_shown_scalar(value).text);
    else
        *out_ms = ms;
}

void spec_note(struct spec_reader *r, const cJSON *value, const char *path, size_t max)
{
    _cleanup_free_ char *text = spec_scalar_text(value);
    if (!text)
        spec_problem(r, path, "must be text, not %s", spec_type_name(value));
    else if (strlen(text) > max)
        spec_problem(r, path, "is %zu bytes long; at most %zu are allowed", strlen(text), max);
    else if (has_control(text, false))
        spec_problem(r, path, "has control characters in it");
}

void spec_digest(struct spec_reader *r, const cJSON *v, const char *path, char **out)
{
    if (!cJSON_IsString(v) || strlen(v->valuestring) != 64 ||
        strspn(v->valuestring, "0123456789abcdef") != 64) {
        spec_problem(r, path, "must be a SHA-256 in 64 lower-case hexadecimal digits");
        return;
    }
    free(*out);
    *out = xstrdup(v->valuestring);
}
