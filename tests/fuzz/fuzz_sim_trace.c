/* Traces: any bytes as a log, as a list of nodes, as a list of pods or as the description of a generated one
 * (the first byte says which). What comes out is in order and in its limits, every line that gave nothing is
 * counted, and a small trace is played to its end. */
#include "scheduler/sim/drive.h"
#include "scheduler/sim/generate.h"
#include "scheduler/sim/metrics.h"
#include "scheduler/sim/pods.h"
#include "scheduler/sim/swf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PLAYED_MAX 200 /* jobs of a trace that is played */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check(const struct trace *trace)
{
    require(trace->skipped_count <= trace->bad_count);
    for (uint32_t i = 0; i < trace->job_count; i++) {
        const struct trace_job *job = &trace->jobs[i];
        require(i == 0 || trace->jobs[i - 1].submit_ms <= job->submit_ms);
        require(job->submit_ms <= TRACE_TIME_MAX_MS && job->run_ms <= TRACE_TIME_MAX_MS &&
                job->limit_ms <= TRACE_TIME_MAX_MS);
        require(job->tasks >= 1 && job->tasks <= TRACE_TASKS_MAX && job->priority <= TRACE_HIGH);
        require(job->memory_bytes <= TRACE_MEMORY_MAX_BYTES && job->gpu_milli <= TRACE_GPUS_MAX * 1000u);
    }
    for (uint64_t i = 0; i < trace->bad_count && i < TRACE_BAD_SAMPLES; i++)
        require(trace->bad[i].line > 0 && trace->bad[i].reason[0] &&
                memchr(trace->bad[i].reason, '\0', TRACE_REASON_MAX));
}

static void play(const struct trace *trace)
{
    struct error err = {0};
    struct drive_options options = {0};
    struct drive_result result;
    struct metrics metrics;
    if (trace->job_count > PLAYED_MAX || trace->node_count > PLAYED_MAX)
        return;
    if (!drive_run(trace, &options, &result, &err)) {
        require(err.code == ERROR_INVALID || err.code == ERROR_LIMIT); /* no nodes, or too large ones */
        return;
    }
    metrics_of(trace, &result, &metrics);
    require(metrics.jobs == result.done && metrics.utilisation <= 1.0000001 &&
            metrics.mean_bounded_slowdown >= (metrics.jobs ? 1 : 0));
    drive_result_finish(&result);
}

static void read_csv(struct lines *lines, struct trace *trace, bool nodes)
{
    struct error err = {0};
    bool ok = nodes ? pods_read_nodes(lines, trace, &err) : pods_read(lines, trace, &err);
    require(ok || err.message[0]);
    if (nodes)
        return;
    struct trace_node node = {.cpu_milli = 64000, .memory_bytes = UINT64_C(1) << 38, .gpus = 4};
    trace_add_node(trace, &node, NULL);
}

static void generate(const char *bytes, size_t size, struct trace *trace)
{
    struct error err = {0};
    struct generate_spec spec;
    char *text = strndup(bytes, size);
    if (!generate_parse(text, &spec, &err)) {
        require(err.message[0]);
    } else {
        spec.jobs = spec.jobs > PLAYED_MAX ? PLAYED_MAX : spec.jobs;
        spec.nodes = spec.nodes > PLAYED_MAX ? PLAYED_MAX : spec.nodes;
        require(generate_trace(&spec, trace, &err) || err.message[0]);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct error err = {0};
    struct trace trace = {0};
    struct lines *lines = lines_memory(data + 1, size - 1);
    switch (data[0]) {
    case 'n':
        read_csv(lines, &trace, true);
        break;
    case 'p':
        read_csv(lines, &trace, false);
        break;
    case 'g':
        generate((const char *)data + 1, size - 1, &trace);
        break;
    default:
        require(swf_read(lines, &trace, &err)); /* memory has no read errors */
        break;
    }
    check(&trace);
    play(&trace);
    lines_close(lines);
    trace_finish(&trace);
    return 0;
}
