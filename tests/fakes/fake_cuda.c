/* A libcuda.so.1 of the driver calls that Berth uses (gpu/cuda.c), with the ABI that NVIDIA documents. */
#include "tests/fakes/fake_gpu.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_DEVICE = 101 };

static int initialized;

static int check(int device)
{
    if (!initialized)
        return NOT_INITIALIZED;
    return device >= 0 && device < fake_cuda_count() ? OK : INVALID_DEVICE;
}

FAKE_API int cuInit(unsigned flags)
{
    char what[64];
    fake_get("cuda", "ok", what, sizeof what);
    int code = fake_code(what, "error");
    if (flags)
        return INVALID_VALUE;
    if (code >= 0)
        return code;
    if (strcmp(what, "stuck") == 0) {
        signal(SIGTERM, SIG_IGN);
        signal(SIGALRM, SIG_IGN);
    }
    if (strcmp(what, "hang") == 0 || strcmp(what, "stuck") == 0)
        fake_hang();
    if (strcmp(what, "crash") == 0)
        raise(SIGSEGV);
    if (strcmp(what, "chatter") == 0)
        puts("{\"gpus\": \"the driver says good morning\"}");
    if (fake_cuda_count() == 0)
        return NO_DEVICE;
    /* The real one hides devices by these; a probe that leaves them set would find fewer. */
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (visible && !*visible)
        return NO_DEVICE;
    initialized = 1;
    return OK;
}

FAKE_API int cuDriverGetVersion(int *version)
{
    *version = (int)fake_number("driver", 12040);
    return OK;
}

FAKE_API int cuDeviceGetCount(int *count)
{
    char what[64];
    int code = fake_code(fake_get("cuda", "ok", what, sizeof what), "count");
    *count = fake_cuda_count();
    return code >= 0 ? code : initialized ? OK : NOT_INITIALIZED;
}

FAKE_API int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return check(ordinal);
}

FAKE_API int cuDeviceGetName(char *name, int len, int device)
{
    char what[64];
    int failing = fake_code(fake_get("cuda", "ok", what, sizeof what), "device");
    if (failing == device && failing >= 0) {
        const char *code = strrchr(what, ':');
        return (int)strtol(code + 1, NULL, 10);
    }
    snprintf(name, (size_t)len, "Berth Fake GPU");
    return check(device);
}

FAKE_API int cuDeviceGetUuid_v2(unsigned char *uuid, int device)
{
    int gpu, instance;
    fake_cuda_device(device, &gpu, &instance);
    if (instance < 0)
        fake_uuid(gpu, uuid);
    else
        fake_instance_uuid(gpu, instance, uuid);
    return check(device);
}

FAKE_API int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    int gpu, instance, slices;
    char name[64];
    long long memory = fake_number("memory", 24ll << 30);
    fake_cuda_device(device, &gpu, &instance);
    if (instance >= 0)
        fake_profile(gpu, instance, name, sizeof name, &slices, &memory);
    *bytes = (size_t)memory;
    return check(device);
}

FAKE_API int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    char text[64];
    fake_get("capability", "8.6", text, sizeof text);
    const char *dot = strchr(text, '.');
    switch (attribute) {
    case 16:
        *value = 84;
        break;
    case 18:
        *value = 0;
        break;
    case 20:
        *value = (int)fake_device_number("mode", device, 0);
        break;
    case 75:
        *value = (int)strtol(text, NULL, 10);
        break;
    case 76:
        *value = dot ? (int)strtol(dot + 1, NULL, 10) : 0;
        break;
    default:
        return INVALID_VALUE;
    }
    return check(device);
}

FAKE_API int cuDeviceGetPCIBusId(char *text, int len, int device)
{
    int gpu, instance;
    fake_cuda_device(device, &gpu, &instance);
    snprintf(text, (size_t)len, "0000:%02X:00.0", 0x3a + gpu);
    return check(device);
}

static int p2p_fails(int device, int peer)
{
    char what[64];
    int code = fake_code(fake_get("p2p", "ok", what, sizeof what), "error");
    return code >= 0             ? code
           : check(device) != OK ? check(device)
           : device == peer      ? INVALID_DEVICE
                                 : check(peer);
}

/* Both GPUs are whole: an instance is shown alone. */
static void pair(int device, int peer, int *from, int *to)
{
    int instance;
    fake_cuda_device(device, from, &instance);
    fake_cuda_device(peer, to, &instance);
}

FAKE_API int cuDeviceCanAccessPeer(int *can, int device, int peer)
{
    int from, to;
    pair(device, peer, &from, &to);
    *can = fake_can_access(from, to);
    return p2p_fails(device, peer);
}

FAKE_API int cuDeviceGetP2PAttribute(int *value, int attribute, int device, int peer)
{
    int from, to;
    pair(device, peer, &from, &to);
    int nvlink = fake_nvlinks(from, to) > 0 || fake_number("nvswitch", 0) > 0;
    switch (attribute) {
    case 1: /* performance rank: 0 is best */
        *value = nvlink ? 0 : 1;
        break;
    case 2:
        *value = fake_can_access(from, to);
        break;
    case 3:
        *value = nvlink;
        break;
    default:
        return INVALID_VALUE;
    }
    return p2p_fails(device, peer);
}

static const struct {
    int code;
    const char *name, *text;
} errors[] = {
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
    {802, "CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
     "system has unsupported display driver / cuda driver combination"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

FAKE_API int cuGetErrorName(int code, const char **text)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].code == code) {
            *text = errors[i].name;
            return OK;
        }
    *text = NULL;
    return INVALID_VALUE;
}

FAKE_API int cuGetErrorString(int code, const char **text)
{
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (errors[i].code == code) {
            *text = errors[i].text;
            return OK;
        }
    *text = NULL;
    return INVALID_VALUE;
}
