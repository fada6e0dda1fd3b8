/* The CUDA driver API as far as an inventory needs it. Only the probe child calls this: the driver may block
 * or crash whoever calls it. */
#ifndef BERTH_GPU_CUDA_H
#define BERTH_GPU_CUDA_H

#include <cjson/cJSON.h>

/* Loads `library` (a path or a soname), initialises the driver and adds "gpus", "gpu_driver" and "gpu_error"
 * to `out`. /proc and /sys are read below system_root ("" for the real ones). */
void cuda_describe(const char *library, const char *system_root, cJSON *out);

#endif
