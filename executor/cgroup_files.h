/* Reading and writing the files of one group; for cgroup*.c only. */
#ifndef BERTH_EXECUTOR_CGROUP_FILES_H
#define BERTH_EXECUTOR_CGROUP_FILES_H

#include "base/buf.h"

#include <stdbool.h>

/* false with errno set. The text ends with a NUL. */
bool cgroup_file_read(const char *folder, const char *file, struct buf *out);
bool cgroup_file_write(const char *folder, const char *file, const char *text);
/* v1: a fresh group has neither CPUs nor memory nodes, and takes no process before it has: copies the
 * parent's. */
void cgroup_cpuset_inherit(const char *parent, const char *child);

#endif
