/* The question "who uses which GPU", put to NVML. Only the probe child calls this. */
#ifndef BERTH_GPU_NVML_H
#define BERTH_GPU_NVML_H

#include <cjson/cJSON.h>

/* Adds "usage" (a list, see gpu/probe.c) and "usage_error" (null, or why there is none) and "nvml" (false
 * where there is no such library at all) to `out`. A GPU in MIG mode is left out; its instances are there. */
void nvml_describe_usage(const char *library, cJSON *out);

#endif
