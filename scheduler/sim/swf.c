/* Reads and writes the Standard Workload Format. */
#include "scheduler/sim/swf.h"

#include "base/map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define TIME_MAX_S ((int64_t)(TRACE_TIME_MAX_MS / 1000))
#define ANY_MAX (INT64_MAX / 1024) /* of a field that only has to be a number */

/* Fields by their number in the standard, from 0. */
enum {
    F_JOB = 0,
    F_SUBMIT = 1,
    F_RUN = 3,
    F_ALLOCATED = 4,
    F_PROCS = 7,
    F_DECLARED = 8,
    F_STATUS = 10,
    F_USER = 11
};

/* In thousandths, as times may have fractions; the others must be whole. */
static const struct {
    const char *name;
    int64_t max;
    bool whole;
} fields[SWF_FIELDS] = {
    {"job number", (INT64_C(1) << 53) - 1, true},
    {"submit time", TIME_MAX_S, false},
    {"wait time", ANY_MAX, false},
    {"run time", TIME_MAX_S, false},
    {"processors allocated", TRACE_CPUS_MAX, true},
    {"processor time", ANY_MAX, false},
    {"memory used", ANY_MAX, false},
    {"processors requested", TRACE_CPUS_MAX, true},
    {"time requested", TIME_MAX_S, false},
    {"memory requested", ANY_MAX, false},
    {"status", ANY_MAX, true},
    {"user", INT32_MAX - 1, true},
    {"group", ANY_MAX, false},
    {"executable", ANY_MAX, false},
    {"queue", ANY_MAX, false},
    {"partition", ANY_MAX, false},
    {"preceding job", ANY_MAX, false},
    {"think time", ANY_MAX, false},
};

/* Status of a line that is one burst of a job; the job has a line of its own that sums them up. */
enum { STATUS_PART = 2, STATUS_LAST_PART = 4 };

struct reader {
    struct trace *trace;
    struct map seen; /* job numbers */
    uint64_t last_submit_ms;
    uint32_t max_procs, max_nodes;
};

static void take_header(struct reader *r, const char *text)
{
    const struct {
        const char *name;
        uint32_t *value;
    } wanted[] = {{"MaxProcs:", &r->max_procs}, {"MaxNodes:", &r->max_nodes}};
    text += strspn(text, "; \t");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        size_t n = strlen(wanted[i].name);
        if (strncmp(text, wanted[i].name, n) != 0)
            continue;
        char *end;
        errno = 0;
        long value = strtol(text + n, &end, 10);
        if (end != text + n && !errno && value > 0 && value <= (long)TRACE_CPUS_MAX)
            *wanted[i].value = (uint32_t)value;
    }
}

/* All 18 numbers, in thousandths; false after naming the bad line. */
static bool take_fields(struct reader *r, const struct line *line, int64_t milli[SWF_FIELDS])
{
    char *texts[LINES_FIELDS_MAX];
    size_t count = lines_split(line->text, ' ', texts);
    if (count != SWF_FIELDS) {
        trace_bad_line(r->trace, "", line->number, true, "%zu fields instead of %d", count, SWF_FIELDS);
        return false;
    }
    for (size_t i = 0; i < SWF_FIELDS; i++) {
        enum number_result result = lines_milli(texts[i], fields[i].max, &milli[i]);
        if (result == NUMBER_OK && fields[i].whole && milli[i] % 1000)
            result = NUMBER_BROKEN;
        if (result == NUMBER_OK)
            continue;
        trace_bad_line(r->trace, "", line->number, true,
                       result == NUMBER_HUGE ? "the %s %.40s is too large" : "the %s \"%.40s\" is no number",
                       fields[i].name, texts[i]);
        return false;
    }
    return true;
}

/* Why these numbers are no job; NULL: they are one. */
static const char *refuse(const struct reader *r, const int64_t *milli)
{
    int64_t status = milli[F_STATUS] / 1000;
    if (milli[F_JOB] <= 0)
        return "the job number is not positive";
    if (status >= STATUS_PART && status <= STATUS_LAST_PART)
        return "a part of a job that another line sums up";
    if (milli[F_SUBMIT] < 0)
        return "the submit time is negative";
    if (milli[F_RUN] < 0)
        return "the run time is negative";
    if (milli[F_PROCS] <= 0 && milli[F_ALLOCATED] <= 0)
        return "it asks for no processor";
    if (map_get_num(&r->seen, (uint64_t)milli[F_JOB]))
        return "a job of that number was there before";
    return NULL;
}

static bool take_job(struct reader *r, const struct line *line, struct error *err)
{
    int64_t milli[SWF_FIELDS];
    if (!take_fields(r, line, milli))
        return true;
    const char *why = refuse(r, milli);
    if (why) {
        trace_bad_line(r->trace, "", line->number, true, "%s", why);
        return true;
    }
    map_put_num(&r->seen, (uint64_t)milli[F_JOB], r);
    struct trace_job job = {
        .id = (uint64_t)milli[F_JOB] / 1000,
        .submit_ms = (uint64_t)milli[F_SUBMIT],
        .run_ms = (uint64_t)milli[F_RUN],
        .cpu_milli = (uint32_t)(milli[F_PROCS] > 0 ? milli[F_PROCS] : milli[F_ALLOCATED]),
        .user = milli[F_USER] < 0 ? 0 : (uint32_t)(milli[F_USER] / 1000),
        .tasks = 1,
        .priority = TRACE_MEDIUM,
    };
    if (milli[F_DECLARED] < 0)
        r->trace->undeclared++;
    job.limit_ms = milli[F_DECLARED] > milli[F_RUN] ? (uint64_t)milli[F_DECLARED] : job.run_ms;
    if (job.limit_ms == 0)
        job.limit_ms = 1; /* 0 would be none at all */
    if (job.submit_ms < r->last_submit_ms)
        trace_bad_line(r->trace, "", line->number, false, "out of order: submitted before the line above it");
    else
        r->last_submit_ms = job.submit_ms;
    return trace_add_job(r->trace, &job, err);
}

bool swf_read(struct lines *lines, struct trace *trace, struct error *err)
{
    struct reader r = {.trace = trace};
    struct error local = {0};
    struct line line;
    while (!local.code && lines_next(lines, &line, &local)) {
        const char *first = line.text + strspn(line.text, " \t");
        if (line.problem && *first != ';')
            trace_bad_line(trace, "", line.number, true, "%s", line.problem);
        else if (*first == ';')
            take_header(&r, first);
        else if (*first)
            take_job(&r, &line, &local);
    }
    map_finish(&r.seen);
    if (local.code) {
        if (err)
            *err = local;
        return false;
    }
    if (r.max_procs || r.max_nodes)
        trace_set_pool(trace, r.max_procs ? r.max_procs : r.max_nodes);
    trace_sort(trace);
    return true;
}

static void write_job(gzFile out, const struct trace_job *job, uint64_t number)
{
    /* whole seconds stay whole; times that are not keep their milliseconds */
    char times[3][32];
    const uint64_t ms[3] = {job->submit_ms, job->run_ms, job->limit_ms};
    for (int i = 0; i < 3; i++) {
        int n = snprintf(times[i], sizeof times[i], "%llu", (unsigned long long)(ms[i] / 1000));
        if (ms[i] % 1000)
            snprintf(times[i] + n, sizeof times[i] - (size_t)n, ".%03u", (unsigned)(ms[i] % 1000));
    }
    uint64_t procs = (uint64_t)job->tasks * ((job->cpu_milli + 999) / 1000);
    gzprintf(out, "%llu %s -1 %s %llu -1 -1 %llu %s -1 1 %lld -1 -1 -1 -1 -1 -1\n",
             (unsigned long long)number, times[0], times[1], (unsigned long long)procs,
             (unsigned long long)procs, job->limit_ms ? times[2] : "-1",
             job->user ? (long long)job->user : -1);
}

bool swf_write(const struct trace *trace, const char *path, struct error *err)
{
    for (uint32_t i = 0; i < trace->job_count; i++)
        if (trace->jobs[i].gpu_milli)
            return error_set(err, ERROR_UNSUPPORTED, "%s: the Standard Workload Format has no field for GPUs",
                             path);
    size_t len = strlen(path);
    bool compressed = len > 3 && strcmp(path + len - 3, ".gz") == 0;
    gzFile out = gzopen(path, compressed ? "wbe" : "wbeT");
    if (!out)
        return error_errno(err, errno, "%s", path);
    uint64_t procs = (trace_total_cpu_milli(trace) + 999) / 1000;
    gzprintf(out, "; Version: 2.2\n; MaxJobs: %u\n; MaxProcs: %llu\n; MaxNodes: %llu\n", trace->job_count,
             (unsigned long long)procs, (unsigned long long)procs);
    for (uint32_t i = 0; i < trace->job_count; i++)
        write_job(out, &trace->jobs[i], trace->jobs[i].id);
    int code = Z_OK;
    gzerror(out, &code);
    int closed = gzclose(out);
    if (code != Z_OK || closed != Z_OK)
        return error_errno(err, errno ? errno : EIO, "%s can't be written", path);
    return true;
}
