/* Why a job waits, in words and as JSON. */
#ifndef BERTH_SCHEDULER_WHY_QUEUED_H
#define BERTH_SCHEDULER_WHY_QUEUED_H

#include "scheduler/daemon.h"
#include "scheduler/smaller.h"

/* smaller: NULL where nothing smaller would start now. */
void why_queued(struct daemon *d, const struct core_why *why, const struct core_job_view *view,
                const struct smaller *smaller, cJSON *o, cJSON *text);

#endif
