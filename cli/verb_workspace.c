/* berth workspace: what jobs and quotas belong to, beside the one called default. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/named.h"
#include "cli/show.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct workspace_args {
    struct args_base base;
    const char *description;
    struct opt_list members;
    bool open;
};

static const struct opt workspace_opts[] = {
    {"description", 0, "TEXT", "what it is for", OPT_STRING, offsetof(struct workspace_args, description)},
    {"member", 0, "USER", "a user whose jobs may be in it, and no others' (may be repeated: all of them)",
     OPT_LIST, offsetof(struct workspace_args, members)},
    {"open", 0, NULL, "everybody's jobs may be in it", OPT_FLAG, offsetof(struct workspace_args, open)},
    OPT_HOST(struct workspace_args),
    OPT_OUTPUT(struct workspace_args),
    {0},
};

static const struct named kind = {.noun = "workspace", .path = "/v1/workspaces"};

static const struct table_column columns[] = {
    {"NAME", false, 1, 8, 0},         {"RUNNING", true, 0, 0, 0}, {"QUEUED", true, 0, 0, 0},
    {"CORES", true, 0, 0, 0},         {"GPUS", true, 0, 0, 0},    {"MEMBERS", false, 8, 8, 1},
    {"DESCRIPTION", false, 2, 11, 0},
};

static void add_workspace(struct table *table, const cJSON *w)
{
    table_add(table, json_str(w, "name", "?"), TERM_PLAIN);
    table_addf(table, "%lld", (long long)json_int(w, "running", 0));
    table_addf(table, "%lld", (long long)json_int(w, "queued", 0));
    table_addf(table, "%lld", (long long)json_int(w, "cores", 0));
    table_addf(table, "%g", cJSON_GetNumberValue(json_get(w, "gpus")));
    _cleanup_buf_ struct buf members = {0};
    const cJSON *member;
    cJSON_ArrayForEach(member, json_get(w, "members")) if (cJSON_IsString(member))
        buf_printf(&members, "%s%s", members.len ? ", " : "", member->valuestring);
    table_add(table, members.data, TERM_PLAIN);
    table_add(table, json_str(w, "description", NULL), TERM_PLAIN);
}

static int list(const struct workspace_args *args, bool json, int count, char **names)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *answer = client ? client_call(client, "GET", kind.path, NULL, 0, &err) : NULL;
    if (!answer)
        return cli_fail(&err);
    const cJSON *all = json_get(answer, "workspaces"), *w;
    _cleanup_json_ cJSON *chosen = cJSON_CreateArray();
    cJSON_ArrayForEach(w, all) if (!count) cJSON_AddItemToArray(chosen, cJSON_Duplicate(w, true));
    int code = named_choose(&kind, all, count, names, chosen);
    if (json) {
        show_json(chosen);
        return code;
    }
    struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(w, chosen) add_workspace(&table, w);
    if (cJSON_GetArraySize(chosen))
        table_print(&table);
    table_finish(&table);
    return code;
}

static int change(const struct workspace_args *args, const char *verb, const char *name, bool json)
{
    struct error err = {0};
    bool create = strcmp(verb, "create") == 0, delete = strcmp(verb, "delete") == 0;
    bool given = args->description || args->members.count || args->open;
    if (args->open && args->members.count)
        return cli_usage("workspace", "--open and --member can't stand together");
    if (delete &&given)
        return cli_usage("workspace", "delete takes no more than the workspace's name");
    if (!create && !delete &&!given)
        return cli_usage("workspace", "update needs --description, --member or --open");
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    if (create)
        json_add_str(body, "name", name);
    if (args->description)
        json_add_str(body, "description", args->description);
    cJSON *members =
        given && (args->open || args->members.count) ? cJSON_AddArrayToObject(body, "members") : NULL;
    for (size_t i = 0; i < args->members.count; i++)
        cJSON_AddItemToArray(members, cJSON_CreateString(args->members.items[i]));
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *answer = client ? named_change(&kind, client, verb, name, body, &err) : NULL;
    if (!answer)
        return cli_fail(&err);
    if (json && !delete)
        show_json(answer);
    return EXIT_OK;
}

static int run_workspace(void *p, int argc, char **argv)
{
    const struct workspace_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("workspace", "-o takes json or table, not \"%s\"", args->base.output);
    const char *verb = argc ? argv[0] : "list";
    if (strcmp(verb, "list") == 0 && argc <= 1)
        return list(args, json, 0, NULL);
    if (strcmp(verb, "show") == 0 && argc >= 2)
        return list(args, json, argc - 1, argv + 1);
    if (named_changes(verb) && argc == 2)
        return change(args, verb, argv[1], json);
    return cli_usage("workspace",
                     "workspace takes: list, show NAME..., create NAME, update NAME or delete NAME");
}

const struct verb verb_workspace = {
    .name = "workspace",
    .synopsis = "[list] [-o json]\nshow NAME...\ncreate NAME [--description TEXT] [--member USER]\n"
                "update NAME [--description TEXT] [--member USER|--open]\ndelete NAME",
    .summary = "list the workspaces that jobs belong to, or change them",
    .details = "A job is in the workspace `default` unless --workspace, `workspace:` in its file or "
               "$BERTH_WORKSPACE names another.\nQuotas may be set for each. With members, jobs of others "
               "are refused (not administrators');\nwhat was "
               "accepted before goes on.",
    .operands = WORD_NAME,
    .options = workspace_opts,
    .args_size = sizeof(struct workspace_args),
    .run = run_workspace,
};
