/*
 * What an administrator mounts into every job of this node: SITE_MOUNTS_FILE, one `SRC[:DST][:rw]` a line as
 * --mount takes them, `#` starts a comment. Read when the executor starts. A folder that is missing on the
 * node, or that the job's user can't open, is left out of the job.
 */
#ifndef BERTH_EXECUTOR_SITE_MOUNTS_H
#define BERTH_EXECUTOR_SITE_MOUNTS_H

#include "base/error.h"
#include "proto/jobspec.h"

#include <stdbool.h>
#include <stddef.h>

#define SITE_MOUNTS_FILE "/etc/berth/mounts"
#define SITE_MOUNTS_MAX 256
#define SITE_MOUNTS_BYTES_MAX (1u << 20)

struct site_mounts {
    struct job_mount *items;
    size_t count;
};

/* A missing file is an empty list. A line that is wrong is an error with file, line and what is wrong. */
bool site_mounts_read(const char *path, struct site_mounts *out, struct error *err);
void site_mounts_finish(struct site_mounts *mounts);

#endif
