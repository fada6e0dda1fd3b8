/* Who uses the GPUs between leases. Owns the baselines, under one mutex that is never held over a probe. */
#include "executor/gpu_watch.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "executor/gpu_lock.h"
#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

void gpu_watch_init(struct gpu_watch *w, const struct gpu_probe_options *options)
{
    memset(w, 0, sizeof *w);
    w->options = *options;
    pthread_mutex_init(&w->lock, NULL);
}

void gpu_watch_finish(struct gpu_watch *w)
{
    pthread_mutex_destroy(&w->lock);
}

/* Asks NVML; the list (the caller frees) and its length, or NULL where nothing can be said. */
static struct gpu_usage *look(struct gpu_watch *w, size_t *count)
{
    struct error err = {0};
    pthread_mutex_lock(&w->lock);
    bool absent = w->absent;
    pthread_mutex_unlock(&w->lock);
    if (absent)
        return NULL;
    struct gpu_usage *usage = xcalloc(RESOURCE_GPUS_MAX, sizeof *usage);
    if (gpu_probe_usage(&w->options, usage, RESOURCE_GPUS_MAX, count, &err))
        return usage;
    free(usage);
    if (err.code == ERROR_UNSUPPORTED) {
        log_info("whether a GPU is in use by others can't be told: %s", err.message);
        pthread_mutex_lock(&w->lock);
        w->absent = true;
        pthread_mutex_unlock(&w->lock);
    } else {
        log_warn("whether a GPU is in use by others can't be told now: %s", err.message);
    }
    return NULL;
}

static bool names(const char *const *uuids, size_t count, const char *uuid)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(uuids[i], uuid) == 0)
            return true;
    return false;
}

/* Learns from what nobody holds, but for the GPUs that are being given back. */
static void learn(struct gpu_watch *w, const struct gpu_usage *usage, size_t count, const char *const *but,
                  size_t but_count)
{
    for (size_t i = 0; i < count; i++) {
        if (names(but, but_count, usage[i].uuid) || gpu_lock_look(usage[i].uuid).held)
            continue;
        pthread_mutex_lock(&w->lock);
        gpu_baseline_learn(&w->baselines, &usage[i]);
        pthread_mutex_unlock(&w->lock);
    }
}

void gpu_watch_learn(struct gpu_watch *w)
{
    size_t count = 0;
    _cleanup_free_ struct gpu_usage *usage = look(w, &count);
    if (usage)
        learn(w, usage, count, NULL, 0);
}

bool gpu_watch_clean(struct gpu_watch *w, const char *const *uuids, size_t count, struct buf *why)
{
    size_t found = 0;
    bool clean = true;
    _cleanup_free_ struct gpu_usage *usage = count ? look(w, &found) : NULL;
    if (!usage)
        return true;
    for (size_t i = 0; clean && i < found; i++) {
        /* One that somebody has locked meanwhile is his: his processes say nothing about this lease. */
        if (!names(uuids, count, usage[i].uuid) || gpu_lock_look(usage[i].uuid).held)
            continue;
        pthread_mutex_lock(&w->lock);
        clean = !gpu_is_dirty(&w->baselines, &usage[i], NULL, NULL, why);
        pthread_mutex_unlock(&w->lock);
    }
    learn(w, usage, found, uuids, count);
    return clean;
}

void gpu_watch_annotate(struct gpu_watch *w, cJSON *inventory)
{
    cJSON *gpu, *gpus = cJSON_GetObjectItemCaseSensitive(inventory, "gpus");
    pthread_mutex_lock(&w->lock);
    cJSON_ArrayForEach(gpu, gpus)
    {
        int64_t idle = gpu_baseline_bytes(&w->baselines, json_str(gpu, "uuid", ""));
        cJSON_DeleteItemFromObjectCaseSensitive(gpu, "idle_bytes");
        if (idle >= 0)
            json_add_int(gpu, "idle_bytes", idle);
    }
    pthread_mutex_unlock(&w->lock);
}
