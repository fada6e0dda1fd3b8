/* The matrix of links between GPUs. Its words are those of nvidia-smi topo, which people know. */
#include "cli/node_links.h"

#include "proto/gpu_link.h"

#include <stdio.h>

#define TITLE "%-12s "
#define CELL 6

static const char *const words[GPU_LINK_COUNT] = {[GPU_LINK_SYSTEM] = "SYS",
                                                  [GPU_LINK_NUMA] = "NODE",
                                                  [GPU_LINK_PCIE_BRIDGE] = "PHB",
                                                  [GPU_LINK_PCIE_SWITCH] = "PIX",
                                                  [GPU_LINK_NVLINK] = "NV"};
static const char *const meanings[GPU_LINK_COUNT] = {[GPU_LINK_SYSTEM] = "across NUMA nodes",
                                                     [GPU_LINK_NUMA] = "within a NUMA node",
                                                     [GPU_LINK_PCIE_BRIDGE] = "a PCIe host bridge",
                                                     [GPU_LINK_PCIE_SWITCH] = "PCIe switches",
                                                     [GPU_LINK_NVLINK] = "so many NVLinks"};

static const cJSON *link_to(const cJSON *gpu, int64_t index)
{
    const cJSON *link;
    cJSON_ArrayForEach(link, json_get(gpu, "links")) if (json_int(link, "to", -1) == index) return link;
    return NULL;
}

/* "NV4", "PIX", ... ; "X" for itself, "-" where nothing is known. Marks the kind as used. */
static void cell(const cJSON *from, const cJSON *to, char *out, size_t size, bool *used)
{
    enum gpu_link kind;
    const cJSON *link = from == to ? NULL : link_to(from, json_int(to, "index", -1));
    if (!link || !gpu_link_parse(json_str(link, "kind", ""), &kind)) {
        snprintf(out, size, "%s", from == to ? "X" : "-");
        return;
    }
    used[kind] = true;
    if (kind == GPU_LINK_NVLINK)
        snprintf(out, size, "%s%d", words[kind], (int)json_int(link, "nvlinks", 0));
    else
        snprintf(out, size, "%s", words[kind]);
}

void node_links_show(const cJSON *gpus, struct buf *out)
{
    const cJSON *from, *to;
    bool used[GPU_LINK_COUNT] = {false}, any = false;
    char text[16];
    cJSON_ArrayForEach(from, gpus) any = any || cJSON_GetArraySize(json_get(from, "links")) > 0;
    if (!any)
        return;
    buf_printf(out, TITLE "%*s", "links", CELL, "");
    cJSON_ArrayForEach(to, gpus) buf_printf(out, "%*lld", CELL, (long long)json_int(to, "index", 0));
    buf_add_char(out, '\n');
    cJSON_ArrayForEach(from, gpus)
    {
        buf_printf(out, TITLE "%*lld", "", CELL, (long long)json_int(from, "index", 0));
        cJSON_ArrayForEach(to, gpus)
        {
            cell(from, to, text, sizeof text, used);
            buf_printf(out, "%*s", CELL, text);
        }
        buf_add_char(out, '\n');
    }
    const char *comma = "";
    buf_printf(out, TITLE, "");
    for (int i = GPU_LINK_COUNT - 1; i >= 0; i--) {
        if (!used[i])
            continue;
        buf_printf(out, "%s%s%s: %s", comma, words[i], i == GPU_LINK_NVLINK ? "n" : "", meanings[i]);
        comma = "; ";
    }
    buf_add_char(out, '\n');
}
