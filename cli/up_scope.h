/* A cgroup of the executor's own under systemd. */
#ifndef BERTH_CLI_UP_SCOPE_H
#define BERTH_CLI_UP_SCOPE_H

#include <stdbool.h>

/* Asks systemd (the system's for root, else the user's own) to move this process into a transient scope with
 * a delegated cgroup; returns when it is there. False, and the process stays where it is, where there is no
 * systemd or cgroup v2, where systemd refuses, and for a user without lingering: the user's systemd ends at
 * logout with all that it holds, a login's own session doesn't, and a job's life comes before its limits. For
 * a single-threaded process; forks. */
bool up_enter_scope(void);
/* True for a user whom lingering alone would give limits on jobs: what up_enter_scope() stays away for. */
bool up_lacks_lingering(void);

#endif
