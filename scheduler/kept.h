/* The kept part of a journal played back: its rows applied to a core, each compared with its recorded hash.
 */
#ifndef BERTH_SCHEDULER_KEPT_H
#define BERTH_SCHEDULER_KEPT_H

#include "scheduler/core/core.h"
#include "scheduler/journal.h"

/* What was played. */
struct kept_report {
    uint64_t rows, first_row, last_row; /* numbers; 0: none */
    uint64_t first_ms, last_ms;         /* their times, by the core's clock */
    uint32_t checkpoints;               /* compared with the state that the rows lead to */
    uint64_t kinds[CORE_EVENT_KIND_END];
    uint64_t decided_otherwise; /* rows that this core decides in another way than was recorded */
    uint64_t otherwise_first;   /* the first of them; 0: none */
};

/* Applies every kept row, and decides each again. The core at the end (the caller owns it), or NULL with *err
 * naming the row that can't be applied or doesn't lead to its hash. Rows that are decided otherwise are
 * counted, not refused. */
struct core *kept_verify(struct journal_reader *r, struct kept_report *report, struct error *err);
/* The core as it was at at_ms, from the checkpoint before it; NULL where the journal isn't kept that long, or
 * begins later. */
struct core *kept_moment(struct journal_reader *r, uint64_t at_ms, struct kept_report *report,
                         struct error *err);

/* The core before the first kept row, whose number is *first_seq: an empty one where nothing was ever
 * dropped. The caller owns it. NULL with *err. */
struct core *kept_first(struct journal_reader *r, uint64_t *first_seq, struct error *err);

#endif
