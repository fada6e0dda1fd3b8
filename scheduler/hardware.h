/*
 * GPU models and node labels by name. The core knows them by number; a model gets its number when a node that
 * has it says hello, a label when a node is given it (names.h).
 */
#ifndef BERTH_SCHEDULER_HARDWARE_H
#define BERTH_SCHEDULER_HARDWARE_H

#include "base/error.h"
#include "proto/jobspec.h"
#include "scheduler/core/core.h"

#include <stdbool.h>
#include <stdint.h>

#define HARDWARE_LABEL_MAX 64 /* bytes of a label */

struct daemon;
struct node;
struct node_table;

/* What the core gets to see of the node's inventory, with its models and labels. The caller frees. */
struct core_inventory *hardware_for_core(struct daemon *d, const struct node *node);
/* The bits of the GPU model that `text` names: all of its name, in any case, or a part that only one of the
 * models that nodes have contains. ERROR_INVALID of the field resources.gpu_model names those that there are.
 */
bool hardware_models(const struct daemon *d, const char *text, uint64_t *bits, struct error *err);
/* The bits of all these labels; ERROR_INVALID of resources.node_labels where no node has one of them. */
bool hardware_labels(const struct daemon *d, const struct job_strings *labels, uint64_t *bits,
                     struct error *err);
/* Fills the table with those nodes (borrowed) that have such GPUs, where bits are set, and all of the labels.
 * The caller frees its items. */
void hardware_nodes(const struct daemon *d, uint64_t gpu_models, uint64_t labels, struct node_table *out);
bool hardware_label_valid(const char *label, struct error *err);

#endif
