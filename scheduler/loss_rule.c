#include "scheduler/loss_rule.h"

#include "base/cleanup.h"
#include "proto/units.h"
#include "scheduler/daemon.h"

#include <stdlib.h>
#include <string.h>

#define KEY "node_loss"

static const char *const words[] = {
    [JOB_LOSS_DEFAULT] = "auto", [JOB_LOSS_WAIT] = "wait", [JOB_LOSS_REQUEUE] = "requeue"};

void loss_rule_load(struct loss_rule *rule, const char *key, const char *doc)
{
    struct error ignored = {0};
    _cleanup_json_ cJSON *o = strcmp(key, KEY) == 0 ? json_parse(doc, strlen(doc), &ignored) : NULL;
    if (o && !loss_rule_read(o, rule, &ignored))
        *rule = (struct loss_rule){0};
}

void loss_rule_write(const struct loss_rule *rule, cJSON *o)
{
    int64_t fence_ms = rule->fence_after_ms ? rule->fence_after_ms : JOB_FENCE_DEFAULT_MS;
    cJSON_AddStringToObject(o, "on_node_loss", words[rule->rule]);
    cJSON_AddNumberToObject(o, "fence_after_s", (double)fence_ms / 1000);
}

bool loss_rule_read(const cJSON *body, struct loss_rule *rule, struct error *err)
{
    const cJSON *word = json_get(body, "on_node_loss"), *fence = json_get(body, "fence_after_s");
    bool known = !word;
    for (int i = JOB_LOSS_DEFAULT; word && i <= JOB_LOSS_REQUEUE; i++) {
        if (!cJSON_IsString(word) || strcmp(word->valuestring, words[i]) != 0)
            continue;
        rule->rule = (enum job_loss)i;
        known = true;
    }
    if (!known)
        return error_field(err, "on_node_loss", "on_node_loss is auto, wait or requeue");
    if (!fence)
        return true;
    double ms = cJSON_IsNumber(fence) ? fence->valuedouble * 1000 : -1;
    if (!(ms >= (double)JOB_FENCE_MIN_MS && ms <= (double)JOB_FENCE_MAX_MS))
        return error_field(err, "fence_after_s", "fence_after_s must be from %d to %d seconds",
                           (int)(JOB_FENCE_MIN_MS / 1000), (int)(JOB_FENCE_MAX_MS / 1000));
    rule->fence_after_ms = (int64_t)ms;
    return true;
}

void loss_rule_set(struct daemon *d, const struct loss_rule *rule)
{
    _cleanup_json_ cJSON *o = cJSON_CreateObject();
    loss_rule_write(rule, o);
    _cleanup_free_ char *text = json_text(o);
    d->loss_rule = *rule;
    journal_add_record(d->journal, JOURNAL_SETTING, KEY, text);
}
