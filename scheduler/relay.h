/* stdin and terminal size, from people to the node that runs the job. What comes before the job runs waits
 * here, in order. */
#ifndef BERTH_SCHEDULER_RELAY_H
#define BERTH_SCHEDULER_RELAY_H

#include "scheduler/daemon.h"

void relay_job_changed(struct daemon *d, const struct job *job);
void relay_job_ended(struct daemon *d, uint64_t job);

#endif
