/* Options that say which jobs are meant, for ps and for the verbs that change jobs. The scheduler selects. */
#ifndef BERTH_CLI_SELECTORS_H
#define BERTH_CLI_SELECTORS_H

#include "base/buf.h"
#include "cli/options.h"
#include "proto/json.h"

#include <stdbool.h>

struct selectors {
    const char *state, *user, *workspace, *array, *name;
    struct opt_list tags;
};

/* Rows of an option table of a struct whose member `which` is struct selectors. */
#define SELECTOR_ROWS(type)                                                                                  \
    {"state",    's',                                                                                        \
     "S[,S...]", "jobs in those states: queued, running, failed, ...; live, started, ended or all",          \
     OPT_STRING, offsetof(type, which.state)},                                                               \
        {"user", 'u', "NAME", "jobs of one user", OPT_STRING, offsetof(type, which.user)},                   \
        {"workspace", 0, "NAME", "jobs of one workspace", OPT_STRING, offsetof(type, which.workspace)},      \
        {"tag",    0,                                                                                        \
         "K[=V]",  "jobs with that tag (may be repeated: with all of them)",                                 \
         OPT_LIST, offsetof(type, which.tags)},                                                              \
        {"array",    0,                                                                                      \
         "JOB",      "the elements of that array that have begun",                                           \
         OPT_STRING, offsetof(type, which.array)},                                                           \
    {                                                                                                        \
        "name", 0, "GLOB", "jobs with such a name: * is any characters, ? is one", OPT_STRING,               \
            offsetof(type, which.name)                                                                       \
    }

bool selectors_given(const struct selectors *s);
/* False with *err where what was typed can't be any job's. */
bool selectors_check(const struct selectors *s, struct error *err);
/* Each as &NAME=VALUE of a listing's query, but for the state. */
void selectors_add_query(const struct selectors *s, struct buf *path);
/* Each as a member of a batch's "select". */
void selectors_add_json(const struct selectors *s, cJSON *object);
/* Those words of `state` that name jobs under way; the caller frees. NULL: none does. */
char *selectors_started(const char *state);

#endif
