/* Bindings. One pass from left to right. */
#include "executor/substitute.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "proto/excerpt.h"

#include <string.h>

#define OPEN "${{"
#define CLOSE "}}"

static const char *find(const struct substitute_value *values, size_t count, const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(values[i].name) == len && memcmp(values[i].name, name, len) == 0)
            return values[i].value;
    return NULL;
}

char *substitute(const char *text, const struct substitute_value *values, size_t count, struct error *err)
{
    _cleanup_buf_ struct buf out = {0};
    for (const char *p = text;;) {
        const char *open = strstr(p, OPEN);
        if (!open) {
            buf_add_str(&out, p);
            return buf_take(&out);
        }
        buf_add(&out, p, (size_t)(open - p));
        const char *name = open + strlen(OPEN), *close = strstr(name, CLOSE);
        if (!close) {
            error_set(err, ERROR_INVALID, "\"%s\" is not closed by }}", EXCERPT(open));
            return NULL;
        }
        p = close + strlen(CLOSE);
        while (*name == ' ' || *name == '\t')
            name++;
        while (close > name && (close[-1] == ' ' || close[-1] == '\t'))
            close--;
        const char *value = find(values, count, name, (size_t)(close - name));
        if (!value) {
            _cleanup_free_ char *missing = xstrndup(name, close > name ? (size_t)(close - name) : 0);
            error_set(err, ERROR_INVALID, "${{%s}} names nothing that this job has", EXCERPT(missing));
            if (strncmp(name, "inputs.", 7) == 0)
                error_hint(err, "declare it under inputs: in the job file");
            return NULL;
        }
        buf_add_str(&out, value);
        if (out.len > SUBSTITUTE_RESULT_MAX) {
            error_set(err, ERROR_LIMIT, "the text is longer than %u bytes once its bindings are put in",
                      SUBSTITUTE_RESULT_MAX);
            return NULL;
        }
    }
}
