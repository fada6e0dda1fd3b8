/*
 * What the fake driver libraries pretend. All of it comes from $BERTH_FAKE_GPUS: entries "key=value"
 * separated by `;` or newlines, or "@PATH": a file of such entries, read anew by each process, so that a test
 * changes the machine under a running daemon.
 *
 *   gpus=N          how many GPUs (default 1, at most 64)
 *   seed=TEXT       goes into every UUID: tests that run at once use different ones, since UUIDs are locks
 *   cuda=WHAT       ok; error:N (cuInit returns N); device:I:N (GPU I's name fails with N); count:N (the
 * device count fails with N); hang (cuInit never returns); crash (cuInit dies by SIGSEGV); chatter (cuInit
 * prints on standard output); stuck (ignores SIGTERM and SIGALRM, and hangs) nvml=WHAT       ok; error:N
 * (nvmlInit returns N); hang; crash; noprocesses (the process calls return 3) used.I=BYTES    memory in use
 * on GPU I (default 4 MiB), graphics.I=BYTES of it by a desktop compute.I=PID:BYTES[,PID:BYTES...]; on an
 * instance of a GPU in MIG mode compute.I.K memory=BYTES    of each GPU (default 24 GiB);
 * capability=MAJOR.MINOR (default 8.6); driver=NNNNN (default 12040); mode.I=N compute mode of GPU I (2 is
 * prohibited)
 *
 * Links. Without any, every GPU hangs on a host bridge of its own, on one NUMA node, and reaches all others.
 *   node.I=N, bridge.I=N, pcie.I=N  the NUMA node, host bridge and PCIe switch of GPU I
 *   nvlink.I=J:N[,J:N...]           N NVLinks from GPU I to GPU J
 *   nvswitch=N                      NVLinks from each GPU to switches; fabric=off: those lead nowhere
 *   topology=islands                two halves, each on a NUMA node, with 4 NVLinks between any two of a
 * half; GPUs of different halves don't reach each other p2p=error:N, links=error:N      CUDA's peer calls and
 * NVML's topology calls fail with N
 *
 * MIG. While a GPU is divided, CUDA shows the first instance alone, or else the GPUs that are whole.
 *   mig.I=PROFILE[,PROFILE...]      GPU I is divided, e.g. "1g.10gb,2g.20gb"; "none": into nothing yet
 *   mig=error:N                     the calls about instances fail with N; names=old: no profile in names
 */
#ifndef BERTH_TESTS_FAKE_GPU_H
#define BERTH_TESTS_FAKE_GPU_H

#define FAKE_API __attribute__((visibility("default")))
#define FAKE_GPUS_MAX 64

/* The value of `key`, or `missing`; cut to size. Returns out. */
const char *fake_get(const char *key, const char *missing, char *out, unsigned long size);
long long fake_number(const char *key, long long missing);
/* As fake_number for "key.index". */
long long fake_device_number(const char *key, int index, long long missing);
int fake_count(void);
/* The 16 bytes of GPU `index`'s UUID. */
void fake_uuid(int index, unsigned char *bytes);
/* The same for its MIG instance number k. */
void fake_instance_uuid(int index, int k, unsigned char *bytes);
/* "GPU-..." or "MIG-..." */
void fake_uuid_text(const char *prefix, const unsigned char *bytes, char *out, unsigned long size);

int fake_nvlinks(int from, int to);
/* nvmlGpuTopologyLevel_t */
int fake_level(int from, int to);
int fake_can_access(int from, int to);

/* How many instances GPU `index` is divided into; -1 where it is not in MIG mode. */
int fake_instances(int index);
/* The profile of one of them: "2g.20gb", its slices and its memory. */
void fake_profile(int index, int k, char *name, unsigned long size, int *slices, long long *bytes);

/* What CUDA shows at an ordinal: a GPU, and its instance or -1. */
int fake_cuda_count(void);
void fake_cuda_device(int ordinal, int *gpu, int *instance);
/* Where WHAT is "NAME:N" the number, else -1. */
int fake_code(const char *what, const char *name);
void fake_hang(void) __attribute__((noreturn));

#endif
