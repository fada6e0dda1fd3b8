/* What of the nodes keeps a waiting job back other than amounts. */
#ifndef BERTH_SCHEDULER_WHY_NODES_H
#define BERTH_SCHEDULER_WHY_NODES_H

#include "scheduler/daemon.h"

/* Adds `nodes_away`, `apart_from` and `labels_missing` to o, and lines to text. */
void why_nodes(const struct daemon *d, const struct core_job_view *view, cJSON *o, cJSON *text);

#endif
