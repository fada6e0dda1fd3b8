/* Inputs that are other jobs' outputs. */
#include "scheduler/job_inputs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/arrays.h"
#include "scheduler/daemon.h"
#include "scheduler/job_names.h"

#include <string.h>
#include <unistd.h>

#define FIELD "job_inputs"

static bool refuse(const char *input, struct error *err)
{
    snprintf(err->field, sizeof err->field, "inputs.%s", input);
    return error_wrap(err, "the input %s", input);
}

/* Whether the job starts only once that one has ended. */
static bool waits_for(const struct job_spec *spec, const uint64_t *after, uint64_t id)
{
    for (size_t i = 0; i < spec->after_count; i++)
        if (after[i] == id && spec->after[i].kind != JOB_AFTER_START)
            return true;
    return false;
}

static bool find_one(struct daemon *d, uint32_t submitter, const struct job_spec *spec, const uint64_t *after,
                     const struct job_input_item *input, uint64_t *out, struct error *err)
{
    const struct job *of = jobs_find(d, submitter, input->value, err);
    if (!of)
        return refuse(input->name, err);
    if (of->principal != submitter) {
        error_set(err, ERROR_DENIED, "job %s is %s's: an input is the outputs of a job of your own", of->name,
                  principals_name(&d->principals, of->principal));
        return refuse(input->name, err);
    }
    if (of->array) {
        error_set(err, ERROR_INVALID, "job %s is an array: an input is the outputs of one element", of->name);
        error_hint(err, "name one, such as %s@%u", of->name, array_min(&of->array->indices));
        return refuse(input->name, err);
    }
    if (!job_is_final(of) && !waits_for(spec, after, of->id)) {
        error_set(err, ERROR_CONFLICT, "job %s has not ended, so its outputs are not whole", of->name);
        error_hint(err, "--after %s starts this job once it has", of->name);
        return refuse(input->name, err);
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
        if (!find_one(d, submitter, spec, after, &spec->inputs[i], &ids[i], err))
            return false;
    }
    *out = take_ptr(ids);
    return true;
}

void job_inputs_write(const struct job_spec *spec, const uint64_t *ids, cJSON *fixed)
{
    cJSON *list = ids ? cJSON_AddArrayToObject(fixed, FIELD) : NULL;
    for (size_t i = 0; list && i < spec->input_count; i++) {
        if (!ids[i])
            continue;
        cJSON *item = cJSON_CreateObject();
        json_add_str(item, "input", spec->inputs[i].name);
        json_add_str(item, "job", spec->inputs[i].value);
        json_add_int(item, "id", (int64_t)ids[i]);
        cJSON_AddItemToArray(list, item);
    }
}

/* Most jobs have none: the search is cheaper than reading all of the record's fixed part. NULL or the whole.
 */
static cJSON *read_fixed(const struct job *job)
{
    if (!job->fixed || !strstr(job->fixed, "\"" FIELD "\""))
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
    cJSON *paths = fixed ? cJSON_AddObjectToObject(order, FIELD) : NULL;
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(fixed, FIELD))
    {
        uint64_t id = (uint64_t)json_int(item, "id", 0);
        const struct job *of = jobs_find_id(&d->jobs, d->reader, id);
        _cleanup_free_ char *path = of ? directory_of(d, of, rank) : NULL;
        if (path)
            json_add_str(paths, json_str(item, "input", "?"), path);
    }
}

const char *job_inputs_reader(const struct daemon *d, uint64_t id)
{
    const struct job *job, *tmp;
    list_for_each(job, tmp, &d->jobs.live, link)
    {
        _cleanup_json_ cJSON *fixed = read_fixed(job);
        const cJSON *item;
        cJSON_ArrayForEach(item, json_get(fixed, FIELD))
        {
            if (json_int(item, "id", 0) == (int64_t)id)
                return job->name;
        }
    }
    return NULL;
}
