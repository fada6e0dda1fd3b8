/* The disk of the state directory: what is kept free there, and what is refused when it is full. */
#ifndef BERTH_SCHEDULER_STORAGE_H
#define BERTH_SCHEDULER_STORAGE_H

#include "scheduler/daemon.h"

/* Nothing new is stored once less than this is free: what is left is for the ends of what runs. */
#define STORAGE_FLOOR_BYTES (16ULL << 20)

/* Bytes that this process may still write to the file system of `path`; UINT64_MAX where that is unknown. */
uint64_t storage_free_bytes(const char *path);
/* What is stored below the directory, in bytes of blocks; links are not followed. Takes dirfd. */
uint64_t storage_bytes_below(int dirfd);
/* Refuses to store `bytes` more where that would leave less than the floor. */
bool storage_admit(const struct daemon *d, uint64_t bytes, struct error *err);

#endif
