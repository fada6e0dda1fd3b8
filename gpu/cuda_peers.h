/* Which GPUs reach each other's memory, by the CUDA driver API. Only the probe child calls this. */
#ifndef BERTH_GPU_CUDA_PEERS_H
#define BERTH_GPU_CUDA_PEERS_H

#include <cjson/cJSON.h>

/* Adds to each of `gpus` (as cuda.c described them, "index" being CUDA's ordinal) its "links": [{"to": index
 * of the other, "p2p": bool, "atomics": bool, "rank": N}], atomics and rank only where the driver tells. What
 * fails is left out: it never costs a GPU. `library` is the loaded driver, initialised. */
void cuda_describe_peers(void *library, cJSON *gpus);

#endif
