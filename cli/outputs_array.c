/* Elements come in pages, the newest first. */
#include "cli/outputs_array.h"

#include "base/alloc.h"
#include "base/cleanup.h"

#include <stdlib.h>

static int by_index(const void *a, const void *b)
{
    const struct outputs_element *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

struct outputs_element *outputs_elements(struct client *client, int64_t array, size_t *count,
                                         struct error *err)
{
    size_t capacity = 16;
    struct outputs_element *all = xcalloc(capacity, sizeof *all);
    *count = 0;
    for (int64_t before = 0;;) {
        _cleanup_buf_ struct buf path = {0};
        buf_printf(&path, "/v1/jobs?state=all&array=%lld", (long long)array);
        if (before)
            buf_printf(&path, "&before=%lld", (long long)before);
        _cleanup_json_ cJSON *page = client_call(client, "GET", path.data, NULL, 0, err);
        const cJSON *job;
        if (!page) {
            free(all);
            return NULL;
        }
        cJSON_ArrayForEach(job, json_get(page, "jobs"))
        {
            if (*count == capacity) {
                capacity *= 2;
                all = xrealloc(all, capacity * sizeof *all);
            }
            all[(*count)++] =
                (struct outputs_element){json_int(job, "id", 0), json_int(job, "array_index", 0)};
        }
        before = json_int(page, "next", 0);
        if (!before)
            break;
    }
    if (*count)
        qsort(all, *count, sizeof *all, by_index);
    return all;
}
