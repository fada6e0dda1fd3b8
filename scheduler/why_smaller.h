/* What smaller request would start now. */
#ifndef BERTH_SCHEDULER_WHY_SMALLER_H
#define BERTH_SCHEDULER_WHY_SMALLER_H

#include "scheduler/daemon.h"
#include "scheduler/smaller.h"

/* Adds `would_start_with`. NULL: nothing smaller would start now. */
void why_smaller(const struct smaller *smaller, const struct core_job_view *view, cJSON *o, cJSON *text);

#endif
