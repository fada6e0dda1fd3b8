/* Links and MIG instances, by NVML. Holds no state: the process ends right after. */
#include "gpu/nvml_topology.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "gpu/files.h"
#include "gpu/nvml_library.h"
#include "proto/gpu_link.h"
#include "proto/json.h"
#include "proto/resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { /* nvmlGpuTopologyLevel_t, nvmlIntNvLinkDeviceType_t, nvmlGpuP2PCapsIndex_t, nvmlReturn_t */
       LEVEL_MULTIPLE = 20,
       LEVEL_HOSTBRIDGE = 30,
       LEVEL_NODE = 40,
       REMOTE_SWITCH = 2,
       REMOTE_UNKNOWN = 255,
       CAPABILITY_NVLINK = 2,
       P2P_OK = 0,
       COMPUTE_MODE_PROHIBITED = 2, /* nvmlComputeMode_t */
       NVML_INVALID_ARGUMENT = 2,
       NVML_NOT_SUPPORTED = 3,
};
#define MIB (1 << 20)
#define GIB (1ll << 30)
#define PCI_MAX 32
#define MIG_EIGHTHS 8 /* a GPU's memory is divided into so many parts */

struct gpu {
    nvml_handle device;
    struct nvml_pci pci;
    unsigned index;
    unsigned switch_links;              /* NVLinks to switches, which lead to all other GPUs on them */
    unsigned direct[RESOURCE_GPUS_MAX]; /* NVLinks to each other GPU, by its place in the list */
};
struct machine {
    const struct nvml *nvml;
    const char *root;
    struct gpu gpus[RESOURCE_GPUS_MAX];
    unsigned count;
};

static bool same_pci(const struct nvml_pci *a, const struct nvml_pci *b)
{
    return a->domain == b->domain && a->bus == b->bus && a->device == b->device;
}

/* Follows each NVLink to its other end. */
static void count_nvlinks(struct machine *m, struct gpu *gpu)
{
    const struct nvml *nvml = m->nvml;
    if (!nvml->nvlink_state || !nvml->nvlink_remote_pci)
        return;
    for (unsigned link = 0; link < GPU_LINK_NVLINKS_MAX; link++) {
        int active = 0, type = REMOTE_UNKNOWN;
        struct nvml_pci remote = {0};
        nvml_return code = nvml->nvlink_state(gpu->device, link, &active);
        if (code == NVML_INVALID_ARGUMENT || code == NVML_NOT_SUPPORTED)
            break; /* it has no more, or none */
        if (code != NVML_OK || !active)
            continue;
        if (nvml->nvlink_remote_type && nvml->nvlink_remote_type(gpu->device, link, &type) != NVML_OK)
            type = REMOTE_UNKNOWN;
        bool known = nvml->nvlink_remote_pci(gpu->device, link, &remote) == NVML_OK, found = false;
        for (unsigned i = 0; known && type != REMOTE_SWITCH && i < m->count; i++)
            if (same_pci(&remote, &m->gpus[i].pci)) {
                gpu->direct[i]++;
                found = true;
            }
        gpu->switch_links += !found && (type == REMOTE_SWITCH || (known && type == REMOTE_UNKNOWN));
    }
}

/* A switch links all that is on it, unless the driver says that these two don't reach each other. */
static unsigned nvlinks_between(const struct machine *m, const struct gpu *a, const struct gpu *b)
{
    int status = P2P_OK;
    unsigned by_switch = a->switch_links < b->switch_links ? a->switch_links : b->switch_links;
    if (by_switch && m->nvml->p2p_status &&
        m->nvml->p2p_status(a->device, b->device, CAPABILITY_NVLINK, &status) == NVML_OK && status != P2P_OK)
        by_switch = 0;
    return a->direct[b - m->gpus] + by_switch;
}

static cJSON *describe_link(const struct machine *m, const struct gpu *a, const struct gpu *b)
{
    unsigned nvlinks = nvlinks_between(m, a, b);
    int level = 0;
    enum gpu_link kind = GPU_LINK_NVLINK;
    if (!nvlinks) {
        if (!m->nvml->ancestor || m->nvml->ancestor(a->device, b->device, &level) != NVML_OK)
            return NULL;
        kind = level <= LEVEL_MULTIPLE     ? GPU_LINK_PCIE_SWITCH
               : level <= LEVEL_HOSTBRIDGE ? GPU_LINK_PCIE_BRIDGE
               : level <= LEVEL_NODE       ? GPU_LINK_NUMA
                                           : GPU_LINK_SYSTEM;
    }
    cJSON *link = cJSON_CreateObject();
    json_add_int(link, "to", b->index);
    cJSON_AddStringToObject(link, "kind", gpu_link_name(kind));
    json_add_int(link, "nvlinks", nvlinks);
    return link;
}

/* "1g.10gb" of "NVIDIA H100 80GB HBM3 MIG 1g.10gb"; older drivers name the GPU alone, and it is put together
 * as NVIDIA does: slices, and the memory as eighths of the GPU's. The caller frees. */
static char *profile_of(const char *name, const struct nvml_attributes *a, unsigned long long gpu_bytes)
{
    const char *at = strstr(name, " MIG ");
    if (at && at[5])
        return xstrdup(at + 5);
    unsigned long long bytes = a->memory_mib * MIB, gib = (gpu_bytes + GIB - 1) / GIB;
    unsigned long long eighths = gpu_bytes ? (bytes * MIG_EIGHTHS + gpu_bytes - 1) / gpu_bytes : 0;
    unsigned long long shown = (eighths * gib + MIG_EIGHTHS / 2) / MIG_EIGHTHS;
    if (a->compute_slices == a->gpu_slices)
        return xasprintf("%ug.%llugb", a->gpu_slices, shown);
    return xasprintf("%uc.%ug.%llugb", a->compute_slices, a->gpu_slices, shown);
}

static cJSON *describe_instance(const struct machine *m, nvml_handle instance, const char *parent_name,
                                unsigned long long gpu_bytes, int64_t minor)
{
    const struct nvml *nvml = m->nvml;
    char uuid[NVML_UUID_MAX] = "", name[NVML_NAME_MAX] = "";
    struct nvml_memory memory = {0};
    struct nvml_attributes attributes = {0};
    unsigned gi = 0, ci = 0;
    if (nvml->device_uuid(instance, uuid, sizeof uuid) != NVML_OK ||
        nvml->memory_info(instance, &memory) != NVML_OK || !nvml->gpu_instance || !nvml->compute_instance ||
        nvml->gpu_instance(instance, &gi) != NVML_OK || nvml->compute_instance(instance, &ci) != NVML_OK)
        return NULL;
    if (nvml->device_name && nvml->device_name(instance, name, sizeof name) != NVML_OK)
        name[0] = '\0';
    if (nvml->attributes && nvml->attributes(instance, &attributes) != NVML_OK)
        memset(&attributes, 0, sizeof attributes);
    _cleanup_free_ char *profile = profile_of(name, &attributes, gpu_bytes);
    _cleanup_free_ char *shown =
        strstr(name, " MIG ") ? xstrdup(name) : xasprintf("%s MIG %s", parent_name, profile);
    cJSON *out = cJSON_CreateObject();
    json_add_str(out, "uuid", uuid);
    json_add_str(out, "name", shown);
    json_add_str(out, "profile", profile);
    json_add_int(out, "memory_bytes", (int64_t)memory.total);
    json_add_int(out, "multiprocessors", attributes.multiprocessors);
    json_add_int(out, "gi", gi);
    json_add_int(out, "ci", ci);
    cJSON *caps = cJSON_AddArrayToObject(out, "caps");
    int64_t numbers[] = {gpu_files_cap(m->root, minor, (int)gi, -1),
                         gpu_files_cap(m->root, minor, (int)gi, (int)ci)};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] >= 0)
            cJSON_AddItemToArray(caps, json_int_item(numbers[i]));
    return out;
}

static void describe_mig(const struct machine *m, const struct gpu *gpu, const char *name,
                         unsigned long long bytes, int64_t minor, cJSON *out)
{
    bool divided = nvml_in_mig_mode(m->nvml, gpu->device);
    cJSON_AddBoolToObject(out, "mig", divided);
    cJSON *instances = cJSON_AddArrayToObject(out, "instances");
    unsigned count = divided ? nvml_mig_max(m->nvml, gpu->device) : 0;
    for (unsigned i = 0; i < count; i++) {
        nvml_handle instance = NULL;
        cJSON *found = nvml_mig_device(m->nvml, gpu->device, i, &instance)
                           ? describe_instance(m, instance, name, bytes, minor)
                           : NULL;
        if (found)
            cJSON_AddItemToArray(instances, found);
    }
}

static cJSON *describe_gpu(const struct machine *m, const struct gpu *gpu)
{
    const struct nvml *nvml = m->nvml;
    char uuid[NVML_UUID_MAX] = "", name[NVML_NAME_MAX] = "", pci[PCI_MAX], text[32];
    struct nvml_memory memory = {0};
    int major = 0, minor = 0;
    if (nvml->device_uuid(gpu->device, uuid, sizeof uuid) != NVML_OK)
        return NULL;
    cJSON *out = cJSON_CreateObject();
    snprintf(pci, sizeof pci, "%04x:%02x:%02x.0", gpu->pci.domain, gpu->pci.bus, gpu->pci.device);
    json_add_int(out, "index", gpu->index);
    json_add_str(out, "uuid", uuid);
    json_add_str(out, "pci", pci);
    if (nvml->device_name && nvml->device_name(gpu->device, name, sizeof name) == NVML_OK)
        json_add_str(out, "name", name);
    if (nvml->memory_info(gpu->device, &memory) == NVML_OK)
        json_add_int(out, "memory_bytes", (int64_t)memory.total);
    if (nvml->capability && nvml->capability(gpu->device, &major, &minor) == NVML_OK) {
        snprintf(text, sizeof text, "%d.%d", major, minor);
        cJSON_AddStringToObject(out, "compute_capability", text);
    }
    int mode = 0;
    if (nvml->compute_mode && nvml->compute_mode(gpu->device, &mode) == NVML_OK)
        cJSON_AddBoolToObject(out, "prohibited", mode == COMPUTE_MODE_PROHIBITED);
    int64_t node = gpu_files_minor(m->root, pci);
    gpu_files_add_number(out, "numa", gpu_files_numa(m->root, pci));
    gpu_files_add_number(out, "minor", node);
    describe_mig(m, gpu, name, memory.total, node, out);
    cJSON *links = cJSON_AddArrayToObject(out, "links");
    for (unsigned i = 0; i < m->count; i++) {
        cJSON *link = &m->gpus[i] == gpu ? NULL : describe_link(m, gpu, &m->gpus[i]);
        if (link)
            cJSON_AddItemToArray(links, link);
    }
    return out;
}

/* Returns what failed (the caller frees), or NULL. */
static char *describe_all(struct machine *m, cJSON *list)
{
    unsigned count = 0;
    if (!m->nvml->pci_info)
        return xstrdup("this NVML is too old to tell where GPUs are");
    nvml_return code = m->nvml->device_count(&count);
    if (code != NVML_OK)
        return nvml_failure(m->nvml, "nvmlDeviceGetCount", code);
    char *failed = NULL;
    for (unsigned i = 0; i < count && m->count < RESOURCE_GPUS_MAX; i++) {
        struct gpu *gpu = &m->gpus[m->count];
        gpu->index = i;
        code = m->nvml->device_by_index(i, &gpu->device);
        if (code == NVML_OK)
            code = m->nvml->pci_info(gpu->device, &gpu->pci);
        if (code == NVML_OK)
            m->count++;
        else if (!failed)
            failed = nvml_failure(m->nvml, "nvmlDeviceGetPciInfo", code);
    }
    for (unsigned i = 0; i < m->count; i++)
        count_nvlinks(m, &m->gpus[i]);
    for (unsigned i = 0; i < m->count; i++) {
        cJSON *gpu = describe_gpu(m, &m->gpus[i]);
        if (gpu)
            cJSON_AddItemToArray(list, gpu);
    }
    return failed;
}

void nvml_describe_topology(const char *library, const char *system_root, cJSON *out)
{
    static struct machine machine; /* zeroed; big for a stack */
    static struct nvml nvml;
    bool there = false;
    cJSON *list = cJSON_AddArrayToObject(out, "topology");
    _cleanup_free_ char *failed = nvml_open(library, &nvml, &there);
    if (!failed) {
        machine.nvml = &nvml;
        machine.root = system_root;
        failed = describe_all(&machine, list);
        nvml.shutdown();
    }
    json_add_str(out, "topology_error", failed);
}
