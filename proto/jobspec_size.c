/* How large a job file may be: a launch carries it whole, and a session carries launches. */
#include "proto/jobspec_check.h"

#include <stdio.h>
#include <string.h>

#define NAMED_DEPTH 3 /* levels of fields that the largest part is named by */

static const cJSON *largest(const cJSON *object, size_t *bytes)
{
    const cJSON *item, *best = NULL;
    *bytes = 0;
    cJSON_ArrayForEach(item, object)
    {
        size_t n = json_size(item);
        if (n <= *bytes)
            continue;
        *bytes = n;
        best = item;
    }
    return best;
}

void spec_check_size(struct spec_reader *r, const cJSON *file)
{
    size_t size = json_size(file), bytes = size, part;
    char path[SPEC_FIELD_PATH_MAX] = "";
    if (size <= JOB_FILE_MAX_BYTES)
        return;
    const cJSON *at = file, *next;
    for (int depth = 0; depth < NAMED_DEPTH && cJSON_IsObject(at); depth++, at = next, bytes = part) {
        next = largest(at, &part);
        if (!next || part < bytes / 2)
            break;
        size_t n = strlen(path);
        snprintf(path + n, sizeof path - n, "%s%.60s", n ? "." : "", next->string);
    }
    spec_problem(
        r, path,
        "the job file is %zu bytes long as JSON; at most %d are allowed (put large texts in files in "
        "the code directory)",
        size, JOB_FILE_MAX_BYTES);
}
