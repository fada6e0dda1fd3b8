/*
 * What each principal may store: one limit for blobs, one for logs and outputs together, and of the latter
 * one for work files, which are then swept (work_files.h). The sums of blobs are owners.h's; those of logs
 * and outputs are as old as the last survey. Past the second limit the logs of ended jobs go, oldest first,
 * then what running jobs write to their logs is dropped.
 */
#ifndef BERTH_SCHEDULER_SHARES_H
#define BERTH_SCHEDULER_SHARES_H

#include "base/error.h"
#include "base/list.h"
#include "base/map.h"
#include "proto/http/server.h"

#include <stdbool.h>
#include <stdint.h>

#define SHARES_BLOBS_BYTES (50ULL << 30)    /* of a principal for whom nothing else is set */
#define SHARES_RESULTS_BYTES (200ULL << 30) /* as above: logs and outputs */
#define SHARES_BLOBS_COUNT 2000000 /* uploaded files of a principal: each is an inode and a journal entry */
#define SHARES_SURVEY_MS 30000     /* between the end of one survey and the next, at least */
#define SHARES_SURVEY_SHARE 50     /* ... and this many times what the last one took */
#define SHARES_FRESH_MS 1000       /* a survey of this age is shown without a new one */
#define SHARES_EVERYONE "*"        /* the key of what holds for principals without limits of their own */
/* In a job's log directory: what its tasks write is dropped as long as it is there (executor/shim/log.c). */
#define SHARES_DROP_FILE "drop"

struct daemon;

enum share { SHARE_BLOBS, SHARE_RESULTS, SHARE_WORK, SHARE_COUNT };

/* Of logs and outputs, as the last survey found them. */
struct results_use {
    uint64_t log_bytes, output_bytes; /* outputs: with the work files */
    uint64_t work_bytes;
    bool dropping; /* running jobs' output is dropped */
};

struct share_limits {
    uint64_t bytes[SHARE_COUNT]; /* 0: not set */
};

struct share_table {
    struct map limits; /* by the principal's name, or SHARES_EVERYONE; owned */
    struct map use;    /* by principal: struct results_use; owned */
    struct list asked; /* requests that wait for a survey */
    bool surveying;
    int64_t surveyed_ms, next_survey_ms; /* boot clock; 0: never */
};

void shares_init(struct share_table *t);
void shares_finish(struct share_table *t);
void shares_load(struct share_table *t, const char *key, const char *doc);
/* Sets some of them (0: takes it away, UINT64_MAX: leaves it), in the journal, too. */
void shares_set(struct daemon *d, const char *name, const uint64_t bytes[SHARE_COUNT]);
/* What is set of that name; null: nothing. */
cJSON *shares_stated(const struct daemon *d, const char *name);
uint64_t shares_limit(const struct daemon *d, uint32_t principal, enum share share);
const struct results_use *shares_results(const struct daemon *d, uint32_t principal); /* never NULL */

/* Refuses `bytes` more of blobs. */
bool shares_admit_blob(struct daemon *d, uint32_t principal, uint64_t bytes, struct error *err);
/* Refuses a job whose submitter's logs and outputs are past the limit. */
bool shares_admit_job(const struct daemon *d, uint32_t principal, struct error *err);

/* Starts a survey in the thread pool, unless one is going on. */
void survey_start(struct daemon *d);
/* From the beat. */
void survey_beat(struct daemon *d, int64_t now_ms);

/* Answers with the principal's share, or with everybody's (0). api_storage.c. */
void storage_answer_asked(struct daemon *d);

#endif
