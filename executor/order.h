/* The start order (docs/PROTOCOL.md section 4): parsed and checked once, kept beside the JSON text that goes
 * into `accept`. */
#ifndef BERTH_EXECUTOR_ORDER_H
#define BERTH_EXECUTOR_ORDER_H

#include "base/error.h"
#include "proto/ids.h"
#include "proto/jobspec.h"
#include "proto/json.h"

#include <stddef.h>
#include <stdint.h>

#define ORDER_MAX_BYTES (16u << 20)
#define ORDER_CPUS_MAX 16384 /* cores, CPUs or NUMA nodes in one lease */
#define ORDER_GPUS_MAX 64

struct order_gpu {
    char *uuid;
    int64_t index;
};

struct order {
    struct task_id id;
    char task[TASK_ID_TEXT_MAX];
    uint64_t epoch;
    char *principal;
    int64_t uid_hint; /* -1 where absent */
    struct {
        int64_t *cores, *cpus, *mems;
        size_t core_count, cpu_count, mem_count;
        int64_t memory_bytes;
        struct order_gpu *gpus;
        size_t gpu_count;
    } lease;
    int64_t time_limit_ms; /* 0: none */
    int64_t grace_ms;
    int stop_signal; /* 0: SIGTERM */
    int64_t warn_ms; /* ahead of the time limit; 0: no warning */
    int warn_signal; /* 0: SIGUSR1 */
    char *job_name;
    char *log_path, *outputs_path; /* absolute, without ".." */
    int64_t submitted_ms;
    struct job_spec *spec;
    char *text; /* the whole order, JSON */
};

/* NULL where anything is missing or wrong. The caller destroys it. */
struct order *order_parse(const cJSON *json, struct error *err);
void order_destroy(struct order *order); /* takes NULL */

#endif
