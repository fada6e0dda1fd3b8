/* The names of links between GPUs. */
#include "proto/gpu_link.h"

#include <stddef.h>
#include <string.h>

static const char *const names[GPU_LINK_COUNT] = {
    [GPU_LINK_SYSTEM] = "system",           [GPU_LINK_NUMA] = "numa",
    [GPU_LINK_PCIE_BRIDGE] = "pcie_bridge", [GPU_LINK_PCIE_SWITCH] = "pcie_switch",
    [GPU_LINK_NVLINK] = "nvlink",
};

const char *gpu_link_name(enum gpu_link link)
{
    return (unsigned)link < GPU_LINK_COUNT ? names[link] : "?";
}

bool gpu_link_parse(const char *name, enum gpu_link *out)
{
    for (size_t i = 0; i < GPU_LINK_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (enum gpu_link)i;
            return true;
        }
    }
    return false;
}
