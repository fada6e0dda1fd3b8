/* berth ps: page by page, printed as they come, so that nothing is as large as the queue. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/claims.h"
#include "cli/client.h"
#include "cli/selectors.h"
#include "cli/show.h"
#include "cli/show_array.h"
#include "cli/table.h"
#include "proto/json.h"
#include "proto/units.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define PS_PAGE 1000       /* jobs of one request: the most that one answers */
#define PS_COUNT_MAX 10000 /* jobs past the limit that are counted */

struct ps_args {
    struct args_base base;
    bool all, live, mine, quiet;
    struct opt_number limit;
    struct selectors which;
};

static const struct opt ps_opts[] = {
    {"all", 'a', NULL, "all jobs, not only live ones and those that ended in the last day", OPT_FLAG,
     offsetof(struct ps_args, all)},
    {"live", 'l', NULL, "live jobs alone", OPT_FLAG, offsetof(struct ps_args, live)},
    SELECTOR_ROWS(struct ps_args),
    {"limit", 'n', "N", "up to N jobs: those that run, then the newest", OPT_NUMBER,
     offsetof(struct ps_args, limit)},
    {"quiet", 'q', NULL, "names alone, as other verbs take them (USER/NAME of others' jobs)", OPT_FLAG,
     offsetof(struct ps_args, quiet)},
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
    _cleanup_buf_ struct buf address = {0};
    show_add_address(job, &address);
    table_add(table, address.data, TERM_PLAIN);
    table_add(table, json_str(job, "principal", "?"), TERM_PLAIN);
    table_add(table, state, show_state_colour(state));
    add_why(table, job);
    add_start(table, job, now);
    table_addf(table, "%lld", (long long)json_int(resources, "cpus", 0));
    table_add(table, show_bytes(json_int(resources, "memory_bytes", 0), text), TERM_PLAIN);
    double gpus = cJSON_GetNumberValue(json_get(resources, "gpus"));
    int64_t gpu_memory = json_int(resources, "gpu_memory_bytes", 0);
    if (gpus > 0 || !gpu_memory)
        table_addf(table, "%g", gpus);
    else
        table_addf(table, "%s", show_bytes(gpu_memory, text)); /* a share with so much of one's memory */
    table_add(table, show_ago(json_int(job, "submitted_ms", 0), now, text), TERM_PLAIN);
    /* Of the attempt: what an earlier one took is not its time. */
    table_add(table,
              show_elapsed(json_int(job, "attempt_started_ms", 0), json_int(job, "ended_ms", 0), now, text),
              TERM_PLAIN);
    const cJSON *command = json_get(job, "command");
    _cleanup_free_ char *line =
        cJSON_IsArray(command) ? json_text(command) : xstrdup(json_str(job, "command", ""));
    line[strcspn(line, "\n")] = '\0';
    table_add(table, line, TERM_DIM);
}

/* ---- pages ---- */

/* What is left to show, and where it stands. */
struct listing {
    struct client *client;
    const struct ps_args *args;
    const char *caller; /* NULL: not asked for */
    bool json, any_queued;
    int64_t now, left; /* left: of the limit */
    uint64_t shown, more;
    struct table table;
    int64_t *started; /* ids that were shown first, falling */
    size_t started_count;
};

static char *page_path(const struct ps_args *args, const char *state, bool expected, int64_t limit,
                       int64_t before)
{
    struct buf path = {0};
    _cleanup_free_ char *escaped = state ? http_easy_escape(state) : NULL;
    buf_printf(&path, "/v1/jobs?limit=%lld", (long long)limit);
    if (escaped)
        buf_printf(&path, "&state=%s", escaped);
    selectors_add_query(&args->which, &path);
    if (before)
        buf_printf(&path, "&before=%lld", (long long)before);
    if (expected)
        buf_add_str(&path, "&expected=1");
    return buf_take(&path);
}

static void print_table(struct listing *l, bool last)
{
    bool begun = l->table.untitled;
    if (l->args->quiet || l->json || (!l->table.cell_count && (begun || !last)))
        return;
    table_print(&l->table);
    table_next_page(&l->table);
}

static void show_job(struct listing *l, const cJSON *job)
{
    if (l->json) {
        _cleanup_free_ char *text = json_indented(job);
        print_out(l->shown ? ",\n" : "[");
        print_json(text);
    } else if (l->args->quiet) {
        _cleanup_buf_ struct buf address = {0};
        if (l->caller && strcmp(l->caller, json_str(job, "principal", l->caller)) != 0)
            buf_printf(&address, "%s/", json_str(job, "principal", "?"));
        show_add_address(job, &address);
        print_line(PRINT_OUT, "%s", address.data);
    } else {
        add_job(&l->table, job, l->now);
        l->any_queued = l->any_queued || strcmp(json_str(job, "state", ""), "Queued") == 0;
    }
    l->shown++;
    l->left--;
}

static int falling(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

static bool shown_before(const struct listing *l, int64_t id)
{
    return l->started_count && bsearch(&id, l->started, l->started_count, sizeof id, falling);
}

static void note_started(struct listing *l, int64_t id)
{
    if ((l->started_count & (l->started_count + 1)) == 0) /* doubles */
        l->started = xrealloc(l->started, (l->started_count + 1) * 2 * sizeof *l->started);
    l->started[l->started_count++] = id;
}

/* All pages of `state` (NULL: live and recent). Those of `first` are remembered, and left out later. What is
 * past the limit is counted, up to PS_COUNT_MAX. */
static bool show_pages(struct listing *l, const char *state, bool first, struct error *err)
{
    bool expected = !first && !l->args->quiet;
    bool counts = !first && !l->json && !l->args->quiet;
    for (int64_t before = 0; l->left > 0 || (counts && l->more <= PS_COUNT_MAX);) {
        int64_t limit = l->json && l->left < PS_PAGE ? l->left : PS_PAGE;
        _cleanup_free_ char *path = page_path(l->args, state, expected, limit, before);
        _cleanup_json_ cJSON *answer = client_call(l->client, "GET", path, NULL, 0, err);
        const cJSON *job;
        if (!answer)
            return false;
        cJSON_ArrayForEach(job, json_get(answer, "jobs"))
        {
            int64_t id = json_int(job, "id", 0);
            if (shown_before(l, id) && !first)
                continue;
            if (l->left > 0) {
                show_job(l, job);
                if (first)
                    note_started(l, id);
            } else {
                l->more++;
            }
        }
        if (!first) /* what runs first stands in one table with the page behind it: both decide the widths */
            print_table(l, false);
        before = json_int(answer, "next", 0);
        if (!before)
            break;
        expected = false;
    }
    return true;
}

/* As JSON newest first; for people what runs comes first. */
static bool show_jobs(struct listing *l, struct error *err)
{
    const char *state = l->args->all ? "all" : l->args->live ? "live" : l->args->which.state;
    _cleanup_free_ char *started = selectors_started(l->args->which.state);
    bool ok = (l->json || !started || show_pages(l, started, true, err)) && show_pages(l, state, false, err);
    if (!ok)
        return false;
    if (l->json)
        print_out("%s\n", l->shown ? "]" : "[]");
    print_table(l, true);
    if (l->more > PS_COUNT_MAX)
        print_out("… and more than %d more\n", PS_COUNT_MAX);
    else if (l->more)
        print_out("… and %llu more\n", (unsigned long long)l->more);
    if (l->any_queued)
        claims_print(l->client);
    return true;
}

/* An empty list of somebody's jobs: is that his name at all. */
static void tell_no_jobs(const struct ps_args *args)
{
    const char *user = args->which.user;
    bool account = getpwnam(user) != NULL;
    cli_note("no job of user %s is listed%s%s", user,
             args->all || args->which.state ? "" : ": --all has those that ended earlier, too",
             account ? "" : "; this machine has no account of that name");
}

static int run_ps(void *p, int argc, char **argv)
{
    struct ps_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("ps", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc > 0)
        return cli_usage("ps", "ps takes no operands; berth show %s tells about one job", argv[0]);
    if (args->all + args->live + (args->which.state != NULL) > 1)
        return cli_usage("ps", "--all, --live and --state can't stand together");
    if (args->limit.given && args->limit.value < 1)
        return cli_usage("ps", "-n takes a number of jobs from 1, not %lld", (long long)args->limit.value);
    struct error err = {0};
    if (!selectors_check(&args->which, &err))
        return cli_usage("ps", "%s", err.message);
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    _cleanup_json_ cJSON *version =
        args->quiet ? client_call(client, "GET", "/v1/version", NULL, 0, &err) : NULL;
    if (args->quiet && !version)
        return cli_fail(&err);
    struct listing l = {.caller = json_str(version, "principal", NULL),
                        .client = client,
                        .args = args,
                        .json = json,
                        .now = clock_wall_ms(),
                        .left = args->limit.given ? args->limit.value : INT64_MAX};
    table_init(&l.table, columns, sizeof columns / sizeof *columns);
    bool ok = show_jobs(&l, &err);
    if (ok && !l.shown && args->which.user)
        tell_no_jobs(args);
    table_finish(&l.table);
    free(l.started);
    return ok ? EXIT_OK : cli_fail(&err);
}

const struct verb verb_ps = {
    .name = "ps",
    .synopsis = "[--all] [--state S,S] [--user NAME] [--workspace W] [--tag K=V] [--name GLOB] [--array JOB] "
                "[-n N] [-o json]",
    .summary = "list jobs: live ones, and those that ended in the last day",
    .options = ps_opts,
    .args_size = sizeof(struct ps_args),
    .run = run_ps,
};
