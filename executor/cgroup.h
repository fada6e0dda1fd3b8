/*
 * Control groups, v2, v1 and both at once (hybrid), through their files alone. Shared by the executor (probe,
 * reap) and by the shim, so it needs libc and base only.
 *
 * A tree is a list of hierarchies, each with the base folder under which a task's own group NAME stands.
 * Limits go to the hierarchies that have the controller; kill and emptiness use cgroup v2 where there is one
 * (in hybrid mode its controllerless hierarchy too), else freezer, else the process list.
 */
#ifndef BERTH_EXECUTOR_CGROUP_H
#define BERTH_EXECUTOR_CGROUP_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_HIERARCHIES_MAX 12
#define CGROUP_PATH_MAX 512

enum cgroup_controller {
    CGROUP_CPUSET = 1 << 0,
    CGROUP_MEMORY = 1 << 1,
    CGROUP_PIDS = 1 << 2,
    CGROUP_FREEZER = 1 << 3, /* v1's; v2 has cgroup.freeze always */
    CGROUP_CPU = 1 << 4,     /* not limited, but accounted */
};

struct cgroup_hierarchy {
    bool v2;
    unsigned controllers;       /* enum cgroup_controller, those that tasks can use */
    char base[CGROUP_PATH_MAX]; /* absolute folder; exists after cgroup_tree_setup */
};

struct cgroup_tree {
    struct cgroup_hierarchy h[CGROUP_HIERARCHIES_MAX];
    size_t n;             /* 0: no cgroup can be made here */
    unsigned controllers; /* of all together */
    char why[256];        /* why there are none or fewer, as a sentence, or "" */
};

struct cgroup_limits {
    const char *cpus, *mems; /* lists as cpuset takes them ("0-3,8"), NULL for no binding */
    uint64_t memory_bytes;   /* 0: none */
    uint64_t pids;           /* 0: none */
    bool everywhere;         /* also in v1 hierarchies without a controller of ours (runc joins them all) */
};

struct cgroup_usage {
    uint64_t oom_kills, oom_events; /* kills by, and times at, the memory limit */
    uint64_t peak_bytes, limit_bytes;
    bool known; /* a memory controller was there to ask */
};

/* Finds and sets up the base folders for `tag`. Never fails: a machine without cgroups gives n == 0 and
 * `why`. */
void cgroup_tree_setup(struct cgroup_tree *t, const char *tag);
/* Removes the base folders that are empty; false, with the first one's error, where one stayed. One that
 * holds tasks' groups stays, one with processes that die is tried for a second. */
bool cgroup_tree_remove(const struct cgroup_tree *t, struct error *err);

/* "v2:CONTROLLERS:BASE" (controllers as a number), for the spec, and back. out at least CGROUP_PATH_MAX + 32.
 */
void cgroup_hierarchy_format(const struct cgroup_hierarchy *h, char *out, size_t size);
bool cgroup_hierarchy_parse(const char *text, struct cgroup_hierarchy *h);

/* Makes the group `name` in all hierarchies and sets the limits. A limit that the kernel refuses leaves a
 * note in `refused` (may be NULL; `size` bytes), and is no failure. */
bool cgroup_create(const struct cgroup_tree *t, const char *name, const struct cgroup_limits *limits,
                   char *refused, size_t size, struct error *err);
/* Moves a process (0: the caller) into the group. Async-signal-safe: a child calls it between fork and exec.
 */
bool cgroup_join(const struct cgroup_tree *t, const char *name, int pid);
bool cgroup_kill(const struct cgroup_tree *t, const char *name);
/* True when no process is in the group or below (or there is no such group). */
bool cgroup_empty(const struct cgroup_tree *t, const char *name);
/* A descriptor that polls POLLPRI when emptiness may have changed (v2), or -1: poll cgroup_empty. */
int cgroup_events_fd(const struct cgroup_tree *t, const char *name);
bool cgroup_freeze(const struct cgroup_tree *t, const char *name, bool frozen);
void cgroup_usage(const struct cgroup_tree *t, const char *name, struct cgroup_usage *u);
/* Removes the group with what is below it; false while processes are in it, and for a moment longer: those
 * that die leave cgroup.procs before they leave the group. */
bool cgroup_remove(const struct cgroup_tree *t, const char *name);

#endif
