/*
 * Who people are. A principal is a stable id with a name: the login name of the uid on this machine
 * (logins.h), or "uid:N" where our own has none. The journal records the id.
 */
#ifndef BERTH_SCHEDULER_PRINCIPALS_H
#define BERTH_SCHEDULER_PRINCIPALS_H

#include "base/map.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PRINCIPAL_NAME_MAX 256

struct journal;

struct principal_table {
    struct map by_name, by_id;
    uint32_t next_id;
};

void principals_finish(struct principal_table *t);
/* Recovery. */
void principals_load(struct principal_table *t, uint32_t id, const char *name);
/* The id, 0 where the name has none yet. */
uint32_t principals_find(const struct principal_table *t, const char *name);
/* The id; a new name is added to the journal's open batch. */
uint32_t principals_ensure(struct principal_table *t, struct journal *journal, const char *name);
const char *principals_name(const struct principal_table *t, uint32_t id); /* "?" where unknown */

#endif
