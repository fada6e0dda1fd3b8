/* What smaller request a waiting job could start with now. */
#ifndef BERTH_SCHEDULER_SMALLER_H
#define BERTH_SCHEDULER_SMALLER_H

#include "scheduler/core/core.h"

/* What may be asked for less of. */
enum smaller_kind {
    SMALLER_CORES = 0, /* or logical CPUs, where those were asked for */
    SMALLER_MEMORY,
    SMALLER_GPUS,
    SMALLER_INSTANCES,
    SMALLER_TIME, /* its time limit */
    SMALLER_KIND_COUNT
};

/* The most of each kind alone with which it would start now, all else as it is: in the request's units
 * (bytes, thousandths, ms). 0: no amount of that kind alone would do. `all` is what would do if no kind alone
 * does: every amount halved so often; its instance count 0: nothing would. */
struct smaller {
    uint64_t most[SMALLER_KIND_COUNT];
    struct core_wish all;
};

/* False: none would start, as of a job that isn't in its turn; or it starts as it is. A few dozen passes over
 * the nodes. */
bool smaller_find(const struct core *core, struct job_id job, struct smaller *out);

#endif
