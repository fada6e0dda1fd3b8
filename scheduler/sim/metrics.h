/*
 * What a schedule is worth. Definitions as the reference's (docs/SIMULATOR.md): the wait is all time between
 * submit and end that the job didn't need; bounded slowdown is max(1, (wait + run) / max(run, 10 s)); the
 * 95th percentile is sorted[floor(0.95 n)]; utilisation is the sum of run x processors over processors x
 * makespan, the GPU allocation ratio the same of GPUs; the makespan is last end - first submit.
 */
#ifndef BERTH_SCHEDULER_SIM_METRICS_H
#define BERTH_SCHEDULER_SIM_METRICS_H

#include "base/buf.h"
#include "scheduler/sim/drive.h"
#include "scheduler/sim/trace.h"

#define METRICS_SLOWDOWN_BOUND_MS 10000

struct metrics {
    uint32_t jobs; /* that ran; means and shares are 0 where none did */
    double mean_wait_s, mean_bounded_slowdown, p95_wait_s, max_wait_s;
    double utilisation, makespan_s;
    double gpu_allocation_ratio; /* 0 where the nodes have no GPU */
};

void metrics_of(const struct trace *trace, const struct drive_result *result, struct metrics *metrics);

/* What is told of a run, as one JSON object on one line, and as a table for people. */
struct metrics_report {
    const char *policy; /* its name */
    const struct trace *trace;
    const struct drive_result *result;
    struct metrics metrics;
};

void metrics_write_json(const struct metrics_report *report, struct buf *out);
void metrics_write_table(const struct metrics_report *report, struct buf *out);

#endif
