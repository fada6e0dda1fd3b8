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

#define ORDER_INSTANCES_MAX 2000 /* of a gang: their names make one environment variable */
#define ORDER_PROCESSES_MAX 1024 /* of one instance */
#define ORDER_NAME_MAX 64        /* of a node */

struct order_gpu {
    char *uuid;
    int64_t index;
    int milli;            /* thousandths of it, 1 to 1000 (all of it) */
    int64_t memory_bytes; /* a share's part of its memory; 0: not said */
};

/* The tasks of one job that run side by side, one a node; a job of one task is a gang of one. */
struct order_gang {
    int64_t instances, processes_per_instance;
    char *hosts;     /* the nodes' names by rank, "a,b,c"; NULL: not said (a gang of one) */
    int master_port; /* for the processes to meet at, on the first host; 0: none */
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
    struct order_gang gang;
    int64_t time_limit_ms; /* 0: none */
    int64_t grace_ms;
    int stop_signal; /* 0: SIGTERM */
    int64_t warn_ms; /* ahead of the time limit; 0: no warning */
    int warn_signal; /* 0: SIGUSR1 */
    char *job_name;
    char *log_path, *outputs_path; /* absolute, without ".." */
    int64_t submitted_ms;
    char *continues, *continue_path; /* the job that it continues, and all that it left; NULL: none */
    struct job_pairs job_inputs;     /* by the input's name: the outputs directory of another job, absolute */
    struct job_spec *spec;
    int64_t array_index;    /* of an element of the job file's array; -1: it is none */
    char *text;             /* the whole order, JSON */
    int64_t fence_after_ms; /* 0: the rule is wait */
};

/* NULL where anything is missing or wrong. The caller destroys it. */
struct order *order_parse(const cJSON *json, struct error *err);
void order_destroy(struct order *order); /* takes NULL */

#endif
