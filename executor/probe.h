/*
 * Whether this node can start tasks: a trivial task is taken the way that every task goes (directory, files
 * on the disk, blob cache, shim, cgroup, namespaces, runtime), with nothing in it that a user named. So what
 * fails here is the node's, and what only a job fails at is the job's. Blocks for as long as the task takes,
 * PROBE_LIMIT_MS at most; for worker threads, one at a time.
 */
#ifndef BERTH_EXECUTOR_PROBE_H
#define BERTH_EXECUTOR_PROBE_H

#include "executor/config.h"

#define PROBE_LIMIT_MS 30000

/* True: it can. False with `err`: what doesn't work here. */
bool probe_run(const struct executor_config *config, struct error *err);

#endif
