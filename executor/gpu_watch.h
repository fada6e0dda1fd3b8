/*
 * Are the GPUs of a lease free to be handed on? Asks NVML through the probe child, and keeps each GPU's
 * learned idle baseline (gpu/dirty.h). Without NVML nothing can be said, and every GPU counts as clean. May
 * be called from several worker threads; each call may take the probe's deadline, so never on the loop.
 */
#ifndef BERTH_EXECUTOR_GPU_WATCH_H
#define BERTH_EXECUTOR_GPU_WATCH_H

#include "base/buf.h"
#include "gpu/dirty.h"

#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct gpu_watch {
    struct gpu_probe_options options; /* borrowed strings, which live as long as the watch */
    pthread_mutex_t lock;             /* over what follows */
    struct gpu_baselines baselines;
    bool absent; /* there is no NVML: not asked again */
};

void gpu_watch_init(struct gpu_watch *w, const struct gpu_probe_options *options);
void gpu_watch_finish(struct gpu_watch *w);

/* Looks at every GPU and learns from those that nobody holds (gpu_lock.h). Failures are silent: it is only
 * a look. */
void gpu_watch_learn(struct gpu_watch *w);
/* True where none of these GPUs is dirty, also where it can't be told. False appends the reason to `why`
 * (may be NULL). Called when nothing of the lease runs any more and its locks are given
 * back: every compute context counts, but for GPUs that another one has locked since. */
bool gpu_watch_clean(struct gpu_watch *w, const char *const *uuids, size_t count, struct buf *why);
/* Adds "idle_bytes" to each of the inventory's gpus whose baseline is known. */
void gpu_watch_annotate(struct gpu_watch *w, cJSON *inventory);

#endif
