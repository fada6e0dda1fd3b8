/* What a node reports of its tasks, brought to the records and to the core. The caller has checked that the
 * task is the node's own. */
#ifndef BERTH_SCHEDULER_REPORT_H
#define BERTH_SCHEDULER_REPORT_H

#include "scheduler/nodes.h"

void report_state(struct node *node, struct task_id id, const char *state);
void report_exit(struct node *node, struct task_id id, const cJSON *exit);
void report_released(struct node *node, struct task_id id);
void report_collected(struct node *node, struct task_id id, const cJSON *outputs);
/* The node had it, and has it no more: its end is unknown. */
void report_lost(struct node *node, struct task_id id);
/* It was canceled before the node ever had it. */
void report_never_started(struct node *node, struct task_id id);
/* It can't be launched, since `why`: it ends at once with the kind start_error, and what it held is free. */
void report_unlaunched(struct node *node, struct task_id id, const struct error *why);
void report_note(struct node *node, struct task_id id, const char *text);

#endif
