/* berth outputs */
#include "cli/verbs.h"

#include "cli/outputs.h"

struct outputs_args {
    struct args_base base;
    bool work, force;
    struct opt_number rank;
};

static const struct opt outputs_opts[] = {
    {"work", 'w', NULL, "what the job made outside ./outputs (kept for 7 days)", OPT_FLAG,
     offsetof(struct outputs_args, work)},
    {"force", 0, NULL, "overwrite files that are here already", OPT_FLAG,
     offsetof(struct outputs_args, force)},
    {"rank", 0, "N", "of one rank (default: 0)", OPT_NUMBER, offsetof(struct outputs_args, rank)},
    OPT_HOST(struct outputs_args),
    OPT_OUTPUT(struct outputs_args),
    {0},
};

static int run_outputs(void *p, int argc, char **argv)
{
    struct outputs_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("outputs", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc < 1 || argc > 2)
        return cli_usage("outputs", "outputs needs a job's name, and a folder to fetch its files into");
    struct error err = {0};
    if (!word_check(WORD_JOB, "job name", argv[0], &err) ||
        (argc == 2 && !word_check(WORD_PATH, "directory", argv[1], &err)))
        return cli_usage("outputs", "%s", err.message);
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    struct outputs_options options = {.folder = argc == 2 ? argv[1] : NULL,
                                      .work = args->work,
                                      .force = args->force,
                                      .json = json,
                                      .rank = args->rank.value};
    return outputs_of(client, argv[0], &options);
}

const struct verb verb_outputs = {
    .name = "outputs",
    .synopsis = "NAME [--work]\nNAME DIR [--work] [--force]",
    .summary = "list what a job left in ./outputs, or fetch it into a folder",
    .operands = WORD_ANY,
    .options = outputs_opts,
    .args_size = sizeof(struct outputs_args),
    .run = run_outputs,
};
