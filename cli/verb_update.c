/* berth hold, berth release, berth update: what a job's own rules are. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/batch.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/when.h"
#include "proto/states.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct update_args {
    struct args_base base;
    const char *priority, *time, *begin;
    struct opt_number array_limit;
    struct selectors which;
    bool yes;
};

static const struct opt hold_opts[] = {
    BATCH_ROWS(struct update_args),
    OPT_HOST(struct update_args),
    OPT_OUTPUT(struct update_args),
    {0},
};

static const struct opt update_opts[] = {
    {"priority", 0, "CLASS|N", "low, medium or high, or a whole number within the class (higher goes first)",
     OPT_STRING, offsetof(struct update_args, priority)},
    {"time", 0, "T", "its time limit (90, 15m, 1h30m, D-HH:MM:SS; 0: none), also while it runs", OPT_STRING,
     offsetof(struct update_args, time)},
    {"begin", 0, "TIME", "not before that, while it waits: " WHEN_COMING "; now: at once", OPT_STRING,
     offsetof(struct update_args, begin)},
    {"array-limit", 0, "N", "an array's elements at once at most (0: no limit)", OPT_NUMBER,
     offsetof(struct update_args, array_limit)},
    BATCH_ROWS(struct update_args),
    OPT_HOST(struct update_args),
    OPT_OUTPUT(struct update_args),
    {0},
};

static int send_one(const struct args_base *base, const cJSON *change, bool json, const char *name)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(base, &err);
    if (!client)
        return cli_fail(&err);
    _cleanup_free_ char *path = client_job_path(name, "/update");
    _cleanup_json_ cJSON *job = client_call(client, "POST", path, change, 0, &err);
    if (!job)
        return cli_fail(&err);
    const char *reason = json_str(job, "reason", "");
    if (json)
        show_json(job);
    else
        print_line(PRINT_OUT, "%s %s%s%s", json_str(job, "name", name), json_str(job, "state", "?"),
                   *reason ? ": " : "", reason);
    return EXIT_OK;
}

static int send_update(const struct args_base *base, const struct batch_options *batch, const cJSON *change)
{
    if (batch->count == 1)
        return send_one(base, change, batch->json, batch->names[0]);
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "action", "update");
    cJSON_AddItemToObject(body, "update", cJSON_Duplicate(change, true));
    return batch_run(base, batch, body);
}

static int run_hold_or_release(void *p, int argc, char **argv, const char *verb, bool held)
{
    struct update_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage(verb, "-o takes json or table, not \"%s\"", args->base.output);
    struct batch_options batch = {
        .verb = verb, .by = &args->which, .count = argc, .names = argv, .yes = args->yes, .json = json};
    int code = batch_check(&batch);
    if (code)
        return code;
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    cJSON_AddBoolToObject(body, "held", held);
    return send_update(&args->base, &batch, body);
}

static int run_hold(void *p, int argc, char **argv)
{
    return run_hold_or_release(p, argc, argv, "hold", true);
}

static int run_release(void *p, int argc, char **argv)
{
    return run_hold_or_release(p, argc, argv, "release", false);
}

/* A number is the place within the class. */
static bool add_priority(cJSON *body, const char *text)
{
    char *end;
    enum priority_class class;
    errno = 0;
    long long level = strtoll(text, &end, 10);
    if (*text && !*end && errno == 0)
        json_add_int(body, "priority_level", level);
    else if (priority_class_parse(text, &class))
        cJSON_AddStringToObject(body, "priority", text);
    else
        return false;
    return true;
}

static int run_update(void *p, int argc, char **argv)
{
    struct update_args *args = p;
    struct error err = {0};
    int64_t ms;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("update", "-o takes json or table, not \"%s\"", args->base.output);
    struct batch_options batch = {
        .verb = "update", .by = &args->which, .count = argc, .names = argv, .yes = args->yes, .json = json};
    int code = batch_check(&batch);
    if (code)
        return code;
    if (!args->priority && !args->time && !args->begin && !args->array_limit.given)
        return cli_usage("update", "update needs --priority, --time, --begin or --array-limit");
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    if (args->priority && !add_priority(body, args->priority))
        return cli_usage("update", "--priority takes low, medium, high or a whole number, not \"%s\"",
                         args->priority);
    if (args->time) {
        if (!when_read_duration("--time", args->time, &ms, &err))
            return cli_usage("update", "%s", err.message);
        cJSON_AddNumberToObject(body, "time_limit_s", (double)ms / 1000);
    }
    if (args->begin) {
        int64_t now = clock_wall_ms();
        if (!when_read_moment("--begin", args->begin, now, &ms, &err))
            return cli_usage("update", "%s", err.message);
        json_add_int(body, "begin_ms", ms == now ? 0 : ms);
    }
    if (args->array_limit.given)
        json_add_int(body, "array_limit", args->array_limit.value);
    return send_update(&args->base, &batch, body);
}

const struct verb verb_hold = {
    .name = "hold",
    .synopsis =
        "NAME...\n[--state S] [--user NAME] [--workspace W] [--tag K=V] [--array JOB] [--name GLOB] [--yes]",
    .summary = "keep waiting jobs from starting until they are released",
    .operands = WORD_JOB,
    .options = hold_opts,
    .args_size = sizeof(struct update_args),
    .run = run_hold,
};

const struct verb verb_release = {
    .name = "release",
    .synopsis =
        "NAME...\n[--state S] [--user NAME] [--workspace W] [--tag K=V] [--array JOB] [--name GLOB] [--yes]",
    .summary = "let held jobs take their turn",
    .operands = WORD_JOB,
    .options = hold_opts,
    .args_size = sizeof(struct update_args),
    .run = run_release,
};

const struct verb verb_update = {
    .name = "update",
    .synopsis = "NAME... [--priority CLASS|N] [--time T] [--begin TIME] [--array-limit N]\n[--state S] "
                "[--user NAME] [--workspace W] [--tag K=V] [--array JOB] [--name GLOB] [--yes] ...",
    .summary = "change a job's priority or time limit, its begin time or an array's limit while it waits",
    .operands = WORD_JOB,
    .options = update_opts,
    .args_size = sizeof(struct update_args),
    .run = run_update,
};
