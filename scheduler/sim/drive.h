/*
 * Plays a trace: the scheduler's own core in virtual time, on the nodes of the trace. Jobs run exactly as
 * long as the trace says, whatever they declared; the core learns of an end when it comes.
 *
 * At one instant all ends happen first, then all submits, then one placing pass.
 *
 * Everything that knows the core's events and decisions is in drive.c.
 */
#ifndef BERTH_SCHEDULER_SIM_DRIVE_H
#define BERTH_SCHEDULER_SIM_DRIVE_H

#include "base/error.h"
#include "scheduler/core/core.h"
#include "scheduler/sim/trace.h"

#include <stdbool.h>
#include <stdint.h>

#define DRIVE_NEVER UINT64_MAX
#define DRIVE_POLICY_DEFAULT "berth"

/* Told of what happens, in the order of time. Jobs and nodes are indexes into the trace. */
struct drive_watch {
    void *data;
    void (*started)(void *data, uint64_t at_ms, uint32_t job, uint32_t node); /* each task */
    void (*ended)(void *data, uint64_t at_ms, uint32_t job); /* all its tasks; also where it was preempted */
};

struct drive_options {
    enum core_policy policy;
    const struct drive_watch *watch; /* NULL: nobody */
};

/* Times are the trace's. Owned by the caller (drive_result_finish). */
struct drive_result {
    uint64_t *start_ms; /* of the first attempt; DRIVE_NEVER: refused */
    uint64_t *end_ms;   /* of the last */
    uint32_t done;      /* jobs that ran to their end */
    uint32_t
        refused; /* jobs that the core took at no price: they fit no node, or want what it doesn't know */
    uint64_t preempted; /* attempts that were stopped */
    uint64_t promises_voided;
    uint64_t events; /* that the core was given */
    uint64_t wall_ms;
};

/* The policy of that name; ERROR_INVALID with all names otherwise. */
bool drive_policy(const char *name, enum core_policy *policy, struct error *err);
const char *drive_policy_name(enum core_policy policy);

/* False with *err: the trace has no nodes, or more than the core can hold; a job was left without an end (a
 * bug). *result is then empty. */
bool drive_run(const struct trace *trace, const struct drive_options *options, struct drive_result *result,
               struct error *err);
void drive_result_finish(struct drive_result *result);
#define _cleanup_drive_result_ __attribute__((cleanup(drive_result_finish)))

#endif
