/* The table of verbs, the overview, and the way from argv to a verb. */
#include "cli/cli.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/print.h"
#include "cli/daemons.h"
#include "cli/term.h"
#include "cli/verbs.h"
#include "proto/suggest.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct verb verb_scheduler = {
    .name = "scheduler", .synopsis = "[options]", .run = daemon_scheduler};
static const struct verb verb_executor = {
    .name = "executor", .synopsis = "[options]", .run = daemon_executor};
static const struct verb verb_sim = {
    .name = "sim",
    .synopsis = "TRACE [--procs N | --nodes FILE] [--policy P] [-o json]",
    .summary = "play a trace of jobs through the scheduler in virtual time",
    .run = daemon_sim,
    .option = daemon_sim_option,
};
static const struct verb verb_gpu_probe = {
    .name = "gpu-probe", .synopsis = "[options]", .run = daemon_gpu_probe};

const struct verb *const verb_table[] = {
    &verb_run,      &verb_submit,    &verb_ps,     &verb_show,      &verb_logs,
    &verb_wait,     &verb_cancel,    &verb_why,    &verb_hold,      &verb_release,
    &verb_update,   &verb_outputs,   &verb_node,   &verb_policy,    &verb_quota,
    &verb_licence,  &verb_up,        &verb_down,   &verb_doctor,    &verb_validate,
    &verb_job,      &verb_sim,       &verb_replay, &verb_complete,  &verb_scheduler,
    &verb_executor, &verb_gpu_probe, &verb_size,   &verb_workspace, &verb_reserve,
    &verb_df,       &verb_family,    &verb_log,    &verb_share,     NULL,
};

const struct verb *verb_find(const char *name)
{
    for (const struct verb *const *v = verb_table; *v; v++)
        if (strcmp((*v)->name, name) == 0)
            return *v;
    return NULL;
}

static void print_overview(enum print_to to)
{
    print_to(to, "Berth queues training runs onto this machine and others, runs each in a container, and "
                 "streams its log.\n\n"
                 "  berth run [options] -- COMMAND...   queue a command, follow it, exit with its code\n"
                 "  berth submit FILE.yml               queue a job file\n\nVerbs:\n");
    for (const struct verb *const *v = verb_table; *v; v++)
        if ((*v)->summary)
            print_to(to, "  %-12s %s\n", (*v)->name, (*v)->summary);
    print_to(to, "\nberth help VERB tells more about one of them; berth --version prints the version.\n");
}

static void print_help(const struct verb *verb)
{
    if (verb->option) { /* it has its own */
        char name[32], help[] = "--help";
        snprintf(name, sizeof name, "%s", verb->name);
        verb->run(NULL, 2, (char *[]){name, help, NULL});
        return;
    }
    _cleanup_buf_ struct buf text = {0};
    const char *line = verb->synopsis;
    for (bool first = true; *line; first = false) {
        size_t len = strcspn(line, "\n");
        buf_printf(&text, "%s berth %s %.*s\n", first ? "usage:" : "      ", verb->name, (int)len, line);
        line += len + (line[len] == '\n');
    }
    if (verb->summary)
        buf_printf(&text, "\n%s\n", verb->summary);
    if (verb->details)
        buf_printf(&text, "\n%s\n", verb->details);
    if (verb->options) {
        buf_add_str(&text, "\nOptions:\n");
        int width = term_width(STDOUT_FILENO);
        opt_help(verb->options, width ? width : 100, &text);
    }
    print_out("%s", text.data);
}

static int unknown_verb(const char *name)
{
    const char *names[64];
    size_t count = 0;
    for (const struct verb *const *v = verb_table; *v && count < 64; v++)
        if ((*v)->summary)
            names[count++] = (*v)->name;
    const char *near = suggest_nearest(name, names, count, sizeof *names);
    print_line(PRINT_ERR, "berth: there is no verb \"%.80s\"", name);
    if (near)
        print_line(PRINT_ERR, "try: berth %s", near);
    else
        print_line(PRINT_ERR, "try: berth help");
    return EXIT_USAGE;
}

static int help_main(int argc, char **argv)
{
    if (argc == 0) {
        print_overview(PRINT_OUT);
        return EXIT_OK;
    }
    const struct verb *verb = verb_find(argv[0]);
    if (!verb)
        return unknown_verb(argv[0]);
    print_help(verb);
    return EXIT_OK;
}

/* --host and --state-dir may stand before the verb too. */
static struct args_base before_verb;

/* Takes them off the front; false after telling what is wrong. */
static bool take_before_verb(int *argc, char ***argv)
{
    static const struct {
        const char *name;
        const char **value;
    } options[] = {{"--host", &before_verb.host}, {"--state-dir", &before_verb.state_dir}};
    while (*argc > 1) {
        char *word = (*argv)[1];
        int used = 0;
        for (size_t i = 0; i < sizeof options / sizeof *options && !used; i++) {
            size_t n = strlen(options[i].name);
            if (strncmp(word, options[i].name, n) != 0 || (word[n] && word[n] != '='))
                continue;
            if (!word[n] && *argc < 3) {
                cli_usage(NULL, "%s needs a value", word);
                return false;
            }
            *options[i].value = word[n] ? word + n + 1 : (*argv)[2];
            used = word[n] ? 1 : 2;
        }
        if (!used)
            return true;
        *argc -= used;
        *argv += used;
    }
    return true;
}

static bool check_operands(const struct verb *verb, int count, char **operands, struct error *err)
{
    const char *what = verb->operands == WORD_JOB    ? "job name"
                       : verb->operands == WORD_PATH ? "file name"
                                                     : "argument";
    for (int i = 0; i < count; i++)
        if (!word_check(verb->operands, what, operands[i], err))
            return false;
    return true;
}

int cli_run_verb(const struct verb *verb, int argc, char **argv)
{
    if (!verb->options)
        return verb->run(NULL, argc, argv);
    _cleanup_free_ void *args = xcalloc(1, verb->args_size);
    struct error err = {0};
    int operands = 0;
    bool help;
    if (!opt_parse(verb->options, args, verb->stop_at_operand, argc - 1, argv + 1, &operands, &help, &err) ||
        (!help && !check_operands(verb, operands, argv + 1, &err))) {
        print_line(PRINT_ERR, "berth: %s", err.message);
        if (err.hint[0])
            print_line(PRINT_ERR, "try: %s", err.hint);
        else
            print_line(PRINT_ERR, "try: berth help %s", verb->name);
        opt_finish(verb->options, args);
        return EXIT_USAGE;
    }
    struct args_base *base = args;
    base->host = base->host ? base->host : before_verb.host;
    base->state_dir = base->state_dir ? base->state_dir : before_verb.state_dir;
    int code = EXIT_OK;
    if (help)
        print_help(verb);
    else
        code = verb->run(args, operands, argv + 1);
    opt_finish(verb->options, args);
    return code;
}

static int dispatch(int argc, char **argv)
{
    setlocale(LC_CTYPE, "");
    if (!take_before_verb(&argc, &argv))
        return EXIT_USAGE;
    if (argc < 2) {
        print_overview(PRINT_ERR);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
        print_line(PRINT_OUT, "berth %s", BERTH_VERSION);
        return EXIT_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return help_main(argc - 2, argv + 2);
    const struct verb *verb = verb_find(word);
    return verb ? cli_run_verb(verb, argc - 1, argv + 1) : unknown_verb(word);
}

int cli_main(int argc, char **argv)
{
    print_begin();
    return print_finish(dispatch(argc, argv));
}
