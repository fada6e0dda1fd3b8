/* Whether a submitter has uploaded the code that a job file names: the manifest and each of its files. */
#ifndef BERTH_SCHEDULER_SUBMIT_CODE_H
#define BERTH_SCHEDULER_SUBMIT_CODE_H

#include "scheduler/daemon.h"

/* Looks in the thread pool, and calls `done` on the loop: `why` is NULL where all of it is the principal's
 * own. What belongs to somebody else is answered as what nobody has. Never calls `done` at once. */
void submit_check_code(struct daemon *d, uint32_t principal, const char *manifest,
                       void (*done)(void *data, const struct error *why), void *data);

#endif
