/* The child of a fork that acts as a task's user, and its parent's side. The user may stop the child or leave
 * it hanging in a file system, so its parent keeps the time and kills it. Only what is safe after the fork of
 * a process with threads is called here. */
#ifndef BERTH_EXECUTOR_AS_USER_H
#define BERTH_EXECUTOR_AS_USER_H

#include "executor/user.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define AS_USER_FDS_MAX 4

/* In the child: it becomes the user for good, lets nobody of the user's in, ends with `parent`, and keeps
 * nothing of the executor's but `fds`, which become 0 to count - 1 (also in the array). */
bool as_user_become(const struct user *user, pid_t parent, int *fds, size_t count);
/* One answer of the child's; false at its end, or when its time (clock_boot_ms) is over. */
bool as_user_read(int fd, void *answer, size_t size, int64_t until_ms);
/* Ends it and waits, also for one that hangs or is stopped. */
void as_user_end(pid_t child);

#endif
