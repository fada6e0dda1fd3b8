/* The sweep of work files (work_files.h): when it runs, whose they are, and what their jobs' records say. */
#ifndef BERTH_SCHEDULER_SWEEP_H
#define BERTH_SCHEDULER_SWEEP_H

#include "scheduler/daemon.h"

#define SWEEP_FIRST_MS 60000
#define SWEEP_EVERY_MS (3600LL * 1000)

/* Starts one in the thread pool, unless one is going on. */
void sweep_start(struct daemon *d);

#endif
