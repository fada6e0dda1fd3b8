/* What the shell's completion asks for; and the completion itself. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"

#include <string.h>

/* The names in a listing of the running Berth. */
static void put_names(const char *path, const char *list)
{
    struct args_base base = {0};
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&base, &err);
    bool jobs = strcmp(list, "jobs") == 0;
    _cleanup_json_ cJSON *version =
        client && jobs ? client_call(client, "GET", "/v1/version", NULL, 1000, &err) : NULL;
    const char *caller = json_str(version, "principal", "");
    _cleanup_json_ cJSON *answer = client ? client_call(client, "GET", path, NULL, 1000, &err) : NULL;
    const cJSON *item;
    cJSON_ArrayForEach(item, json_get(answer, list))
    {
        const char *owner = json_str(item, "principal", caller);
        _cleanup_buf_ struct buf address = {0};
        if (jobs && strcmp(owner, caller) != 0)
            buf_printf(&address, "%s/", owner);
        show_add_address(item, &address); /* of anything else: its name */
        print_line(PRINT_OUT, "%s", address.data);
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
