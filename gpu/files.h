/* What the kernel's files say of NVIDIA's driver and devices. `root` is "" for the real /proc and /sys. */
#ifndef BERTH_GPU_FILES_H
#define BERTH_GPU_FILES_H

#include <cjson/cJSON.h>
#include <stdint.h>

/* The number N of /dev/nvidiaN; -1 where the driver does not say (WSL). `pci` as normalised. */
int64_t gpu_files_minor(const char *root, const char *pci);
/* The NUMA node; -1 where the kernel names none (a machine with one). */
int64_t gpu_files_numa(const char *root, const char *pci);
/* "550.54.14" of the kernel module; NULL where the kernel does not show it. The caller frees. */
char *gpu_files_driver_version(const char *root);
/* The number N of /dev/nvidia-caps/nvidia-capN that lets one use a GPU instance of GPU `minor` (ci -1), or a
 * compute instance of it; -1 where there is none. */
int64_t gpu_files_cap(const char *root, int64_t minor, int gi, int ci);
/* The driver writes "0000:3B:00.0", sysfs has it in lower case. */
void gpu_files_normalize_pci(char *pci);
/* null for a negative value: it is not known. */
void gpu_files_add_number(cJSON *object, const char *field, int64_t value);

#endif
