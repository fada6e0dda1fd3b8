/* The policy. Every change is an event of the core, so that it survives as the jobs do. */
#include "scheduler/api.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "scheduler/audit.h"
#include "scheduler/engine.h"

#include <string.h>

static cJSON *policy_object(const struct daemon *d)
{
    struct core_config config;
    core_config_get(d->core, &config);
    cJSON *o = cJSON_CreateObject(), *known = cJSON_CreateArray();
    cJSON_AddStringToObject(o, "policy", core_policy_name(config.policy));
    cJSON_AddBoolToObject(o, "preempt", config.preempt);
    json_add_int(o, "preempt_min_run_s", (int64_t)(config.preempt_min_run_ms / 1000));
    json_add_int(o, "age_s", (int64_t)(config.age_ms / 1000));
    json_add_int(o, "share_weight", config.share_weight);
    json_add_int(o, "share_half_life_s", (int64_t)(config.share_half_life_ms / 1000));
    loss_rule_write(&d->loss_rule, o);
    json_add_int(o, "promises_voided", (int64_t)core_promises_voided(d->core));
    for (int i = 0; i < CORE_POLICY_COUNT; i++)
        cJSON_AddItemToArray(known, cJSON_CreateString(core_policy_name((enum core_policy)i)));
    cJSON_AddItemToObject(o, "policies", known);
    return o;
}

void api_get_policy(struct http_request *req, void *context)
{
    struct daemon *d = context;
    _cleanup_json_ cJSON *o = policy_object(d);
    engine_answer_view(d, req, json_text(o));
}

static bool read_policy(const cJSON *body, struct core_config *config, struct error *err)
{
    const char *name = json_str(body, "policy", NULL);
    int64_t weight = config->share_weight;
    if (name && !core_policy_parse(name, &config->policy)) {
        error_field(err, "policy", "there is no policy \"%.40s\"", name);
        return error_hint(err, "one of fcfs, easy, easy-sjbf, conservative, berth");
    }
    if (!api_take_bool(body, "preempt", &config->preempt, err) ||
        !api_take_seconds(body, "preempt_min_run_s", &config->preempt_min_run_ms, err) ||
        !api_take_seconds(body, "age_s", &config->age_ms, err) ||
        !api_take_seconds(body, "share_half_life_s", &config->share_half_life_ms, err) ||
        !api_take_count(body, "share_weight", 1000, &weight, err))
        return false;
    if (weight < 0)
        return error_field(err, "share_weight", "share_weight must not be negative");
    config->share_weight = (uint32_t)weight;
    if (weight && !config->share_half_life_ms)
        return error_field(err, "share_half_life_s", "fair share needs a half-life that is not 0");
    return true;
}

void api_post_policy(struct http_request *req, void *context)
{
    struct daemon *d = context;
    struct error err = {0};
    _cleanup_json_ cJSON *body =
        api_need_admin(d, req, "change the policy")
            ? api_body(req, "policy preempt preempt_min_run_s age_s share_weight share_half_life_s "
                            "on_node_loss fence_after_s")
            : NULL;
    if (!body)
        return;
    struct core_event event = {.kind = CORE_EVENT_CONFIG};
    core_config_get(d->core, &event.as.config);
    cJSON *before = policy_object(d);
    struct loss_rule rule = d->loss_rule;
    bool ok = engine_writable(d, &err) && read_policy(body, &event.as.config, &err) &&
              loss_rule_read(body, &rule, &err);
    if (!ok || !engine_step(d, &event, &err)) {
        cJSON_Delete(before);
        http_respond_error(req, &err);
        return;
    }
    if (rule.rule != d->loss_rule.rule || rule.fence_after_ms != d->loss_rule.fence_after_ms)
        loss_rule_set(d, &rule);
    log_info("policy set by %s: %s", api_caller(d, req).name, core_policy_name(event.as.config.policy));
    struct caller caller = api_caller(d, req);
    audit_add(d, &caller, "policy set", NULL, before, policy_object(d));
    _cleanup_json_ cJSON *o = policy_object(d);
    engine_answer(d, req, 200, json_text(o), NULL, 0);
}
