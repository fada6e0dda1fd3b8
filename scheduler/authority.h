/* What owners may ask for, and change of their own jobs, in words (core/authority.c has the rules). */
#ifndef BERTH_SCHEDULER_AUTHORITY_H
#define BERTH_SCHEDULER_AUTHORITY_H

#include "proto/jobspec.h"
#include "scheduler/daemon.h"

struct caller;

#define AUTHORITY_RUNS_AS ": it runs as " /* in the note of a job whose class was lowered */

/* False with an error: the update goes further than its owner may. */
bool authority_allows(const struct daemon *d, const struct job *job, const struct core_update *u,
                      struct error *err);
/* Fits a submission to the caps that hold for it: a class that isn't granted becomes the highest that is, and
 * without a time limit the longest one counts; a sentence about each is added to `notes`. False with an
 * error: its time limit is too long. */
bool authority_fit(const struct daemon *d, const struct caller *caller, uint32_t workspace,
                   struct job_spec *spec, cJSON *notes, struct error *err);
/* It begins: where a cap lowered its class, the record says so from here on. */
void authority_began(struct daemon *d, struct job *job, int64_t now_ms);
/* Of a waiting job: which caps lower its class or keep it from starting, and who set them. Adds `caps` to
 * o. */
void authority_explain(const struct daemon *d, const struct core_job_view *view, const char *name, cJSON *o,
                       cJSON *text);

#endif
