/*
 * What every verb of `berth` shares: the verb table, exit codes, the way errors are told.
 *
 * A verb is a row of the table in verbs.c. Its options are a table too (cli/options.h), so that parsing,
 * --help and the shell's completion come from one place.
 */
#ifndef BERTH_CLI_CLI_H
#define BERTH_CLI_CLI_H

#include "base/error.h"
#include "cli/options.h"
#include "cli/words.h"

#include <stdbool.h>
#include <stddef.h>

#define EXIT_OK 0
#define EXIT_REFUSED 1 /* Berth, or the machine, said no */
#define EXIT_USAGE 2   /* what was typed makes no sense */

struct verb {
    const char *name;
    const char *synopsis;      /* after "berth NAME ", one line or more, separated by \n */
    const char *summary;       /* one line for the overview; NULL hides the verb there */
    const char *details;       /* paragraphs for --help, or NULL */
    const struct opt *options; /* ends with a zeroed row; NULL: the verb parses its own argv */
    size_t args_size;          /* of the struct that the options write into */
    /* Of a verb that parses its own argv and prints its own help: its options' names without dashes, NULL
     * past the last. For the shell's completion. */
    const char *(*option)(unsigned index);
    enum word_kind operands; /* what each operand must be */
    bool stop_at_operand;    /* the first operand ends the options (run, whose operands are a command) */
    /* `args` is zeroed, then filled by the options (struct args_base is its first member). argv holds the
     * operands (argc of them; for a verb with no option table all its words, argv[0] being the verb). Returns
     * the exit code. */
    int (*run)(void *args, int argc, char **argv);
};

/* First member of every args struct. */
struct args_base {
    const char *host;      /* --host */
    const char *state_dir; /* --state-dir */
    const char *output;    /* -o: NULL or "json" */
};
#define OPT_HOST(type)                                                                                       \
    {"host",     0,                                                                                          \
     "WHERE",    "the Berth to talk to: path of its socket (default: $BERTH_HOST, the machine's, your own)", \
     OPT_STRING, offsetof(type, base.host)},                                                                 \
    {                                                                                                        \
        "state-dir", 0, "DIR", "state folder of one's own Berth", OPT_STRING, offsetof(type, base.state_dir) \
    }
#define OPT_OUTPUT(type)                                                                                     \
    {                                                                                                        \
        "output", 'o', "FORMAT", "table or json", OPT_STRING, offsetof(type, base.output)                    \
    }

/* The table of verbs, ended by a row without a name; verb_find returns NULL for an unknown name. */
extern const struct verb *const verb_table[];
const struct verb *verb_find(const char *name);

/* Parses argv[1..] by the verb's options and runs it; argv[0] is the verb. */
int cli_run_verb(const struct verb *verb, int argc, char **argv);
/* The whole program but main(): returns the exit code. */
int cli_main(int argc, char **argv);

/* Tells an error as "berth: what" and "try: next step" on standard error and returns EXIT_REFUSED. */
int cli_fail(const struct error *err);
/* Wrong usage of `verb` (may be NULL): tells it with the command that shows the help, returns EXIT_USAGE. */
int cli_usage(const char *verb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A remark on standard error: "berth: text". */
void cli_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* true where -o asks for JSON; any other word but "table" sets *usage_error. */
bool cli_wants_json(const struct args_base *base, bool *usage_error);

#endif
