/* Dependencies by name. */
#include "scheduler/dependency.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/daemon.h"

#include <string.h>

static const char *const words[] = {[JOB_AFTER_START] = "start",
                                    [JOB_AFTER_SUCCESS] = "ok",
                                    [JOB_AFTER_FAILURE] = "fail",
                                    [JOB_AFTER_END] = "end"};

void dependency_write(const struct job_spec *spec, cJSON *fixed)
{
    cJSON *list = spec->after_count ? cJSON_AddArrayToObject(fixed, "after") : NULL;
    for (size_t i = 0; i < spec->after_count; i++) {
        cJSON *item = cJSON_CreateObject();
        json_add_str(item, "job", spec->after[i].job);
        cJSON_AddStringToObject(item, "until", words[spec->after[i].kind]);
        cJSON_AddItemToArray(list, item);
    }
}

/* As the core decides it (scheduler/core/need.c). */
static bool is_lost(const struct job *on, const char *until)
{
    if (!job_is_final(on) || strcmp(until, words[JOB_AFTER_END]) == 0)
        return false;
    if (strcmp(until, words[JOB_AFTER_SUCCESS]) == 0)
        return on->state != JOB_COMPLETED;
    if (strcmp(until, words[JOB_AFTER_FAILURE]) == 0)
        return on->state != JOB_FAILED;
    return !on->attempt || on->state == JOB_CANCELED;
}

char *dependency_failed(struct daemon *d, const struct job *job)
{
    _cleanup_json_ cJSON *fixed = json_parse(job->fixed, strlen(job->fixed), NULL);
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(fixed, "after"))
    {
        struct error ignored = {0};
        const char *until = json_str(item, "until", "");
        const struct job *on = jobs_find(&d->jobs, d->reader, json_str(item, "job", ""), &ignored);
        bool by_default = strcmp(until, words[JOB_AFTER_SUCCESS]) == 0;
        if (on && is_lost(on, until))
            return xasprintf("dependency_failed: job %s ended %s%s%s", on->name, job_state_name(on->state),
                             by_default ? "" : ", needed: ", by_default ? "" : until);
    }
    return NULL;
}
