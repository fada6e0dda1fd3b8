/*
 * The reusable array of decisions. A step's bound on them is CORE_DECISIONS_MAX; the core asserts it.
 */
#include <stdlib.h>

#include "scheduler/core/core.h"

struct core_decisions *core_decisions_create(void)
{
    return calloc(1, sizeof(struct core_decisions));
}

void core_decisions_destroy(struct core_decisions *d)
{
    free(d);
}
