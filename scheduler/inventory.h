/* What a node told of itself, parsed from its inventory (docs/PROTOCOL.md section 4), and leases in its
 * terms. */
#ifndef BERTH_SCHEDULER_INVENTORY_H
#define BERTH_SCHEDULER_INVENTORY_H

#include "base/buf.h"
#include "proto/gpu_link.h"
#include "proto/json.h"
#include "scheduler/core/core.h"

#define INVENTORY_JOB_MEMORY_PERCENT 90 /* of a node's memory; the rest is the machine's own */
#define INVENTORY_UUID_MAX 96
#define INVENTORY_MODEL_MAX 128  /* bytes of a GPU's model, with its NUL; a longer name is cut */
#define INVENTORY_PROFILE_MAX 32 /* of a MIG profile */

struct inventory_core {
    uint16_t unit;
    uint8_t numa, cpu_count;
    uint32_t cpus[RESOURCE_CORE_THREADS_MAX]; /* the operating system's numbers */
};

struct inventory_gpu {
    char uuid[INVENTORY_UUID_MAX];
    uint8_t key[RESOURCE_GPU_KEY_BYTES];
    uint32_t index;
    uint8_t numa;
    uint64_t memory_bytes;
    char model[INVENTORY_MODEL_MAX]; /* the driver's name of it; of a MIG instance with its profile */
    /* How close it is to the GPU at each place of inventory.gpus, as inventory_link_closeness has it and the
     * same both ways; 0 to itself and where nothing is known. */
    uint8_t link[RESOURCE_GPUS_MAX];
    bool mig; /* an instance of the GPU whose key is `parent` */
    uint8_t parent[RESOURCE_GPU_KEY_BYTES];
    char profile[INVENTORY_PROFILE_MAX]; /* "1g.10gb" */
};

struct inventory {
    uint64_t memory_bytes; /* of the machine */
    uint32_t core_count, gpu_count, cpu_count;
    struct inventory_core *cores;
    struct inventory_gpu gpus[RESOURCE_GPUS_MAX];
};

/* NULL with err where it makes no sense. The caller destroys it. */
struct inventory *inventory_parse(const cJSON *json, struct error *err);
void inventory_destroy(struct inventory *inventory);
/* What the core gets to see. The result is the caller's (free). */
struct core_inventory *inventory_for_core(const struct inventory *inventory);
/* The 16 bytes that stand for a UUID: its own where it is one ("GPU-" and 32 hexadecimal digits), else of its
 * SHA-256. */
void inventory_gpu_key(const char *uuid, uint8_t key[RESOURCE_GPU_KEY_BYTES]);

/* How good a link between two GPUs is, from 1 to 255: NVLinks beat all of PCIe, and more of them fewer; 0 for
 * GPU_LINK_COUNT, a link of which nothing is known. */
uint8_t inventory_link_closeness(enum gpu_link kind, uint32_t nvlinks);

/* {"cores":[..],"cpus":[..],"mems":[..],"memory_bytes":N,"gpus":[...]} ; gpus as {"uuid","index"} for orders,
 * as uuids for people. */
enum lease_form { LEASE_FOR_PEOPLE, LEASE_FOR_ORDER };
void inventory_write_lease(const struct inventory *inventory, const struct core *core, struct node_id node,
                           const struct resource_lease *lease, enum lease_form form, struct buf *out);

#endif
