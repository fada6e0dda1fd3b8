/* The search for a smaller request: halves until it would start, then looks for the most in between. */
#include "scheduler/smaller.h"

#define MIB (UINT64_C(1) << 20)
#define MINUTE_MS UINT64_C(60000)
#define LONGEST_MS (UINT64_C(7) * 24 * 3600 * 1000) /* where no time limit was declared */

static uint64_t step_of(enum smaller_kind kind, const struct core_wish *wish)
{
    static const uint64_t steps[SMALLER_KIND_COUNT] = {
        [SMALLER_CORES] = 1, [SMALLER_MEMORY] = MIB, [SMALLER_INSTANCES] = 1, [SMALLER_TIME] = MINUTE_MS};
    if (kind != SMALLER_GPUS)
        return steps[kind];
    return wish->request.gpu_milli >= RESOURCE_GPU_WHOLE ? RESOURCE_GPU_WHOLE
                                                         : 1; /* of a share: thousandths */
}

static uint64_t get(const struct core_wish *wish, enum smaller_kind kind)
{
    const struct resource_request *r = &wish->request;
    switch (kind) {
    case SMALLER_CORES:
        return r->cores ? r->cores : r->cpus;
    case SMALLER_MEMORY:
        return r->memory_bytes;
    case SMALLER_GPUS:
        return r->gpu_milli;
    case SMALLER_INSTANCES:
        return wish->instance_count;
    default:
        return wish->time_limit_ms ? wish->time_limit_ms : LONGEST_MS;
    }
}

static struct core_wish with(const struct core_wish *wish, enum smaller_kind kind, uint64_t amount)
{
    struct core_wish w = *wish;
    switch (kind) {
    case SMALLER_CORES:
        if (w.request.cores)
            w.request.cores = (uint32_t)amount;
        else
            w.request.cpus = (uint32_t)amount;
        break;
    case SMALLER_MEMORY:
        w.request.memory_bytes = amount;
        break;
    case SMALLER_GPUS:
        w.request.gpu_milli = (uint32_t)amount;
        break;
    case SMALLER_INSTANCES:
        w.instance_count = (uint32_t)amount;
        break;
    default:
        w.time_limit_ms = amount;
        break;
    }
    return w;
}

/* The most below what is asked for that would start now, in whole steps; 0: none would. */
static uint64_t most_of(const struct core *core, const struct core_wish *wish, enum smaller_kind kind)
{
    uint64_t step = step_of(kind, wish), too_much = get(wish, kind) / step, fits = too_much / 2;
    bool ok = false;
    while (fits) {
        struct core_wish w = with(wish, kind, fits * step);
        ok = core_fits_now(core, &w);
        if (ok)
            break;
        too_much = fits;
        fits /= 2;
    }
    while (ok && too_much - fits > 1) {
        uint64_t middle = fits + (too_much - fits) / 2;
        struct core_wish w = with(wish, kind, middle * step);
        if (core_fits_now(core, &w))
            fits = middle;
        else
            too_much = middle;
    }
    return ok ? fits * step : 0;
}

static struct core_wish halved(const struct core_wish *wish, bool *changed)
{
    struct core_wish w = *wish;
    *changed = false;
    for (int kind = 0; kind < SMALLER_TIME; kind++) {
        uint64_t step = step_of((enum smaller_kind)kind, &w), now = get(&w, (enum smaller_kind)kind) / step;
        if (now < 2)
            continue;
        w = with(&w, (enum smaller_kind)kind, now / 2 * step);
        *changed = true;
    }
    return w;
}

static void halve_all(const struct core *core, const struct core_wish *wish, struct core_wish *out)
{
    bool changed = true;
    for (struct core_wish w = halved(wish, &changed); changed; w = halved(&w, &changed)) {
        if (core_fits_now(core, &w)) {
            *out = w;
            return;
        }
    }
}

bool smaller_find(const struct core *core, struct job_id job, struct smaller *out)
{
    struct core_job_view view;
    *out = (struct smaller){0};
    if (!core_job_get(core, job, &view) || !view.waits)
        return false;
    struct core_wish wish = {.job = job,
                             .request = view.request,
                             .time_limit_ms = view.time_limit_ms,
                             .instance_count = view.instance_count};
    if (core_fits_now(core, &wish))
        return false; /* it is about to start */
    bool any = false;
    for (int kind = 0; kind < SMALLER_KIND_COUNT; kind++) {
        out->most[kind] = most_of(core, &wish, (enum smaller_kind)kind);
        any = any || out->most[kind];
    }
    if (!any)
        halve_all(core, &wish, &out->all);
    return any || out->all.instance_count;
}
