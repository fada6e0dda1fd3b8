/* How the GPUs are linked and which of them are divided (MIG), by NVML. Only the probe child calls this. */
#ifndef BERTH_GPU_NVML_TOPOLOGY_H
#define BERTH_GPU_NVML_TOPOLOGY_H

#include <cjson/cJSON.h>

/* Adds "topology" (a list, one entry for each physical GPU, in NVML's order) and "topology_error" (null, or
 * why the list is not whole) to `out`. /proc and /sys are read below system_root ("" for the real ones). An
 * entry:
 *
 *   {"index", "uuid", "pci", "name", "memory_bytes", "compute_capability", "prohibited": bool, "numa",
 * "minor", "mig": bool, "instances": [{"uuid", "name", "profile", "memory_bytes", "multiprocessors", "gi",
 * "ci", "caps": [N, N]}], "links": [{"to": index, "kind", "nvlinks"}]}
 *
 * What a call does not tell is left out; only a GPU without UUID or PCI address is not there at all. */
void nvml_describe_topology(const char *library, const char *system_root, cJSON *out);

#endif
