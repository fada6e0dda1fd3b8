/* What this node can enforce and which runtimes it offers, as its hello says it (docs/PROTOCOL.md section 4).
 */
#ifndef BERTH_EXECUTOR_ABILITIES_H
#define BERTH_EXECUTOR_ABILITIES_H

#include "executor/isolation.h"
#include "proto/json.h"

/* The caller deletes it. */
cJSON *abilities_json(const struct isolation *iso);

#endif
