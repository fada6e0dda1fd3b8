/* What a job holds and what becomes of it while it runs: its licences. */
#include "proto/jobspec_check.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

static bool licence_name_valid(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(name);
    return n >= 1 && n <= JOB_LICENCE_NAME_MAX && strspn(name, plain) == n;
}

static void read_licence(struct spec_reader *r, const cJSON *v, const char *path)
{
    struct job_spec *s = r->spec;
    size_t before = r->problems->total;
    int64_t amount = 0;
    if (!licence_name_valid(v->string)) {
        spec_problem(r, path, "a licence's name has 1 to %d letters, digits, dots, - and _",
                     JOB_LICENCE_NAME_MAX);
        return;
    }
    spec_int(r, v, path, 1, JOB_LICENCE_AMOUNT_MAX, &amount);
    for (size_t i = 0; i < s->licence_count; i++)
        if (strcmp(s->licences[i].name, v->string) == 0)
            spec_problem(r, path, "given twice");
    if (r->problems->total == before)
        s->licences[s->licence_count++] = (struct job_licence){xstrdup(v->string), amount};
}

void spec_read_licences(struct spec_reader *r, const cJSON *v, const char *path)
{
    const cJSON *item;
    if (!cJSON_IsObject(v)) {
        spec_problem(r, path, "must be a mapping of licences to how many of each, not %s", spec_type_name(v));
        return;
    }
    if (cJSON_GetArraySize(v) > JOB_LICENCES_MAX) {
        spec_problem(r, path, "names %d licences; a job can hold %d kinds", cJSON_GetArraySize(v),
                     JOB_LICENCES_MAX);
        return;
    }
    cJSON_ArrayForEach(item, v)
    {
        char full[SPEC_FIELD_PATH_MAX];
        snprintf(full, sizeof full, "%s.%.*s", path, JOB_LICENCE_NAME_MAX, item->string);
        read_licence(r, item, full);
    }
}
