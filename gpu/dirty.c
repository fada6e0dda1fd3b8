/* Baselines and the judgement over them: arithmetic alone, no driver is called from here. Invariant: at most
 * one entry a UUID. */
#include "gpu/dirty.h"

#include <stdio.h>
#include <string.h>

#define MIB (1u << 20)

static struct gpu_baseline *find(const struct gpu_baselines *b, const char *uuid)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcmp(b->gpus[i].uuid, uuid) == 0)
            return (struct gpu_baseline *)(uintptr_t)&b->gpus[i];
    return NULL;
}

static uint64_t compute_bytes(const struct gpu_usage *usage)
{
    return usage->used_bytes > usage->graphics_bytes ? usage->used_bytes - usage->graphics_bytes : 0;
}

void gpu_baseline_learn(struct gpu_baselines *b, const struct gpu_usage *usage)
{
    struct gpu_baseline *known = find(b, usage->uuid);
    uint64_t now = compute_bytes(usage);
    if (usage->compute_count > 0) {
        if (known)
            known->higher_samples = 0;
        return;
    }
    if (!known) {
        if (b->count == RESOURCE_GPUS_MAX)
            return;
        known = &b->gpus[b->count++];
        memset(known, 0, sizeof *known);
        snprintf(known->uuid, sizeof known->uuid, "%s", usage->uuid);
        known->idle_bytes = now;
        return;
    }
    if (now <= known->idle_bytes) {
        known->idle_bytes = now;
        known->higher_samples = 0;
        return;
    }
    if (known->higher_samples == 0 || now < known->higher_bytes)
        known->higher_bytes = now;
    if (++known->higher_samples >= GPU_BASELINE_RISE_SAMPLES) {
        known->idle_bytes = known->higher_bytes;
        known->higher_samples = 0;
    }
}

int64_t gpu_baseline_bytes(const struct gpu_baselines *b, const char *uuid)
{
    const struct gpu_baseline *known = find(b, uuid);
    return known ? (int64_t)known->idle_bytes : -1;
}

bool gpu_is_dirty(const struct gpu_baselines *b, const struct gpu_usage *usage, gpu_owns_fn owns,
                  void *context, struct buf *why)
{
    for (unsigned i = 0; i < usage->listed; i++) {
        const struct gpu_process *p = &usage->compute[i];
        if (owns && owns(context, p->pid))
            continue;
        if (why)
            buf_printf(why, "GPU %s: process %d%s%s%s computes on it with %llu MiB", usage->uuid, (int)p->pid,
                       p->name[0] ? " (" : "", p->name, p->name[0] ? ")" : "",
                       (unsigned long long)(p->memory_bytes / MIB));
        return true;
    }
    if (usage->compute_count > usage->listed) {
        if (why)
            buf_printf(why, "GPU %s: %u processes compute on it", usage->uuid, usage->compute_count);
        return true;
    }
    /* What the lease's own processes hold says nothing about others, so memory counts only without them. */
    int64_t idle = gpu_baseline_bytes(b, usage->uuid);
    int64_t now = (int64_t)compute_bytes(usage);
    if (idle < 0 || usage->compute_count > 0 || now <= idle + GPU_BASELINE_SLACK_BYTES)
        return false;
    if (why)
        buf_printf(why, "GPU %s: %lld MiB are in use, and %lld MiB when it idles", usage->uuid,
                   (long long)(now / MIB), (long long)(idle / MIB));
    return true;
}
