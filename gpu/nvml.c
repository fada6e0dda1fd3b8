/*
 * NVML by dlopen: memory in use and the processes with compute or graphics contexts. Types and numbers are
 * NVML's documented ABI ("NVML API Reference Guide", nvml.h: nvmlMemory_t, nvmlProcessInfo_t, nvmlReturn_t).
 * Holds no state: the process ends right after.
 */
#include "gpu/nvml.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "gpu/probe.h"
#include "proto/json.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int nvml_return;
typedef struct nvml_device *nvml_handle;

enum { /* nvmlReturn_t */
       NVML_OK = 0,
       NVML_INSUFFICIENT_SIZE = 7,
};
#define NVML_VALUE_NOT_AVAILABLE UINT64_MAX /* of nvmlProcessInfo_t.usedGpuMemory */

struct nvml_memory { /* nvmlMemory_t */
    unsigned long long total, free, used;
};
struct nvml_process { /* nvmlProcessInfo_t of the _v2 and _v3 calls */
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
};
struct nvml_process_v1 { /* nvmlProcessInfo_v1_t of the calls without a suffix (drivers before 450) */
    unsigned pid;
    unsigned long long memory;
};

struct nvml {
    nvml_return (*init)(void);
    nvml_return (*shutdown)(void);
    const char *(*error_string)(nvml_return code);
    nvml_return (*device_count)(unsigned *count);
    nvml_return (*device_by_index)(unsigned index, nvml_handle *device);
    nvml_return (*device_uuid)(nvml_handle device, char *uuid, unsigned len);
    nvml_return (*memory_info)(nvml_handle device, struct nvml_memory *memory);
    nvml_return (*compute)(nvml_handle device, unsigned *count, void *infos);
    nvml_return (*graphics)(nvml_handle device, unsigned *count, void *infos);
};

static const struct {
    size_t offset;
    const char *names[3]; /* newest first; the first one found is taken */
} nvml_symbols[] = {
    {offsetof(struct nvml, init), {"nvmlInit_v2"}},
    {offsetof(struct nvml, shutdown), {"nvmlShutdown"}},
    {offsetof(struct nvml, error_string), {"nvmlErrorString"}},
    {offsetof(struct nvml, device_count), {"nvmlDeviceGetCount_v2"}},
    {offsetof(struct nvml, device_by_index), {"nvmlDeviceGetHandleByIndex_v2"}},
    {offsetof(struct nvml, device_uuid), {"nvmlDeviceGetUUID"}},
    {offsetof(struct nvml, memory_info), {"nvmlDeviceGetMemoryInfo"}},
    {offsetof(struct nvml, compute),
     {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2",
      "nvmlDeviceGetComputeRunningProcesses"}},
    {offsetof(struct nvml, graphics),
     {"nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2",
      "nvmlDeviceGetGraphicsRunningProcesses"}},
};

static const char *load_symbols(void *library, struct nvml *nvml, bool *old_processes)
{
    for (size_t i = 0; i < sizeof nvml_symbols / sizeof nvml_symbols[0]; i++) {
        void *found = NULL;
        size_t n = 0;
        while (!found && n < 3 && nvml_symbols[i].names[n])
            found = dlsym(library, nvml_symbols[i].names[n++]);
        if (!found)
            return nvml_symbols[i].names[0];
        if (n == 3) /* only the process calls have a third name, and its entries are shorter */
            *old_processes = true;
        memcpy((char *)nvml + nvml_symbols[i].offset, &found, sizeof found);
    }
    return NULL;
}

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

static cJSON *describe_device(const struct nvml *nvml, unsigned index, bool old_processes, const char **call,
                              nvml_return *code)
{
    nvml_handle device = NULL;
    char uuid[GPU_UUID_MAX + 32] = ""; /* NVML_DEVICE_UUID_V2_BUFFER_SIZE is 96 */
    struct nvml_memory memory = {0};
    *call = "nvmlDeviceGetHandleByIndex";
    *code = nvml->device_by_index(index, &device);
    if (*code == NVML_OK) {
        *call = "nvmlDeviceGetUUID";
        *code = nvml->device_uuid(device, uuid, sizeof uuid);
    }
    if (*code == NVML_OK) {
        *call = "nvmlDeviceGetMemoryInfo";
        *code = nvml->memory_info(device, &memory);
    }
    if (*code != NVML_OK)
        return NULL;
    unsigned compute_count = 0, graphics_count = 0;
    cJSON *compute = list_processes(nvml->compute, device, old_processes, &compute_count);
    cJSON *graphics = list_processes(nvml->graphics, device, old_processes, &graphics_count);
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

/* Returns what failed (the caller frees), or NULL. */
static char *describe_all(const struct nvml *nvml, bool old_processes, cJSON *usage)
{
    const char *call = "nvmlInit";
    /* load_symbols found every one of them; the analyzer can't see through its memcpy. */
    nvml_return code = nvml->init(); /* NOLINT(clang-analyzer-core.CallAndMessage) */
    if (code != NVML_OK)
        return xasprintf("%s failed: %s (%d)", call, nvml->error_string(code), code);
    unsigned count = 0;
    call = "nvmlDeviceGetCount";
    code = nvml->device_count(&count);
    for (unsigned i = 0; code == NVML_OK && i < count && i < RESOURCE_GPUS_MAX; i++) {
        cJSON *gpu = describe_device(nvml, i, old_processes, &call, &code);
        if (gpu)
            cJSON_AddItemToArray(usage, gpu);
    }
    char *failed =
        code == NVML_OK ? NULL : xasprintf("%s failed: %s (%d)", call, nvml->error_string(code), code);
    nvml->shutdown();
    return failed;
}

void nvml_describe_usage(const char *library, cJSON *out)
{
    struct nvml nvml = {0};
    bool old_processes = false;
    _cleanup_free_ char *failed = NULL;
    cJSON *usage = cJSON_AddArrayToObject(out, "usage");
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        failed = xasprintf("NVML can't be loaded: %s", why ? why : library);
    } else {
        const char *missing = load_symbols(handle, &nvml, &old_processes);
        failed = missing ? xasprintf("%s has no %s: is it NVML?", library, missing)
                         : describe_all(&nvml, old_processes, usage);
    }
    cJSON_AddBoolToObject(out, "nvml", handle != NULL);
    json_add_str(out, "usage_error", failed);
}
