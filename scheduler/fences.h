/*
 * When a silent node's tasks may run elsewhere. The core counts that time by the wall clock, which may jump,
 * and its nodes by CLOCK_BOOTTIME; so whenever the wall clock can't be trusted to have gone with the other (a
 * start, a jump), the core's timers begin afresh. That makes them late and never early: nothing runs twice.
 */
#ifndef BERTH_SCHEDULER_FENCES_H
#define BERTH_SCHEDULER_FENCES_H

#include "scheduler/daemon.h"

/* At the start: no node is connected, and every silent one has all of its time. */
void fences_begin(struct daemon *d);
/* Before each TICK. Begins all fences afresh where the wall clock went ahead since the last call. */
void fences_watch_clock(struct daemon *d);
/* Whether this machine may go to sleep with its jobs waiting elsewhere: it has a battery. `class_dir` is
 * /sys/class/power_supply. */
bool fences_may_sleep(const char *class_dir);

#endif
