/* What smaller request would start now, in words and as JSON. */
#include "scheduler/why_smaller.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "proto/units.h"
#include "scheduler/why_words.h"

/* "4 cpus", "8G memory", "2 GPUs", "2 nodes", "a time limit of 2h" */
static void add_amount(struct buf *out, enum smaller_kind kind, uint64_t most, bool cpus)
{
    char text[32];
    if (out->len)
        buf_add_str(out, ", or ");
    if (kind == SMALLER_CORES)
        buf_printf(out, "%llu %s", (unsigned long long)most, cpus ? "cpus" : "cores");
    else if (kind == SMALLER_MEMORY)
        buf_printf(out, "%s memory", units_format_bytes((int64_t)most, text));
    else if (kind == SMALLER_GPUS)
        buf_printf(out, "%.10g GPUs", (double)most / RESOURCE_GPU_WHOLE);
    else if (kind == SMALLER_INSTANCES)
        buf_printf(out, "%llu node%s", (unsigned long long)most, most == 1 ? "" : "s");
    else
        buf_printf(out, "a time limit of %s", units_format_exact((int64_t)most, text));
}

static void explain_all_smaller(const struct core_wish *all, bool cpus, cJSON *list, cJSON *text)
{
    char memory[32];
    const struct resource_request *r = &all->request;
    cJSON *o = cJSON_CreateObject();
    json_add_int(o, cpus ? "cpus" : "cores", cpus ? r->cpus : r->cores);
    json_add_int(o, "memory_bytes", (int64_t)r->memory_bytes);
    cJSON_AddNumberToObject(o, "gpus", (double)r->gpu_milli / RESOURCE_GPU_WHOLE);
    json_add_int(o, "instance_count", all->instance_count);
    cJSON_AddItemToArray(list, o);
    why_say(text, "with %u %s, %s memory and %.10g GPUs on %u node%s it would start now",
            cpus ? r->cpus : r->cores, cpus ? "cpus" : "cores",
            units_format_bytes((int64_t)r->memory_bytes, memory), (double)r->gpu_milli / RESOURCE_GPU_WHOLE,
            all->instance_count, all->instance_count == 1 ? "" : "s");
}

void why_smaller(const struct smaller *smaller, const struct core_job_view *view, cJSON *o, cJSON *text)
{
    static const char *const fields[SMALLER_KIND_COUNT] = {"cores", "memory_bytes", "gpus", "instance_count",
                                                           "time_limit_s"};
    static const double units[SMALLER_KIND_COUNT] = {1, 1, RESOURCE_GPU_WHOLE, 1, 1000};
    _cleanup_buf_ struct buf words = {0};
    bool cpus = view->request.cpus != 0;
    cJSON *list = cJSON_AddArrayToObject(o, "would_start_with");
    if (!smaller)
        return;
    for (int kind = 0; kind < SMALLER_KIND_COUNT; kind++) {
        if (!smaller->most[kind])
            continue;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddNumberToObject(one, kind == SMALLER_CORES && cpus ? "cpus" : fields[kind],
                                (double)smaller->most[kind] / units[kind]);
        cJSON_AddItemToArray(list, one);
        add_amount(&words, (enum smaller_kind)kind, smaller->most[kind], cpus);
    }
    if (words.len)
        why_say(text, "with at most %s it would start now", words.data);
    if (smaller->all.instance_count)
        explain_all_smaller(&smaller->all, cpus, list, text);
}
