/* Who has what a waiting job lacks: amounts of a node, and licences. */
#include "scheduler/why_holders.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "proto/units.h"
#include "scheduler/why_words.h"

static const char *const resource_names[RESOURCE_KIND_COUNT] = {[RESOURCE_CORES] = "cores",
                                                                [RESOURCE_CPUS] = "cpus",
                                                                [RESOURCE_MEMORY] = "memory",
                                                                [RESOURCE_GPUS] = "gpus"};

/* "1.5G"; of GPUs 0.5 or 2. */
static const char *amount(enum resource_kind kind, uint64_t value, char out[32])
{
    if (kind == RESOURCE_MEMORY)
        return units_format_bytes((int64_t)value, out);
    snprintf(out, 32, "%.10g", (double)value / (kind == RESOURCE_GPUS ? RESOURCE_GPU_WHOLE : 1));
    return out;
}

cJSON *why_names(struct daemon *d, const struct job_id *ids, uint32_t count, struct buf *list)
{
    cJSON *names = cJSON_CreateArray();
    for (uint32_t i = 0; i < count; i++) {
        const struct job *job = jobs_get(&d->jobs, ids[i].v);
        if (!job)
            continue;
        cJSON_AddItemToArray(names, cJSON_CreateString(job->name));
        buf_printf(list, "%s%s", list->len ? ", " : "", job->name);
    }
    return names;
}

/* Who holds some of it, and until when: by what was declared, else by what is expected. */
static cJSON *holders_of(struct daemon *d, const struct core_why_blocker *b, uint32_t listed,
                         struct buf *list)
{
    cJSON *holders = cJSON_CreateArray();
    for (uint32_t i = 0; i < listed; i++) {
        const struct job *job = jobs_get(&d->jobs, b->holders[i].v);
        uint64_t declared, expected;
        char at[64];
        if (!job)
            continue;
        core_job_ends(d->core, b->holders[i], &declared, &expected);
        cJSON *o = cJSON_CreateObject();
        json_add_str(o, "job", job->name);
        why_add_time(o, "ends_ms", declared);
        why_add_time(o, "expected_end_ms", expected);
        cJSON_AddItemToArray(holders, o);
        buf_printf(list, "%s%s", list->len ? ", " : "", job->name);
        if (declared)
            buf_printf(list, ", which ends at the latest %s", why_when(declared, at));
        else
            buf_add_str(list, ", which has no time limit");
    }
    return holders;
}

void why_blocker(struct daemon *d, cJSON *blockers, cJSON *text, const struct core_why_blocker *b,
                 const struct core_job_view *view, const char *node)
{
    char wanted[32], have[32], total[32];
    _cleanup_buf_ struct buf holders = {0}, names = {0};
    double unit = b->resource == RESOURCE_GPUS ? RESOURCE_GPU_WHOLE : 1;
    uint32_t listed = b->holder_count < CORE_WHY_JOBS_MAX ? b->holder_count : CORE_WHY_JOBS_MAX;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "resource", resource_names[b->resource]);
    json_add_str(o, "node", node);
    cJSON_AddNumberToObject(o, "wanted", (double)b->wanted / unit);
    cJSON_AddNumberToObject(o, "free", (double)b->free / unit);
    cJSON_AddNumberToObject(o, "total", (double)b->total / unit);
    cJSON_AddItemToObject(o, "held_by", why_names(d, b->holders, listed, &names));
    cJSON_AddItemToObject(o, "holders", holders_of(d, b, listed, &holders));
    cJSON_AddItemToArray(blockers, o);
    if (b->resource == RESOURCE_GPUS && view->request.gpu_memory_bytes) {
        why_say(text,
                "it wants a share of a GPU with %s of its memory; no GPU of node %s has so much free%s%s",
                units_format_bytes((int64_t)view->request.gpu_memory_bytes, wanted), node,
                holders.len ? "; held by " : "", holders.len ? holders.data : "");
        return;
    }
    why_say(text, "it wants %s %s; of node %s's %s there are %s free%s%s%s",
            amount(b->resource, b->wanted, wanted), resource_names[b->resource], node,
            amount(b->resource, b->total, total), amount(b->resource, b->free, have),
            holders.len ? "; held by " : "", holders.len ? holders.data : "",
            b->holder_count > listed ? " and others" : "");
}

void why_licence(struct daemon *d, const struct core_why *why, cJSON *o, cJSON *text)
{
    if (!why->licence_short) {
        cJSON_AddNullToObject(o, "licence");
        return;
    }
    const char *name = names_text(d, NAME_LICENCE, why->licence);
    cJSON *licence = cJSON_AddObjectToObject(o, "licence");
    json_add_str(licence, "name", name);
    json_add_int(licence, "wanted", why->licence_wanted);
    json_add_int(licence, "used", why->licence_used);
    json_add_int(licence, "total", why->licence_total);
    struct core_why_blocker b = {0}; /* its holders are told as those of any other resource */
    _cleanup_buf_ struct buf holders = {0};
    b.holder_count = core_licence_holders(d->core, why->licence, b.holders, CORE_WHY_JOBS_MAX);
    uint32_t listed = b.holder_count < CORE_WHY_JOBS_MAX ? b.holder_count : CORE_WHY_JOBS_MAX;
    cJSON_AddItemToObject(licence, "holders", holders_of(d, &b, listed, &holders));
    why_say(text, "it wants %u of the licence %s; of %u there are %u in use%s%s%s", why->licence_wanted, name,
            why->licence_total, why->licence_used, holders.len ? "; held by " : "",
            holders.len ? holders.data : "", b.holder_count > listed ? " and others" : "");
}
