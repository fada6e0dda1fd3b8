/*
 * What this node can enforce, found once at the executor's start (and by `berth doctor`), and what a bundle
 * needs to know of it: the cgroups under which tasks get theirs, the OCI runtimes, whether user namespaces
 * and overlays work. What is missing never fails a task: it is listed with the way to get it.
 */
#ifndef BERTH_EXECUTOR_ISOLATION_H
#define BERTH_EXECUTOR_ISOLATION_H

#include "base/error.h"
#include "executor/cgroup.h"
#include "executor/runtimes.h"

#include <stdbool.h>
#include <stddef.h>

#define ISOLATION_MISSING_MAX 16

struct isolation {
    bool cpu;            /* cpuset: cores and NUMA nodes of the lease are binding */
    bool memory;         /* memory limit */
    bool pids;           /* pids limit */
    bool devices;        /* only leased GPUs can be opened */
    bool users;          /* tasks of several users (needs root) */
    bool freeze;         /* pause and resume */
    bool userns;         /* user namespaces can be made */
    bool overlay;        /* overlay mounts (folder images that can be written) */
    bool cgroup_kill;    /* one write kills a task whole */
    bool landlock_scope; /* abstract sockets of the node are out of reach */
    char *missing[ISOLATION_MISSING_MAX];
    size_t n_missing;
    struct runtimes *runtimes; /* looked at again while the executor runs */
    struct cgroup_tree cgroups;
};

/* Probes by trying (in a child where trying leaves traces), and sets the cgroup base up: the folder named for
 * `tag` (letters, digits, '-') under which tasks' cgroups will stand. `tag` must name this executor's state
 * folder on this machine (isolation_tag). Takes a few ms; blocking. Fails only where nothing could run at
 * all. */
bool isolation_probe(struct isolation *iso, const char *tag, struct error *err);
void isolation_finish(struct isolation *iso); /* frees; takes the cgroup base away where it is empty */

/* "b" and 12 hex digits that stand for the folder's device and inode; out at least 16 bytes. */
bool isolation_tag(const char *state_dir, char *out, struct error *err);

#endif
