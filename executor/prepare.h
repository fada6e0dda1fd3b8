/*
 * From an accepted order to a running shim: user, snapshot, environment, bundle, GPU locks, launch. It runs
 * on a worker thread and comes back to the loop where blobs have to be fetched, and when it is done. A
 * preparation that was interrupted by the executor's end starts from scratch; once a shim may have run, it
 * never does.
 */
#ifndef BERTH_EXECUTOR_PREPARE_H
#define BERTH_EXECUTOR_PREPARE_H

#include "base/error.h"
#include "executor/bundle.h"
#include "executor/config.h"
#include "executor/failure.h"
#include "executor/kept.h"
#include "executor/order.h"
#include "executor/outputs_seed.h"
#include "executor/snapshot.h"
#include "executor/user.h"

#include <stdatomic.h>
#include <stdbool.h>

enum prepare_result {
    PREPARE_FETCH, /* `missing` has to be in the cache first: call again then */
    PREPARE_READY, /* all but the launch: call prepare_launch */
    PREPARE_LAUNCHED,
    PREPARE_BUSY,   /* somebody else holds a leased GPU (err names who): call prepare_launch again later */
    PREPARE_FAILED, /* err, kind */
    PREPARE_CANCELLED,
};

enum prepare_stage { PREPARE_STAGE_CLEAN, PREPARE_STAGE_MANIFEST, PREPARE_STAGE_BLOBS, PREPARE_STAGE_BUILD };

struct preparation {
    const struct executor_config *config;
    const struct order *order;
    const char *folder;       /* the task's */
    struct bundle_gpu *gpus;  /* the leased ones; owned, their UUIDs are the order's */
    atomic_bool cancelled;    /* set by the loop */
    enum prepare_stage stage; /* where the next call goes on */
    struct user user;
    struct snapshot snapshot;
    struct outputs_seed seed; /* what earlier attempts left */
    struct text_list missing;
    int64_t missing_bytes;
    int64_t needs_bytes, needs_files; /* of its code, once the manifest is read */
    struct error err;
    size_t gone;              /* ignored paths of the code that are no longer at their place */
    const char *gone_example; /* the order's */
    enum failure place;       /* of Berth's own, that `err` is about; FAILURE_NONE: another one */
    size_t refused;           /* ignored files that the job does without */
    const char *refused_example;
    int refused_error;         /* errno; 0: not a regular file */
    struct kept_files ignored; /* how each stands in the working directory */
    char *carried;             /* what an earlier attempt left; NULL: nothing */
    unsigned carried_from;
    const char *kind; /* cause kind of a failure: start_error, image_error, disk_full */
    enum prepare_result result;
};

void preparation_init(struct preparation *p, const struct executor_config *config, const struct order *order,
                      const char *folder);
void preparation_finish(struct preparation *p);
/* On a worker thread; leaves `result`. A work_fn. */
void prepare_run(void *preparation);
void prepare_launch(void *preparation);

/* The left-out paths that the job has: clean, and not ./outputs, which is the run's own.
 * Items are borrowed from the order; the caller frees the list. NULL-ended. */
char **prepare_left_out(const struct order *order);
/* "0-3,8" of those of `cpus` that this process may use; NULL where there is none. The caller frees it. */
char *prepare_cpu_list(const struct executor_config *config, const int64_t *cpus, size_t count);

/* prepare_ignored.c */
/* Puts ignored files into the working directory; the list of them goes into the task's. */
bool prepare_ignored(struct preparation *p, int task, int work);
/* Where those that are too large to be copied are mounted inside. */
const char *prepare_live_place(const struct preparation *p);

#endif
