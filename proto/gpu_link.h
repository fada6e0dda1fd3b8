/* How two GPUs of one node are connected, as inventories name it. */
#ifndef BERTH_PROTO_GPU_LINK_H
#define BERTH_PROTO_GPU_LINK_H

#include <stdbool.h>

#define GPU_LINK_NVLINKS_MAX 64 /* NVLinks of one GPU */

/* Farthest first. */
enum gpu_link {
    GPU_LINK_SYSTEM,      /* across NUMA nodes */
    GPU_LINK_NUMA,        /* across the host bridges of one NUMA node */
    GPU_LINK_PCIE_BRIDGE, /* across one host bridge */
    GPU_LINK_PCIE_SWITCH, /* below one or more PCIe switches, or on one board */
    GPU_LINK_NVLINK,
    GPU_LINK_COUNT
};

/* "system", "numa", "pcie_bridge", "pcie_switch", "nvlink"; "?" for a value out of range. Static text. */
const char *gpu_link_name(enum gpu_link link);
bool gpu_link_parse(const char *name, enum gpu_link *out);

#endif
