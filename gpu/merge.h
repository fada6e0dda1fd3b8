/* One list of GPUs from what CUDA and NVML tell. Pure: no driver is called. */
#ifndef BERTH_GPU_MERGE_H
#define BERTH_GPU_MERGE_H

#include <cjson/cJSON.h>

/* `inventory` is the probe's answer ("gpus", "gpu_driver", "gpu_error"), `topology` the list that
 * nvml_topology.h describes, or NULL. Afterwards "gpus" is as docs/PROTOCOL.md has it: every GPU has "links"
 * and "mig", and a GPU in MIG mode stands there as its instances, with indexes given anew. */
void gpu_merge_topology(cJSON *inventory, const cJSON *topology);

#endif
