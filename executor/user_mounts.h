/* File systems that a user may have mounted himself, and so may answer what he likes with: FUSE, and media
 * that a desktop mounts for him. Blocks for a moment. */
#ifndef BERTH_EXECUTOR_USER_MOUNTS_H
#define BERTH_EXECUTOR_USER_MOUNTS_H

#include <stdbool.h>

/* Whether there is one on this machine; true where that can't be told. */
bool user_mounts_any(void);
/* The same of one line of mountinfo (proc(5)). */
bool user_mounts_line(const char *line);

#endif
