/* What the shell's completion asks for; and the completion itself. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/client.h"

#include <string.h>

/* The names in a listing of the running Berth. */
static void put_names(const char *path, const char *list)
{
    struct args_base base = {0};
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&base, &err);
    _cleanup_json_ cJSON *answer = client ? client_call(client, "GET", path, NULL, 1000, &err) : NULL;
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(answer, list))
    {
        print_line(PRINT_OUT, "%s", json_str(item, "name", ""));
    }
}

static int run_complete(void *unused, int argc, char **argv)
{
    (void)unused;
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "verbs") == 0) {
        for (const struct verb *const *v = verb_table; *v; v++)
            if ((*v)->summary)
                print_line(PRINT_OUT, "%s", (*v)->name);
        print_line(PRINT_OUT, "help");
    } else if (strcmp(what, "options") == 0 && argc > 2) {
        const struct verb *verb = verb_find(argv[2]);
        for (const struct opt *o = verb ? verb->options : NULL; o && o->name; o++)
            if (o->help)
                print_line(PRINT_OUT, "--%s", o->name);
        if (verb && verb->options)
            print_line(PRINT_OUT, "--help");
        const char *name;
        for (unsigned i = 0; verb && verb->option && (name = verb->option(i)) != NULL; i++)
            print_line(PRINT_OUT, "--%s", name);
    } else if (strcmp(what, "jobs") == 0) {
        put_names("/v1/jobs?limit=200", "jobs");
    } else if (strcmp(what, "sizes") == 0) {
        put_names("/v1/sizes", "sizes");
    } else if (strcmp(what, "workspaces") == 0) {
        put_names("/v1/workspaces", "workspaces");
    }
    return EXIT_OK;
}

const struct verb verb_complete = {
    .name = "__complete",
    .synopsis = "verbs|options VERB|jobs|sizes|workspaces",
    .run = run_complete,
};
