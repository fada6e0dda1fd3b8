/* berth outputs */
#include "cli/verbs.h"

#include "cli/outputs.h"
#include "cli/outputs_select.h"

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
    if (argc < 1)
        return cli_usage("outputs", "outputs needs a job's name, and a directory to fetch its files into");
    bool lists =
        argc == 1 || (argc == 2 && outputs_is_pattern(argv[1])); /* nobody's directory has such a name */
    const char *directory = lists ? NULL : argv[argc - 1];
    struct error err = {0};
    if (!word_check(WORD_JOB, "job name", argv[0], &err) ||
        (directory && !word_check(WORD_PATH, "directory", directory, &err)))
        return cli_usage("outputs", "%s", err.message);
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    struct outputs_options options = {.folder = directory,
                                      .work = args->work,
                                      .force = args->force,
                                      .json = json,
                                      .rank = args->rank.value,
                                      .patterns = argv + 1,
                                      .pattern_count = (size_t)(argc - (lists ? 1 : 2))};
    return outputs_of(client, argv[0], &options);
}

const struct verb verb_outputs = {
    .name = "outputs",
    .synopsis = "NAME [PATTERN] [--work]\nNAME [PATH or PATTERN ...] DIR [--work] [--force]",
    .summary = "list what a job left in ./outputs, or fetch it into a directory",
    .details =
        "A PATH is that of a file or directory below ./outputs; in a PATTERN (in quotes) * is any "
        "characters of a "
        "name, ? one, and ** any number of directories: berth outputs train 'ckpt/*.pt' here\n\n"
        "While the job runs its files are listed and fetched as they stand: one that it is writing may "
        "come in "
        "part, one that it puts in place by a rename comes whole.\n\n"
        "Of an array the outputs of each element that has begun are listed, or fetched into "
        "DIR/INDEX; NAME@INDEX "
        "names one element.",
    .operands = WORD_ANY,
    .options = outputs_opts,
    .args_size = sizeof(struct outputs_args),
    .run = run_outputs,
};
