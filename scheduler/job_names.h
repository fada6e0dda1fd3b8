/*
 * How a job is addressed: an id, or NAME of its own user. A name is one live job's of a user, and may be that
 * of any number of ended ones; other users may have it too. A user's jobs of one name are counted from 1 in
 * the order of their submission, and NAME#2 is the second for ever. NAME alone is the caller's own live job,
 * else the newest of theirs that ended; who has none of that name gets the one live job of others, else the
 * newest of the one other user who has any. Where several others have it, USER/NAME says whose is meant
 * (USER:NAME in a path of the API, where a slash divides). @INDEX behind it is an element of an array.
 *
 * Elements are found through their array, and stand in none of the tables here.
 */
#ifndef BERTH_SCHEDULER_JOB_NAMES_H
#define BERTH_SCHEDULER_JOB_NAMES_H

#include "scheduler/jobs.h"

#define JOB_REQUEST_MAX 64   /* characters of the key of a submission */
#define JOB_CANDIDATES_MAX 5 /* that an ambiguous name's error lists */

struct daemon;

/* Of the job table alone. */
void job_names_add(struct job_table *t, struct job *job);
void job_names_remove(struct job_table *t, struct job *job);

/* NULL with ERROR_NOT_FOUND, or ERROR_CONFLICT and the candidates where it may be several. `asker` is a
 * principal, 0: one without jobs. The pointer is valid until the loop's next turn. */
struct job *jobs_find(struct daemon *d, uint32_t asker, const char *address, struct error *err);
/* A live job of that user has the name. Borrowed; NULL: none. */
struct job *job_names_live(const struct job_table *t, uint32_t principal, const char *name);
/* The number that the user's next job of that name gets. */
uint32_t job_names_next(struct daemon *d, uint32_t principal, const char *name);
/* The job is submitted: older ones of its name are not the newest any more. */
void job_names_supersede(struct job_table *t, const struct job *job);
/* The job that the user submitted with that key; NULL: none. */
struct job *job_names_requested(struct daemon *d, uint32_t principal, const char *request);
/* The key will not find it any more. */
void job_names_forget_request(struct job_table *t, struct job *job);
bool job_request_valid(const char *request, struct error *err);
/* A name that can be typed and that no live job of the user has: two words and the id. out holds 64 bytes. */
void jobs_make_name(const struct job_table *t, uint32_t principal, uint64_t id, char *out);

#endif
