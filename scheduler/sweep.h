/* Clears what jobs made beside their outputs (`work/`): kept SWEEP_KEEP_MS, and SWEEP_KEEP_BYTES together. */
#ifndef BERTH_SCHEDULER_SWEEP_H
#define BERTH_SCHEDULER_SWEEP_H

#include "scheduler/daemon.h"

#define SWEEP_KEEP_MS (7LL * 24 * 3600 * 1000)
#define SWEEP_KEEP_BYTES (10ULL << 30)
#define SWEEP_FIRST_MS 60000
#define SWEEP_EVERY_MS (3600LL * 1000)

/* Starts one in the thread pool; jobs that are live are left alone. */
void sweep_start(struct daemon *d);
/* What is stored below the directory, in bytes of blocks. Takes dirfd. */
uint64_t sweep_bytes_below(int dirfd);
/* The work itself. `live` (sorted) are the jobs to leave alone. For tests the limits are parameters. */
void sweep_outputs(const char *outputs_dir, const uint64_t *live, size_t live_count, int64_t now_ms,
                   int64_t keep_ms, uint64_t keep_bytes);

#endif
