/* When a job may start and what follows its end: after, hold, begin, retry, and the tier of queue_settings.
 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/jobspec_check.h"
#include "proto/suggest.h"
#include "proto/units.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const after_words[] = {
    [JOB_AFTER_START] = "start", [JOB_AFTER_OK] = "ok", [JOB_AFTER_FAIL] = "fail", [JOB_AFTER_END] = "end"};

/* "JOB" or "JOB:WORD". */
static void read_one_after(struct spec_reader *r, const cJSON *v, const char *path)
{
    struct job_spec *s = r->spec;
    if (!cJSON_IsString(v) || !*v->valuestring) {
        spec_problem(r, path,
                     "must be a job's name or id, with :start, :ok, :fail or :end behind it if need be");
        return;
    }
    const char *colon = strrchr(v->valuestring, ':');
    size_t kind = JOB_AFTER_OK;
    if (colon) {
        for (kind = 0; kind < COUNT(after_words) && strcmp(colon + 1, after_words[kind]) != 0;)
            kind++;
        if (kind == COUNT(after_words)) {
            spec_problem(r, path, "after a job's %.40s can't be waited for; give start, ok, fail or end",
                         colon + 1);
            return;
        }
    }
    if (s->after_count == JOB_AFTER_MAX) {
        spec_problem(r, path, "more than %d jobs to wait for", JOB_AFTER_MAX);
        return;
    }
    size_t length = colon ? (size_t)(colon - v->valuestring) : strlen(v->valuestring);
    s->after = xrealloc(s->after, (s->after_count + 1) * sizeof *s->after);
    s->after[s->after_count++] =
        (struct job_after){.job = xstrndup(v->valuestring, length), .kind = (enum job_after_kind)kind};
}

void spec_read_after(struct spec_reader *r, const cJSON *v, const char *path)
{
    const cJSON *item;
    if (!cJSON_IsArray(v)) {
        read_one_after(r, v, path);
        return;
    }
    cJSON_ArrayForEach(item, v) read_one_after(r, item, path);
}

void spec_read_hold(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bool(r, v, path, &r->spec->hold);
}

/* "+2h" from the submit on, or "2026-11-25T22:00:00Z" (RFC 3339, UTC). */
void spec_read_begin(struct spec_reader *r, const cJSON *v, const char *path)
{
    const char *text = cJSON_IsString(v) ? v->valuestring : "";
    struct tm tm = {0};
    if (*text == '+' && units_parse_duration(text + 1, &r->spec->begin_delay_ms))
        return;
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    time_t at = end && strcmp(end, "Z") == 0 ? timegm(&tm) : -1;
    if (at < 0)
        spec_problem(r, path,
                     "must be + and a duration (\"+2h\"), or a time in UTC (\"2026-11-25T22:00:00Z\")");
    else
        r->spec->begin_ms = (int64_t)at * 1000;
}

/* ---- retry ---- */

static void read_count(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_int(r, v, path, 0, JOB_RETRIES_MAX, &r->spec->retry.count);
}

static void read_on(struct spec_reader *r, const cJSON *v, const char *path)
{
    const cJSON *item;
    if (!cJSON_IsArray(v))
        spec_problem(r, path, "must be a list of kinds of ends, not %s", spec_type_name(v));
    r->spec->retry.kinds = 0;
    cJSON_ArrayForEach(item, v)
    {
        enum end_kind kind;
        if (!cJSON_IsString(item) || !end_kind_parse(item->valuestring, &kind) || kind == END_NONE ||
            kind == END_CANCELED || kind == END_PREEMPTED)
            spec_problem(
                r, path,
                "knows exit, signal, oom, time_limit, log_limit, image_error, start_error, disk_full, "
                "node_lost and shim_lost, not %.40s",
                cJSON_IsString(item) ? item->valuestring : spec_type_name(item));
        else
            r->spec->retry.kinds |= UINT32_C(1) << kind;
    }
}

static void read_exit_codes(struct spec_reader *r, const cJSON *v, const char *path)
{
    const cJSON *item;
    size_t count = 0;
    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > JOB_RETRY_CODES_MAX) {
        spec_problem(r, path, "must be a list of at most %d exit codes", JOB_RETRY_CODES_MAX);
        return;
    }
    cJSON_ArrayForEach(item, v)
    {
        int64_t code = 1;
        spec_int(r, item, path, 1, 255, &code);
        r->spec->retry.codes[count++] = (int)code;
    }
}

static void read_wait(struct spec_reader *r, const cJSON *v, const char *path)
{
    int64_t seconds = 0;
    if (cJSON_IsString(v)) {
        if (!units_parse_duration(v->valuestring, &r->spec->retry.wait_ms) ||
            r->spec->retry.wait_ms > JOB_RETRY_WAIT_MAX_MS)
            spec_problem(r, path, "must be a duration of at most a day, such as 30s");
        return;
    }
    spec_int(r, v, path, 0, JOB_RETRY_WAIT_MAX_MS / 1000, &seconds);
    r->spec->retry.wait_ms = seconds * 1000;
}

static const struct spec_field retry_fields[] = {
    {"count", read_count}, {"on", read_on}, {"exit_codes", read_exit_codes}, {"wait", read_wait}};

void spec_read_retry(struct spec_reader *r, const cJSON *v, const char *path)
{
    /* What a second try may mend, where the file doesn't say. */
    r->spec->retry.kinds = 1 << END_EXIT | 1 << END_SIGNAL | 1 << END_OOM | 1 << END_START_ERROR |
                           1 << END_NODE_LOST | 1 << END_SHIM_LOST;
    if (cJSON_IsNumber(v))
        read_count(r, v, path);
    else
        spec_read_object(r, v, path, retry_fields, COUNT(retry_fields));
}

/* The service's tiers; only spot means something here: the job gives way, and is queued again. */
void spec_read_job_tier(struct spec_reader *r, const cJSON *v, const char *path)
{
    static const char *const tiers[] = {"spot", "basic", "standard", "premium"};
    for (size_t i = 0; i < COUNT(tiers); i++) {
        if (cJSON_IsString(v) && strcasecmp(v->valuestring, tiers[i]) == 0) {
            r->spec->spot = i == 0;
            return;
        }
    }
    spec_problem(r, path, "must be one of spot, basic, standard, premium, not %.40s",
                 cJSON_IsString(v) ? v->valuestring : spec_type_name(v));
}

void spec_free_schedule(struct job_spec *s)
{
    for (size_t i = 0; i < s->after_count; i++)
        free(s->after[i].job);
    free(s->after);
}
