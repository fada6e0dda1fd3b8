/*
 * The CUDA driver API by dlopen. Nothing of NVIDIA's is needed to build: the few types and numbers below are
 * the driver's documented, stable ABI ("CUDA Driver API", cuda.h: sections Data Types, Initialization,
 * Version Management and Device Management). It owns no state beyond the loaded library, which stays loaded:
 * the process ends right after.
 */
#include "gpu/cuda.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "gpu/cuda_peers.h"
#include "gpu/files.h"
#include "gpu/probe.h"
#include "proto/json.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int cuda_result; /* CUresult; 0 is success */
typedef int cuda_device; /* CUdevice */
struct cuda_uuid {       /* CUuuid */
    unsigned char bytes[16];
};

enum { /* CUresult */
       CUDA_OK = 0,
       CUDA_NO_DEVICE = 100,
};
enum { /* CUdevice_attribute */
       CUDA_ATTRIBUTE_MULTIPROCESSORS = 16,
       CUDA_ATTRIBUTE_INTEGRATED = 18,
       CUDA_ATTRIBUTE_COMPUTE_MODE = 20,
       CUDA_ATTRIBUTE_CAPABILITY_MAJOR = 75,
       CUDA_ATTRIBUTE_CAPABILITY_MINOR = 76,
};
#define CUDA_COMPUTE_MODE_PROHIBITED 2 /* CUcomputemode */
#define CUDA_NAME_MAX 256
#define CUDA_PCI_MAX 32 /* "00000000:3B:00.0" at most */

struct cuda {
    cuda_result (*init)(unsigned flags);
    cuda_result (*driver_version)(int *version);
    cuda_result (*device_count)(int *count);
    cuda_result (*device_get)(cuda_device *device, int ordinal);
    cuda_result (*device_name)(char *name, int len, cuda_device device);
    cuda_result (*device_uuid)(struct cuda_uuid *uuid, cuda_device device);
    cuda_result (*device_memory)(size_t *bytes, cuda_device device);
    cuda_result (*device_attribute)(int *value, int attribute, cuda_device device);
    cuda_result (*device_pci)(char *text, int len, cuda_device device);
    cuda_result (*error_name)(cuda_result code, const char **text);
    cuda_result (*error_string)(cuda_result code, const char **text);
};

/* Where a symbol has a newer version, that stands first; the first one found is taken. */
static const struct {
    size_t offset;
    const char *names[2];
} cuda_symbols[] = {
    {offsetof(struct cuda, init), {"cuInit"}},
    {offsetof(struct cuda, driver_version), {"cuDriverGetVersion"}},
    {offsetof(struct cuda, device_count), {"cuDeviceGetCount"}},
    {offsetof(struct cuda, device_get), {"cuDeviceGet"}},
    {offsetof(struct cuda, device_name), {"cuDeviceGetName"}},
    {offsetof(struct cuda, device_uuid), {"cuDeviceGetUuid_v2", "cuDeviceGetUuid"}},
    {offsetof(struct cuda, device_memory), {"cuDeviceTotalMem_v2"}},
    {offsetof(struct cuda, device_attribute), {"cuDeviceGetAttribute"}},
    {offsetof(struct cuda, device_pci), {"cuDeviceGetPCIBusId"}},
    {offsetof(struct cuda, error_name), {"cuGetErrorName"}},
    {offsetof(struct cuda, error_string), {"cuGetErrorString"}},
};

/* NULL when all is found, else the name that is missing. */
static const char *load_symbols(void *library, struct cuda *cuda)
{
    for (size_t i = 0; i < sizeof cuda_symbols / sizeof cuda_symbols[0]; i++) {
        void *found = dlsym(library, cuda_symbols[i].names[0]);
        if (!found && cuda_symbols[i].names[1])
            found = dlsym(library, cuda_symbols[i].names[1]);
        if (!found)
            return cuda_symbols[i].names[0];
        memcpy((char *)cuda + cuda_symbols[i].offset, &found, sizeof found);
    }
    return NULL;
}

/* "cuInit failed: CUDA_ERROR_X (803): text"; the caller frees. */
static char *failure_text(const struct cuda *cuda, const char *call, cuda_result code)
{
    const char *name = NULL, *text = NULL;
    if (cuda->error_name(code, &name) != CUDA_OK || !name)
        name = "an error that the driver does not name";
    if (cuda->error_string(code, &text) != CUDA_OK)
        text = NULL;
    return xasprintf("%s failed: %s (%d)%s%s", call, name, code, text ? ": " : "", text ? text : "");
}

/* Describes one device; NULL and *failed (the caller frees) where the driver fails. */
static cJSON *describe_device(const struct cuda *cuda, int ordinal, const char *root, const char *driver,
                              char **failed)
{
    cuda_device device = 0;
    char name[CUDA_NAME_MAX] = "", pci[CUDA_PCI_MAX] = "";
    struct cuda_uuid uuid = {{0}};
    size_t memory = 0;
    int major = 0, minor = 0, integrated = 0, mode = 0, multiprocessors = 0;
    const char *call = "cuDeviceGet";
    cuda_result code = cuda->device_get(&device, ordinal);
    if (code == CUDA_OK) {
        call = "cuDeviceGetName";
        code = cuda->device_name(name, (int)sizeof name - 1, device);
    }
    if (code == CUDA_OK) {
        call = "cuDeviceGetUuid";
        code = cuda->device_uuid(&uuid, device);
    }
    if (code == CUDA_OK) {
        call = "cuDeviceTotalMem";
        code = cuda->device_memory(&memory, device);
    }
    if (code == CUDA_OK) {
        call = "cuDeviceGetPCIBusId";
        code = cuda->device_pci(pci, (int)sizeof pci - 1, device);
    }
    const struct {
        int attribute, *value;
    } attributes[] = {
        {CUDA_ATTRIBUTE_CAPABILITY_MAJOR, &major},          {CUDA_ATTRIBUTE_CAPABILITY_MINOR, &minor},
        {CUDA_ATTRIBUTE_INTEGRATED, &integrated},           {CUDA_ATTRIBUTE_COMPUTE_MODE, &mode},
        {CUDA_ATTRIBUTE_MULTIPROCESSORS, &multiprocessors},
    };
    for (size_t i = 0; code == CUDA_OK && i < sizeof attributes / sizeof attributes[0]; i++) {
        call = "cuDeviceGetAttribute";
        code = cuda->device_attribute(attributes[i].value, attributes[i].attribute, device);
    }
    if (code != CUDA_OK) {
        _cleanup_free_ char *text = failure_text(cuda, call, code);
        *failed = xasprintf("GPU %d: %s", ordinal, text);
        return NULL;
    }
    if (mode == CUDA_COMPUTE_MODE_PROHIBITED) {
        *failed =
            xasprintf("GPU %d (%s) is left out: its compute mode is prohibited; an administrator can run "
                      "nvidia-smi -c 0",
                      ordinal, pci);
        return NULL;
    }
    gpu_files_normalize_pci(pci);
    const unsigned char *b = uuid.bytes;
    char text[GPU_UUID_MAX];
    snprintf(text, sizeof text, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
    cJSON *gpu = cJSON_CreateObject();
    json_add_int(gpu, "index", ordinal);
    cJSON_AddStringToObject(gpu, "uuid", text);
    json_add_str(gpu, "name", name);
    json_add_int(gpu, "memory_bytes", (int64_t)memory);
    json_add_str(gpu, "pci", pci);
    snprintf(text, sizeof text, "%d.%d", major, minor);
    cJSON_AddStringToObject(gpu, "compute_capability", text);
    json_add_int(gpu, "multiprocessors", multiprocessors);
    cJSON_AddBoolToObject(gpu, "integrated", integrated != 0);
    gpu_files_add_number(gpu, "numa", gpu_files_numa(root, pci));
    gpu_files_add_number(gpu, "minor", gpu_files_minor(root, pci));
    json_add_str(gpu, "driver", driver);
    return gpu;
}

/* A library that is not there is no error, unless the kernel has NVIDIA's driver loaded. */
static char *load_failure(const char *library, const char *root)
{
    const char *why = dlerror();
    _cleanup_free_ char *version = gpu_files_driver_version(root);
    if (strchr(library, '/'))
        return xasprintf("the CUDA driver library can't be loaded: %s", why ? why : library);
    if (!version)
        return NULL;
    return xasprintf(
        "the kernel runs NVIDIA's driver %s, but its library can't be loaded (%s): install it (Debian: "
        "apt-get install libcuda1, of the same version)",
        version, why ? why : library);
}

static void describe_driver(const struct cuda *cuda, const char *kernel_version, cJSON *out)
{
    int cuda_version = 0; /* 1000 x major + 10 x minor */
    char text[32];
    cJSON *driver = cJSON_AddObjectToObject(out, "gpu_driver");
    json_add_str(driver, "version", kernel_version);
    if (cuda->driver_version(&cuda_version) == CUDA_OK && cuda_version > 0)
        snprintf(text, sizeof text, "%d.%d", cuda_version / 1000, cuda_version % 1000 / 10);
    else
        text[0] = '\0';
    json_add_str(driver, "cuda", text[0] ? text : NULL);
}

/* Fills gpus; returns what failed (the caller frees) or NULL. */
static char *describe_devices(const struct cuda *cuda, const char *root, const char *kernel_version,
                              cJSON *gpus)
{
    cuda_result code = cuda->init(0);
    if (code == CUDA_NO_DEVICE)
        return NULL;
    if (code != CUDA_OK)
        return failure_text(cuda, "cuInit", code);
    int count = 0;
    code = cuda->device_count(&count);
    if (code != CUDA_OK)
        return failure_text(cuda, "cuDeviceGetCount", code);
    char *failed = NULL;
    if (count > RESOURCE_GPUS_MAX) {
        failed = xasprintf("the machine has %d GPUs; the first %d are used", count, RESOURCE_GPUS_MAX);
        count = RESOURCE_GPUS_MAX;
    }
    for (int i = 0; i < count; i++) {
        char *device_failed = NULL;
        cJSON *gpu = describe_device(cuda, i, root, kernel_version, &device_failed);
        if (gpu)
            cJSON_AddItemToArray(gpus, gpu);
        if (device_failed && !failed)
            failed = take_ptr(device_failed);
        free(device_failed);
    }
    return failed;
}

void cuda_describe(const char *library, const char *system_root, cJSON *out)
{
    struct cuda cuda = {0};
    _cleanup_free_ char *failed = NULL;
    cJSON *gpus = cJSON_AddArrayToObject(out, "gpus");
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    const char *missing = handle ? load_symbols(handle, &cuda) : NULL;
    if (!handle) {
        failed = load_failure(library, system_root);
    } else if (missing) {
        failed = xasprintf("%s has no %s: is it the CUDA driver's library?", library, missing);
    } else {
        _cleanup_free_ char *kernel_version = gpu_files_driver_version(system_root);
        failed = describe_devices(&cuda, system_root, kernel_version, gpus);
        cuda_describe_peers(handle, gpus);
        describe_driver(&cuda, kernel_version, out);
    }
    if (!cJSON_GetObjectItemCaseSensitive(out, "gpu_driver"))
        cJSON_AddNullToObject(out, "gpu_driver");
    json_add_str(out, "gpu_error", failed);
}
