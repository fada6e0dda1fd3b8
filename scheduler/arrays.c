/* Records of arrays and their elements. Invariant: nothing here is as large as an array's count. */
#include "scheduler/arrays.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/forecast.h"

#include <stdlib.h>
#include <string.h>

struct job_array *arrays_create(struct array_indices *indices)
{
    struct job_array *a = xcalloc(1, sizeof *a);
    a->indices = *indices;
    memset(indices, 0, sizeof *indices);
    uint32_t limit = a->indices.limit, count = a->indices.count;
    a->limit = limit && limit < count ? limit : count;
    a->waiting = count;
    return a;
}

void arrays_destroy(struct job_array *a)
{
    if (!a)
        return;
    array_finish(&a->indices);
    free(a);
}

cJSON *arrays_write(const struct job_array *a)
{
    cJSON *o = cJSON_CreateObject();
    _cleanup_free_ char *indices = array_text(&a->indices);
    json_add_str(o, "indices", indices);
    json_add_int(o, "count", a->indices.count);
    if (a->limit < a->indices.count)
        json_add_int(o, "limit", a->limit);
    else
        cJSON_AddNullToObject(o, "limit");
    json_add_int(o, "waiting", a->waiting);
    json_add_int(o, "running", a->live);
    json_add_int(o, "completed", a->completed);
    json_add_int(o, "failed", a->failed);
    json_add_int(o, "canceled", a->canceled);
    json_add_int(o, "runs", a->runs);
    json_add_int(o, "run_ms", (int64_t)a->run_ms);
    cJSON *list = cJSON_AddArrayToObject(o, "failed_indices");
    for (uint32_t i = 0; i < a->failed_listed; i++)
        cJSON_AddItemToArray(list, json_int_item(a->failed_index[i]));
    return o;
}

static uint32_t take(const cJSON *o, const char *field, uint32_t max)
{
    int64_t v = json_int(o, field, 0);
    return v > 0 && v <= max ? (uint32_t)v : 0;
}

struct job_array *arrays_read(const cJSON *o)
{
    struct array_indices indices;
    if (!array_parse(json_str(o, "indices", ""), &indices, NULL))
        return NULL;
    struct job_array *a = arrays_create(&indices);
    uint32_t count = a->indices.count, limit = take(o, "limit", count);
    const cJSON *item;
    a->limit = limit ? limit : count;
    a->waiting = take(o, "waiting", count);
    a->live = take(o, "running", count);
    a->completed = take(o, "completed", count);
    a->failed = take(o, "failed", count);
    a->canceled = take(o, "canceled", count);
    a->runs = take(o, "runs", count);
    a->run_ms = (uint64_t)json_int(o, "run_ms", 0);
    cJSON_ArrayForEach(item, json_get(o, "failed_indices")) if (a->failed_listed < ARRAYS_FAILED_LISTED)
        a->failed_index[a->failed_listed++] = (uint32_t)item->valuedouble;
    return a;
}

struct job *arrays_make_element(const struct job *array, uint32_t n)
{
    uint32_t index = array_index(&array->array->indices, n);
    _cleanup_free_ char *name = xasprintf("%s%c%u", array->name, ARRAY_MARK, index);
    struct job *job = job_create(array->id + n, name);
    job->array_job = array->id;
    job->array_index = index;
    job->principal = array->principal;
    job->number = array->number;
    job->superseded = array->superseded;
    job->state = JOB_QUEUED;
    job->reason = CORE_REASON_ARRAY;
    job->submitted_ms = array->submitted_ms;
    job->fixed = xstrdup(array->fixed);
    job->uid = array->uid;
    job->time_limit_ms = array->time_limit_ms;
    job->grace_ms = array->grace_ms;
    memcpy(job->manifest, array->manifest, sizeof job->manifest);
    job->split_streams = array->split_streams;
    job->distributed = array->distributed;
    return job;
}

struct job *arrays_unborn(struct job_table *t, const struct job *array, uint32_t n)
{
    struct job *job = arrays_make_element(array, n);
    job->unborn = true;
    if (job_is_final(array)) { /* it never will */
        job->state = JOB_CANCELED;
        job->reason = CORE_REASON_CANCEL;
        job->cause = END_CANCELED;
        job->cause_text = xstrdup(array->reason == CORE_REASON_DEPENDENCY && array->cause_text
                                      ? array->cause_text
                                      : "it had not begun when its array ended");
        job->ended_ms = array->ended_ms;
        job->evictable = array->evictable;
    }
    job_destroy(t->unborn);
    t->unborn = job;
    return job;
}

struct job *arrays_find(struct job_table *t, struct journal_reader *reader, const struct job *array,
                        const char *text, uint32_t index, struct error *err)
{
    if (!array->array) {
        error_set(err, ERROR_NOT_FOUND, "job %s is no array, so it has no element %s", array->name, text);
        return NULL;
    }
    uint32_t n = index == UINT32_MAX ? 0 : array_element(&array->array->indices, index);
    if (!n) {
        _cleanup_free_ char *indices = array_text(&array->array->indices);
        error_set(err, ERROR_NOT_FOUND, "array %s has no element %.20s", array->name, text);
        error_hint(err, "its indices are %.120s", indices);
        return NULL;
    }
    struct job *job = jobs_find_id(t, reader, array->id + n);
    /* A later job may have the number of an element that never began. */
    return job && job->array_job == array->id ? job : arrays_unborn(t, array, n);
}

void arrays_look(struct job *job, const struct core_job_view *view)
{
    struct job_array *a = job->array;
    a->limit = view->array_limit;
    a->waiting = view->array_waiting;
    a->live = view->array_live;
    a->completed = view->array_completed;
    a->failed = view->array_failed;
    a->canceled = view->array_canceled;
}

void arrays_count_end(struct job_table *t, const struct job *element)
{
    struct job *array = element->array_job ? jobs_get(t, element->array_job) : NULL;
    if (!array || !array->array)
        return;
    struct job_array *a = array->array;
    a->completed += element->state == JOB_COMPLETED;
    a->failed += element->state == JOB_FAILED;
    a->canceled += element->state == JOB_CANCELED;
    if (element->state == JOB_COMPLETED && element->started_ms && element->ended_ms >= element->started_ms) {
        a->runs++;
        a->run_ms += (uint64_t)(element->ended_ms - element->started_ms);
    }
    if (element->state != JOB_FAILED || a->failed_listed == ARRAYS_FAILED_LISTED)
        return;
    a->failed_index[a->failed_listed++] = element->array_index;
    jobs_touch(t, array); /* the core keeps the counts, and no list */
}

uint64_t arrays_mean_run_ms(const struct job_array *a)
{
    if (a->runs < ARRAYS_RUNS_KNOWN)
        return 0;
    return a->run_ms < a->runs ? 1 : a->run_ms / a->runs;
}

void arrays_tell_forecast(const struct job_table *t, struct forecast *f)
{
    const struct job *job, *tmp;
    list_for_each(job, tmp, &t->live, link)
    {
        uint64_t mean = job->array ? arrays_mean_run_ms(job->array) : 0;
        if (mean)
            forecast_array(f, (struct job_id){job->id}, mean);
    }
}

void arrays_tell_canceled(const struct job_table *t, struct job *element)
{
    const struct job *array = element->array_job ? jobs_get(t, element->array_job) : NULL;
    if (array && array->canceled_by && !element->canceled_by)
        element->canceled_by = xstrdup(array->canceled_by);
}

void arrays_say_end(struct job *job)
{
    struct job_array *a = job->array;
    uint32_t count = a->indices.count;
    a->waiting = a->live = 0;
    a->canceled = count - a->completed - a->failed; /* with those that never began */
    if (job->reason == CORE_REASON_DEPENDENCY)
        return; /* the text names the dependency */
    free(job->cause_text);
    job->cause_text = NULL;
    if (job->state == JOB_COMPLETED)
        return;
    const char *who = job->canceled_by;
    if (a->failed_listed)
        job->cause_text =
            xasprintf("%u of %u elements failed, the first was %s%c%u%s%s", a->failed, count, job->name,
                      ARRAY_MARK, a->failed_index[0], who ? "; canceled by " : "", who ? who : "");
    else
        job->cause_text = xasprintf("%u of %u elements were canceled%s%s", a->canceled, count,
                                    who ? " by " : "", who ? who : "");
}
