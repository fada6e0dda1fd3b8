/* What becomes of a task whose node is silent, where its job does not say (docs/POLICY.md). */
#ifndef BERTH_SCHEDULER_LOSS_RULE_H
#define BERTH_SCHEDULER_LOSS_RULE_H

#include "base/error.h"
#include "proto/json.h"
#include "proto/jobspec.h"

#include <stdbool.h>
#include <stdint.h>

struct daemon;

/* JOB_LOSS_DEFAULT: gangs are queued again, unless this machine may sleep; others wait. */
struct loss_rule {
    enum job_loss rule;
    int64_t fence_after_ms; /* 0: JOB_FENCE_DEFAULT_MS */
};

/* Recovery. Other settings are left alone. */
void loss_rule_load(struct loss_rule *rule, const char *key, const char *doc);
/* Adds `on_node_loss` and `fence_after_s`. */
void loss_rule_write(const struct loss_rule *rule, cJSON *o);
/* Reads those of the two that the body has. False with the field named. */
bool loss_rule_read(const cJSON *body, struct loss_rule *rule, struct error *err);
/* Sets it for what is submitted from here on; durable with the open batch. */
void loss_rule_set(struct daemon *d, const struct loss_rule *rule);

#endif
