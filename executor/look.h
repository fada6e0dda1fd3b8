/* Looks at paths that a user named. Asked by a process that has become the user, so that nobody learns of
 * what he can't reach, and that ends by itself where a path leads into a filesystem that never answers.
 * Blocks; for worker threads. */
#ifndef BERTH_EXECUTOR_LOOK_H
#define BERTH_EXECUTOR_LOOK_H

#include "executor/user.h"

#include <stdbool.h>

#define LOOK_LIMIT_S 10 /* for one look */

/* Whether there is a directory, or something that may be one behind a permission that he lacks. */
bool look_is_directory(const char *path, const struct user *user);

#endif
