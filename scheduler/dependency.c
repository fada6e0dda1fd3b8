/* Dependencies by name. */
#include "scheduler/dependency.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/daemon.h"
#include "scheduler/job_names.h"

#include <string.h>

static const char *const words[] = {[JOB_AFTER_START] = "start",
                                    [JOB_AFTER_SUCCESS] = "ok",
                                    [JOB_AFTER_FAILURE] = "fail",
                                    [JOB_AFTER_END] = "end"};

bool dependency_find(struct daemon *d, uint32_t submitter, const struct job_spec *spec,
                     uint64_t ids[JOB_AFTER_MAX], struct error *err)
{
    for (size_t i = 0; i < spec->after_count; i++) {
        const struct job *on = jobs_find(d, submitter, spec->after[i].job, err);
        if (!on) {
            if (err)
                snprintf(err->field, sizeof err->field, "after");
            return error_wrap(err, "it can't wait for %s", spec->after[i].job);
        }
        if (on->unborn && !job_is_final(on)) {
            error_field(err, "after", "%s has not begun: a single element can be waited for once it has",
                        spec->after[i].job);
            return error_hint(err, "wait for the whole array");
        }
        ids[i] = on->id;
    }
    return true;
}

void dependency_write(const struct job_spec *spec, const uint64_t ids[JOB_AFTER_MAX], cJSON *fixed)
{
    cJSON *list = spec->after_count ? cJSON_AddArrayToObject(fixed, "after") : NULL;
    for (size_t i = 0; i < spec->after_count; i++) {
        cJSON *item = cJSON_CreateObject();
        json_add_str(item, "job", spec->after[i].job);
        json_add_int(item, "id", (int64_t)ids[i]);
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
        uint64_t id = (uint64_t)json_int(item, "id", 0); /* 0: submitted to an older Berth */
        const struct job *on = id ? jobs_find_id(&d->jobs, d->reader, id)
                                  : jobs_find(d, job->principal, json_str(item, "job", ""), &ignored);
        bool by_default = strcmp(until, words[JOB_AFTER_SUCCESS]) == 0;
        if (on && is_lost(on, until))
            return xasprintf("dependency_failed: job %s ended %s%s%s", on->name, job_state_name(on->state),
                             by_default ? "" : ", needed: ", by_default ? "" : until);
    }
    return NULL;
}
