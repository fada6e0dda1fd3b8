/* One change of many jobs, by names or by selectors: for cancel, hold, release and update. */
#ifndef BERTH_CLI_BATCH_H
#define BERTH_CLI_BATCH_H

#include "cli/cli.h"
#include "cli/selectors.h"
#include "proto/json.h"

struct batch_options {
    const char *verb;           /* for messages: "cancel" */
    const struct selectors *by; /* selectors_given, or names below */
    int count;
    char **names;
    bool yes, json;
};

#define BATCH_ROWS(type)                                                                                     \
    SELECTOR_ROWS(type),                                                                                     \
    {                                                                                                        \
        "yes", 'y', NULL, "with selectors: don't ask (needed where standard input is no terminal)",          \
            OPT_FLAG, offsetof(type, yes)                                                                    \
    }

/* Usage errors of names and selectors: EXIT_OK where there are none. */
int batch_check(const struct batch_options *o);
/* `body` has the action. Selectors are shown and asked about first, on a terminal. Returns the exit code. */
int batch_run(const struct args_base *base, const struct batch_options *o, cJSON *body);

#endif
