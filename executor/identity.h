/* Who this executor is to its scheduler, kept in its state directory: the directory's own name, and the
 * highest epoch of a scheduler that it has seen. */
#ifndef BERTH_EXECUTOR_IDENTITY_H
#define BERTH_EXECUTOR_IDENTITY_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct identity {
    const char *state_dir; /* borrowed */
    char instance[33];     /* new where the directory is new */
    uint64_t epoch;        /* durable before anything of it is done */
};

bool identity_load(struct identity *id, const char *state_dir, struct error *err);
/* False, with ERROR_CONFLICT, for an epoch older than one that was seen. */
bool identity_see_epoch(struct identity *id, uint64_t epoch, struct error *err);

#endif
