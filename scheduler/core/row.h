/*
 * One journal row: time, event, decisions, core version, state hash, in a versioned binary encoding
 * (little-endian base-128 numbers). Decoding trusts nothing: what it accepts passes core_event_check, is in
 * every range and encodes back to the same bytes.
 */
#ifndef BERTH_SCHEDULER_CORE_ROW_H
#define BERTH_SCHEDULER_CORE_ROW_H

#include "scheduler/core/core.h"

#define CORE_ROW_VERSION 3
/* An upper bound for one encoded row. */
#define CORE_ROW_MAX_BYTES ((size_t)(64 * 1024) + (size_t)CORE_DECISIONS_MAX * 256)

struct core_row {
    uint64_t now_ms;
    uint32_t core_version; /* of the core that decided */
    uint64_t state_hash;   /* core_hash after the step */
    struct core_event event;
    struct core_inventory inventory; /* storage for the decoder: event.as.node.inventory points here */
    struct node_id reserved[CORE_INSTANCES_MAX]; /* the same: event.as.reserve.nodes */
};

/* Bytes needed for this row; writes them if they fit into size. The event must pass core_event_check. */
size_t core_row_encode(const struct core_row *row, const struct core_decisions *decisions, unsigned char *out,
                       size_t size);
/* NULL: decoded. Else a static text; *row and *decisions are then undefined. */
const char *core_row_decode(const unsigned char *bytes, size_t length, struct core_row *row,
                            struct core_decisions *decisions);

#endif
