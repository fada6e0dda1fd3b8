/*
 * Who changed what: one line for each change by a person, durable together with the change. Handlers call
 * audit_add before the step that makes the change (it goes into the same batch), or right after it in the
 * same turn of the loop. Where both sides are given and nothing differs between them, there is no line.
 */
#ifndef BERTH_SCHEDULER_AUDIT_H
#define BERTH_SCHEDULER_AUDIT_H

#include "scheduler/api.h"

#define AUDIT_PAGE_MAX 1000

/* The kinds of changes, by number; NULL behind the last. */
const char *audit_kind(size_t i);
/* NULL is any. False with the kinds named. */
bool audit_kind_check(const char *what, struct error *err);

/* A change to something that everybody sees (a node, a rule). `before` and `after` have what was and what is:
 * equal fields and those that are derived (fits, used, ...) are dropped. NULL before: it was not there; NULL
 * after: it is gone. Both are taken. `what` is one of the kinds in audit.c. */
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
