/*
 * Is a GPU free to be handed on? It is dirty when a compute context that does not belong to its lease is on
 * it, or when more memory is in use than when it idles (TASKS: Resources). What "idle" is differs by card,
 * driver and persistence mode, so each GPU's own baseline is learned. Memory of graphics contexts (desktops)
 * is taken off first, and monitors that only hold the device open (nvtop, dcgm) are no contexts at all.
 *
 * struct gpu_baselines is a plain value: zero it and use it from one thread.
 */
#ifndef BERTH_GPU_DIRTY_H
#define BERTH_GPU_DIRTY_H

#include "base/buf.h"
#include "gpu/probe.h"

#define GPU_BASELINE_SLACK_BYTES (128ll << 20) /* what idle use varies by without meaning anything */
#define GPU_BASELINE_RISE_SAMPLES 10           /* idle looks in a row above the baseline before it rises */

struct gpu_baseline {
    char uuid[GPU_UUID_MAX];
    uint64_t idle_bytes;     /* memory in use, without graphics, when nobody computes */
    uint64_t higher_bytes;   /* the least of the last looks that were above it */
    unsigned higher_samples; /* how many in a row were */
};
struct gpu_baselines {
    struct gpu_baseline gpus[RESOURCE_GPUS_MAX];
    size_t count;
};

/* Takes a look at a GPU that nobody of ours has leased or is giving back: lower use counts at once, higher
 * use once it has stayed for GPU_BASELINE_RISE_SAMPLES looks, and a look with a compute context never. */
void gpu_baseline_learn(struct gpu_baselines *b, const struct gpu_usage *usage);
/* The baseline of a GPU, or -1 while none was learned. */
int64_t gpu_baseline_bytes(const struct gpu_baselines *b, const char *uuid);

/* True where the process belongs to the lease (its cgroup, say). */
typedef bool (*gpu_owns_fn)(void *context, pid_t pid);
/* True, with the reason appended to `why` (may be NULL), where the GPU is dirty. `owns` may be NULL: then
 * every compute context counts. While no baseline is known, memory alone makes nothing dirty. */
bool gpu_is_dirty(const struct gpu_baselines *b, const struct gpu_usage *usage, gpu_owns_fn owns,
                  void *context, struct buf *why);

#endif
