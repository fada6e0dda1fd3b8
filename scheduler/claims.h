/* What of the nodes is kept for somebody: reservations, promised starts, and free capacity that jobs leave to
 * others. */
#ifndef BERTH_SCHEDULER_CLAIMS_H
#define BERTH_SCHEDULER_CLAIMS_H

#include "scheduler/daemon.h"

/* The jobs that leave free capacity to others, worked out once for many nodes. */
struct claims_kept {
    uint32_t count;
    struct core_kept_back jobs[CORE_WHY_JOBS_MAX];
};

void claims_kept_read(const struct daemon *d, struct claims_kept *kept);
/* Adds `claims` to a node object. */
void claims_add(cJSON *o, const struct node *node, const struct claims_kept *kept);

#endif
