/* Job arrays on a terminal. */
#ifndef BERTH_CLI_SHOW_ARRAY_H
#define BERTH_CLI_SHOW_ARRAY_H

#include "base/buf.h"
#include "proto/json.h"

/* "92 queued, 8 running, 100 done, 2 failed": what there is of each. */
void show_array_counts(const cJSON *array, struct buf *out);
/* The lines of `berth show`; nothing for a job that is no array and no element. */
void show_array_lines(const cJSON *job, struct buf *out);

#endif
