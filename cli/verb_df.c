/* berth df: what each user stores, and may. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"
#include "proto/units.h"

#include <stdio.h>
#include <string.h>

#define BARE_BYTES_MIN (INT64_C(1) << 20) /* bytes; a smaller number without a unit lacks one by mistake */

struct df_args {
    struct args_base base;
    const char *user, *blobs, *results, *work;
    bool remove;
};

static const struct opt df_opts[] = {
    {"remove", 0, NULL, "remove the logs and outputs of these ended jobs", OPT_FLAG,
     offsetof(struct df_args, remove)},
    {"blobs", 0, "SIZE", "set the limit for uploaded files (administrators): 20G; default: the default again",
     OPT_STRING, offsetof(struct df_args, blobs)},
    {"results", 0, "SIZE", "set the limit for logs and outputs together (administrators)", OPT_STRING,
     offsetof(struct df_args, results)},
    {"work", 0, "SIZE", "set the limit for work files, which are part of the outputs (administrators)",
     OPT_STRING, offsetof(struct df_args, work)},
    {"user", 0, "NAME", "whose limits are set; without it, those of everyone who has none", OPT_STRING,
     offsetof(struct df_args, user)},
    OPT_HOST(struct df_args),
    OPT_OUTPUT(struct df_args),
    {0},
};

static const struct table_column columns[] = {
    {"USER", false, 1, 8, 0}, {"FILES", true, 0, 0, 0}, {"UPLOADED", true, 0, 0, 0},
    {"LIMIT", true, 0, 0, 0}, {"LOGS", true, 0, 0, 0},  {"OUTPUTS", true, 0, 0, 0},
    {"LIMIT", true, 0, 0, 0}, {"WORK", true, 0, 0, 0},  {"LIMIT", true, 0, 0, 0},
};

static void add_bytes(struct table *table, int64_t bytes)
{
    char text[24];
    table_add(table, units_format_bytes(bytes, text), TERM_PLAIN);
}

static void show(const cJSON *answer)
{
    struct table table;
    char left[24], floor[24];
    const cJSON *user;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(user, json_get(answer, "users"))
    {
        table_add(&table, json_str(user, "name", "?"), TERM_PLAIN);
        table_addf(&table, "%lld", (long long)json_int(user, "files", 0));
        add_bytes(&table, json_int(json_get(user, "blobs"), "bytes", 0));
        add_bytes(&table, json_int(json_get(user, "blobs"), "limit_bytes", 0));
        add_bytes(&table, json_int(user, "log_bytes", 0));
        add_bytes(&table, json_int(user, "output_bytes", 0));
        add_bytes(&table, json_int(json_get(user, "results"), "limit_bytes", 0));
        add_bytes(&table, json_int(json_get(user, "work"), "bytes", 0));
        add_bytes(&table, json_int(json_get(user, "work"), "limit_bytes", 0));
    }
    table_print(&table);
    table_finish(&table);
    print_line(PRINT_OUT, "%s free in %s; nothing new is stored below %s",
               units_format_bytes(json_int(answer, "free_bytes", 0), left),
               json_str(answer, "state_dir", "?"),
               units_format_bytes(json_int(answer, "floor_bytes", 0), floor));
}

static bool add_size(cJSON *body, const char *field, const char *option, const char *text, int *code)
{
    int64_t bytes;
    if (!text)
        return true;
    if (strcmp(text, "default") == 0) {
        cJSON_AddNullToObject(body, field);
        return true;
    }
    if (!units_parse_bytes(text, &bytes) || bytes < 1) {
        *code = cli_usage("df", "invalid --%s \"%s\": a size such as 20G, or default", option, text);
        return false;
    }
    if (strspn(text, "0123456789") == strlen(text) && bytes < BARE_BYTES_MIN) {
        *code = cli_usage("df", "--%s %s would be %s bytes: write the unit, such as %sG or %sM", option, text,
                          text, text, text);
        return false;
    }
    cJSON_AddNumberToObject(body, field, (double)bytes);
    return true;
}

static int set_limits(const struct df_args *args, struct client *client)
{
    struct error err = {0};
    int code = EXIT_OK;
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    if (args->user)
        json_add_str(body, "name", args->user);
    if (!add_size(body, "blobs_bytes", "blobs", args->blobs, &code) ||
        !add_size(body, "results_bytes", "results", args->results, &code) ||
        !add_size(body, "work_bytes", "work", args->work, &code))
        return code;
    _cleanup_json_ cJSON *answer = client_call(client, "POST", "/v1/storage", body, 0, &err);
    return answer ? EXIT_OK : cli_fail(&err);
}

static int remove_results(struct client *client, int count, char **names)
{
    int code = EXIT_OK;
    for (int i = 0; i < count; i++) {
        struct error err = {0};
        _cleanup_free_ char *path = client_job_path(names[i], "/results/delete");
        _cleanup_json_ cJSON *body = cJSON_CreateObject();
        _cleanup_json_ cJSON *answer = client_call(client, "POST", path, body, 0, &err);
        if (!answer)
            code = cli_fail(&err);
    }
    return code;
}

static int run_df(void *p, int argc, char **argv)
{
    const struct df_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    bool sets = args->blobs || args->results || args->work;
    struct error err = {0};
    if (bad_output)
        return cli_usage("df", "-o takes json or table, not \"%s\"", args->base.output);
    if (args->remove && (sets || args->user || !argc))
        return cli_usage("df", "--remove takes the names of ended jobs, and no other option");
    if (!args->remove && argc)
        return cli_usage("df", "df takes no operands; \"%s\" is one (--remove takes jobs)", argv[0]);
    if (args->user && !sets)
        return cli_usage("df", "--user needs --blobs, --results or --work");
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    if (args->remove)
        return remove_results(client, argc, argv);
    int code = sets ? set_limits(args, client) : EXIT_OK;
    if (code != EXIT_OK)
        return code;
    _cleanup_json_ cJSON *answer = client_call(client, "GET", "/v1/storage", NULL, 0, &err);
    if (!answer)
        return cli_fail(&err);
    if (json)
        show_json(answer);
    else
        show(answer);
    return EXIT_OK;
}

const struct verb verb_df = {
    .name = "df",
    .synopsis = "[-o json]\n--remove JOB...\n[--user NAME] [--blobs SIZE] [--results SIZE] [--work SIZE]",
    .summary = "show what you store, your limits, and the free space",
    .details =
        "Uploaded files (code) count for each user who uploaded them, also where one copy is stored; what no "
        "live job needs goes after 14 days.\nPast the limit for logs and outputs the logs of your ended jobs "
        "are removed, oldest first; then no job is taken, and what running jobs write to their logs is "
        "dropped, with a mark.\nWork files are what jobs made beside ./outputs: they are kept for 7 days, "
        "and past their limit "
        "(a tenth of the file system, at least 50G for each user) the oldest go, a day after the job's "
        "record "
        "says so, or at once past twice the limit. Those of your newest job and of unfinished ones "
        "stay.\nAdministrators see all users, and set limits.",
    .options = df_opts,
    .args_size = sizeof(struct df_args),
    .run = run_df,
};
