/*
 * Memory in use and the processes with compute or graphics contexts, by NVML. Holds no state: the process
 * ends right after.
 */
#include "gpu/nvml.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "gpu/nvml_library.h"
#include "gpu/probe.h"
#include "proto/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NVML_VALUE_NOT_AVAILABLE UINT64_MAX /* of nvmlProcessInfo_t.usedGpuMemory */

struct nvml_process { /* nvmlProcessInfo_t of the _v2 and _v3 calls */
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
};
struct nvml_process_v1 { /* nvmlProcessInfo_v1_t of the calls without a suffix (drivers before 450) */
    unsigned pid;
    unsigned long long memory;
};

/* Lists the processes of one kind, as [{"pid","memory_bytes"}]; NULL where the driver refuses. *total counts
 * also what passes GPU_PROCESSES_MAX. The caller owns the list. */
static cJSON *list_processes(nvml_return (*call)(nvml_handle, unsigned *, void *), nvml_handle device,
                             bool old_processes, unsigned *total)
{
    union {
        struct nvml_process now[GPU_PROCESSES_MAX];
        struct nvml_process_v1 old[GPU_PROCESSES_MAX];
    } infos;
    memset(&infos, 0, sizeof infos);
    unsigned count = GPU_PROCESSES_MAX;
    nvml_return code = call(device, &count, &infos);
    *total = count;
    if (code == NVML_INSUFFICIENT_SIZE)
        count = 0; /* nothing is filled in then; the number is right */
    else if (code != NVML_OK)
        return NULL;
    cJSON *list = cJSON_CreateArray();
    for (unsigned i = 0; i < count && i < GPU_PROCESSES_MAX; i++) {
        unsigned pid = old_processes ? infos.old[i].pid : infos.now[i].pid;
        uint64_t memory = old_processes ? infos.old[i].memory : infos.now[i].memory;
        cJSON *process = cJSON_CreateObject();
        json_add_int(process, "pid", pid);
        json_add_int(process, "memory_bytes", memory == NVML_VALUE_NOT_AVAILABLE ? 0 : (int64_t)memory);
        cJSON_AddItemToArray(list, process);
    }
    return list;
}

static cJSON *describe_device(const struct nvml *nvml, nvml_handle device, const char **call,
                              nvml_return *code)
{
    char uuid[NVML_UUID_MAX] = "";
    struct nvml_memory memory = {0};
    *call = "nvmlDeviceGetUUID";
    *code = nvml->device_uuid(device, uuid, sizeof uuid);
    if (*code == NVML_OK) {
        *call = "nvmlDeviceGetMemoryInfo";
        *code = nvml->memory_info(device, &memory);
    }
    if (*code != NVML_OK)
        return NULL;
    unsigned compute_count = 0, graphics_count = 0;
    cJSON *compute = list_processes(nvml->compute, device, nvml->old_processes, &compute_count);
    cJSON *graphics = list_processes(nvml->graphics, device, nvml->old_processes, &graphics_count);
    uint64_t graphics_bytes = 0;
    const cJSON *process;
    cJSON_ArrayForEach(process, graphics) graphics_bytes += (uint64_t)json_int(process, "memory_bytes", 0);
    cJSON_Delete(graphics);
    cJSON *gpu = cJSON_CreateObject();
    json_add_str(gpu, "uuid", uuid);
    json_add_int(gpu, "memory_bytes", (int64_t)memory.total);
    json_add_int(gpu, "used_bytes", (int64_t)memory.used);
    json_add_int(gpu, "graphics_bytes", (int64_t)graphics_bytes);
    json_add_int(gpu, "compute_count", compute ? compute_count : 0);
    cJSON_AddItemToObject(gpu, "compute", compute ? compute : cJSON_CreateNull());
    return gpu;
}

/* One that fails is left out: what a GPU that was divided a moment ago says, say. */
static void describe_instances(const struct nvml *nvml, nvml_handle device, cJSON *usage)
{
    unsigned count = nvml_mig_max(nvml, device);
    const char *call;
    nvml_return code;
    for (unsigned i = 0; i < count; i++) {
        nvml_handle instance = NULL;
        cJSON *gpu = nvml_mig_device(nvml, device, i, &instance)
                         ? describe_device(nvml, instance, &call, &code)
                         : NULL;
        if (gpu)
            cJSON_AddItemToArray(usage, gpu);
    }
}

/* Returns what failed (the caller frees), or NULL. */
static char *describe_all(const struct nvml *nvml, cJSON *usage)
{
    unsigned count = 0;
    const char *call = "nvmlDeviceGetCount";
    nvml_return code = nvml->device_count(&count);
    for (unsigned i = 0; code == NVML_OK && i < count && i < RESOURCE_GPUS_MAX; i++) {
        nvml_handle device = NULL;
        call = "nvmlDeviceGetHandleByIndex";
        code = nvml->device_by_index(i, &device);
        if (code == NVML_OK && nvml_in_mig_mode(nvml, device)) {
            describe_instances(nvml, device, usage);
            continue;
        }
        cJSON *gpu = code == NVML_OK ? describe_device(nvml, device, &call, &code) : NULL;
        if (gpu)
            cJSON_AddItemToArray(usage, gpu);
    }
    char *failed = code == NVML_OK ? NULL : nvml_failure(nvml, call, code);
    nvml->shutdown();
    return failed;
}

void nvml_describe_usage(const char *library, cJSON *out)
{
    struct nvml nvml;
    bool there = false;
    cJSON *usage = cJSON_AddArrayToObject(out, "usage");
    _cleanup_free_ char *failed = nvml_open(library, &nvml, &there);
    if (!failed)
        failed = describe_all(&nvml, usage);
    cJSON_AddBoolToObject(out, "nvml", there);
    json_add_str(out, "usage_error", failed);
}
