/*
 * What a job asks for, what a node has and what a lease holds: integer quantities only. Cores are whole SMT
 * groups; GPUs are counted in thousandths of a device; memory is in bytes.
 */
#ifndef BERTH_PROTO_RESOURCES_H
#define BERTH_PROTO_RESOURCES_H

#include <stdbool.h>
#include <stdint.h>

#define RESOURCE_CORES_MAX 1024      /* SMT groups of one node; a core's unit id is below it */
#define RESOURCE_CORE_THREADS_MAX 16 /* logical CPUs of one SMT group */
#define RESOURCE_GPUS_MAX 32         /* GPUs of one node; a GPU's unit id is below it */
#define RESOURCE_NUMA_MAX 64         /* NUMA nodes of one node; ids are below it */
#define RESOURCE_GPU_WHOLE 1000      /* thousandths in a whole GPU */
#define RESOURCE_GPU_KEY_BYTES 16
#define RESOURCE_CORE_WORDS (RESOURCE_CORES_MAX / 64)
#define RESOURCE_MEMORY_MAX_BYTES (UINT64_C(1) << 53)

enum resource_kind {
    RESOURCE_CORES = 0,
    RESOURCE_CPUS, /* logical CPUs */
    RESOURCE_MEMORY,
    RESOURCE_GPUS,
    RESOURCE_KIND_COUNT
};

/* What one task of a job asks for. Exactly one of cores and cpus is not 0: `cpus` logical CPUs are rounded up
 * to whole SMT groups on the node that gets the task. */
struct resource_request {
    uint32_t cores;
    uint32_t cpus;
    uint32_t gpu_milli; /* thousandths: 2000 is two GPUs */
    uint64_t memory_bytes;
};

/* What one task holds. Unit ids are those of the node's inventory. */
struct resource_lease {
    uint64_t cores[RESOURCE_CORE_WORDS]; /* bit n of word n/64: the SMT group of unit id n, whole */
    uint64_t memory_bytes;
    uint32_t gpus;           /* bit n: the GPU of unit id n */
    uint32_t gpu_milli_each; /* thousandths of each of them; 0 where gpus is 0 */
};

static inline bool resource_bit(const uint64_t *words, uint32_t bit)
{
    return (words[bit / 64] >> (bit % 64)) & 1;
}

static inline void resource_bit_set(uint64_t *words, uint32_t bit)
{
    words[bit / 64] |= UINT64_C(1) << (bit % 64);
}

#endif
