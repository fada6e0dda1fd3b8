/* berth run: submit, attend, exit with the job's code. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/attend.h"
#include "cli/submission.h"

#include <string.h>
#include <unistd.h>

struct run_args {
    struct job_options job;
    bool raw, detach;
};

static const struct opt run_opts[] = {
    JOB_OPTION_ROWS,
    {"raw", 0, NULL, "the log byte by byte, on a terminal as well (it always is)", OPT_FLAG,
     offsetof(struct run_args, raw)},
    {"detach", 'd', NULL, "do not follow: print the job's name (as submit does)", OPT_FLAG,
     offsetof(struct run_args, detach)},
    {0},
};

static int run_run(void *p, int argc, char **argv)
{
    struct run_args *args = p;
    if (argc == 0)
        return cli_usage("run", "run needs a command: berth run [options] -- COMMAND...");
    if (args->job.tty)
        args->job.interactive = true;
    if (args->job.tty && !isatty(STDIN_FILENO))
        return cli_usage("run", "-t needs a terminal on standard input; -i alone hands a pipe on");
    if (args->job.tty && !args->job.code && !args->job.no_code)
        args->job.live = true; /* whoever works in a terminal edits what he sees */
    struct error err = {0};
    _cleanup_submission_ struct submission s = {0};
    if (!submission_from_command(argc, argv, &args->job, &s, &err)) {
        cli_fail(&err);
        return err.code == ERROR_INVALID ? EXIT_USAGE : EXIT_REFUSED;
    }
    int code = submission_check(&s);
    if (!code && !args->detach)
        code = submission_check_follow(&s);
    if (!code)
        code = submission_prepare(&s, &args->job);
    if (code)
        return code;
    _cleanup_client_ struct client *client = client_open_or_start(&args->job.base, &err);
    if (!client)
        return cli_fail(&err);
    code = submission_upload(&s, client);
    if (code)
        return code;
    if (!args->detach)
        attend_block_signals();
    _cleanup_json_ cJSON *job = submission_post(&s, client, &code);
    if (!job)
        return code;
    submission_tell(&s, job);
    const char *name = json_str(job, "name", "");
    if (args->detach) {
        print_line(PRINT_OUT, "%s", name);
        return EXIT_OK;
    }
    struct attend_options attend = {
        .interactive = args->job.interactive, .tty = args->job.tty, .cancels = true};
    return attend_job(client, name, &attend);
}

const struct verb verb_run = {
    .name = "run",
    .synopsis = "[options] -- COMMAND...\n-it [options] -- COMMAND...",
    .summary = "queue a command, follow its log, exit with its code",
    .details =
        "The job sees a copy of the current folder as it is now (less what .amlignore, else .gitignore, "
        "names), and\n"
        "what it writes into ./outputs is kept. One quoted word is given to a shell: berth run 'a | b'.\n"
        "Ctrl-C sends SIGINT to the job, a second one cancels it, a third leaves it; of a job that is "
        "queued\n"
        "the first cancels and the second leaves. Starts Berth where none runs.",
    .operands = WORD_ANY,
    .options = run_opts,
    .args_size = sizeof(struct run_args),
    .stop_at_operand = true,
    .run = run_run,
};
