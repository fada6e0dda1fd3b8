/* A libnvidia-ml.so.1 of the calls that Berth uses (gpu/nvml.c), with the ABI that NVIDIA documents. */
#include "tests/fakes/fake_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7 };

static int initialized;

static int is(const char *what)
{
    char text[64];
    return strcmp(fake_get("nvml", "ok", text, sizeof text), what) == 0;
}

FAKE_API int nvmlInit_v2(void)
{
    char what[64];
    int code = fake_code(fake_get("nvml", "ok", what, sizeof what), "error");
    if (code >= 0)
        return code;
    if (is("hang"))
        fake_hang();
    initialized = 1;
    return OK;
}

FAKE_API int nvmlShutdown(void)
{
    initialized = 0;
    return OK;
}

FAKE_API const char *nvmlErrorString(int code)
{
    return code == 9 ? "Driver Not Loaded" : code == NOT_SUPPORTED ? "Not Supported" : "Unknown Error";
}

FAKE_API int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = (unsigned)fake_count();
    return initialized ? OK : UNINITIALIZED;
}

/* A handle is the index plus one. */
FAKE_API int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device)
{
    *device = (char *)0 + index + 1;
    return index < (unsigned)fake_count() ? OK : INVALID_ARGUMENT;
}

static int index_of(void *device)
{
    return (int)((char *)device - (char *)0) - 1;
}

FAKE_API int nvmlDeviceGetUUID(void *device, char *uuid, unsigned len)
{
    unsigned char b[16];
    fake_uuid(index_of(device), b);
    snprintf(uuid, len, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return OK;
}

FAKE_API int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory)
{
    memory[0] = (unsigned long long)fake_number("memory", 24ll << 30);
    memory[2] = (unsigned long long)fake_device_number("used", index_of(device), 4ll << 20);
    memory[1] = memory[0] - memory[2];
    return OK;
}

struct process {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
};

static int list(const char *key, void *device, unsigned *count, struct process *infos)
{
    char name[64], text[4096], *rest = NULL;
    struct process found[64];
    unsigned n = 0;
    if (is("noprocesses"))
        return NOT_SUPPORTED;
    snprintf(name, sizeof name, "%s.%d", key, index_of(device));
    fake_get(name, "", text, sizeof text);
    for (char *entry = strtok_r(text, ",", &rest); entry && n < 64; entry = strtok_r(NULL, ",", &rest)) {
        char *colon = strchr(entry, ':');
        found[n++] = (struct process){.pid = (unsigned)strtoul(entry, NULL, 10),
                                      .memory = colon ? strtoull(colon + 1, NULL, 10) : 0};
    }
    unsigned room = *count;
    *count = n;
    if (n > room)
        return INSUFFICIENT_SIZE;
    for (unsigned i = 0; i < n; i++)
        infos[i] = found[i];
    return OK;
}

static int graphics(void *device, unsigned *count, struct process *infos)
{
    long long bytes = fake_device_number("graphics", index_of(device), 0);
    unsigned room = *count;
    *count = bytes ? 1 : 0;
    if (*count > room)
        return INSUFFICIENT_SIZE;
    if (bytes)
        *infos = (struct process){.pid = 1, .memory = (unsigned long long)bytes};
    return OK;
}

FAKE_API int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, void *infos)
{
    return list("compute", device, count, infos);
}

FAKE_API int nvmlDeviceGetGraphicsRunningProcesses_v3(void *device, unsigned *count, void *infos)
{
    return graphics(device, count, infos);
}
