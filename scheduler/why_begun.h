/* What there is to say of a job that doesn't wait. */
#ifndef BERTH_SCHEDULER_WHY_BEGUN_H
#define BERTH_SCHEDULER_WHY_BEGUN_H

#include "scheduler/daemon.h"

void why_begun(const struct daemon *d, const struct job *job, cJSON *text);

#endif
