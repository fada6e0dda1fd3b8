/* Removes blobs that nothing refers to any more: entries of owners that were not used for OWNERS_KEEP_MS and
 * belong to no live job, and files that have neither an entry nor a live job. */
#ifndef BERTH_SCHEDULER_SWEEP_BLOBS_H
#define BERTH_SCHEDULER_SWEEP_BLOBS_H

#include "scheduler/daemon.h"

/* A file without an entry is left alone for this time. */
#define SWEEP_BLOBS_FILE_AGE_MS (3600LL * 1000)

/* Starts one in the thread pool, unless one is going on. For tests the times are parameters. */
void sweep_blobs_start(struct daemon *d, int64_t keep_ms, int64_t file_age_ms);

#endif
