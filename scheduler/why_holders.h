/* Who has what a waiting job lacks. */
#ifndef BERTH_SCHEDULER_WHY_HOLDERS_H
#define BERTH_SCHEDULER_WHY_HOLDERS_H

#include "scheduler/daemon.h"

/* The names of those that there are; as a list with commas in `list`, too. */
cJSON *why_names(struct daemon *d, const struct job_id *ids, uint32_t count, struct buf *list);
/* One resource that is missing on the node that comes nearest. */
void why_blocker(struct daemon *d, cJSON *blockers, cJSON *text, const struct core_why_blocker *b,
                 const struct core_job_view *view, const char *node);
/* Adds `licence`. */
void why_licence(struct daemon *d, const struct core_why *why, cJSON *o, cJSON *text);

#endif
