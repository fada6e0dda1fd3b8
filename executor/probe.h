/*
 * Whether this node can start tasks: a trivial task is taken the way that every task goes (directory, files
 * on the disk, blob cache, directory of the logs, shim, cgroup, namespaces, runtime), with nothing in it that
 * a user named. So what fails here is the node's, and what only a job fails at is the job's. Blocks for as
 * long as the task takes, PROBE_LIMIT_MS at most for each; for worker threads, one at a time.
 */
#ifndef BERTH_EXECUTOR_PROBE_H
#define BERTH_EXECUTOR_PROBE_H

#include "executor/config.h"
#include "executor/failure.h"
#include "executor/runtimes.h"

#define PROBE_LIMIT_MS 30000

/* FAILURE_NONE: it can, with that runtime. Else `err` says what doesn't work here; FAILURE_RUNTIME is the
 * runtime alone: a task without it starts. `path` NULL: where the runtime is offered. */
enum failure probe_run(const struct executor_config *config, enum runtime which, const char *path,
                       struct error *err);
/* What needs no task: the directories and files. */
enum failure probe_files(const struct executor_config *config, struct error *err);

#endif
