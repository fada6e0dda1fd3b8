/* What starting a container by an OCI runtime and by ourselves have in common (start.c). */
#ifndef BERTH_SHIM_START_H
#define BERTH_SHIM_START_H

#include "executor/shim/shim.h"

extern const char *const start_image_capabilities[]; /* NULL-ended, "CAP_..." as Docker gives them */
extern const char *const start_masked_paths[];       /* NULL-ended */
extern const char *const start_readonly_paths[];
uint64_t start_image_capability_bits(void);

struct start_fds {
    int in, out, err, init[3]; /* init: become 3, 4 and 5 */
};

/* As clone(2) without a stack, into the task's cgroup where v2 alone is there (5.7): a process born in a
 * group need not be moved, which takes all of the kernel's processes a grace period of some 10 ms. -1 with
 * errno set. */
pid_t start_clone(struct shim *s, uint64_t flags);
/* In a child: cgroup, oom score, CPUs, descriptors, signals. Leaves nothing else open. */
void start_child_setup(const struct shim *s, struct start_fds fds);
/* init's flags for this task; out at least 8 bytes. */
void start_flags(const struct shim *s, char *out);
/* A memory file with the payload's arguments, environment and working folder, read by init; -1. */
int start_args_fd(const struct shim *s, struct error *err);
bool start_cgroup_namespace(const struct shim *s);

#endif
