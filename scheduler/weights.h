/*
 * Weights of the fair share (docs/POLICY.md "Fair share"): a user's own, or else the highest of the Unix
 * groups that the user is in, or else 1. Whose weight is what is the core's to know (CORE_EVENT_WEIGHT), so
 * that a replay needs no name service; what an administrator has set, and who is in which group, is kept
 * here. Groups are looked up in the thread pool: for who has live jobs when a group's weight is set and when
 * the scheduler starts, and for who submits, at most once in WEIGHTS_GROUPS_KEPT_MS.
 */
#ifndef BERTH_SCHEDULER_WEIGHTS_H
#define BERTH_SCHEDULER_WEIGHTS_H

#include "base/error.h"
#include "base/map.h"
#include "scheduler/principals.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEIGHTS_MAX 256                /* that are set at once, users' and groups' together */
#define WEIGHTS_GROUPS_KEPT_MS 600000  /* a change of a user's groups counts after so long */
#define WEIGHTS_GROUPS_FAILED_MS 10000 /* and after a look-up that failed it is tried again after this */

struct daemon;

struct weight {
    bool group;
    char name[PRINCIPAL_NAME_MAX];
    uint32_t milli; /* thousandths, 1..CORE_WEIGHT_MAX */
};

struct weight_table {
    struct weight *items; /* in the order in which they were first set */
    size_t count;
    struct map members;         /* by principal: struct membership of weights.c */
    struct weight_look_up *now; /* under way; NULL: none is */
    uint64_t groups_set;        /* how often a group's weight was set or taken away */
    bool again;                 /* somebody has come whom it doesn't look up */
};

void weights_finish(struct weight_table *t);
/* Recovery. Other settings are left alone. */
void weights_load(struct weight_table *t, const char *key, const char *doc);
/* NULL: none is set. */
const struct weight *weights_find(const struct weight_table *t, bool group, const char *name);
/* Which of them counts for the user; NULL: none does. */
const struct weight *weights_of(const struct daemon *d, uint32_t principal);
/* Sets it; milli 0: takes it away. Durable with the open batch; the core has it of a user in the same turn,
 * of a group's members once they are looked up. ERROR_LIMIT beyond WEIGHTS_MAX. */
bool weights_set(struct daemon *d, bool group, const char *name, uint32_t milli, struct error *err);
/* Somebody has submitted: looks up the groups where that is due. */
void weights_note(struct daemon *d, uint32_t principal);
/* The scheduler has started. */
void weights_begin(struct daemon *d);

#endif
