/*
 * The drawing of a schedule: time to the right, GPUs (where the nodes have any, else processors) upwards,
 * node by node, colours by user, and the number of waiting jobs below. An SVG with nothing outside of it.
 *
 * Rows show how much of a node each job holds, not which of its devices: a job gets the lowest rows of its
 * node that are free, in one piece where there is one. Few jobs are drawn one by one, with their numbers as
 * tool tips; many are added up to pixels.
 */
#ifndef BERTH_SCHEDULER_SIM_GANTT_H
#define BERTH_SCHEDULER_SIM_GANTT_H

#include "base/buf.h"
#include "scheduler/sim/drive.h"
#include "scheduler/sim/trace.h"

struct gantt;

/* The trace is borrowed for the gantt's life. */
struct gantt *gantt_create(const struct trace *trace);
void gantt_destroy(struct gantt *gantt); /* takes NULL */
static inline void gantt_cleanup_fn(struct gantt **gantt)
{
    gantt_destroy(*gantt);
}
#define _cleanup_gantt_ __attribute__((cleanup(gantt_cleanup_fn)))

/* For drive_options: what the driver tells goes into the drawing. */
struct drive_watch gantt_watch(struct gantt *gantt);
/* After the run. `title` is shown above it, made harmless. */
void gantt_draw(const struct gantt *gantt, const struct drive_result *result, const char *title,
                struct buf *out);

#endif
