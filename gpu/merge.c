/*
 * CUDA's GPUs and NVML's, made one list. While any GPU is divided, CUDA shows one MIG device and hides all
 * other GPUs ("MIG User Guide", Device Enumeration), so NVML is believed then about what there is. Links are
 * NVML's (kind, NVLinks) and CUDA's (who reaches whose memory); what only one of them tells is kept, and a
 * pair of which neither tells enough has no link.
 */
#include "gpu/merge.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "gpu/files.h"
#include "proto/gpu_link.h"
#include "proto/json.h"
#include "proto/resources.h"

#include <stdlib.h>
#include <string.h>

#define GPUS_MAX RESOURCE_GPUS_MAX

/* A GPU of the new list, and where it comes from. */
struct entry {
    cJSON *json;           /* ours until it is put into the list */
    const cJSON *physical; /* of the topology; NULL */
    bool instance;
    int64_t cuda_index; /* -1: CUDA does not show it */
};
struct merge {
    struct entry entries[GPUS_MAX];
    int count;
    bool cut;
};

static void add(struct merge *m, cJSON *json, const cJSON *physical, bool instance, int64_t cuda_index)
{
    if (m->count == GPUS_MAX) {
        m->cut = true;
        cJSON_Delete(json);
        return;
    }
    m->entries[m->count++] = (struct entry){json, physical, instance, cuda_index};
}

static const cJSON *find_text(const cJSON *list, const char *field, const char *text)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) if (strcmp(json_str(item, field, ""), text) == 0) return item;
    return NULL;
}

static const cJSON *find_number(const cJSON *list, const char *field, int64_t number)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list) if (json_int(item, field, -1) == number) return item;
    return NULL;
}

static void copy(cJSON *to, const cJSON *from, const char *field)
{
    const cJSON *item = json_get(from, field);
    cJSON_AddItemToObject(to, field, item ? cJSON_Duplicate(item, true) : cJSON_CreateNull());
}

/* The fields of a GPU that CUDA does not show, but for uuid, name, memory and multiprocessors. */
static cJSON *new_gpu(const cJSON *physical, const char *driver)
{
    static const char *const fields[] = {"pci", "compute_capability", "numa", "minor"};
    cJSON *gpu = cJSON_CreateObject();
    json_add_int(gpu, "index", 0); /* until number_entries */
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        copy(gpu, physical, fields[i]);
    cJSON_AddFalseToObject(gpu, "integrated");
    json_add_str(gpu, "driver", driver);
    return gpu;
}

static cJSON *whole_gpu(const cJSON *physical, const char *driver)
{
    cJSON *gpu = new_gpu(physical, driver);
    json_add_str(gpu, "uuid", json_str(physical, "uuid", ""));
    json_add_str(gpu, "name", json_str(physical, "name", "GPU"));
    json_add_int(gpu, "memory_bytes", json_int(physical, "memory_bytes", 0));
    json_add_int(gpu, "multiprocessors", 0);
    return gpu;
}

static cJSON *instance_gpu(const cJSON *physical, const cJSON *instance, const char *driver)
{
    cJSON *gpu = new_gpu(physical, driver), *mig;
    json_add_str(gpu, "uuid", json_str(instance, "uuid", ""));
    json_add_str(gpu, "name", json_str(instance, "name", "GPU"));
    json_add_int(gpu, "memory_bytes", json_int(instance, "memory_bytes", 0));
    json_add_int(gpu, "multiprocessors", json_int(instance, "multiprocessors", 0));
    mig = cJSON_AddObjectToObject(gpu, "mig");
    json_add_str(mig, "parent", json_str(physical, "uuid", ""));
    copy(mig, instance, "profile");
    copy(mig, instance, "gi");
    copy(mig, instance, "ci");
    copy(mig, instance, "caps");
    return gpu;
}

static bool any_divided(const cJSON *topology)
{
    const cJSON *physical;
    cJSON_ArrayForEach(physical, topology) if (json_bool(physical, "mig", false)) return true;
    return false;
}

/* The list as CUDA has it. */
static void take_cuda(struct merge *m, cJSON *gpus, const cJSON *topology)
{
    cJSON *gpu;
    while ((gpu = cJSON_DetachItemFromArray(gpus, 0)))
        add(m, gpu, find_text(topology, "uuid", json_str(gpu, "uuid", "")), false,
            json_int(gpu, "index", -1));
}

/* The list as NVML has it; of CUDA's, those GPUs that are whole. */
static void take_nvml(struct merge *m, cJSON *gpus, const cJSON *topology, const char *driver)
{
    const cJSON *physical, *instance;
    cJSON_ArrayForEach(physical, topology)
    {
        if (json_bool(physical, "mig", false)) {
            cJSON_ArrayForEach(instance, json_get(physical, "instances"))
                add(m, instance_gpu(physical, instance, driver), physical, true, -1);
            continue;
        }
        cJSON *shown = (cJSON *)(uintptr_t)find_text(gpus, "uuid", json_str(physical, "uuid", ""));
        if (shown)
            add(m, cJSON_DetachItemViaPointer(gpus, shown), physical, false, json_int(shown, "index", -1));
        else if (!json_bool(physical, "prohibited", false))
            add(m, whole_gpu(physical, driver), physical, false, -1);
    }
}

/* Without NVML's word the NUMA nodes tell the least. */
static const char *kind_by_numa(const struct entry *a, const struct entry *b)
{
    int64_t from = json_int(a->json, "numa", -1), to = json_int(b->json, "numa", -1);
    if (from < 0 || to < 0)
        return NULL;
    return gpu_link_name(from == to ? GPU_LINK_NUMA : GPU_LINK_SYSTEM);
}

static cJSON *link_between(const struct entry *a, const cJSON *cuda_links, const struct entry *b, int index)
{
    if (a->instance || b->instance)
        return NULL; /* MIG instances reach no other's memory */
    const cJSON *told =
        b->physical ? find_number(json_get(a->physical, "links"), "to", json_int(b->physical, "index", -2))
                    : NULL;
    const cJSON *peer = b->cuda_index >= 0 ? find_number(cuda_links, "to", b->cuda_index) : NULL;
    const char *kind = told ? json_str(told, "kind", NULL) : kind_by_numa(a, b);
    if (!kind)
        return NULL;
    cJSON *link = cJSON_CreateObject();
    json_add_int(link, "to", index);
    json_add_str(link, "kind", kind);
    json_add_int(link, "nvlinks", json_int(told, "nvlinks", 0));
    copy(link, peer, "p2p");
    if (json_get(peer, "atomics"))
        copy(link, peer, "atomics");
    if (json_get(peer, "rank"))
        copy(link, peer, "rank");
    return link;
}

/* Indexes are CUDA's ordinals as long as nothing is divided. */
static void number_entries(struct merge *m, bool anew)
{
    for (int i = 0; i < m->count; i++) {
        cJSON *gpu = m->entries[i].json;
        int64_t index = anew ? i : m->entries[i].cuda_index;
        cJSON_ReplaceItemInObjectCaseSensitive(gpu, "index", json_int_item(index));
    }
}

static void link_entries(struct merge *m)
{
    cJSON *cuda_links[GPUS_MAX];
    for (int i = 0; i < m->count; i++)
        cuda_links[i] = cJSON_DetachItemFromObjectCaseSensitive(m->entries[i].json, "links");
    for (int i = 0; i < m->count; i++) {
        cJSON *links = cJSON_AddArrayToObject(m->entries[i].json, "links");
        for (int k = 0; k < m->count; k++) {
            int index = (int)json_int(m->entries[k].json, "index", k);
            cJSON *link = k == i ? NULL : link_between(&m->entries[i], cuda_links[i], &m->entries[k], index);
            if (link)
                cJSON_AddItemToArray(links, link);
        }
        if (!json_get(m->entries[i].json, "mig"))
            cJSON_AddNullToObject(m->entries[i].json, "mig");
    }
    for (int i = 0; i < m->count; i++)
        cJSON_Delete(cuda_links[i]);
}

/* What keeps GPUs from being used, unless worse was said already; the caller frees. */
static char *complaint(const struct merge *m, const cJSON *topology)
{
    const cJSON *physical;
    cJSON_ArrayForEach(physical, topology)
    {
        if (json_bool(physical, "mig", false) && cJSON_GetArraySize(json_get(physical, "instances")) == 0)
            return xasprintf(
                "GPU %s is in MIG mode and has no instances: an administrator can make some with "
                "nvidia-smi mig -cgi PROFILE -C, or end the mode with nvidia-smi -mig 0",
                json_str(physical, "pci", "?"));
    }
    return m->cut ? xasprintf("the machine has more than %d GPUs and MIG instances; the first ones are used",
                              GPUS_MAX)
                  : NULL;
}

void gpu_merge_topology(cJSON *inventory, const cJSON *topology)
{
    struct merge m = {0};
    cJSON *gpus = cJSON_GetObjectItemCaseSensitive(inventory, "gpus");
    bool divided = any_divided(topology);
    if (divided)
        take_nvml(&m, gpus, topology, json_str(json_get(inventory, "gpu_driver"), "version", NULL));
    else
        take_cuda(&m, gpus, topology);
    number_entries(&m, divided);
    link_entries(&m);
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < m.count; i++)
        cJSON_AddItemToArray(list, m.entries[i].json);
    cJSON_ReplaceItemInObjectCaseSensitive(inventory, "gpus", list);
    _cleanup_free_ char *said = json_str(inventory, "gpu_error", NULL) ? NULL : complaint(&m, topology);
    if (said) {
        cJSON_DeleteItemFromObjectCaseSensitive(inventory, "gpu_error");
        json_add_str(inventory, "gpu_error", said);
    }
}
