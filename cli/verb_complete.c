/* What the shell's completion asks for; and the completion itself. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "cli/client.h"

#include <stdio.h>
#include <string.h>

static int run_complete(void *unused, int argc, char **argv)
{
    (void)unused;
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "verbs") == 0) {
        for (const struct verb *const *v = verb_table; *v; v++)
            if ((*v)->summary)
                puts((*v)->name);
        puts("help");
    } else if (strcmp(what, "options") == 0 && argc > 2) {
        const struct verb *verb = verb_find(argv[2]);
        for (const struct opt *o = verb ? verb->options : NULL; o && o->name; o++)
            if (o->help)
                printf("--%s\n", o->name);
        if (verb && verb->options)
            puts("--help");
        const char *name;
        for (unsigned i = 0; verb && verb->option && (name = verb->option(i)) != NULL; i++)
            printf("--%s\n", name);
    } else if (strcmp(what, "jobs") == 0) {
        struct args_base base = {0};
        struct error err = {0};
        _cleanup_client_ struct client *client = client_open(&base, &err);
        _cleanup_json_ cJSON *answer =
            client ? client_call(client, "GET", "/v1/jobs?limit=200", NULL, 1000, &err) : NULL;
        const cJSON *job;
        cJSON_ArrayForEach(job, json_get(answer, "jobs"))
        {
            puts(json_str(job, "name", ""));
        }
    }
    return EXIT_OK;
}

const struct verb verb_complete = {
    .name = "__complete",
    .synopsis = "verbs|options VERB|jobs",
    .run = run_complete,
};
