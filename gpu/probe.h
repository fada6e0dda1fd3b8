/*
 * Asking the GPU drivers, from a process that must never hang or crash: every question is a child process
 * (`PROGRAM gpu-probe`, gpu/entry.h) that loads the drivers' libraries, prints JSON and ends; past its
 * deadline it is killed. The functions here block up to the deadline: call them on a thread, or before the
 * loop runs.
 */
#ifndef BERTH_GPU_PROBE_H
#define BERTH_GPU_PROBE_H

#include "base/error.h"
#include "proto/resources.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GPU_PROBE_DEADLINE_MS 20000
#define GPU_PROBE_DEADLINE_MAX_MS 3000000
#define GPU_PROBE_OUTPUT_MAX_BYTES (1u << 20)
#define GPU_UUID_MAX 64      /* with its NUL; "GPU-" and 36 characters are 41 */
#define GPU_PROCESSES_MAX 64 /* processes listed of one GPU; more are counted, not listed */

/* All may be left zero. Strings are borrowed for the call. */
struct gpu_probe_options {
    const char *program;      /* the executable with the gpu-probe verb; NULL: /proc/self/exe */
    const char *cuda_library; /* NULL: $BERTH_CUDA_LIBRARY, else "libcuda.so.1" by the loader's rules */
    const char *nvml_library; /* NULL: $BERTH_NVML_LIBRARY, else libnvidia-ml.so.1 beside a cuda_library that
                                 was named by path, else "libnvidia-ml.so.1" */
    const char *system_root;  /* where /proc and /sys are read; NULL: the real ones (tests give a folder) */
    int deadline_ms;          /* 0: $BERTH_GPU_DEADLINE_MS, else GPU_PROBE_DEADLINE_MS */
};

/* {"gpus":[...],"gpu_driver":{...}|null,"gpu_error":"..."|null}, with links and MIG instances; never NULL: a
 * driver that is absent gives no GPUs and no error, one that fails, crashes or hangs gives no GPUs and says
 * so in gpu_error, and the caller may try again later. The caller deletes it. */
cJSON *gpu_probe_inventory(const struct gpu_probe_options *options);

struct gpu_process {
    pid_t pid;             /* as this PID namespace's /proc shows it */
    uint64_t memory_bytes; /* 0 where the driver does not say */
    char name[32];         /* /proc/PID/comm, "" where it is gone */
};

/* What NVML says of one GPU. */
struct gpu_usage {
    char uuid[GPU_UUID_MAX];
    uint64_t memory_bytes, used_bytes;
    uint64_t graphics_bytes; /* of used_bytes, what desktops and other graphics contexts hold */
    bool processes_known;    /* false: the driver refuses to list them (some MIG and WSL setups) */
    unsigned compute_count;  /* compute contexts, of any user */
    unsigned listed;         /* entries of compute[] */
    struct gpu_process compute[GPU_PROCESSES_MAX];
};

/* Fills *out (at most `max` of them) and *count. False: NVML is not there or failed (ERROR_UNSUPPORTED where
 * there is no such library: then nothing can be said about who uses a GPU, and nobody should be stopped). */
bool gpu_probe_usage(const struct gpu_probe_options *options, struct gpu_usage *out, size_t max,
                     size_t *count, struct error *err);

#endif
