/* berth ps */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/show_array.h"
#include "cli/table.h"
#include "proto/units.h"

#include <string.h>

struct ps_args {
    struct args_base base;
    bool all, live, mine, quiet;
    struct opt_number limit;
    const char *principal, *workspace, *array;
};

static const struct opt ps_opts[] = {
    {"all", 'a', NULL, "all jobs, not only live ones and those that ended in the last day", OPT_FLAG,
     offsetof(struct ps_args, all)},
    {"live", 'l', NULL, "live jobs alone", OPT_FLAG, offsetof(struct ps_args, live)},
    {"user", 'u', "NAME", "jobs of one user", OPT_STRING, offsetof(struct ps_args, principal)},
    {"workspace", 0, "NAME", "jobs of one workspace", OPT_STRING, offsetof(struct ps_args, workspace)},
    {"array", 0, "NAME", "the elements of that array that have begun", OPT_STRING,
     offsetof(struct ps_args, array)},
    {"limit", 'n', "N", "at most so many, the newest", OPT_NUMBER, offsetof(struct ps_args, limit)},
    {"quiet", 'q', NULL, "names alone", OPT_FLAG, offsetof(struct ps_args, quiet)},
    OPT_HOST(struct ps_args),
    OPT_OUTPUT(struct ps_args),
    {0},
};

static const struct table_column columns[] = {
    {"ID", true, 0, 0, 0},         {"NAME", false, 3, 12, 0}, {"USER", false, 6, 6, 2},
    {"STATE", false, 0, 0, 0},     {"WHY", false, 9, 12, 1},  {"STARTS IN", true, 0, 0, 8},
    {"CPUS", true, 0, 0, 4},       {"MEMORY", true, 0, 0, 5}, {"GPUS", true, 0, 0, 3},
    {"SUBMITTED", false, 0, 0, 6}, {"TIME", true, 0, 0, 0},   {"COMMAND", false, 8, 12, 7},
};

/* What explains the state in a word or two: why it waits, how it ended. */
static void add_why(struct table *table, const cJSON *job)
{
    const cJSON *cause = json_get(job, "cause");
    const char *state = json_str(job, "state", "");
    char until[32];
    _cleanup_buf_ struct buf counts = {0};
    show_array_counts(json_get(job, "array"), &counts);
    if (counts.len)
        table_add(table, counts.data, TERM_PLAIN);
    else if (strcmp(state, "Completed") == 0)
        table_add(table, "", TERM_PLAIN);
    else if (cJSON_IsObject(cause))
        table_add(table, json_str(cause, "text", json_str(cause, "kind", "")), TERM_PLAIN);
    else if (json_int(job, "kept_until_ms", 0))
        table_addf(table, "%s until %s", json_str(job, "reason", ""),
                   show_time(json_int(job, "kept_until_ms", 0), until));
    else
        table_add(table, json_str(job, "reason", ""), TERM_PLAIN);
}

/* When a waiting job should start, from now on. */
static void add_start(struct table *table, const cJSON *job, int64_t now)
{
    char text[32];
    int64_t at = json_int(job, "expected_start_ms", 0), wait = at > now ? (at - now) / 1000 * 1000 : 0;
    if (at && strcmp(json_str(job, "state", ""), "Queued") == 0)
        table_addf(table, "~%s", units_format_duration(wait, text));
    else
        table_add(table, "", TERM_PLAIN);
}

static void add_job(struct table *table, const cJSON *job, int64_t now)
{
    char text[32];
    const cJSON *resources = json_get(job, "resources");
    const char *state = json_str(job, "state", "?");
    table_addf(table, "%lld", (long long)json_int(job, "id", 0));
    table_add(table, json_str(job, "name", "?"), TERM_PLAIN);
    table_add(table, json_str(job, "principal", "?"), TERM_PLAIN);
    table_add(table, state, show_state_colour(state));
    add_why(table, job);
    add_start(table, job, now);
    table_addf(table, "%lld", (long long)json_int(resources, "cpus", 0));
    table_add(table, show_bytes(json_int(resources, "memory_bytes", 0), text), TERM_PLAIN);
    table_addf(table, "%g", cJSON_GetNumberValue(json_get(resources, "gpus")));
    table_add(table, show_ago(json_int(job, "submitted_ms", 0), now, text), TERM_PLAIN);
    table_add(table, show_elapsed(json_int(job, "started_ms", 0), json_int(job, "ended_ms", 0), now, text),
              TERM_PLAIN);
    const cJSON *command = json_get(job, "command");
    _cleanup_free_ char *line =
        cJSON_IsArray(command) ? json_text(command) : xstrdup(json_str(job, "command", ""));
    line[strcspn(line, "\n")] = '\0';
    table_add(table, line, TERM_DIM);
}

static int run_ps(void *p, int argc, char **argv)
{
    struct ps_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("ps", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc > 0)
        return cli_usage("ps", "ps takes no operands; berth show %s tells about one job", argv[0]);
    if (args->all && args->live)
        return cli_usage("ps", "--all and --live can't stand together");
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    _cleanup_buf_ struct buf path = {0};
    buf_add_str(&path, "/v1/jobs");
    char separator = '?';
    if (args->all || args->live) {
        buf_printf(&path, "%cstate=%s", separator, args->all ? "all" : "live");
        separator = '&';
    }
    if (args->limit.given) {
        buf_printf(&path, "%climit=%lld", separator, args->limit.value);
        separator = '&';
    }
    if (args->principal) {
        _cleanup_free_ char *principal = http_easy_escape(args->principal);
        buf_printf(&path, "%cprincipal=%s", separator, principal);
        separator = '&';
    }
    if (args->workspace) {
        _cleanup_free_ char *workspace = http_easy_escape(args->workspace);
        buf_printf(&path, "%cworkspace=%s", separator, workspace);
        separator = '&';
    }
    if (args->array) {
        _cleanup_free_ char *array = http_easy_escape(args->array);
        buf_printf(&path, "%carray=%s", separator, array);
        separator = '&';
    }
    if (!args->quiet)
        buf_printf(&path, "%cexpected=1", separator);
    _cleanup_json_ cJSON *answer = client_call(client, "GET", path.data, NULL, 0, &err);
    if (!answer)
        return cli_fail(&err);
    const cJSON *jobs = json_get(answer, "jobs"), *job;
    if (json) {
        show_json(jobs);
        return EXIT_OK;
    }
    struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    int64_t now = clock_wall_ms();
    cJSON_ArrayForEach(job, jobs)
    {
        if (args->quiet)
            print_out("%s\n", json_str(job, "name", "?"));
        else
            add_job(&table, job, now);
    }
    if (!args->quiet)
        table_print(&table);
    table_finish(&table);
    return EXIT_OK;
}

const struct verb verb_ps = {
    .name = "ps",
    .synopsis = "[--all] [-u NAME] [--workspace NAME] [--array NAME] [-o json]",
    .summary = "list jobs: live ones, and those that ended in the last day",
    .options = ps_opts,
    .args_size = sizeof(struct ps_args),
    .run = run_ps,
};
