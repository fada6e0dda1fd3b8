/* berth job: the service's spellings of submit, show, logs -f, ps, cancel and outputs. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/attend.h"
#include "cli/cancel.h"
#include "cli/client.h"
#include "cli/outputs.h"
#include "cli/show_job.h"
#include "cli/submit.h"
#include "proto/suggest.h"

#include <stdio.h>
#include <string.h>

struct named_args {
    struct args_base base;
    const char *name, *group, *workspace, *folder;
    bool force, work, all;
};

struct create_args {
    struct job_options job;
    const char *file, *group, *workspace;
    bool stream;
};

/* The service's own ways to say where; this machine's Berth has one workspace. */
#define SERVICE_ROWS(type)                                                                                   \
    {"resource-group", 'g', "NAME", NULL, OPT_STRING, offsetof(type, group)},                                \
    {                                                                                                        \
        "workspace-name", 'w', "NAME", NULL, OPT_STRING, offsetof(type, workspace)                           \
    }
#define NAME_ROW                                                                                             \
    {                                                                                                        \
        "name", 'n', "NAME", "the job's name", OPT_STRING, offsetof(struct named_args, name)                 \
    }

static const struct opt create_opts[] = {
    {"file", 'f', "FILE", "the job file", OPT_STRING, offsetof(struct create_args, file)},
    {"stream", 's', NULL, "follow the log and exit with the job's code", OPT_FLAG,
     offsetof(struct create_args, stream)},
    SERVICE_ROWS(struct create_args),
    JOB_OPTION_ROWS,
    OPT_OUTPUT(struct job_options),
    {0},
};
static const struct opt named_opts[] = {
    NAME_ROW, SERVICE_ROWS(struct named_args), OPT_HOST(struct named_args), OPT_OUTPUT(struct named_args),
    {0},
};
static const struct opt download_opts[] = {
    NAME_ROW,
    {"download-path", 'p', "DIR", "where the files go (default: a folder named as the job)", OPT_STRING,
     offsetof(struct named_args, folder)},
    {"all", 0, NULL, "also what the job made outside ./outputs", OPT_FLAG, offsetof(struct named_args, all)},
    {"force", 0, NULL, "overwrite files that are there already", OPT_FLAG,
     offsetof(struct named_args, force)},
    SERVICE_ROWS(struct named_args),
    OPT_HOST(struct named_args),
    OPT_OUTPUT(struct named_args),
    {0},
};

/* The name from -n or the operand. */
static const char *job_name(const struct named_args *args, int argc, char **argv)
{
    if (args->name)
        return argc == 0 ? args->name : NULL;
    return argc == 1 ? argv[0] : NULL;
}

static int run_create(void *p, int argc, char **argv)
{
    struct create_args *args = p;
    bool bad_output, json = cli_wants_json(&args->job.base, &bad_output);
    const char *file = args->file ? args->file : argc == 1 ? argv[0] : NULL;
    if (!file || bad_output || (args->file && argc > 0))
        return cli_usage("job create", "job create takes --file FILE, and -o json or table");
    struct error err = {0};
    _cleanup_submission_ struct submission s = {0};
    if (!submission_from_file(file, &args->job, &s, &err))
        return cli_fail(&err);
    struct submit_options how = {.follow = args->stream, .json = json};
    return submit_prepared(&s, &args->job, &how);
}

static int run_job_show(void *p, int argc, char **argv)
{
    struct named_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    const char *name = job_name(args, argc, argv);
    if (!name || bad_output)
        return cli_usage("job show", "job show takes --name NAME, and -o json or table");
    return show_named(&args->base, json, 1, (char *[]){(char *)name});
}

static int run_stream(void *p, int argc, char **argv)
{
    struct named_args *args = p;
    const char *name = job_name(args, argc, argv);
    if (!name)
        return cli_usage("job stream", "job stream takes --name NAME");
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    struct attend_options attend = {0};
    return attend_job(client, name, &attend);
}

static int run_job_cancel(void *p, int argc, char **argv)
{
    struct named_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    const char *name = job_name(args, argc, argv);
    if (!name || bad_output)
        return cli_usage("job cancel", "job cancel takes --name NAME, and -o json or table");
    return cancel_named(&args->base, false, json, 1, (char *[]){(char *)name});
}

static int run_download(void *p, int argc, char **argv)
{
    struct named_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    const char *name = job_name(args, argc, argv);
    struct error err = {0};
    if (!name || bad_output || !word_check(WORD_JOB, "job name", name, &err))
        return cli_usage("job download", "job download takes --name NAME, and -o json or table");
    const char *slash = strrchr(name, '/'); /* of USER/NAME the folder has the name alone */
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    struct outputs_options options = {.folder = args->folder ? args->folder
                                                : slash      ? slash + 1
                                                             : name,
                                      .force = args->force,
                                      .json = json};
    int code = outputs_of(client, name, &options);
    if (code || !args->all)
        return code;
    options.work = true;
    return outputs_of(client, name, &options);
}

static const struct verb sub_verbs[] = {
    {.name = "job create",
     .synopsis = "--file FILE.yml [--stream]",
     .summary = "submit a job file (berth submit)",
     .operands = WORD_PATH,
     .options = create_opts,
     .args_size = sizeof(struct create_args),
     .run = run_create},
    {.name = "job show",
     .synopsis = "--name NAME",
     .summary = "tell all about a job (berth show)",
     .operands = WORD_JOB,
     .options = named_opts,
     .args_size = sizeof(struct named_args),
     .run = run_job_show},
    {.name = "job stream",
     .synopsis = "--name NAME",
     .summary = "follow a job's log to its end, exit with its code (berth logs -f)",
     .operands = WORD_JOB,
     .options = named_opts,
     .args_size = sizeof(struct named_args),
     .run = run_stream},
    {.name = "job cancel",
     .synopsis = "--name NAME",
     .summary = "ask a job to stop (berth cancel)",
     .operands = WORD_JOB,
     .options = named_opts,
     .args_size = sizeof(struct named_args),
     .run = run_job_cancel},
    {.name = "job download",
     .synopsis = "--name NAME [--download-path DIR]",
     .summary = "fetch what a job left (berth outputs)",
     .operands = WORD_JOB,
     .options = download_opts,
     .args_size = sizeof(struct named_args),
     .run = run_download},
};
#define SUB_VERBS (sizeof sub_verbs / sizeof *sub_verbs)

static void print_sub_verbs(enum print_to to)
{
    print_to(to, "The service's spellings:\n");
    for (size_t i = 0; i < SUB_VERBS; i++)
        print_to(to, "  berth %-12s %s\n", sub_verbs[i].name, sub_verbs[i].summary);
    print_to(to, "  berth job list     list jobs (berth ps)\n\nberth job VERB --help tells more.\n");
}

static int run_job(void *unused, int argc, char **argv)
{
    (void)unused;
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_sub_verbs(argc < 2 ? PRINT_ERR : PRINT_OUT);
        return argc < 2 ? EXIT_USAGE : EXIT_OK;
    }
    if (strcmp(argv[1], "list") == 0)
        return cli_run_verb(&verb_ps, argc - 1, argv + 1);
    const char *names[SUB_VERBS + 1] = {"list"};
    for (size_t i = 0; i < SUB_VERBS; i++) {
        names[i + 1] = strchr(sub_verbs[i].name, ' ') + 1;
        if (strcmp(names[i + 1], argv[1]) == 0)
            return cli_run_verb(&sub_verbs[i], argc - 1, argv + 1);
    }
    const char *near = suggest_nearest(argv[1], names, SUB_VERBS + 1, sizeof *names);
    print_line(PRINT_ERR, "berth: there is no verb \"job %.80s\"", argv[1]);
    print_line(PRINT_ERR, "try: berth job %s", near ? near : "--help");
    return EXIT_USAGE;
}

const struct verb verb_job = {
    .name = "job",
    .synopsis = "create|show|stream|list|cancel|download ...",
    .summary = "the service's spellings: job create, show, stream, list, cancel, download",
    .details = "berth job VERB --help tells about each.",
    .run = run_job,
};
