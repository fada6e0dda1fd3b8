/*
 * The CSV pair of Alibaba's published GPU cluster traces (cluster-trace-gpu-v2023, "openb"):
 *   nodes: sn,cpu_milli,memory_mib,gpu,model
 *   pods:  name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,
 *          scheduled_time
 * Columns are found by the names in the first line; others are ignored, quotes are not known. A pod is a job
 * of one task without a declared time. It runs from scheduled_time (creation_time where that is empty) to
 * deletion_time; gpu_spec lists models that will do, as A|B; gpu_milli below 1000 is a share of one GPU.
 */
#ifndef BERTH_SCHEDULER_SIM_PODS_H
#define BERTH_SCHEDULER_SIM_PODS_H

#include "scheduler/sim/lines.h"
#include "scheduler/sim/trace.h"

#define PODS_NODE_GPUS_MAX 32 /* as the core's RESOURCE_GPUS_MAX */

/* ERROR_INVALID where a column is missing. */
bool pods_read_nodes(struct lines *lines, struct trace *trace, struct error *err);
/* After the nodes: models that no node has are names like any other. Sorted. */
bool pods_read(struct lines *lines, struct trace *trace, struct error *err);

#endif
