/* Logs: served in place from the files that the shims write, from any offset; followers are pushed what comes
 * (inotify on the followed file only). */
#ifndef BERTH_SCHEDULER_FOLLOW_H
#define BERTH_SCHEDULER_FOLLOW_H

#include "scheduler/daemon.h"

/* Its state changed: logs may have begun, ended, or gone on with another attempt. */
void follow_job_changed(struct daemon *d, uint64_t job);

#endif
