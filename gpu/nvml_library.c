/* Loading NVML. It holds no state beyond the loaded library: the process ends right after. */
#include "gpu/nvml_library.h"

#include "base/alloc.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#define MIG_DEVICES_MAX 64 /* of one GPU; NVML says 7 or 8 */
#define MIG_ENABLED 1      /* NVML_DEVICE_MIG_ENABLE */

static const struct {
    size_t offset;
    bool optional;
    const char *names[3]; /* newest first; the first one found is taken */
} symbols[] = {
    {offsetof(struct nvml, init), false, {"nvmlInit_v2"}},
    {offsetof(struct nvml, shutdown), false, {"nvmlShutdown"}},
    {offsetof(struct nvml, error_string), false, {"nvmlErrorString"}},
    {offsetof(struct nvml, device_count), false, {"nvmlDeviceGetCount_v2"}},
    {offsetof(struct nvml, device_by_index), false, {"nvmlDeviceGetHandleByIndex_v2"}},
    {offsetof(struct nvml, device_uuid), false, {"nvmlDeviceGetUUID"}},
    {offsetof(struct nvml, memory_info), false, {"nvmlDeviceGetMemoryInfo"}},
    {offsetof(struct nvml, compute),
     false,
     {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2",
      "nvmlDeviceGetComputeRunningProcesses"}},
    {offsetof(struct nvml, graphics),
     false,
     {"nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2",
      "nvmlDeviceGetGraphicsRunningProcesses"}},
    {offsetof(struct nvml, device_name), true, {"nvmlDeviceGetName"}},
    {offsetof(struct nvml, pci_info), true, {"nvmlDeviceGetPciInfo_v3"}},
    {offsetof(struct nvml, capability), true, {"nvmlDeviceGetCudaComputeCapability"}},
    {offsetof(struct nvml, compute_mode), true, {"nvmlDeviceGetComputeMode"}},
    {offsetof(struct nvml, ancestor), true, {"nvmlDeviceGetTopologyCommonAncestor"}},
    {offsetof(struct nvml, p2p_status), true, {"nvmlDeviceGetP2PStatus"}},
    {offsetof(struct nvml, nvlink_state), true, {"nvmlDeviceGetNvLinkState"}},
    {offsetof(struct nvml, nvlink_remote_pci), true, {"nvmlDeviceGetNvLinkRemotePciInfo_v2"}},
    {offsetof(struct nvml, nvlink_remote_type), true, {"nvmlDeviceGetNvLinkRemoteDeviceType"}},
    {offsetof(struct nvml, mig_mode), true, {"nvmlDeviceGetMigMode"}},
    {offsetof(struct nvml, mig_max), true, {"nvmlDeviceGetMaxMigDeviceCount"}},
    {offsetof(struct nvml, mig_by_index), true, {"nvmlDeviceGetMigDeviceHandleByIndex"}},
    {offsetof(struct nvml, gpu_instance), true, {"nvmlDeviceGetGpuInstanceId"}},
    {offsetof(struct nvml, compute_instance), true, {"nvmlDeviceGetComputeInstanceId"}},
    {offsetof(struct nvml, attributes), true, {"nvmlDeviceGetAttributes_v2"}},
};

static const char *load_symbols(void *library, struct nvml *nvml)
{
    for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
        void *found = NULL;
        size_t n = 0;
        while (!found && n < 3 && symbols[i].names[n])
            found = dlsym(library, symbols[i].names[n++]);
        if (!found && !symbols[i].optional)
            return symbols[i].names[0];
        if (n == 3) /* only the process calls have a third name, and its entries are shorter */
            nvml->old_processes = true;
        memcpy((char *)nvml + symbols[i].offset, &found, sizeof found);
    }
    return NULL;
}

char *nvml_failure(const struct nvml *nvml, const char *call, nvml_return code)
{
    return xasprintf("%s failed: %s (%d)", call, nvml->error_string(code), code);
}

char *nvml_open(const char *library, struct nvml *nvml, bool *there)
{
    memset(nvml, 0, sizeof *nvml);
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    *there = handle != NULL;
    if (!handle) {
        const char *why = dlerror();
        return xasprintf("NVML can't be loaded: %s", why ? why : library);
    }
    const char *missing = load_symbols(handle, nvml);
    if (missing)
        return xasprintf("%s has no %s: is it NVML?", library, missing);
    /* load_symbols found every one of them; the analyzer can't see through its memcpy. */
    nvml_return code = nvml->init(); /* NOLINT(clang-analyzer-core.CallAndMessage) */
    return code == NVML_OK ? NULL : nvml_failure(nvml, "nvmlInit", code);
}

bool nvml_in_mig_mode(const struct nvml *nvml, nvml_handle device)
{
    unsigned current = 0, pending = 0;
    return nvml->mig_mode && nvml->mig_max && nvml->mig_by_index &&
           nvml->mig_mode(device, &current, &pending) == NVML_OK && current == MIG_ENABLED;
}

unsigned nvml_mig_max(const struct nvml *nvml, nvml_handle device)
{
    unsigned count = 0;
    if (nvml->mig_max(device, &count) != NVML_OK)
        return 0;
    return count < MIG_DEVICES_MAX ? count : MIG_DEVICES_MAX;
}

bool nvml_mig_device(const struct nvml *nvml, nvml_handle device, unsigned index, nvml_handle *instance)
{
    return nvml->mig_by_index(device, index, instance) == NVML_OK;
}
