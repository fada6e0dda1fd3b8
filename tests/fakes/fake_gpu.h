/*
 * What the fake driver libraries pretend. All of it comes from $BERTH_FAKE_GPUS: entries "key=value"
 * separated by
 * `;` or newlines, or "@PATH": a file of such entries, read anew by each process, so that a test changes the
 * machine under a running daemon.
 *
 *   gpus=N            how many GPUs (default 1, at most 64)
 *   seed=TEXT         goes into every UUID: tests that run at once use different ones, since UUIDs are locks
 *   cuda=WHAT         ok; error:N (cuInit returns N); device:I:N (GPU I's name fails with N); count:N (the
 * device count fails with N); hang (cuInit never returns); crash (cuInit dies by SIGSEGV); chatter (cuInit
 * prints on standard output); stuck (ignores SIGTERM and SIGALRM, and hangs) nvml=WHAT         ok; error:N
 * (nvmlInit returns N); hang; noprocesses (the process calls return 3) used.I=BYTES      memory in use on GPU
 * I (default 4 MiB), graphics.I=BYTES of it by a desktop compute.I=PID:BYTES[,PID:BYTES...] memory=BYTES of
 * each GPU (default 24 GiB); capability=MAJOR.MINOR (default 8.6); driver=NNNNN (default 12040) mode.I=N
 * compute mode of GPU I (2 is prohibited)
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
/* Where WHAT is "NAME:N" the number, else -1. */
int fake_code(const char *what, const char *name);
void fake_hang(void) __attribute__((noreturn));

#endif
