/* berth validate: everything that can be told about a job file without submitting it. */
#include "cli/verbs.h"

#include "base/print.h"

#include "cli/show.h"
#include "cli/submission.h"

#include <stdio.h>

static const struct opt validate_opts[] = {
    JOB_OPTION_ROWS,
    OPT_OUTPUT(struct job_options),
    {0},
};

static int run_validate(void *p, int argc, char **argv)
{
    struct job_options *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("validate", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc == 0)
        return cli_usage("validate", "validate needs a job file");
    int code = EXIT_OK;
    for (int i = 0; i < argc; i++) {
        struct error err = {0};
        _cleanup_submission_ struct submission s = {0};
        int one = EXIT_REFUSED;
        if (submission_from_file(argv[i], args, &s, &err))
            one = submission_check(&s);
        else
            cli_fail(&err);
        if (s.bad_option)
            one = EXIT_USAGE;
        code = code ? code : one;
        if (one)
            continue;
        if (json)
            show_json(s.file);
        else
            print_line(PRINT_OUT, "%s is a valid job file", s.source_name);
    }
    return code;
}

const struct verb verb_validate = {
    .name = "validate",
    .synopsis = "FILE.yml... [-o json]",
    .summary = "check job files without submitting them",
    .details = "With -o json it prints the job as it would be sent.",
    .operands = WORD_PATH,
    .options = validate_opts,
    .args_size = sizeof(struct job_options),
    .run = run_validate,
};
