/* berth wait */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/follow.h"
#include "cli/outcome.h"
#include "cli/show.h"
#include "cli/when.h"

struct wait_args {
    struct args_base base;
    const char *timeout;
    bool quiet;
};

static const struct opt wait_opts[] = {
    {"timeout", 0, "TIME", "give up after so long: 90s, 1h (exit code 1)", OPT_STRING,
     offsetof(struct wait_args, timeout)},
    {"quiet", 'q', NULL, "say nothing", OPT_FLAG, offsetof(struct wait_args, quiet)},
    OPT_HOST(struct wait_args),
    OPT_OUTPUT(struct wait_args),
    {0},
};

static int run_wait(void *p, int argc, char **argv)
{
    struct wait_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    int64_t timeout_ms = 0;
    if (bad_output)
        return cli_usage("wait", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc == 0)
        return cli_usage("wait", "wait needs a job's name");
    struct error err = {0};
    if (args->timeout && !when_read_duration("--timeout", args->timeout, &timeout_ms, &err))
        return cli_usage("wait", "%s", err.message);
    if (args->timeout && timeout_ms == 0)
        return cli_usage("wait", "--timeout must be more than 0; leave it out to wait for ever");
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    int code = EXIT_OK;
    for (int i = 0; i < argc; i++) {
        _cleanup_json_ cJSON *job = follow_wait(client, argv[i], (timeout_ms + 999) / 1000, &err);
        int one = job ? outcome_exit_code(job) : cli_fail(&err);
        code = code ? code : one; /* the first job that did not end well */
        if (job && json)
            show_json(job);
        else if (job && !args->quiet)
            print_line(PRINT_OUT, "%s %s", json_str(job, "name", "?"), json_str(job, "state", "?"));
    }
    return code;
}

const struct verb verb_wait = {
    .name = "wait",
    .synopsis = "NAME... [--timeout TIME]",
    .summary = "wait until jobs have ended, exit with the job's exit code",
    .details = "With several names the exit code is that of the first one that did not end with 0.",
    .operands = WORD_JOB,
    .options = wait_opts,
    .args_size = sizeof(struct wait_args),
    .run = run_wait,
};
