/* What proves why a job ended, in words. */
#ifndef BERTH_CLI_EVIDENCE_H
#define BERTH_CLI_EVIDENCE_H

#include "base/buf.h"
#include "proto/json.h"

/* A line for each of `evidence`, of a cause, that tells more than the cause does; each begins with `indent`.
 */
void evidence_add(const cJSON *evidence, const char *indent, struct buf *out);

#endif
