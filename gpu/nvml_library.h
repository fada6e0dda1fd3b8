/*
 * NVML, NVIDIA's management library, by dlopen. Types and numbers are NVML's documented ABI ("NVML API
 * Reference Guide", nvml.h). Nothing of NVIDIA's is needed to build. Only the probe child uses it.
 */
#ifndef BERTH_GPU_NVML_LIBRARY_H
#define BERTH_GPU_NVML_LIBRARY_H

#include <stdbool.h>

typedef int nvml_return;
typedef struct nvml_device *nvml_handle;

enum { /* nvmlReturn_t */
       NVML_OK = 0,
       NVML_INSUFFICIENT_SIZE = 7,
};
#define NVML_UUID_MAX 96 /* NVML_DEVICE_UUID_V2_BUFFER_SIZE */
#define NVML_NAME_MAX 96 /* NVML_DEVICE_NAME_V2_BUFFER_SIZE */

struct nvml_memory { /* nvmlMemory_t */
    unsigned long long total, free, used;
};
struct nvml_pci { /* nvmlPciInfo_t of the _v3 and _v2 calls */
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device, pci_subsystem;
    char bus_id[32];
};
struct nvml_attributes { /* nvmlDeviceAttributes_t */
    unsigned multiprocessors, copy_engines, decoders, encoders, jpegs, ofas;
    unsigned gpu_slices, compute_slices;
    unsigned long long memory_mib;
};

/* What is marked optional is NULL where the library is too old for it. */
struct nvml {
    nvml_return (*init)(void);
    nvml_return (*shutdown)(void);
    const char *(*error_string)(nvml_return code);
    nvml_return (*device_count)(unsigned *count);
    nvml_return (*device_by_index)(unsigned index, nvml_handle *device);
    nvml_return (*device_uuid)(nvml_handle device, char *uuid, unsigned len);
    nvml_return (*memory_info)(nvml_handle device, struct nvml_memory *memory);
    nvml_return (*compute)(nvml_handle device, unsigned *count, void *infos);
    nvml_return (*graphics)(nvml_handle device, unsigned *count, void *infos);
    bool old_processes; /* compute and graphics fill the shorter entries of drivers before 450 */

    /* optional: facts and topology */
    nvml_return (*device_name)(nvml_handle device, char *name, unsigned len);
    nvml_return (*pci_info)(nvml_handle device, struct nvml_pci *pci);
    nvml_return (*capability)(nvml_handle device, int *major, int *minor);
    nvml_return (*compute_mode)(nvml_handle device, int *mode);
    nvml_return (*ancestor)(nvml_handle a, nvml_handle b, int *level); /* nvmlGpuTopologyLevel_t */
    nvml_return (*p2p_status)(nvml_handle a, nvml_handle b, int capability, int *status);
    nvml_return (*nvlink_state)(nvml_handle device, unsigned link, int *active);
    nvml_return (*nvlink_remote_pci)(nvml_handle device, unsigned link, struct nvml_pci *pci);
    nvml_return (*nvlink_remote_type)(nvml_handle device, unsigned link, int *type);
    /* optional: MIG */
    nvml_return (*mig_mode)(nvml_handle device, unsigned *current, unsigned *pending);
    nvml_return (*mig_max)(nvml_handle device, unsigned *count);
    nvml_return (*mig_by_index)(nvml_handle device, unsigned index, nvml_handle *instance);
    nvml_return (*gpu_instance)(nvml_handle instance, unsigned *id);
    nvml_return (*compute_instance)(nvml_handle instance, unsigned *id);
    nvml_return (*attributes)(nvml_handle instance, struct nvml_attributes *attributes);
};

/* Loads `library` and calls its init. Returns what failed (the caller frees) or NULL; *there is false where
 * there is no such library at all. */
char *nvml_open(const char *library, struct nvml *nvml, bool *there);
/* "CALL failed: Text (N)"; the caller frees. */
char *nvml_failure(const struct nvml *nvml, const char *call, nvml_return code);

/* Is the GPU divided? False also where it can't be told. */
bool nvml_in_mig_mode(const struct nvml *nvml, nvml_handle device);
/* The MIG device at `index` (below nvml_mig_max) of a GPU in MIG mode; false where there is none. */
bool nvml_mig_device(const struct nvml *nvml, nvml_handle device, unsigned index, nvml_handle *instance);
unsigned nvml_mig_max(const struct nvml *nvml, nvml_handle device);

#endif
