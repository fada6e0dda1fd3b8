/*
 * The one door of gpu/ for cli: `berth gpu-probe`, the short-lived child that talks to the drivers.
 *
 *   berth gpu-probe [--usage | --topology] [--gpu-library PATH] [--nvml-library PATH] [--system-root DIR]
 * [--deadline-ms N]
 *
 * Without the options: $BERTH_CUDA_LIBRARY, $BERTH_NVML_LIBRARY, and for the deadline that a parent sets
 * $BERTH_GPU_DEADLINE_MS (gpu/probe.h).
 * Prints one line of JSON: the `gpus`, `gpu_driver` and `gpu_error` of the inventory (docs/PROTOCOL.md,
 * section 4), with --usage who uses which GPU (gpu/probe.h), or with --topology how they are
 * linked and divided (gpu/nvml_topology.h). Exit code 0 whenever it printed that, also
 * when the driver refused (then gpu_error says so); 2 for a wrong option. It ends itself (SIGALRM) at the
 * deadline, 20,000 ms unless given.
 */
#ifndef BERTH_GPU_ENTRY_H
#define BERTH_GPU_ENTRY_H

int gpu_probe_main(int argc, char **argv);

#endif
