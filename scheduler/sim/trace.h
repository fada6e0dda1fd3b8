/*
 * A trace in memory: nodes, jobs in the order of their submits, and what was wrong with the lines it was read
 * from. Readers and generators fill it, the driver plays it. It owns all its memory; a zeroed struct is an
 * empty trace.
 *
 * A line that can't be understood is counted and named, never guessed at.
 */
#ifndef BERTH_SCHEDULER_SIM_TRACE_H
#define BERTH_SCHEDULER_SIM_TRACE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_JOBS_MAX (4u << 20)             /* of one trace; as many as the core can hold at once */
#define TRACE_NODES_MAX (1u << 16)            /* as the core */
#define TRACE_TIME_MAX_MS (UINT64_C(1) << 42) /* of a submit, a run time and a declared time: 139 years */
#define TRACE_CPUS_MAX (1u << 22)             /* processors of a node or of a task */
#define TRACE_MEMORY_MAX_BYTES (UINT64_C(1) << 53)
#define TRACE_GPUS_MAX 1024  /* of one task */
#define TRACE_TASKS_MAX 1024 /* of one job */
#define TRACE_MODELS_MAX 32  /* GPU models of one trace; their ids are bits of a mask */
#define TRACE_MODEL_NAME_MAX 32
#define TRACE_BAD_SAMPLES 20 /* bad lines that are kept by number; the others are counted */
#define TRACE_REASON_MAX 120

enum trace_priority { TRACE_LOW = 0, TRACE_MEDIUM = 1, TRACE_HIGH = 2 };

/* One record for a million of them: keep it small. Amounts are those of one task. */
struct trace_job {
    uint64_t id; /* as the trace names it, else its line; for people only */
    uint64_t submit_ms;
    uint64_t run_ms;
    uint64_t limit_ms; /* declared run time; 0: none declared */
    uint64_t memory_bytes;
    uint32_t cpu_milli; /* thousandths of a processor */
    uint32_t gpu_milli; /* thousandths of a GPU */
    uint32_t models;    /* bit n: model n will do; 0: any */
    uint32_t user;      /* 0: not known */
    uint16_t tasks;     /* on as many different nodes, all at once */
    uint8_t priority;
};

struct trace_node {
    uint64_t memory_bytes;
    uint32_t cpu_milli;
    uint16_t gpus;
    uint8_t model; /* of its GPUs; only with gpus > 0 */
    bool pool;     /* processors that have no ids and no neighbours: any set of them is as good */
};

struct trace_bad {
    const char *file; /* static: which of the files, "" where there is one */
    uint64_t line;    /* from 1 */
    char reason[TRACE_REASON_MAX];
};

struct trace {
    struct trace_job *jobs; /* by submit_ms, then id, once trace_finish_reading was called */
    uint32_t job_count, job_capacity;
    struct trace_node *nodes;
    uint32_t node_count, node_capacity;
    char models[TRACE_MODELS_MAX][TRACE_MODEL_NAME_MAX];
    uint32_t model_count;
    uint64_t bad_count;     /* lines with something wrong */
    uint64_t skipped_count; /* those of them that gave no job and no node */
    struct trace_bad bad[TRACE_BAD_SAMPLES];
    uint64_t undeclared; /* jobs without a declared time, for which the run time stands (SWF) */
    uint64_t left_out;   /* jobs that ended without having run (Berth's own journal) */
};

void trace_finish(struct trace *trace);
#define _cleanup_trace_ __attribute__((cleanup(trace_finish)))

/* False (ERROR_LIMIT) past TRACE_JOBS_MAX, TRACE_NODES_MAX. */
bool trace_add_job(struct trace *trace, const struct trace_job *job, struct error *err);
bool trace_add_node(struct trace *trace, const struct trace_node *node, struct error *err);
/* Drops what nodes there are and makes one pool of that many processors. */
void trace_set_pool(struct trace *trace, uint32_t processors);
/* The id of a model's name, new or known; false where the name is too long or there are too many. */
bool trace_model(struct trace *trace, const char *name, size_t len, uint32_t *id);
/* Notes a bad line. `skipped`: it gave nothing. `file` is static text. */
void trace_bad_line(struct trace *trace, const char *file, uint64_t line, bool skipped, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Puts the jobs in order: submit time, then id. */
void trace_sort(struct trace *trace);
/* Jobs of more processors than any node has become gangs of as few equal tasks as fit; a share that is not
 * whole is rounded up. For traces of one machine (SWF) that are played on other nodes. */
void trace_spread(struct trace *trace);
/* What users declared is replaced by what the jobs took. */
void trace_make_exact(struct trace *trace);
/* Processors and GPUs of all nodes, in thousandths. */
uint64_t trace_total_cpu_milli(const struct trace *trace);
uint64_t trace_total_gpu_milli(const struct trace *trace);

#endif
