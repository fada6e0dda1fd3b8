/* The trace: grows by doubling, sorts once, remembers the first bad lines. */
#include "scheduler/sim/trace.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024u

_Static_assert(sizeof(struct trace_job) == 64, "a job's cost in memory");

void trace_finish(struct trace *trace)
{
    free(trace->jobs);
    free(trace->nodes);
    memset(trace, 0, sizeof *trace);
}

static void *grow(void *items, uint32_t *capacity, uint32_t max, size_t size)
{
    uint32_t wanted = *capacity ? *capacity * 2 : FIRST_CAPACITY;
    *capacity = wanted < max ? wanted : max;
    return xrealloc(items, *capacity * size);
}

bool trace_add_job(struct trace *trace, const struct trace_job *job, struct error *err)
{
    if (trace->job_count == TRACE_JOBS_MAX)
        return error_set(err, ERROR_LIMIT, "the trace has more than %u jobs", TRACE_JOBS_MAX);
    if (trace->job_count == trace->job_capacity)
        trace->jobs = grow(trace->jobs, &trace->job_capacity, TRACE_JOBS_MAX, sizeof *trace->jobs);
    trace->jobs[trace->job_count++] = *job;
    return true;
}

bool trace_add_node(struct trace *trace, const struct trace_node *node, struct error *err)
{
    if (trace->node_count == TRACE_NODES_MAX)
        return error_set(err, ERROR_LIMIT, "the trace has more than %u nodes", TRACE_NODES_MAX);
    if (trace->node_count == trace->node_capacity)
        trace->nodes = grow(trace->nodes, &trace->node_capacity, TRACE_NODES_MAX, sizeof *trace->nodes);
    trace->nodes[trace->node_count++] = *node;
    return true;
}

void trace_set_pool(struct trace *trace, uint32_t processors)
{
    struct trace_node pool = {.cpu_milli = processors * 1000, .pool = true};
    trace->node_count = 0;
    (void)trace_add_node(trace, &pool, NULL); /* there is room for one */
}

bool trace_model(struct trace *trace, const char *name, size_t len, uint32_t *id)
{
    for (uint32_t i = 0; i < trace->model_count; i++) {
        if (strlen(trace->models[i]) == len && memcmp(trace->models[i], name, len) == 0) {
            *id = i;
            return true;
        }
    }
    if (trace->model_count == TRACE_MODELS_MAX || len == 0 || len >= TRACE_MODEL_NAME_MAX)
        return false;
    *id = trace->model_count++;
    memcpy(trace->models[*id], name, len);
    trace->models[*id][len] = '\0';
    return true;
}

void trace_bad_line(struct trace *trace, const char *file, uint64_t line, bool skipped, const char *fmt, ...)
{
    trace->skipped_count += skipped;
    if (trace->bad_count++ >= TRACE_BAD_SAMPLES)
        return;
    struct trace_bad *bad = &trace->bad[trace->bad_count - 1];
    bad->file = file;
    bad->line = line;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(bad->reason, sizeof bad->reason, fmt, ap);
    va_end(ap);
}

static int by_submit(const void *a, const void *b)
{
    const struct trace_job *x = a, *y = b;
    if (x->submit_ms != y->submit_ms)
        return x->submit_ms < y->submit_ms ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

void trace_sort(struct trace *trace)
{
    bool sorted = true;
    for (uint32_t i = 1; i < trace->job_count && sorted; i++)
        sorted = by_submit(&trace->jobs[i - 1], &trace->jobs[i]) <= 0;
    if (!sorted)
        qsort(trace->jobs, trace->job_count, sizeof *trace->jobs, by_submit);
}

void trace_spread(struct trace *trace)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < trace->node_count; i++)
        most = trace->nodes[i].cpu_milli > most ? trace->nodes[i].cpu_milli : most;
    for (uint32_t i = 0; most && i < trace->job_count; i++) {
        struct trace_job *job = &trace->jobs[i];
        uint64_t tasks = ((uint64_t)job->cpu_milli + most - 1) / most;
        if (job->tasks != 1 || tasks <= 1 || tasks > TRACE_TASKS_MAX)
            continue; /* what is left too large is refused by the core */
        uint64_t processors = (job->cpu_milli / 1000 + tasks - 1) / tasks;
        job->tasks = (uint16_t)tasks;
        job->cpu_milli = (uint32_t)processors * 1000;
    }
}

void trace_make_exact(struct trace *trace)
{
    for (uint32_t i = 0; i < trace->job_count; i++)
        trace->jobs[i].limit_ms = trace->jobs[i].run_ms ? trace->jobs[i].run_ms : 1;
}

uint64_t trace_total_cpu_milli(const struct trace *trace)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < trace->node_count; i++)
        sum += trace->nodes[i].cpu_milli;
    return sum;
}

uint64_t trace_total_gpu_milli(const struct trace *trace)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < trace->node_count; i++)
        sum += trace->nodes[i].gpus * UINT64_C(1000);
    return sum;
}
