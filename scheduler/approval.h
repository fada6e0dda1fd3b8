/* Which quota holds a waiting job back, which approval it misses, and what to type for it. */
#ifndef BERTH_SCHEDULER_APPROVAL_H
#define BERTH_SCHEDULER_APPROVAL_H

#include "proto/json.h"
#include "scheduler/core/core.h"

#include <stdint.h>

#define APPROVAL_COMMAND_MAX 192

struct daemon;

/* The command that asks for so much of a family. */
void approval_request_command(const struct daemon *d, uint32_t family, uint64_t cores, uint64_t gpu_milli,
                              char out[APPROVAL_COMMAND_MAX]);
/* Of a job that misses that of the family: the object `approval` of why; sentences are added to `text`. The
 * caller owns. */
cJSON *approval_explain(const struct daemon *d, const struct core_job_view *view, uint32_t family,
                        cJSON *text);
/* Of one that a quota holds back: the object `quota` of why, likewise. */
cJSON *quota_explain(const struct daemon *d, const struct core_why *why, const struct core_job_view *view,
                     cJSON *text);
/* The field `approval` of the answer to a submit, without braces; NULL where none is missing. The caller
 * frees. */
char *approval_missing(const struct daemon *d, uint64_t job);

#endif
