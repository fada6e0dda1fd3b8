/*
 * The Standard Workload Format, version 2.2 (Parallel Workloads Archive): one job a line of 18 numbers, in
 * seconds, -1 for what is not known; header lines start with ';'.
 *
 * What is taken: number (1), submit (2), run time (4), processors (8, else 5), declared time (9), status
 * (11), user (12). A declared time shorter than the run time, or none, is raised to the run time: nobody
 * ended the job at it. Lines out of order take their place in time, and are named.
 */
#ifndef BERTH_SCHEDULER_SIM_SWF_H
#define BERTH_SCHEDULER_SIM_SWF_H

#include "scheduler/sim/lines.h"
#include "scheduler/sim/trace.h"

#define SWF_FIELDS 18

/* Adds the jobs, sorted; where the header names MaxProcs (else MaxNodes), the trace gets a pool of so many.
 */
bool swf_read(struct lines *lines, struct trace *trace, struct error *err);
/* Writes a trace whose nodes are one pool; compressed where the name ends in .gz. ERROR_UNSUPPORTED where the
 * jobs ask for GPUs, which the format has no field for. */
bool swf_write(const struct trace *trace, const char *path, struct error *err);

#endif
