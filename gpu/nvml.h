/* NVML, NVIDIA's management library, as far as the question "who uses which GPU" goes. Only the probe child
 * calls this. */
#ifndef BERTH_GPU_NVML_H
#define BERTH_GPU_NVML_H

#include <cjson/cJSON.h>

/* Adds "usage" (a list, see gpu/probe.c) and "usage_error" (null, or why there is none) and "nvml" (false
 * where there is no such library at all) to `out`. */
void nvml_describe_usage(const char *library, cJSON *out);

#endif
