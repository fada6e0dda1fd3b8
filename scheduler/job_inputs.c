/* Names at submission, paths at the start. */
#include "scheduler/job_inputs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/arrays.h"
#include "scheduler/daemon.h"
#include "scheduler/job_names.h"

#include <string.h>
#include <unistd.h>

#define FIELD "job_inputs"
#define CONTINUES "continues"

/* Whether the job starts only once that one has ended. */
static bool waits_for(const struct job_spec *spec, const uint64_t *after, uint64_t id)
{
    for (size_t i = 0; i < spec->after_count; i++)
        if (after[i] == id && spec->after[i].kind != JOB_AFTER_START)
            return true;
    return false;
}

/* What it takes is in files: they must be the submitter's own, and whole. */
static bool find_one(struct daemon *d, uint32_t submitter, const struct job_spec *spec, const uint64_t *after,
                     const char *name, uint64_t *out, struct error *err)
{
    const struct job *of = jobs_find(d, submitter, name, err);
    if (!of)
        return false;
    if (of->principal != submitter)
        return error_set(err, ERROR_DENIED, "job %s is %s's: it must be one of your own", of->name,
                         principals_name(&d->principals, of->principal));
    if (of->array) {
        error_set(err, ERROR_INVALID, "job %s is an array: it must be one element", of->name);
        return error_hint(err, "name one, such as %s@%u", of->name, array_min(&of->array->indices));
    }
    if (!job_is_final(of) && !waits_for(spec, after, of->id)) {
        error_set(err, ERROR_CONFLICT, "job %s has not ended, so its outputs are not whole", of->name);
        return error_hint(err, "--after %s starts this job once it has", of->name);
    }
    *out = of->id;
    return true;
}

bool job_inputs_find(struct daemon *d, uint32_t submitter, const struct job_spec *spec, const uint64_t *after,
                     uint64_t **out, struct error *err)
{
    _cleanup_free_ uint64_t *ids = NULL;
    *out = NULL;
    for (size_t i = 0; i < spec->input_count; i++) {
        if (spec->inputs[i].kind != JOB_INPUT_JOB)
            continue;
        ids = ids ? ids : xcalloc(spec->input_count, sizeof *ids);
        if (!find_one(d, submitter, spec, after, spec->inputs[i].value, &ids[i], err)) {
            snprintf(err->field, sizeof err->field, "inputs.%s", spec->inputs[i].name);
            return error_wrap(err, "the input %s", spec->inputs[i].name);
        }
    }
    *out = take_ptr(ids);
    return true;
}

bool job_continues_find(struct daemon *d, uint32_t submitter, const struct job_spec *spec,
                        const uint64_t *after, uint64_t *out, struct error *err)
{
    *out = 0;
    if (!spec->continues || find_one(d, submitter, spec, after, spec->continues, out, err))
        return true;
    snprintf(err->field, sizeof err->field, "continue");
    return error_wrap(err, "it can't continue %s", spec->continues);
}

static cJSON *add_job(cJSON *item, const char *name, uint64_t id)
{
    json_add_str(item, "job", name);
    json_add_int(item, "id", (int64_t)id);
    return item;
}

void job_inputs_write(const struct job_spec *spec, const uint64_t *ids, uint64_t continues, cJSON *fixed)
{
    if (continues)
        add_job(cJSON_AddObjectToObject(fixed, CONTINUES), spec->continues, continues);
    cJSON *list = ids ? cJSON_AddArrayToObject(fixed, FIELD) : NULL;
    for (size_t i = 0; list && i < spec->input_count; i++) {
        if (!ids[i])
            continue;
        cJSON *item = cJSON_CreateObject();
        json_add_str(item, "input", spec->inputs[i].name);
        cJSON_AddItemToArray(list, add_job(item, spec->inputs[i].value, ids[i]));
    }
}

/* Most jobs have none: the search is cheaper than reading all of the record's fixed part. NULL or the whole.
 */
static cJSON *read_fixed(const struct job *job)
{
    bool any = job->fixed && (strstr(job->fixed, "\"" FIELD "\"") || strstr(job->fixed, "\"" CONTINUES "\""));
    if (!any)
        return NULL;
    return json_parse(job->fixed, strlen(job->fixed), NULL);
}

/* Of the newest attempt that left any: the same rank's, or the first rank's. */
static char *directory_of(const struct daemon *d, const struct job *of, uint32_t rank)
{
    for (uint32_t attempt = of->attempt;; attempt--) {
        for (uint32_t r = rank;; r = 0) {
            char *path = xasprintf("%s/%llu/%u.%u/outputs", d->options.outputs_dir,
                                   (unsigned long long)of->id, attempt, r);
            if (access(path, F_OK) == 0 || (attempt <= 1 && !r))
                return path;
            free(path);
            if (!r)
                break;
        }
    }
}

void job_inputs_order(struct daemon *d, const struct job *job, uint32_t rank, cJSON *order)
{
    _cleanup_json_ cJSON *fixed = read_fixed(job);
    const cJSON *item, *list = json_get(fixed, FIELD), *continues = json_get(fixed, CONTINUES);
    cJSON *paths = list ? cJSON_AddObjectToObject(order, FIELD) : NULL;
    if (continues) {
        cJSON *o = cJSON_AddObjectToObject(order, CONTINUES);
        _cleanup_free_ char *path =
            xasprintf("%s/%lld", d->options.outputs_dir, (long long)json_int(continues, "id", 0));
        json_add_str(o, "job", json_str(continues, "job", "?"));
        json_add_str(o, "path", path);
    }
    cJSON_ArrayForEach(item, list)
    {
        uint64_t id = (uint64_t)json_int(item, "id", 0);
        const struct job *of = jobs_find_id(&d->jobs, d->reader, id);
        _cleanup_free_ char *path = of ? directory_of(d, of, rank) : NULL;
        if (path)
            json_add_str(paths, json_str(item, "input", "?"), path);
    }
}

size_t job_inputs_ids(const struct job *job, uint64_t *ids)
{
    _cleanup_json_ cJSON *fixed = read_fixed(job);
    const cJSON *item;
    size_t count = 0;
    if (json_get(fixed, CONTINUES))
        ids[count++] = (uint64_t)json_int(json_get(fixed, CONTINUES), "id", 0);
    cJSON_ArrayForEach(item, json_get(fixed, FIELD))
    {
        if (count <= JOB_INPUTS_MAX)
            ids[count++] = (uint64_t)json_int(item, "id", 0);
    }
    return count;
}

const char *job_inputs_reader(const struct daemon *d, uint64_t id)
{
    const struct job *job, *tmp;
    list_for_each(job, tmp, &d->jobs.live, link)
    {
        uint64_t ids[JOB_INPUTS_MAX + 1];
        for (size_t i = job_inputs_ids(job, ids); i-- > 0;)
            if (ids[i] == id)
                return job->name;
    }
    return NULL;
}
