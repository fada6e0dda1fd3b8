/* What restricted families guard, from names to the core's bits (docs/SIZES.md). */
#ifndef BERTH_SCHEDULER_GUARDS_H
#define BERTH_SCHEDULER_GUARDS_H

#include "base/error.h"
#include "scheduler/names.h"

#include <stdbool.h>
#include <stdint.h>

#define GUARDS_LABEL_MAX (NAME_MAX_BYTES + 16)

struct daemon;

/* Adds the bits of all models whose names contain the text, in any case; one that is still to come gets its
 * number by it. False: there are too many names. */
bool guards_name_model(struct daemon *d, const char *text, uint64_t *bits, struct error *err);
/* A node has the model: families that guard a part of its name guard it from now on. The core must hear of
 * the node later. Returns the number that the core is to have for it: `number`, or for one without (0) that
 * of the guarded part. */
uint32_t guards_meet_model(struct daemon *d, const char *model, uint32_t number);
/* The label of nodes that the family guards by their names, and its bit; 0: no node has had it yet. */
void guards_node_label(const struct daemon *d, uint32_t family, char out[GUARDS_LABEL_MAX]);
uint64_t guards_node_bit(const struct daemon *d, uint32_t family);

#endif
