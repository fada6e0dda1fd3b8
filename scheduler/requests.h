/*
 * Requests for quota in a family of sizes, with who asked, who decided and when. Approval itself is a quota
 * in the core; this is its history. A request is written to the journal's open batch as it changes.
 */
#ifndef BERTH_SCHEDULER_REQUESTS_H
#define BERTH_SCHEDULER_REQUESTS_H

#include "proto/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUESTS_KEPT 100 /* decided ones of each user; the oldest are forgotten */
#define REQUESTS_OPEN_MAX 1000
#define REQUEST_TEXT_MAX 1024 /* bytes of a reason */

enum request_state { REQUEST_OPEN, REQUEST_APPROVED, REQUEST_DENIED, REQUEST_WITHDRAWN, REQUEST_STATE_COUNT };

struct quota_request {
    uint64_t id; /* from 1, never given twice */
    enum request_state state;
    uint32_t principal, family;
    uint32_t cores, gpu_milli; /* asked for; gpu_milli 0: no limit was asked for */
    int64_t asked_ms, decided_ms;
    char *why;                             /* the asker's words, or NULL */
    uint32_t decided_by;                   /* principal; 0 while it is open */
    uint32_t given_cores, given_gpu_milli; /* approved */
    char *reason;                          /* the decider's words, or NULL */
};

struct request_table {
    struct quota_request *items; /* by id */
    size_t count;
    uint64_t next_id;
};

struct daemon;

void requests_finish(struct request_table *t);
void requests_load(struct request_table *t, const char *key, const char *doc);
/* Takes why. The pointer is valid until the next one comes. */
struct quota_request *requests_add(struct daemon *d, const struct quota_request *request);
/* After it was decided. */
void requests_write(struct daemon *d, const struct quota_request *request);
/* The oldest decided ones of that user beyond REQUESTS_KEPT go: pointers into the table are stale afterwards.
 */
void requests_trim(struct daemon *d, uint32_t principal);
struct quota_request *requests_get(struct request_table *t, uint64_t id); /* NULL */
/* The latest one of somebody in a family; NULL: they never asked. */
const struct quota_request *requests_latest(const struct request_table *t, uint32_t principal,
                                            uint32_t family);
size_t requests_open(const struct request_table *t);
cJSON *request_object(const struct daemon *d, const struct quota_request *request);

#endif
