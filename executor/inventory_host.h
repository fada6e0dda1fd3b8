/* The parts of the inventory that hwloc does not know: names, the cgroup mode, the memory limit in force. */
#ifndef BERTH_EXECUTOR_INVENTORY_HOST_H
#define BERTH_EXECUTOR_INVENTORY_HOST_H

#include <cjson/cJSON.h>
#include <stdint.h>

/* Adds hostname, os, kernel and cgroup. `root` is "" but in tests. */
void inventory_add_host(cJSON *out, const char *root);
/* The least memory limit of this process's cgroup and those above it (v1 and v2), or INT64_MAX. */
int64_t inventory_memory_limit_bytes(const char *root);
/* "model name" of /proc/cpuinfo; NULL where there is none. The caller frees. */
char *inventory_cpu_model(const char *root);

#endif
