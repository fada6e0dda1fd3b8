/* berth quota: what users, workspaces and everyone may hold at once, of a family of sizes too. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/quota_requests.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/when.h"
#include "proto/states.h"
#include "proto/units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct quota_args {
    struct args_base base;
    const char *limits[4];
    const char *family, *user, *workspace, *reason, *max_priority, *max_time;
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
    {"max-priority", 0, "CLASS", "the highest class that owners may ask for (none: no cap)", OPT_STRING,
     offsetof(struct quota_args, max_priority)},
    {"max-time", 0, "T", "the longest time limit that owners may ask for (none: no cap)", OPT_STRING,
     offsetof(struct quota_args, max_time)},
    {"family", 0, "F", "of the sizes of one family alone", OPT_STRING, offsetof(struct quota_args, family)},
    {"user", 'u', "NAME", "the quota of a user", OPT_STRING, offsetof(struct quota_args, user)},
    {"workspace", 0, "NAME", "the quota of a workspace", OPT_STRING, offsetof(struct quota_args, workspace)},
    {"reason", 0, "TEXT", "why you ask, approve or deny", OPT_STRING, offsetof(struct quota_args, reason)},
    OPT_HOST(struct quota_args),
    OPT_OUTPUT(struct quota_args),
    {0},
};

static const struct table_column columns[] = {
    {"SCOPE", false, 0, 0, 0},    {"NAME", false, 1, 8, 0},  {"FAMILY", false, 0, 0, 0},
    {"APPROVED", false, 0, 0, 1}, {"CORES", true, 0, 0, 0},  {"GPUS", true, 0, 0, 0},
    {"RUNNING", true, 0, 0, 0},   {"QUEUED", true, 0, 0, 0}, {"PRIORITY", false, 0, 0, 1},
    {"TIME", true, 0, 0, 1},
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
    if (json_bool(quota, "everyones", false))
        table_add(table, "user, as everyone", TERM_PLAIN);
    else
        table_add(table, json_str(quota, "scope", "?"), TERM_PLAIN);
    table_add(table, json_str(quota, "name", NULL), TERM_PLAIN);
    table_add(table, json_str(quota, "family", NULL), TERM_PLAIN);
    table_add(table, json_bool(quota, "approved", false) ? "yes" : NULL, TERM_PLAIN);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        add_cell(table, quota, fields[i]);
    char text[32];
    const cJSON *seconds = json_get(quota, "max_time_s");
    table_add(table, json_str(quota, "max_priority", "-"), TERM_PLAIN);
    table_add(table,
              cJSON_IsNumber(seconds) ? units_format_exact((int64_t)(seconds->valuedouble * 1000), text)
                                      : "-",
              TERM_PLAIN);
}

static int list(const struct quota_args *args, bool json)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *quotas = client ? client_list(client, "/v1/quotas", "quotas", &err) : NULL;
    const cJSON *quota;
    if (!quotas)
        return cli_fail(&err);
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

static int add_caps(const struct quota_args *args, cJSON *body)
{
    struct error err = {0};
    int64_t ms;
    enum priority_class highest;
    if (args->max_priority && strcmp(args->max_priority, "none") != 0 &&
        !priority_class_parse(args->max_priority, &highest))
        return cli_usage("quota", "--max-priority takes low, medium, high or none, not \"%s\"",
                         args->max_priority);
    if (args->max_priority && strcmp(args->max_priority, "none") == 0)
        cJSON_AddNullToObject(body, "max_priority");
    else if (args->max_priority)
        json_add_bytes(body, "max_priority", args->max_priority);
    if (!args->max_time)
        return EXIT_OK;
    if (strcmp(args->max_time, "none") == 0) {
        cJSON_AddNullToObject(body, "max_time_s");
        return EXIT_OK;
    }
    if (!when_read_duration("--max-time", args->max_time, &ms, &err))
        return cli_usage("quota", "%s", err.message);
    if (!ms)
        return cli_usage("quota", "--max-time takes a time above 0, or none, not \"%s\"", args->max_time);
    cJSON_AddNumberToObject(body, "max_time_s", (double)ms / 1000);
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
        if (!(value > 0))
            return cli_usage("quota",
                             "--%s takes a number above 0, or none, not \"%s\": to keep somebody's jobs from "
                             "starting, hold them (berth hold --user NAME)",
                             fields[i], text);
        cJSON_AddNumberToObject(body, fields[i], value);
    }
    return add_caps(args, body);
}

/* Whose: words as "user NAME", or options; a family alone means all users of it together. */
static bool add_whose(const struct quota_args *args, int argc, char **argv, cJSON *body)
{
    bool everyone = argc == 1 && strcmp(argv[0], "everyone") == 0;
    const char *named = args->user ? args->user : args->workspace;
    if (argc ? named || (argc != 2 && !everyone)
             : (args->user && args->workspace) || (!named && !args->family))
        return false;
    json_add_str(body, "scope",
                 argc              ? argv[0]
                 : args->user      ? "user"
                 : args->workspace ? "workspace"
                                   : "family");
    if (argc == 2 || named)
        json_add_str(body, "name", argc == 2 ? argv[1] : named);
    if (args->family)
        json_add_str(body, "family", args->family);
    return true;
}

static int change(const struct quota_args *args, int argc, char **argv, bool json)
{
    bool remove = strcmp(argv[0], "remove") == 0, limits = args->max_priority || args->max_time;
    for (size_t i = 0; i < FIELD_COUNT; i++)
        limits = limits || args->limits[i];
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    if (!add_whose(args, argc - 1, argv + 1, body))
        return cli_usage(
            "quota",
            "%s takes: user NAME, workspace NAME, or everyone; and --family F, which may stand alone",
            argv[0]);
    if (remove == limits)
        return cli_usage("quota", remove ? "remove takes no limits"
                                         : "set needs some of --cores, --gpus, --running, --queued, "
                                           "--max-priority, --max-time");
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
    const cJSON *note;
    cJSON_ArrayForEach(note, json_get(quota, "notes")) if (cJSON_IsString(note))
        cli_note("%s", note->valuestring);
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
    struct quota_request_args request = {&args->base,     args->family, args->limits[0],
                                         args->limits[1], args->reason, json};
    if (argc == 1 && strcmp(argv[0], "request") == 0)
        return quota_request(&request);
    if (argc == 1 && strcmp(argv[0], "requests") == 0)
        return quota_requests_list(&request);
    if (argc == 2 &&
        (strcmp(argv[0], "approve") == 0 || strcmp(argv[0], "deny") == 0 || strcmp(argv[0], "withdraw") == 0))
        return quota_decide(&request, argv[0], argv[1]);
    if (argc > 1 || (argc == 1 && strcmp(argv[0], "list") != 0))
        return cli_usage("quota", "quota takes: list, set or remove; request, requests, or approve, deny, "
                                  "withdraw with a request's number");
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (args->limits[i])
            return cli_usage("quota", "--%s goes with quota set", fields[i]);
    }
    if (args->max_priority || args->max_time)
        return cli_usage("quota", "--max-priority and --max-time go with quota set");
    return list(args, json);
}

const struct verb verb_quota = {
    .name = "quota",
    .synopsis = "[list] [-o json]\n"
                "set user NAME|workspace NAME|everyone [--cores N] [--gpus N] [--running N] [--queued N] "
                "[--max-priority CLASS] [--max-time T]\n"
                "set [user NAME|workspace NAME] --family F [--cores N] [...]\n"
                "remove user NAME|workspace NAME|everyone [--family F]\n"
                "request --family F --cores N [--gpus N] [--reason TEXT]\n"
                "requests [-o json]\n"
                "approve ID [--cores N] [--gpus N] [--reason TEXT]\n"
                "deny ID --reason TEXT\n"
                "withdraw ID",
    .summary = "list or set what users and workspaces may hold at once",
    .details =
        "A limit that is left out stays as it is; \"none\" takes it away. What everyone may hold counts "
        "for each user\nwithout a quota of their own. Jobs beyond a limit wait; one more than --queued is "
        "refused. Administrators set\nquotas, everybody may list them; the list shows what is held of "
        "each limit.\nOwners may raise priority and time limit of their jobs up to --max-priority and "
        "--max-time, and "
        "never past a\nreservation; a user's own cap stands in place of everyone's, each for itself. Without "
        "more, everyone has "
        "medium.\nSizes of a restricted family need approval: ask for it with quota request. "
        "Approval gives a quota in that family,\nand the jobs that wait for it start.",
    .operands = WORD_NAME,
    .options = quota_opts,
    .args_size = sizeof(struct quota_args),
    .run = run_quota,
};
