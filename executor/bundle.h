/*
 * From a start order to a task's folder that the shim can run: bundle_write puts all that the shim must do
 * into TASK_DIR/spec (docs/PROTOCOL.md section 5). It opens nothing that the user named: the shim does that
 * as the user.
 */
#ifndef BERTH_EXECUTOR_BUNDLE_H
#define BERTH_EXECUTOR_BUNDLE_H

#include "base/error.h"
#include "executor/isolation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BUNDLE_BINDS_MAX 4096
#define BUNDLE_GPUS_MAX 64
#define BUNDLE_ARGS_MAX 65536
#define BUNDLE_SPEC_BYTES_MAX (32u << 20)

/* Where things stand inside (docs/PROTOCOL.md section 6). */
#define BUNDLE_CODE_IN_IMAGE "/berth/code"
#define BUNDLE_WORK_IN_IMAGE "/berth/work"
#define BUNDLE_CODE_IN_HOST "/run/berth/code" /* the working directory a second time */
#define BUNDLE_LIVE_IN_HOST "/run/berth/live" /* ignored files that are too large to be copied */
#define BUNDLE_LIVE_IN_IMAGE "/berth/live"
#define BUNDLE_CACHE_IN_HOST "/run/berth/cache"
#define BUNDLE_CACHE_IN_IMAGE "/berth/cache"

enum bundle_image { BUNDLE_IMAGE_HOST, BUNDLE_IMAGE_FOLDER };
enum bundle_runtime { BUNDLE_RUNTIME_AUTO, BUNDLE_RUNTIME_CRUN, BUNDLE_RUNTIME_RUNC, BUNDLE_RUNTIME_PROCESS };

struct bundle_user { /* the node's own account of the principal */
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* all supplementary groups */
    size_t n_groups;
    const char *name, *home, *shell;
};

struct bundle_bind {
    const char *source,
        *target; /* absolute; source is opened by a child that has become the user; target is inside */
    bool rw;
    bool own;       /* Berth's own, out of every user's reach: opened by the shim itself */
    bool optional;  /* a source that the user lacks is skipped (left-out paths, administrators' mounts), else
                       image_error/start_error */
    bool live_file; /* a file that Berth places below BUNDLE_LIVE_... itself */
};

#define BUNDLE_GPU_CAPS 2 /* of the GPU instance and of the compute instance */

struct bundle_gpu {
    const char *uuid;
    int minor;                 /* N of /dev/nvidiaN; -1: no device node (a simulated one) */
    int caps[BUNDLE_GPU_CAPS]; /* N of /dev/nvidia-caps/nvidia-capN, for a MIG instance; 0: none */
};

struct bundle_request {
    const char *
        task_dir; /* absolute; exists; work/ in it is made and filled (owned by the user) before the launch */
    const char *task; /* "12.1.0" */
    struct bundle_user user;

    enum bundle_image image;
    const char *image_path; /* folder of a folder image */
    enum bundle_runtime runtime;
    const char *runtime_path; /* of crun or runc; NULL: as the node offers it */

    const char *const *argv; /* NULL-ended; argv[0] is looked up along the PATH of env, inside */
    const char *const
        *env; /* NULL-ended "NAME=value": the task's whole environment but for what bundle_write adds */
    const char *cwd;         /* inside; made when missing only below work_target */
    const char *work_target; /* where TASK_DIR/work appears, writable: code.path, BUNDLE_CODE_IN_IMAGE,
                                BUNDLE_WORK_IN_IMAGE; NULL: nowhere */
    const char *code_target; /* where it appears a second time; NULL: nowhere */
    const struct bundle_bind *binds; /* left-out paths, mounts; applied in this order, after work_target */
    size_t n_binds;

    const char *cpus, *mems; /* "0-3,8"; NULL: no binding */
    uint64_t memory_bytes;   /* 0: no limit */
    uint64_t pids_limit;     /* 0: BUNDLE_PIDS_DEFAULT */
    const struct bundle_gpu *gpus;
    size_t n_gpus;
    uint64_t shm_bytes; /* 0: half of memory_bytes, or the kernel's default */

    uint64_t time_limit_ms;   /* 0: none; runs from the payload's exec */
    uint64_t log_limit_bytes; /* 0: none; both streams together */
    uint64_t grace_ms;
    int stop_signal;  /* asks the task to end; 0: SIGTERM */
    uint64_t warn_ms; /* so long before the time limit `warn_signal` (0: SIGUSR1) is sent; 0: it is not */
    int warn_signal;

    bool tty, stdin_open, split_streams;
    unsigned rows, cols;             /* of a tty; 0: unknown */
    const char *log_path, *err_path; /* absolute; folders exist; err_path only with split_streams */

    const char *cache_dir;     /* absolute, exists, owned by the user (DIR/cache/UID); NULL: none */
    const char *const *covers; /* NULL-ended: Berth's own state folders and sockets, hidden from the task */
    const char *const *allow_sockets; /* NULL-ended: mounted Unix sockets that stay reachable; NULL: only the
                                         built-in list */
    const struct isolation *isolation;
    bool read_only;                 /* `host`: nothing of the machine can be written, his home included */
    unsigned umask;                 /* of the task's processes */
    uint64_t processes, first_rank; /* of the user's, side by side (0 and 1: one), and the first one's RANK */
    uint64_t fence_after_ms;        /* without contact for so long the shim ends the task; 0: never */
};

#define BUNDLE_PIDS_DEFAULT 32768
#define BUNDLE_RUNTIME_FIELD "runtime" /* of the error where this node does not offer the runtime */

/* Environment that bundle_write adds where cache_dir is given and the name is unset: NAME=<cache>/SUB.
 * NULL-ended. Use it to show in `environment` what a task gets. */
struct bundle_cache_variable {
    const char *name, *sub;
};
extern const struct bundle_cache_variable bundle_cache_variables[];

/* Writes TASK_DIR/spec. bundle_write also sets CUDA_VISIBLE_DEVICES to the leased UUIDs ("" for none where
 * unset). An impossible request (no runtime that can do it, too many binds, ...) is an error with the field
 * named. */
bool bundle_write(const struct bundle_request *r, struct error *err);

#endif
