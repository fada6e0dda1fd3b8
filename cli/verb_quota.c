/* berth quota: what users, workspaces and everyone may hold at once. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct quota_args {
    struct args_base base;
    const char *limits[4];
};

static const char *const fields[] = {"cores", "gpus", "running", "queued"};
#define FIELD_COUNT (sizeof fields / sizeof *fields)

static const struct opt quota_opts[] = {
    {"cores", 0, "N", "cores of all running jobs together (none: no limit)", OPT_STRING,
     offsetof(struct quota_args, limits[0])},
    {"gpus", 0, "N", "GPUs of all running jobs together, such as 2 or 0.5", OPT_STRING,
     offsetof(struct quota_args, limits[1])},
    {"running", 0, "N", "jobs that run", OPT_STRING, offsetof(struct quota_args, limits[2])},
    {"queued", 0, "N", "jobs that wait; one more is refused", OPT_STRING,
     offsetof(struct quota_args, limits[3])},
    OPT_HOST(struct quota_args),
    OPT_OUTPUT(struct quota_args),
    {0},
};

static const struct table_column columns[] = {
    {"SCOPE", false, 0, 0, 0}, {"NAME", false, 1, 8, 0},   {"CORES", true, 0, 0, 0},
    {"GPUS", true, 0, 0, 0},   {"RUNNING", true, 0, 0, 0}, {"QUEUED", true, 0, 0, 0},
};

/* "used/limit". */
static void add_cell(struct table *table, const cJSON *quota, const char *field)
{
    const cJSON *limit = json_get(quota, field), *used = json_get(json_get(quota, "used"), field);
    char most[32] = "-";
    if (cJSON_IsNumber(limit))
        snprintf(most, sizeof most, "%.10g", limit->valuedouble);
    if (cJSON_IsNumber(used))
        table_addf(table, "%.10g/%s", used->valuedouble, most);
    else
        table_addf(table, "%s", most);
}

static void add_quota(struct table *table, const cJSON *quota)
{
    table_add(table, json_str(quota, "scope", "?"), TERM_PLAIN);
    table_add(table, json_str(quota, "name", NULL), TERM_PLAIN);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        add_cell(table, quota, fields[i]);
}

static int list(const struct quota_args *args, bool json)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *answer = client ? client_call(client, "GET", "/v1/quotas", NULL, 0, &err) : NULL;
    if (!answer)
        return cli_fail(&err);
    const cJSON *quotas = json_get(answer, "quotas"), *quota;
    if (json) {
        show_json(quotas);
        return EXIT_OK;
    }
    struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(quota, quotas) add_quota(&table, quota);
    table_print(&table);
    table_finish(&table);
    return EXIT_OK;
}

/* EXIT_OK, or what cli_usage gave. */
static int add_limits(const struct quota_args *args, cJSON *body)
{
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        const char *text = args->limits[i];
        char *end;
        if (!text)
            continue;
        if (strcmp(text, "none") == 0) {
            cJSON_AddNullToObject(body, fields[i]);
            continue;
        }
        double value = strtod(text, &end);
        if (end == text || *end || strspn(text, "0123456789.") != strlen(text))
            return cli_usage("quota", "--%s takes a number or none, not \"%s\"", fields[i], text);
        cJSON_AddNumberToObject(body, fields[i], value);
    }
    return EXIT_OK;
}

static int change(const struct quota_args *args, int argc, char **argv, bool json)
{
    bool remove = strcmp(argv[0], "remove") == 0, limits = false;
    bool everyone = argc >= 2 && strcmp(argv[1], "everyone") == 0;
    for (size_t i = 0; i < FIELD_COUNT; i++)
        limits = limits || args->limits[i];
    if (argc != (everyone ? 2 : 3))
        return cli_usage("quota", "%s takes: user NAME, workspace NAME, or everyone", argv[0]);
    if (remove == limits)
        return cli_usage("quota", remove ? "remove takes no limits"
                                         : "set needs some of --cores, --gpus, --running, --queued");
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    json_add_str(body, "scope", argv[1]);
    if (!everyone)
        json_add_str(body, "name", argv[2]);
    if (remove)
        cJSON_AddTrueToObject(body, "remove");
    int code = add_limits(args, body);
    if (code)
        return code;
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *quota = client ? client_call(client, "POST", "/v1/quotas", body, 0, &err) : NULL;
    if (!quota)
        return cli_fail(&err);
    if (json)
        show_json(quota);
    return EXIT_OK;
}

static int run_quota(void *p, int argc, char **argv)
{
    const struct quota_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("quota", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc && (strcmp(argv[0], "set") == 0 || strcmp(argv[0], "remove") == 0))
        return change(args, argc, argv, json);
    if (argc > 1 || (argc == 1 && strcmp(argv[0], "list") != 0))
        return cli_usage("quota", "quota takes: list, set or remove");
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (args->limits[i])
            return cli_usage("quota", "--%s goes with quota set", fields[i]);
    }
    return list(args, json);
}

const struct verb verb_quota = {
    .name = "quota",
    .synopsis = "[list] [-o json]\n"
                "set user NAME|workspace NAME|everyone [--cores N] [--gpus N] [--running N] [--queued N]\n"
                "remove user NAME|workspace NAME|everyone",
    .summary = "list or set what users and workspaces may hold at once",
    .details =
        "A limit that is left out stays as it is; \"none\" takes it away. What everyone may hold counts "
        "for each user\nwithout a quota of their own. Jobs beyond a limit wait; one more than --queued is "
        "refused. Administrators set\nquotas, everybody may list them; the list shows what is held of "
        "each limit.",
    .options = quota_opts,
    .args_size = sizeof(struct quota_args),
    .run = run_quota,
};
