/* berth cancel */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/batch.h"
#include "cli/cancel.h"
#include "cli/client.h"
#include "cli/show.h"

struct cancel_args {
    struct args_base base;
    bool force, yes;
    struct selectors which;
};

static const struct opt cancel_opts[] = {
    {"force", 0, NULL, "kill at once, without SIGTERM and a time of grace", OPT_FLAG,
     offsetof(struct cancel_args, force)},
    BATCH_ROWS(struct cancel_args),
    OPT_HOST(struct cancel_args),
    OPT_OUTPUT(struct cancel_args),
    {0},
};

int cancel_named(const struct args_base *base, bool force, bool json, int count, char **names)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(base, &err);
    if (!client)
        return cli_fail(&err);
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    cJSON_AddBoolToObject(body, "force", force);
    int code = EXIT_OK;
    for (int i = 0; i < count; i++) {
        _cleanup_free_ char *path = client_job_path(names[i], "/cancel");
        _cleanup_json_ cJSON *job = client_call(client, "POST", path, body, 0, &err);
        if (!job)
            code = cli_fail(&err);
        else if (json)
            show_json(job);
        else
            print_line(PRINT_OUT, "%s %s", json_str(job, "name", names[i]), json_str(job, "state", "?"));
    }
    return code;
}

static int run_cancel(void *p, int argc, char **argv)
{
    struct cancel_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("cancel", "-o takes json or table, not \"%s\"", args->base.output);
    struct batch_options batch = {
        .verb = "cancel", .by = &args->which, .count = argc, .names = argv, .yes = args->yes, .json = json};
    int code = batch_check(&batch);
    if (code)
        return code;
    if (argc == 1)
        return cancel_named(&args->base, args->force, json, argc, argv);
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "action", "cancel");
    cJSON_AddBoolToObject(body, "force", args->force);
    return batch_run(&args->base, &batch, body);
}

const struct verb verb_cancel = {
    .name = "cancel",
    .synopsis = "NAME... [--force]\n[--state S] [--user NAME] [--workspace W] [--tag K=V] [--array JOB] "
                "[--name GLOB] "
                "[--yes] [--force]",
    .summary = "ask jobs to stop: SIGTERM, a time of grace, then kill",
    .operands = WORD_JOB,
    .options = cancel_opts,
    .args_size = sizeof(struct cancel_args),
    .run = run_cancel,
};
