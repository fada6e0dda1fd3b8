/*
 * The agent: the table of this node's tasks, brought in line with what the scheduler says it should hold. It
 * owns the tasks, the event queue, the session and the highest epoch seen; everything runs on one loop.
 */
#ifndef BERTH_EXECUTOR_AGENT_H
#define BERTH_EXECUTOR_AGENT_H

#include "base/error.h"
#include "executor/config.h"

#include <uv.h>

#define AGENT_TASKS_MAX 65536
#define AGENT_SWEEP_MS 3600000 /* of the blob cache */

struct agent;

/* Adopts the tasks of before and starts the session. `config` is borrowed and outlives the agent, which lives
 * as long as the process: work of tasks may be on the thread pool at any time, and what it does is safe to be
 * cut off. NULL: end the process. */
struct agent *agent_create(uv_loop_t *loop, struct executor_config *config, const char *secret,
                           struct error *err);
/* Ends the session and sends nothing more, just before the process ends. Tasks go on. */
void agent_leave(struct agent *agent);
/* When the loop has ended: parts with the shims and takes this node's empty cgroups along. A shim that ends
 * later sees that it is alone and takes what it leaves. */
void agent_part(struct agent *agent);

#endif
