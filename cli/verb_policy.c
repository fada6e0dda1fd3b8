/* berth policy: by whose rules jobs are put in order. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/when.h"
#include "proto/jobspec.h"
#include "proto/units.h"

#include <string.h>

struct policy_args {
    struct args_base base;
    const char *preempt, *age, *half_life, *min_run, *on_node_loss, *fence;
    struct opt_number weight;
};

static const struct opt policy_opts[] = {
    {"preempt", 0, "on|off", "whether preemptible jobs give way to those of a higher class", OPT_STRING,
     offsetof(struct policy_args, preempt)},
    {"min-run", 0, "T", "what an attempt has run before it may be preempted", OPT_STRING,
     offsetof(struct policy_args, min_run)},
    {"on-node-loss", 0, "RULE",
     "of jobs that don't say: wait, requeue, or auto (gangs are queued again, others wait)", OPT_STRING,
     offsetof(struct policy_args, on_node_loss)},
    {"fence", 0, "T",
     "after so long without contact (15s at least) such a job is ended on its node; it is queued again once "
     "that "
     "is certain: 55s and its grace period later",
     OPT_STRING, offsetof(struct policy_args, fence)},
    {"age", 0, "T", "a job that has waited so long counts as one class higher (0: never)", OPT_STRING,
     offsetof(struct policy_args, age)},
    {"share-weight", 0, "N",
     "sixteenths of a doubling of run time that a doubling of recent use costs (0: no fair share)",
     OPT_NUMBER, offsetof(struct policy_args, weight)},
    {"half-life", 0, "T", "of recent use", OPT_STRING, offsetof(struct policy_args, half_life)},
    OPT_HOST(struct policy_args),
    OPT_OUTPUT(struct policy_args),
    {0},
};

static void show(const cJSON *o)
{
    char age[32], half[32];
    int64_t age_s = json_int(o, "age_s", 0);
    print_line(PRINT_OUT, "policy        %s", json_str(o, "policy", "?"));
    print_line(PRINT_OUT, "preemption    %s, of what has run %s",
               json_bool(o, "preempt", false) ? "on" : "off",
               units_format_exact(json_int(o, "preempt_min_run_s", 0) * 1000, age));
    print_line(PRINT_OUT, "node loss     %s, fence after %s", json_str(o, "on_node_loss", "?"),
               units_format_exact(json_int(o, "fence_after_s", 0) * 1000, half));
    print_line(PRINT_OUT, "ageing        %s", age_s ? units_format_exact(age_s * 1000, age) : "never");
    int64_t weight = json_int(o, "share_weight", 0);
    if (weight)
        print_line(PRINT_OUT, "fair share    weight %lld, half-life %s", (long long)weight,
                   units_format_exact(json_int(o, "share_half_life_s", 0) * 1000, half));
    else
        print_line(PRINT_OUT, "fair share    off");
    print_line(PRINT_OUT, "promises      %lld taken back so far",
               (long long)json_int(o, "promises_voided", 0));
}

static bool add_duration(cJSON *body, const char *field, const char *option, const char *text, int *code)
{
    int64_t ms;
    struct error err = {0};
    if (!text)
        return true;
    _cleanup_free_ char *typed = xasprintf("--%s", option);
    if (!when_read_duration(typed, text, &ms, &err)) {
        *code = cli_usage("policy", "%s", err.message);
        return false;
    }
    if (strcmp(option, "fence") == 0 && (ms < JOB_FENCE_MIN_MS || ms > JOB_FENCE_MAX_MS)) {
        char least[32], most[32];
        *code = cli_usage("policy", "--fence takes a time from %s to %s, not \"%s\"",
                          units_format_exact(JOB_FENCE_MIN_MS, least),
                          units_format_exact(JOB_FENCE_MAX_MS, most), text);
        return false;
    }
    cJSON_AddNumberToObject(body, field, (double)ms / 1000);
    return true;
}

static bool is_loss_rule(const char *word)
{
    static const char *const rules[] = {"wait", "requeue", "auto"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(word, rules[i]) == 0)
            return true;
    return false;
}

static int run_policy(void *p, int argc, char **argv)
{
    struct policy_args *args = p;
    struct error err = {0};
    int code = EXIT_OK;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("policy", "-o takes json or table, not \"%s\"", args->base.output);
    bool set = argc >= 1 && strcmp(argv[0], "set") == 0;
    bool plain = argc == 0 || (argc == 1 && strcmp(argv[0], "show") == 0);
    if ((!set && !plain) || argc > 2)
        return cli_usage("policy", "policy takes: show, or set [NAME] [options]");
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    if (set && argc == 2)
        cJSON_AddStringToObject(body, "policy", argv[1]);
    if (args->preempt && strcmp(args->preempt, "on") != 0 && strcmp(args->preempt, "off") != 0)
        return cli_usage("policy", "--preempt takes on or off, not \"%s\"", args->preempt);
    if (args->preempt)
        cJSON_AddBoolToObject(body, "preempt", strcmp(args->preempt, "on") == 0);
    if (args->on_node_loss && !is_loss_rule(args->on_node_loss))
        return cli_usage("policy", "--on-node-loss takes wait, requeue or auto, not \"%s\"",
                         args->on_node_loss);
    if (args->on_node_loss)
        json_add_bytes(body, "on_node_loss", args->on_node_loss);
    if (args->weight.given)
        json_add_int(body, "share_weight", args->weight.value);
    if (!add_duration(body, "age_s", "age", args->age, &code) ||
        !add_duration(body, "preempt_min_run_s", "min-run", args->min_run, &code) ||
        !add_duration(body, "fence_after_s", "fence", args->fence, &code) ||
        !add_duration(body, "share_half_life_s", "half-life", args->half_life, &code))
        return code;
    if (set != (body->child != NULL))
        return cli_usage("policy",
                         set ? "policy set needs a name or an option" : "options go with policy set");
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *o =
        client ? client_call(client, set ? "POST" : "GET", "/v1/policy", set ? body : NULL, 0, &err) : NULL;
    if (!o)
        return cli_fail(&err);
    if (json)
        show_json(o);
    else
        show(o);
    return EXIT_OK;
}

const struct verb verb_policy = {
    .name = "policy",
    .synopsis = "[show]\nset [NAME] [--preempt on|off] [--age T] [--share-weight N] [--half-life T] "
                "[--min-run T]\n    [--on-node-loss wait|requeue|auto] [--fence T]",
    .summary = "show or set how jobs are put in order: fcfs, easy, easy-sjbf, conservative, berth",
    .options = policy_opts,
    .args_size = sizeof(struct policy_args),
    .run = run_policy,
};
