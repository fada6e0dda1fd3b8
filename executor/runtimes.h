/*
 * The OCI runtimes that this node offers: found along a fixed PATH, and looked at again while the executor
 * runs, so that one that is installed, removed, replaced or broken is noticed. Only what works is offered.
 * Paths may be read from any thread; all else blocks and is for worker threads.
 */
#ifndef BERTH_EXECUTOR_RUNTIMES_H
#define BERTH_EXECUTOR_RUNTIMES_H

#include <stdbool.h>
#include <stddef.h>

#define RUNTIMES_VERSION_LIMIT_MS 5000 /* for a runtime to print its version */
#define RUNTIMES_WHY_MAX 256

enum runtime { RUNTIME_PROCESS, RUNTIME_CRUN, RUNTIME_RUNC, RUNTIME_COUNT };

struct runtimes;

/* `why_none`: why this node can use none, or NULL. Looks once. */
struct runtimes *runtimes_create(const char *why_none);
void runtimes_destroy(struct runtimes *r);

/* Where it stands, for as long as the process lives; NULL: not offered. NULL for process, too. */
const char *runtimes_path(const struct runtimes *r, enum runtime which);
/* The one that a job gets that names none; RUNTIME_PROCESS where no OCI runtime is offered. */
enum runtime runtimes_first(const struct runtimes *r);
/* Why it is not offered; "" where it is. */
void runtimes_why(struct runtimes *r, enum runtime which, char out[RUNTIMES_WHY_MAX]);

/* Looks at what is installed. A file that was not there before must print its version to be offered. True
 * where what is offered has changed. */
bool runtimes_look(struct runtimes *r);
/* It is there and starts no task: not offered until runtimes_works or another file. True for a change. */
bool runtimes_break(struct runtimes *r, enum runtime which, const char *why);
/* True where it is there and was found broken: *path is to be tried. */
bool runtimes_to_retry(struct runtimes *r, enum runtime which, const char **path);
bool runtimes_works(struct runtimes *r, enum runtime which);

const char *runtime_name(enum runtime which);
/* RUNTIME_PROCESS for a name that is none. */
enum runtime runtime_of_name(const char *name);

#endif
