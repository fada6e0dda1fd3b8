/* A libnvidia-ml.so.1 of the calls that Berth uses (gpu/nvml.c), with the ABI that NVIDIA documents. */
#include "tests/fakes/fake_gpu.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OK = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7
};
#define INSTANCES 100 /* a handle of an instance is 100 x (GPU + 1) and its number plus one */

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
    if (is("crash"))
        raise(SIGSEGV);
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
    int n = (int)((char *)device - (char *)0);
    return (n > INSTANCES ? n / INSTANCES : n) - 1;
}

/* The number of an instance; -1 for a GPU. */
static int instance_of(void *device)
{
    int n = (int)((char *)device - (char *)0);
    return n > INSTANCES ? n % INSTANCES - 1 : -1;
}

FAKE_API int nvmlDeviceGetUUID(void *device, char *uuid, unsigned len)
{
    unsigned char b[16];
    int k = instance_of(device);
    if (k < 0)
        fake_uuid(index_of(device), b);
    else
        fake_instance_uuid(index_of(device), k, b);
    fake_uuid_text(k < 0 ? "GPU" : "MIG", b, uuid, len);
    return OK;
}

FAKE_API int nvmlDeviceGetMemoryInfo(void *device, unsigned long long *memory)
{
    int k = instance_of(device), slices;
    long long bytes = fake_number("memory", 24ll << 30);
    char name[64];
    if (k >= 0)
        fake_profile(index_of(device), k, name, sizeof name, &slices, &bytes);
    memory[0] = (unsigned long long)bytes;
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
    if (instance_of(device) >= 0)
        snprintf(name, sizeof name, "%s.%d.%d", key, index_of(device), instance_of(device));
    else
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

/* Topology and MIG. */

struct pci { /* nvmlPciInfo_t */
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device, pci_subsystem;
    char bus_id[32];
};

static void fill_pci(struct pci *pci, unsigned bus)
{
    memset(pci, 0, sizeof *pci);
    pci->bus = bus;
    snprintf(pci->bus_id_legacy, sizeof pci->bus_id_legacy, "0000:%02X:00.0", bus);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", bus);
}

static int fails(const char *key)
{
    char what[64];
    return fake_code(fake_get(key, "ok", what, sizeof what), "error");
}

FAKE_API int nvmlDeviceGetPciInfo_v3(void *device, struct pci *pci)
{
    fill_pci(pci, 0x3a + (unsigned)index_of(device));
    return OK;
}

FAKE_API int nvmlDeviceGetName(void *device, char *name, unsigned len)
{
    int k = instance_of(device), slices;
    long long bytes;
    char profile[64], old[16];
    snprintf(name, len, "Berth Fake GPU");
    if (k < 0 || strcmp(fake_get("names", "", old, sizeof old), "old") == 0)
        return OK;
    fake_profile(index_of(device), k, profile, sizeof profile, &slices, &bytes);
    snprintf(name, len, "Berth Fake GPU MIG %s", profile);
    return OK;
}

FAKE_API int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor)
{
    char text[64];
    (void)device;
    fake_get("capability", "8.6", text, sizeof text);
    return sscanf(text, "%d.%d", major, minor) == 2 ? OK : INVALID_ARGUMENT;
}

FAKE_API int nvmlDeviceGetComputeMode(void *device, int *mode)
{
    *mode = (int)fake_device_number("mode", index_of(device), 0);
    return OK;
}

FAKE_API int nvmlDeviceGetTopologyCommonAncestor(void *a, void *b, int *level)
{
    *level = fake_level(index_of(a), index_of(b));
    return fails("links") >= 0 ? fails("links") : OK;
}

FAKE_API int nvmlDeviceGetP2PStatus(void *a, void *b, int capability, int *status)
{
    char text[16];
    int off = strcmp(fake_get("fabric", "", text, sizeof text), "off") == 0;
    (void)a;
    (void)b;
    *status = capability == 2 && off ? 1 : 0;
    return OK;
}

/* Links are numbered by the GPUs that they lead to; those to switches come last. -1: to a switch; -2: none.
 */
static int other_end(int gpu, unsigned link)
{
    for (int to = 0; to < fake_count(); to++) {
        unsigned n = to == gpu ? 0 : (unsigned)fake_nvlinks(gpu, to);
        if (link < n)
            return to;
        link -= n;
    }
    return link < (unsigned)fake_number("nvswitch", 0) ? -1 : -2;
}

FAKE_API int nvmlDeviceGetNvLinkState(void *device, unsigned link, int *active)
{
    if (fails("links") >= 0)
        return fails("links");
    if (link >= 64)
        return INVALID_ARGUMENT;
    *active = other_end(index_of(device), link) != -2;
    return OK;
}

FAKE_API int nvmlDeviceGetNvLinkRemotePciInfo_v2(void *device, unsigned link, struct pci *pci)
{
    int to = other_end(index_of(device), link);
    fill_pci(pci, to < 0 ? 0x05 : 0x3a + (unsigned)to);
    return OK;
}

FAKE_API int nvmlDeviceGetNvLinkRemoteDeviceType(void *device, unsigned link, int *type)
{
    *type = other_end(index_of(device), link) < 0 ? 2 : 0;
    return OK;
}

FAKE_API int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending)
{
    *current = *pending = fake_instances(index_of(device)) >= 0;
    return OK;
}

FAKE_API int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count)
{
    (void)device;
    *count = 7;
    return OK;
}

FAKE_API int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **instance)
{
    int gpu = index_of(device);
    if ((int)index >= fake_instances(gpu))
        return NOT_FOUND;
    *instance = (char *)0 + (gpu + 1) * INSTANCES + (int)index + 1;
    return OK;
}

FAKE_API int nvmlDeviceGetGpuInstanceId(void *device, unsigned *id)
{
    *id = (unsigned)instance_of(device) + 7;
    return fails("mig") >= 0 ? fails("mig") : OK;
}

FAKE_API int nvmlDeviceGetComputeInstanceId(void *device, unsigned *id)
{
    (void)device;
    *id = 0;
    return OK;
}

FAKE_API int nvmlDeviceGetAttributes_v2(void *device, void *attributes)
{
    struct {
        unsigned multiprocessors, engines[5], gpu_slices, compute_slices;
        unsigned long long memory_mib;
    } a = {.multiprocessors = 14};
    int slices;
    long long bytes;
    char name[64];
    fake_profile(index_of(device), instance_of(device), name, sizeof name, &slices, &bytes);
    a.multiprocessors *= (unsigned)slices;
    a.gpu_slices = a.compute_slices = (unsigned)slices;
    a.memory_mib = (unsigned long long)(bytes >> 20) - 128; /* some is the driver's own */
    memcpy(attributes, &a, sizeof a);
    return OK;
}
