/*
 * What a job asks for, what a node has and what a lease holds: integer quantities only. Cores are whole SMT
 * groups; GPUs are counted in thousandths of a device; memory is in bytes. Names (of labels, GPU models,
 * licences) are ids here: whoever drives the core keeps the table of names.
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
#define RESOURCE_POOL_MAX (1u << 24) /* processors of a pool node */
#define RESOURCE_LABELS_MAX 64       /* ids of labels, and of GPU models, are below it */
#define RESOURCE_ABILITY_FIRST 61    /* ids of labels that people give are below this one */
#define RESOURCE_LICENCES_MAX 32     /* ids of licences are below it */
#define RESOURCE_LICENCE_KINDS_MAX 4 /* of one job */

enum resource_kind {
    RESOURCE_CORES = 0,
    RESOURCE_CPUS, /* logical CPUs */
    RESOURCE_MEMORY,
    RESOURCE_GPUS,
    RESOURCE_KIND_COUNT
};

enum resource_flags {
    RESOURCE_EXCLUSIVE = 1, /* the whole node, and nobody else on it */
    RESOURCE_ISOLATED = 2,  /* nobody of another tenant, and nobody without this flag, on the node */
    RESOURCE_FLAGS_ALL = 3
};

/* What a node may lose and get back by itself, among the bits of labels. A node without one of them starts no
 * task that needs it, as if it were away; it is no reason to refuse a job. */
#define RESOURCE_CAN_OCI (UINT64_C(1) << 61) /* an OCI runtime, whichever */
#define RESOURCE_CAN_CRUN (UINT64_C(1) << 62)
#define RESOURCE_CAN_RUNC (UINT64_C(1) << 63)
#define RESOURCE_ABILITIES (RESOURCE_CAN_OCI | RESOURCE_CAN_CRUN | RESOURCE_CAN_RUNC)

/* What one task of a job asks for. Exactly one of cores and cpus is not 0: `cpus` logical CPUs are rounded up
 * to whole SMT groups on the node that gets the task. */
struct resource_request {
    uint32_t cores;
    uint32_t cpus;
    uint32_t gpu_milli; /* whole GPUs (2000 is two), or 1..999: a share of one */
    uint32_t flags;     /* enum resource_flags */
    uint64_t memory_bytes;
    uint64_t gpu_memory_bytes;  /* each GPU has at least this; without gpu_milli: a share with this memory */
    uint64_t gpu_models;        /* bit n: a GPU of model id n will do; 0: any */
    uint64_t labels;            /* bit n: the node must have label id n */
    uint64_t gpu_models_closed; /* bit n: no GPU of model id n. The core sets the two by what is restricted */
    uint64_t labels_closed;     /* bit n: the node must not have label id n */
};

/* Amounts of named licences, of the whole job; amount 0 ends the list. */
struct resource_licences {
    uint16_t id[RESOURCE_LICENCE_KINDS_MAX];
    uint16_t amount[RESOURCE_LICENCE_KINDS_MAX];
};

/* What one task holds. Unit ids are those of the node's inventory. */
struct resource_lease {
    uint64_t cores[RESOURCE_CORE_WORDS]; /* bit n of word n/64: the SMT group of unit id n, whole */
    uint64_t memory_bytes;
    uint32_t gpus;           /* bit n: the GPU of unit id n */
    uint32_t gpu_milli_each; /* thousandths of each of them; 0 where gpus is 0 */
    uint32_t pool;           /* processors of a pool node, which have no ids */
    uint32_t zero;
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
