/* How the GPUs of a node are linked, as a table for people. */
#ifndef BERTH_CLI_NODE_LINKS_H
#define BERTH_CLI_NODE_LINKS_H

#include "base/buf.h"
#include "proto/json.h"

/* Appends the matrix of the inventory's `gpus`, a title in front of each line as `berth node show` has it,
 * and what its words mean. Nothing where no link is known. */
void node_links_show(const cJSON *gpus, struct buf *out);

#endif
