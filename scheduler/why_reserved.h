/* What reservations have to do with a job's waiting. */
#ifndef BERTH_SCHEDULER_WHY_RESERVED_H
#define BERTH_SCHEDULER_WHY_RESERVED_H

#include "scheduler/daemon.h"

/* Adds `reservation` to o (null: nothing), and a line to text. */
void why_reserved(const struct daemon *d, const struct core_why_reserved *r, const struct core_job_view *view,
                  cJSON *o, cJSON *text);

#endif
