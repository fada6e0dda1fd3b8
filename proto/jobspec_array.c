/* The job file's array: "1-100%8", or {indices, max_concurrent}. */
#include "proto/jobspec_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void read_indices(struct spec_reader *r, const cJSON *v, const char *path)
{
    struct error err = {0};
    uint32_t limit = r->spec->array.limit;
    _cleanup_free_ char *text = spec_scalar_text(v); /* a single index may be a number */
    if (!text || cJSON_IsBool(v)) {
        spec_problem(r, path, "must be indices such as 1-100%%8, not %s", spec_type_name(v));
        return;
    }
    array_finish(&r->spec->array);
    if (!array_parse(text, &r->spec->array, &err))
        spec_problem(r, path, "%s%s%s", err.message, err.hint[0] ? "; " : "", err.hint);
    else if (limit)
        r->spec->array.limit = limit;
}

static void read_max_concurrent(struct spec_reader *r, const cJSON *v, const char *path)
{
    int64_t limit = 0;
    spec_int(r, v, path, 1, ARRAY_ELEMENTS_MAX, &limit);
    r->spec->array.limit = (uint32_t)limit;
}

static const struct spec_field array_fields[] = {{"indices", read_indices},
                                                 {"max_concurrent", read_max_concurrent}};

void spec_read_array(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (!cJSON_IsObject(v)) {
        read_indices(r, v, path);
        return;
    }
    spec_read_object(r, v, path, array_fields, COUNT(array_fields));
    if (!json_get(v, "indices"))
        spec_problem(r, path, "needs `indices`, such as 1-100");
    else if (cJSON_IsString(json_get(v, "indices")) && strchr(json_get(v, "indices")->valuestring, '%') &&
             json_get(v, "max_concurrent"))
        spec_problem(r, path, "has its limit twice: behind %% in `indices`, and in `max_concurrent`");
}

void spec_check_array(struct spec_reader *r)
{
    const struct job_spec *s = r->spec;
    if (s->array.count && (s->wants_stdin || s->wants_tty))
        spec_problem(r, "array", "an array has no standard input and no terminal");
}
