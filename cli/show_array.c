/* Counts and failed elements of arrays, in words. */
#include "cli/show_array.h"

#include "cli/term.h"
#include "proto/array.h"

static const struct {
    const char *field, *word;
} counts[] = {{"waiting", "queued"},
              {"running", "running"},
              {"completed", "done"},
              {"failed", "failed"},
              {"canceled", "canceled"}};

void show_array_counts(const cJSON *array, struct buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        int64_t n = json_int(array, counts[i].field, 0);
        if (n)
            buf_printf(out, "%s%lld %s", out->len > before ? ", " : "", (long long)n, counts[i].word);
    }
}

void show_array_lines(const cJSON *job, struct buf *out)
{
    const cJSON *array = json_get(job, "array"), *index;
    const char *name = json_str(job, "name", "?");
    if (json_int(job, "array_job", 0))
        buf_printf(out, "%-12s element %lld of job %lld\n", "array",
                   (long long)json_int(job, "array_index", 0), (long long)json_int(job, "array_job", 0));
    if (!cJSON_IsObject(array))
        return;
    buf_printf(out, "%-12s ", "array");
    term_add_safe(out, json_str(array, "indices", "?"), false);
    buf_printf(out, " (%lld element%s", (long long)json_int(array, "count", 0),
               json_int(array, "count", 0) == 1 ? "" : "s");
    if (json_int(array, "limit", 0))
        buf_printf(out, ", at most %lld at once", (long long)json_int(array, "limit", 0));
    buf_printf(out, ")\n%-12s ", "elements");
    show_array_counts(array, out);
    buf_add_char(out, '\n');
    int listed = cJSON_GetArraySize(json_get(array, "failed_indices"));
    if (!listed)
        return;
    buf_printf(out, "%-12s", "failed");
    cJSON_ArrayForEach(index, json_get(array, "failed_indices"))
    {
        buf_add_char(out, ' ');
        term_add_safe(out, name, false);
        buf_printf(out, "%c%lld", ARRAY_MARK, (long long)cJSON_GetNumberValue(index));
    }
    buf_printf(out, "%s\n", json_int(array, "failed", 0) > listed ? " ..." : "");
}
