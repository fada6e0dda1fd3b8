/*
 * ./outputs belongs to the job: what earlier attempts left there is copied into the next attempt's before it
 * starts. A task's own rank first, the newest attempt first, then the other ranks'; a name that was brought
 * is not brought again. What stays stored is never touched, so a node that is lost loses nothing of earlier
 * attempts; once an attempt's outputs are collected they take the place of the earlier ones
 * (outputs_supersede).
 *
 * Both trees are out of every user's reach: the stored one always, the new one until the task starts.
 */
#ifndef BERTH_EXECUTOR_OUTPUTS_SEED_H
#define BERTH_EXECUTOR_OUTPUTS_SEED_H

#include "base/error.h"
#include "base/map.h"
#include "proto/ids.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define OUTPUTS_SEED_FILE "seeded" /* in the task's folder: what came of other ranks */
#define OUTPUTS_SEED_FILE_MAX_BYTES (256u << 20)

struct outputs_seed {
    /* in */
    const char *stored;    /* the task's outputs folder; those of earlier attempts lie next to it */
    const char *continued; /* what another job left, which comes after all of the job's own; NULL: none */
    bool only_continued;   /* nothing of the job's own */
    struct task_id id;
    int task_fd, outputs_fd; /* its folder, and its ./outputs */
    uid_t uid;               /* whose the files become, where this is root */
    gid_t gid;
    const atomic_bool *cancelled; /* ends it early, as if all was brought */
    /* out */
    int64_t files, bytes;
    uint32_t attempt; /* the newest of its own that files came from; 0: none did */
};

/* Blocks. May be done again after a kill, in a folder without ./outputs. */
bool outputs_seed_run(struct outputs_seed *seed, struct error *err);

/* Removes what earlier attempts of this rank left: the attempt at hand has collected all of its own. */
void outputs_supersede(const char *stored, struct task_id id);

/* What came of other ranks is theirs to keep: it is not collected here unless the task has changed it. */
struct outputs_seeded {
    struct map by_path;
};
void outputs_seeded_read(struct outputs_seeded *seeded, int task_fd);
bool outputs_seeded_unchanged(const struct outputs_seeded *seeded, const char *path, const struct stat *st);
void outputs_seeded_finish(struct outputs_seeded *seeded);

#endif
