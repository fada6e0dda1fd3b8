/* The figures of a run, and how they are told. */
#include "scheduler/sim/metrics.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/json.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

struct sums {
    double wait_ms, slowdown, cpu, gpu; /* the last two: ms x thousandths */
    uint64_t first_submit_ms, last_end_ms;
};

/* Waits of the jobs that ran, into waits. */
static uint32_t add_up(const struct trace *trace, const struct drive_result *result, uint64_t *waits,
                       struct sums *sums)
{
    uint32_t count = 0;
    *sums = (struct sums){.first_submit_ms = UINT64_MAX};
    for (uint32_t i = 0; i < trace->job_count; i++) {
        const struct trace_job *job = &trace->jobs[i];
        if (result->start_ms[i] == DRIVE_NEVER)
            continue;
        uint64_t run = job->run_ms, whole = result->end_ms[i] - job->submit_ms;
        uint64_t bound = run > METRICS_SLOWDOWN_BOUND_MS ? run : METRICS_SLOWDOWN_BOUND_MS;
        double slowdown = (double)whole / (double)bound;
        waits[count++] = whole - run;
        sums->wait_ms += (double)(whole - run);
        sums->slowdown += slowdown > 1 ? slowdown : 1;
        sums->cpu += (double)run * job->cpu_milli * job->tasks;
        sums->gpu += (double)run * job->gpu_milli * job->tasks;
        if (job->submit_ms < sums->first_submit_ms)
            sums->first_submit_ms = job->submit_ms;
        if (result->end_ms[i] > sums->last_end_ms)
            sums->last_end_ms = result->end_ms[i];
    }
    return count;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

void metrics_of(const struct trace *trace, const struct drive_result *result, struct metrics *metrics)
{
    _cleanup_free_ uint64_t *waits = xmalloc((trace->job_count + 1) * sizeof *waits);
    struct sums sums;
    uint32_t count = add_up(trace, result, waits, &sums);
    *metrics = (struct metrics){.jobs = count};
    if (!count)
        return;
    qsort(waits, count, sizeof *waits, by_size);
    double span_ms = (double)(sums.last_end_ms - sums.first_submit_ms);
    metrics->mean_wait_s = sums.wait_ms / count / 1000;
    metrics->mean_bounded_slowdown = sums.slowdown / count;
    uint64_t at_95 = (uint64_t)count * 95 / 100;
    metrics->p95_wait_s = (double)waits[at_95] / 1000;
    metrics->max_wait_s = (double)waits[count - 1] / 1000;
    metrics->makespan_s = span_ms / 1000;
    metrics->utilisation = share(sums.cpu, span_ms * (double)trace_total_cpu_milli(trace));
    metrics->gpu_allocation_ratio = share(sums.gpu, span_ms * (double)trace_total_gpu_milli(trace));
}

void metrics_write_json(const struct metrics_report *report, struct buf *out)
{
    const struct metrics *m = &report->metrics;
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    json_add_str(o, "policy", report->policy);
    json_add_int(o, "jobs", m->jobs);
    cJSON_AddNumberToObject(o, "mean_wait_s", m->mean_wait_s);
    cJSON_AddNumberToObject(o, "mean_bounded_slowdown", m->mean_bounded_slowdown);
    cJSON_AddNumberToObject(o, "p95_wait_s", m->p95_wait_s);
    cJSON_AddNumberToObject(o, "max_wait_s", m->max_wait_s);
    cJSON_AddNumberToObject(o, "utilisation", m->utilisation);
    cJSON_AddNumberToObject(o, "makespan_s", m->makespan_s);
    cJSON_AddNumberToObject(o, "gpu_allocation_ratio", m->gpu_allocation_ratio);
    json_add_int(o, "promises_voided", (int64_t)report->result->promises_voided);
    json_add_int(o, "events", (int64_t)report->result->events);
    cJSON_AddNumberToObject(o, "wall_s", (double)report->result->wall_ms / 1000);
    json_add_int(o, "bad_lines", (int64_t)report->trace->bad_count);
    json_add_int(o, "refused", report->result->refused);
    json_write(o, out);
    buf_add_char(out, '\n');
}

static void add_duration(struct buf *out, const char *name, double seconds)
{
    buf_printf(out, "%-24s %.1f s\n", name, seconds);
}

void metrics_write_table(const struct metrics_report *report, struct buf *out)
{
    const struct metrics *m = &report->metrics;
    const struct drive_result *r = report->result;
    buf_printf(out, "%-24s %s\n", "policy", report->policy);
    buf_printf(out, "%-24s %u\n", "jobs", m->jobs);
    add_duration(out, "mean wait", m->mean_wait_s);
    add_duration(out, "95th percentile wait", m->p95_wait_s);
    add_duration(out, "longest wait", m->max_wait_s);
    buf_printf(out, "%-24s %.3f\n", "mean bounded slowdown", m->mean_bounded_slowdown);
    buf_printf(out, "%-24s %.2f %%\n", "utilisation", 100 * m->utilisation);
    if (trace_total_gpu_milli(report->trace))
        buf_printf(out, "%-24s %.2f %%\n", "GPU allocation", 100 * m->gpu_allocation_ratio);
    add_duration(out, "makespan", m->makespan_s);
    if (r->promises_voided)
        buf_printf(out, "%-24s %llu\n", "promises voided", (unsigned long long)r->promises_voided);
    if (r->preempted)
        buf_printf(out, "%-24s %llu\n", "attempts preempted", (unsigned long long)r->preempted);
    if (r->refused)
        buf_printf(out, "%-24s %u\n", "jobs refused", r->refused);
    if (report->trace->bad_count)
        buf_printf(out, "%-24s %llu, %llu of them skipped\n", "bad lines",
                   (unsigned long long)report->trace->bad_count,
                   (unsigned long long)report->trace->skipped_count);
    buf_printf(out, "%-24s %llu in %.3f s\n", "events", (unsigned long long)r->events,
               (double)r->wall_ms / 1000);
}
