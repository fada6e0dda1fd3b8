/* When a job may start, start again or be stopped, and what its tasks are to each other. */
#include "proto/jobspec_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/states.h"
#include "proto/suggest.h"
#include "proto/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- GPUs ---- */

void spec_read_gpus(struct spec_reader *r, const cJSON *v, const char *path)
{
    int64_t whole = 0;
    if (cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < 1) {
        double milli = v->valuedouble * JOB_GPU_WHOLE;
        int64_t rounded = (int64_t)(milli + 0.5);
        if (rounded < 1 || milli - (double)rounded > 1e-6 || (double)rounded - milli > 1e-6)
            spec_problem(r, path, "must be a share in thousandths, such as 0.5 or 0.125, not %g",
                         v->valuedouble);
        else
            r->spec->gpu_milli = rounded;
        return;
    }
    if (cJSON_IsNumber(v) && v->valuedouble > 1 && v->valuedouble < JOB_GPUS_MAX &&
        v->valuedouble != (double)(int)v->valuedouble) {
        spec_problem(r, path, "above 1 only whole GPUs can be had, not %g; give %d or %d, or a share below 1",
                     v->valuedouble, (int)v->valuedouble, (int)v->valuedouble + 1);
        return;
    }
    size_t before = r->problems->total;
    spec_int(r, v, path, 0, JOB_GPUS_MAX, &whole);
    if (r->problems->total == before)
        r->spec->gpu_milli = whole * JOB_GPU_WHOLE;
}

/* ---- several nodes ---- */

static void read_distribution_type(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (!cJSON_IsString(v))
        spec_problem(r, path, "must be pytorch, not %s", spec_type_name(v));
    else if (strcasecmp(v->valuestring, "pytorch") == 0)
        r->spec->distributed = true;
    else if (strcasecmp(v->valuestring, "mpi") == 0 || strcasecmp(v->valuestring, "tensorflow") == 0)
        spec_not_honoured(r, path, "%s is not honoured yet; this version has pytorch", v->valuestring);
    else
        spec_problem(r, path, "must be pytorch, not \"%s\"", EXCERPT(v->valuestring));
}

static void read_processes(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_int(r, v, path, 1, JOB_PROCESSES_MAX, &r->spec->processes_per_instance);
}

static const struct spec_field distribution_fields[] = {{"type", read_distribution_type},
                                                        {"process_count_per_instance", read_processes}};

void spec_read_distribution(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, distribution_fields, COUNT(distribution_fields));
    if (cJSON_IsObject(v) && !json_get(v, "type"))
        spec_problem(r, path, "needs a `type`: pytorch");
}

/* ---- the queue ---- */

void spec_read_job_tier(struct spec_reader *r, const cJSON *v, const char *path)
{
    static const char *const words[] = {"spot", "basic", "standard", "premium"};
    int n = -1;
    spec_word(r, v, path, words, COUNT(words), &n);
    r->spec->preemptible = n == 0;
}

void spec_read_hold(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bool(r, v, path, &r->spec->held);
}

/* With its offset from UTC: a file means the same moment on every machine that reads it. */
static bool read_time(const char *text, int64_t *ms)
{
    size_t n = strlen(text);
    bool zulu = n && (text[n - 1] == 'Z' || text[n - 1] == 'z');
    bool offset = n > 6 && (text[n - 6] == '+' || text[n - 6] == '-') && text[n - 3] == ':';
    return strchr("+-", *text) == NULL && (zulu || offset) && units_parse_time(text, 0, ms) && *ms > 0;
}

void spec_read_begin(struct spec_reader *r, const cJSON *v, const char *path)
{
    bool text = cJSON_IsString(v);
    if (text && *v->valuestring == '+' && units_parse_duration(v->valuestring + 1, &r->spec->begin_after_ms))
        return;
    if (!text || !read_time(v->valuestring, &r->spec->begin_ms))
        spec_problem(r, path,
                     "must be a time such as 2026-12-24T18:00:00Z, or + and a duration such as +2h, not %s",
                     spec_shown(v).text);
}

void spec_read_continue(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_text(r, v, path, JOB_ADDRESS_MAX, true, &r->spec->continues);
    if (r->spec->continues && !*r->spec->continues)
        spec_problem(r, path, "names no job");
}

void spec_read_reservation(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_text(r, v, path, JOB_RESERVATION_MAX, true, &r->spec->reservation);
}

static void read_one_after(struct spec_reader *r, const cJSON *v, const char *path)
{
    static const struct {
        const char *word; /* first: suggest_nearest strides over it */
        enum job_after_kind kind;
    } kinds[] = {{"ok", JOB_AFTER_SUCCESS},
                 {"start", JOB_AFTER_START},
                 {"fail", JOB_AFTER_FAILURE},
                 {"end", JOB_AFTER_END}};
    if (!cJSON_IsString(v)) {
        spec_problem(r, path, "must be the name of a job, not %s", spec_type_name(v));
        return;
    }
    const char *colon = strchr(v->valuestring, ':'), *word = colon ? colon + 1 : "ok";
    size_t n = colon ? (size_t)(colon - v->valuestring) : strlen(v->valuestring), i = 0;
    while (i < COUNT(kinds) && strcmp(kinds[i].word, word) != 0)
        i++;
    if (n == 0 || n > JOB_NAME_MAX + ARRAY_SUFFIX_MAX)
        spec_problem(r, path, "\"%s\" names no job; write NAME, or NAME:start, :ok, :fail or :end",
                     EXCERPT(v->valuestring));
    else if (i == COUNT(kinds))
        spec_problem(r, path, "\"%s\": after a job's start, ok, fail or end, not \"%s\"",
                     EXCERPT(v->valuestring), EXCERPT(word));
    else if (r->spec->after_count == JOB_AFTER_MAX)
        spec_problem(r, path, "has more than %d jobs", JOB_AFTER_MAX);
    else
        r->spec->after[r->spec->after_count++] =
            (struct job_after){xstrndup(v->valuestring, n), kinds[i].kind};
}

void spec_read_after(struct spec_reader *r, const cJSON *v, const char *path)
{
    r->spec->after = xcalloc(JOB_AFTER_MAX, sizeof *r->spec->after);
    if (!cJSON_IsArray(v)) {
        read_one_after(r, v, path);
        return;
    }
    if (cJSON_GetArraySize(v) > JOB_AFTER_MAX) {
        spec_problem(r, path, "has %d jobs; at most %d are allowed", cJSON_GetArraySize(v), JOB_AFTER_MAX);
        return;
    }
    const cJSON *item;
    cJSON_ArrayForEach(item, v) read_one_after(r, item, path);
}

/* ---- retries ---- */

/* Ends that another try may mend. A canceled job stays canceled; one that gave way is queued again anyhow. */
#define RETRY_KINDS_KNOWN                                                                                    \
    (1u << END_EXIT | 1u << END_SIGNAL | 1u << END_OOM | 1u << END_TIME_LIMIT | 1u << END_IMAGE_ERROR |      \
     1u << END_START_ERROR | 1u << END_DISK_FULL | 1u << END_NODE_LOST | 1u << END_SHIM_LOST)

static void read_retry_count(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_int(r, v, path, 0, JOB_RETRIES_MAX, &r->spec->retry.count);
}

static void read_retry_kind(struct spec_reader *r, const cJSON *v, const char *path)
{
    struct buf list = {0};
    for (unsigned k = 0; k < END_KIND_COUNT; k++) {
        if (!(RETRY_KINDS_KNOWN >> k & 1))
            continue;
        if (cJSON_IsString(v) && strcmp(v->valuestring, end_kind_name((enum end_kind)k)) == 0) {
            r->spec->retry.kinds |= 1u << k;
            buf_finish(&list);
            return;
        }
        buf_printf(&list, "%s%s", list.len ? ", " : "", end_kind_name((enum end_kind)k));
    }
    spec_problem(r, path, "must be some of %s, not %s", list.data, spec_shown(v).text);
    buf_finish(&list);
}

static void read_retry_on(struct spec_reader *r, const cJSON *v, const char *path)
{
    const cJSON *item;
    if (!cJSON_IsArray(v))
        read_retry_kind(r, v, path);
    else if (cJSON_GetArraySize(v) > END_KIND_COUNT)
        spec_problem(r, path, "has %d items; at most %d are allowed", cJSON_GetArraySize(v), END_KIND_COUNT);
    else
        cJSON_ArrayForEach(item, v) read_retry_kind(r, item, path);
}

static void read_exit_codes(struct spec_reader *r, const cJSON *v, const char *path)
{
    const cJSON *item;
    int n = 0;
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) < 1 || cJSON_GetArraySize(v) > JOB_RETRY_CODES_MAX) {
        spec_problem(r, path, "must be a list of 1 to %d exit codes", JOB_RETRY_CODES_MAX);
        return;
    }
    cJSON_ArrayForEach(item, v)
    {
        int64_t code = 0;
        spec_int(r, item, path, 1, 255, &code);
        r->spec->retry.codes[n++] = (int32_t)code;
    }
}

static void read_retry_wait(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_duration(r, v, path, JOB_RETRY_WAIT_MAX_MS, &r->spec->retry.wait_ms);
}

static void read_retry_outputs(struct spec_reader *r, const cJSON *v, const char *path)
{
    static const char *const words[] = {"keep", "fresh"};
    int n = -1;
    spec_word(r, v, path, words, COUNT(words), &n);
    r->spec->retry.fresh_outputs = n == 1;
}

static const struct spec_field retry_fields[] = {{"count", read_retry_count},
                                                 {"on", read_retry_on},
                                                 {"exit_codes", read_exit_codes},
                                                 {"wait", read_retry_wait},
                                                 {"outputs", read_retry_outputs}};

void spec_read_retry(struct spec_reader *r, const cJSON *v, const char *path)
{
    struct job_retry *retry = &r->spec->retry;
    spec_read_object(r, v, path, retry_fields, COUNT(retry_fields));
    if (!cJSON_IsObject(v))
        return;
    /* an attempt after a preemption or a lost node is none of them */
    if (!json_get(v, "count") && !(json_get(v, "outputs") && cJSON_GetArraySize(v) == 1))
        spec_problem(r, path, "needs a `count`: how many more attempts");
    if (!json_get(v, "on"))
        retry->kinds = retry->codes[0] ? 1u << END_EXIT : RETRY_KINDS_KNOWN;
    if (retry->codes[0])
        retry->kinds |= 1u << END_EXIT;
}
