/* berth submit: a job file or a command, queued. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/attend.h"
#include "cli/follow.h"
#include "cli/outcome.h"
#include "cli/show.h"
#include "cli/submission.h"
#include "cli/submit.h"
#include "proto/json.h"

#include <stdio.h>
#include <string.h>

struct submit_args {
    struct job_options job;
    bool follow, wait, raw, dashes;
};

static const struct opt submit_opts[] = {
    {"follow", 'f', NULL, "follow the log and exit with the job's code, as run does", OPT_FLAG,
     offsetof(struct submit_args, follow)},
    {"wait", 'w', NULL, "wait for the end and exit with the job's code", OPT_FLAG,
     offsetof(struct submit_args, wait)},
    {"raw", 0, NULL, "with --follow: the log byte by byte, on a terminal as well (it always is)", OPT_FLAG,
     offsetof(struct submit_args, raw)},
    {OPT_DASHES, 0, NULL, NULL, OPT_FLAG, offsetof(struct submit_args, dashes)},
    JOB_OPTION_ROWS,
    OPT_OUTPUT(struct job_options),
    {0},
};

int submit_prepared(struct submission *s, const struct job_options *options, const struct submit_options *how)
{
    struct error err = {0};
    int code = submission_check(s);
    if (!code && how->follow)
        code = submission_check_follow(s);
    if (!code)
        code = submission_prepare(s, options);
    if (code)
        return code;
    _cleanup_client_ struct client *client = client_open_or_start(&options->base, &err);
    if (!client)
        return cli_fail(&err);
    code = submission_upload(s, client);
    if (code)
        return code;
    if (how->follow)
        attend_block_signals();
    _cleanup_json_ cJSON *job = submission_post(s, client, &code);
    if (!job)
        return code;
    submission_tell(s, job);
    const char *name = json_str(job, "name", "");
    if (how->follow) {
        struct attend_options attend = {
            .interactive = options->interactive || json_bool(s->file, "stdin", false), .cancels = true};
        return attend_job(client, name, &attend);
    }
    if (!how->json)
        print_line(PRINT_OUT, "%s", name);
    print_flush();
    _cleanup_json_ cJSON *ended = how->wait ? follow_wait(client, name, 0, &err) : NULL;
    if (how->wait && !ended)
        return cli_fail(&err);
    if (how->json)
        show_json(ended ? ended : job);
    if (!ended)
        return EXIT_OK;
    outcome_tell(client, ended);
    return outcome_exit_code(ended);
}

static int run_submit(void *p, int argc, char **argv)
{
    struct submit_args *args = p;
    bool bad_output, json = cli_wants_json(&args->job.base, &bad_output);
    if (bad_output)
        return cli_usage("submit", "-o takes json or table, not \"%s\"", args->job.base.output);
    if (argc == 0)
        return cli_usage("submit", "submit needs a job file, or a command behind --");
    if (args->job.tty)
        return cli_usage("submit", "a terminal needs berth run -it");
    if (args->job.interactive && !args->follow)
        return cli_usage("submit", "-i needs --follow: who else would send the input");
    struct error err = {0};
    _cleanup_submission_ struct submission s = {0};
    bool is_file = submit_is_file(argc, argv);
    if (!is_file && !args->dashes)
        return cli_usage(
            "submit",
            "%s is no job file (.yml, .yaml, .json, or - for standard input); a command stands behind --",
            argv[0]);
    bool read = is_file ? submission_from_file(argv[0], &args->job, &s, &err)
                        : submission_from_command(argc, argv, &args->job, &s, &err);
    if (!read) {
        cli_fail(&err);
        return s.bad_option || (!is_file && err.code == ERROR_INVALID) ? EXIT_USAGE : EXIT_REFUSED;
    }
    struct submit_options how = {.follow = args->follow, .wait = args->wait, .json = json};
    return submit_prepared(&s, &args->job, &how);
}

bool submit_is_file(int argc, char **argv)
{
    size_t n = strlen(argv[0]);
    if (argc != 1)
        return false;
    return strcmp(argv[0], "-") == 0 || (n > 4 && strcmp(argv[0] + n - 4, ".yml") == 0) ||
           (n > 5 && (strcmp(argv[0] + n - 5, ".yaml") == 0 || strcmp(argv[0] + n - 5, ".json") == 0));
}

const struct verb verb_submit = {
    .name = "submit",
    .synopsis = "FILE.yml [--follow|--wait] [options]\n[options] -- COMMAND...",
    .summary = "queue a job file or a command, print the job's name",
    .details = "The file is a command job as Azure Machine Learning's CLI v2 has it; `-` reads it from "
               "standard input. Options stand\n"
               "over the file's fields. Starts Berth where none runs.",
    .operands = WORD_ANY,
    .options = submit_opts,
    .args_size = sizeof(struct submit_args),
    .stop_at_operand = false,
    .run = run_submit,
};
