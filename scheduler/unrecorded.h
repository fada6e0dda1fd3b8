/*
 * Cancels that the journal can't record now. The tasks are told to end at once, since ending one twice does
 * no harm; the request is answered with an error, and the cancel becomes a step as soon as the journal can be
 * written. It is lost with the process.
 */
#ifndef BERTH_SCHEDULER_UNRECORDED_H
#define BERTH_SCHEDULER_UNRECORDED_H

#include "scheduler/daemon.h"

/* A scheduler that was asked to leave and can't record the ends leaves after this time. */
#define UNRECORDED_LEAVE_MS 3000

/* `why`: what the journal said; it becomes the answer's text. */
void unrecorded_cancel(struct daemon *d, struct job *job, bool force, struct error *why);
/* Of every live job. */
void unrecorded_cancel_all(struct daemon *d);
/* The journal can be written again. */
void unrecorded_settle(struct daemon *d);

#endif
