/*
 * P2P between GPUs. Types and numbers are the driver's documented ABI ("CUDA Driver API", Peer Context Memory
 * Access: cuDeviceCanAccessPeer, cuDeviceGetP2PAttribute). No state.
 */
#include "gpu/cuda_peers.h"

#include "proto/json.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

enum { /* CUdevice_P2PAttribute */
       CUDA_P2P_PERFORMANCE_RANK = 1,
       CUDA_P2P_NATIVE_ATOMICS = 3,
};

struct peers {
    int (*device_get)(int *device, int ordinal);
    int (*can_access)(int *can, int device, int peer);
    int (*attribute)(int *value, int attribute, int from, int to); /* NULL before CUDA 8 */
};

static void *find(void *library, const char *name, void *out)
{
    void *found = dlsym(library, name);
    memcpy(out, &found, sizeof found);
    return found;
}

static cJSON *describe(const struct peers *peers, int from, int to)
{
    int device = 0, peer = 0, can = 0, value = 0;
    if (peers->device_get(&device, from) != 0 || peers->device_get(&peer, to) != 0 ||
        peers->can_access(&can, device, peer) != 0)
        return NULL;
    cJSON *link = cJSON_CreateObject();
    json_add_int(link, "to", to);
    cJSON_AddBoolToObject(link, "p2p", can != 0);
    if (!peers->attribute)
        return link;
    if (can && peers->attribute(&value, CUDA_P2P_PERFORMANCE_RANK, device, peer) == 0)
        json_add_int(link, "rank", value);
    if (can && peers->attribute(&value, CUDA_P2P_NATIVE_ATOMICS, device, peer) == 0)
        cJSON_AddBoolToObject(link, "atomics", value != 0);
    return link;
}

void cuda_describe_peers(void *library, cJSON *gpus)
{
    struct peers peers = {0};
    cJSON *gpu;
    const cJSON *other;
    bool known = find(library, "cuDeviceGet", &peers.device_get) &&
                 find(library, "cuDeviceCanAccessPeer", &peers.can_access);
    find(library, "cuDeviceGetP2PAttribute", &peers.attribute);
    cJSON_ArrayForEach(gpu, gpus)
    {
        cJSON *links = cJSON_AddArrayToObject(gpu, "links");
        cJSON_ArrayForEach(other, gpus)
        {
            if (other == gpu || !known)
                continue;
            cJSON *link = describe(&peers, (int)json_int(gpu, "index", 0), (int)json_int(other, "index", 0));
            if (link)
                cJSON_AddItemToArray(links, link);
        }
    }
}
