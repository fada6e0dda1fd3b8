/*
 * Fault points: named places where a test kills, stops or fails the process. In release builds they are
 * nothing at all.
 *
 * A build with BERTH_FAULT_POINTS reads, once, from its environment:
 *   BERTH_FAULT=NAME[:N]=ACTION   at the N-th passing (1 is the default) of point NAME do ACTION:
 *                                 kill (SIGKILL to itself), stop (SIGSTOP to itself), exit (_exit(99)),
 *                                 hold (the thread waits until PATH.go is there, PATH from BERTH_FAULT_ONCE),
 *                                 fail (FAULT_FAILS is true)
 *   BERTH_FAULT_ONCE=PATH         the action happens only for the process that can create PATH (O_EXCL): once
 *                                 over all restarts
 *   BERTH_FAULT_LOG=PATH          every passing appends "pid NAME\n" (one O_APPEND write): how the harness
 *                                 learns the names
 */
#ifndef BERTH_BASE_FAULT_H
#define BERTH_BASE_FAULT_H

#include <stdbool.h>

#ifdef BERTH_FAULT_POINTS
/* Passes the point `name` (a literal); true when the action chosen for it is `fail`. */
bool fault_pass(const char *name);
#define FAULT(name) ((void)fault_pass(name))
#define FAULT_FAILS(name) fault_pass(name)
#else
#define FAULT(name) ((void)0)
#define FAULT_FAILS(name) false
#endif

#endif
