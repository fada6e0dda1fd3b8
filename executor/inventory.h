/*
 * What this machine has: the inventory of docs/PROTOCOL.md section 4, as JSON. Cores are SMT groups and name
 * the OS indexes of their logical CPUs; only CPUs and memory that this process may use count (cpusets,
 * taskset, the cgroup's memory limit). A core's id is the OS index of its first usable CPU, so that it stays
 * the same over restarts and in smaller cpusets.
 *
 * Reading asks the GPU driver and may take its whole deadline: on a thread, or before the loop runs.
 */
#ifndef BERTH_EXECUTOR_INVENTORY_H
#define BERTH_EXECUTOR_INVENTORY_H

#include "base/error.h"
#include "gpu/probe.h"

#include <cjson/cJSON.h>
#include <stdbool.h>

#define INVENTORY_FILE_MAX_BYTES (4u << 20)
#define INVENTORY_TEXT_MAX 256 /* bytes of a name or model; longer ones are cut or refused */

struct inventory_options {
    struct gpu_probe_options gpu;
    bool no_gpus; /* the driver is not asked */
};

/* Reads the machine. A GPU driver that fails is no failure here: gpu_error says so, and the caller may read
 * again later. The caller deletes *out. */
bool inventory_read(const struct inventory_options *options, cJSON **out, struct error *err);
/* Reads and checks an inventory from a file (a simulated node). Fields that are missing and can be are filled
 * in. The caller deletes *out. */
bool inventory_from_file(const char *path, cJSON **out, struct error *err);
/* Is this an inventory that a scheduler could plan on? err->field names what is wrong. */
bool inventory_check(const cJSON *inventory, struct error *err);

#endif
