/*
 * Who changed what: one line for each change by a person, durable together with the change. Handlers call
 * audit_add before the step that makes the change (it goes into the same batch), or right after it in the
 * same turn of the loop.
 */
#ifndef BERTH_SCHEDULER_AUDIT_H
#define BERTH_SCHEDULER_AUDIT_H

#include "scheduler/api.h"

#define AUDIT_PAGE_MAX 1000

/* A change to something that everybody sees (a node, a rule). `before` and `after` have what changed, NULL:
 * nothing. Both are taken. */
void audit_add(struct daemon *d, const struct caller *caller, const char *what, const char *subject,
               cJSON *before, cJSON *after);
/* A change to what is one user's own affair: read by administrators, that user, and who made the change. */
void audit_add_own(struct daemon *d, const struct caller *caller, const char *what, uint32_t owner,
                   cJSON *before, cJSON *after);
/* A change to a job: read by administrators, its owner, and who made it. */
void audit_add_job(struct daemon *d, const struct caller *caller, const char *what, const struct job *job,
                   cJSON *before, cJSON *after);
/* The API's object of a line. */
cJSON *audit_object(const struct journal_audit *line);

#endif
