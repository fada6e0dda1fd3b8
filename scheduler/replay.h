/* The two longer parts of `berth replay`; see replay_run in entry.h. */
#ifndef BERTH_SCHEDULER_REPLAY_H
#define BERTH_SCHEDULER_REPLAY_H

#include "base/buf.h"
#include "base/error.h"
#include "scheduler/core/core.h"

#include <stdbool.h>
#include <stdint.h>

struct journal_reader;

/* Writes the queue, what ran and what was free at that moment. */
bool replay_moment(struct journal_reader *r, uint64_t at_ms, bool json, struct buf *out, struct error *err);
/* Decides the kept rows again by the policy, and writes how long the jobs of each user waited, and would
 * have.
 */
bool replay_policy(struct journal_reader *r, enum core_policy policy, bool json, struct buf *out,
                   struct error *err);
/* "2026-12-24 18:00:00", here; out holds at least 32 bytes. */
const char *replay_time(uint64_t ms, char *out);

#endif
