/* What one executor is set up with; written once at start, read from every thread. */
#ifndef BERTH_EXECUTOR_CONFIG_H
#define BERTH_EXECUTOR_CONFIG_H

#include "executor/blob_cache.h"
#include "executor/environ.h"
#include "executor/gpu_share.h"
#include "executor/gpu_watch.h"
#include "executor/isolation.h"
#include "executor/site_mounts.h"
#include "proto/json.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct executor_config {
    const char *socket, *secret_file, *state_dir, *name; /* absolute paths */
    const char *inventory_file;                          /* NULL: the machine's own */
    const char *gpu_library;                             /* NULL: the driver's usual name */
    int parent_fd;                                       /* -1: none */
    _Atomic(const char *) log_dir; /* of all tasks, as the scheduler says it; NULL: not known yet */
    struct isolation isolation;
    struct blob_cache blobs;
    struct text_list covers;     /* hidden from tasks */
    struct site_mounts mounts;   /* in every task */
    cJSON *inventory;            /* replaced on the loop only, and never freed */
    struct gpu_watch *gpu_watch; /* NULL: simulated */
    struct gpu_shares *gpu_shares;
    int cpu_count;   /* highest usable CPU index + 1 */
    cpu_set_t *cpus; /* that this process may use */
    _Atomic int64_t
        contact_ms; /* boot clock: the last request to the scheduler that was answered went out then */
};

#endif
