/* berth log: who changed what. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/change_words.h"
#include "cli/client.h"
#include "cli/daemons.h"
#include "cli/show.h"
#include "cli/table.h"
#include "proto/excerpt.h"
#include "proto/units.h"
#include "scheduler/entry.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_UNLESS_ASKED 100
#define LINES_MAX 1000000
#define PAGE 1000 /* lines of one request */

struct log_args {
    struct args_base base;
    const char *since, *until, *user, *job, *what, *limit;
};

static const struct opt log_opts[] = {
    {"since", 0, "TIME", "from then on: -2h (ago), 2026-12-24, \"2026-12-24 18:00\" here", OPT_STRING,
     offsetof(struct log_args, since)},
    {"until", 0, "TIME", "up to then", OPT_STRING, offsetof(struct log_args, until)},
    {"user", 0, "NAME", "changes that NAME made", OPT_STRING, offsetof(struct log_args, user)},
    {"job", 0, "JOB", "changes to that job", OPT_STRING, offsetof(struct log_args, job)},
    {"what", 0, "KIND", "changes of one kind, as the column WHAT has them: submit, \"node drain\"",
     OPT_STRING, offsetof(struct log_args, what)},
    {"limit", 'n', "N", "the N newest of them (default: 100)", OPT_STRING, offsetof(struct log_args, limit)},
    OPT_HOST(struct log_args),
    OPT_OUTPUT(struct log_args),
    {0},
};

static const struct table_column columns[] = {{"TIME", false, 0, 0, 0},
                                              {"USER", false, 6, 6, 0},
                                              {"WHAT", false, 0, 0, 0},
                                              {"SUBJECT", false, 7, 7, 0},
                                              {"CHANGE", false, 8, 12, 1}};

static void show(const cJSON *lines)
{
    struct table table;
    const cJSON *line;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(line, lines)
    {
        char at[32];
        int64_t job = json_int(line, "job", 0);
        const char *subject = json_str(line, "subject", "");
        table_add(&table, show_time(json_int(line, "at_ms", 0), at), TERM_PLAIN);
        table_add(&table, json_str(line, "user", "?"), TERM_PLAIN);
        table_add(&table, json_str(line, "what", "?"), TERM_PLAIN);
        if (job)
            table_addf(&table, "%s (%lld)", subject, (long long)job);
        else
            table_add(&table, subject, TERM_PLAIN);
        _cleanup_buf_ struct buf text = {0};
        change_add_words(line, &text);
        table_add(&table, text.data, TERM_PLAIN);
    }
    table_print(&table);
    table_finish(&table);
}

static bool read_moment(const char *option, const char *text, int64_t *ms, struct error *err)
{
    return !text || units_parse_time(text, clock_wall_ms(), ms) ||
           error_set(err, ERROR_INVALID,
                     "--%s takes a time such as -2h, 2026-12-24 or \"2026-12-24 18:00\" (here), not \"%s\"",
                     option, EXCERPT(text));
}

static void add_text(struct buf *path, const char *field, const char *text)
{
    _cleanup_free_ char *escaped = text ? http_easy_escape(text) : NULL;
    if (escaped)
        buf_printf(path, "&%s=%s", field, escaped);
}

/* The array, which the caller deletes; *more: there are older ones. *kept: nobody answers, and it was one's
 * own Berth that was asked. */
static cJSON *ask(const struct log_args *args, const struct audit_query *query, bool *more, bool *kept,
                  struct error *err)
{
    _cleanup_client_ struct client *client = client_open(&args->base, err);
    _cleanup_json_ cJSON *all = cJSON_CreateArray();
    int64_t before = 0;
    *more = client != NULL;
    *kept = false;
    while (client && *more && (uint32_t)cJSON_GetArraySize(all) < query->limit) {
        uint32_t rest = query->limit - (uint32_t)cJSON_GetArraySize(all);
        _cleanup_buf_ struct buf path = {0};
        buf_printf(&path, "/v1/audit?limit=%u", rest < PAGE ? rest : PAGE);
        buf_printf(&path, "&since=%lld&until=%lld&before=%lld", (long long)query->since_ms,
                   (long long)query->until_ms, (long long)before);
        add_text(&path, "user", query->user);
        add_text(&path, "what", query->what);
        add_text(&path, "job", args->job);
        _cleanup_json_ cJSON *answer = client_call(client, "GET", path.data, NULL, 0, err);
        if (!answer) {
            *more = false;
            *kept =
                err->code == ERROR_UNAVAILABLE && (client->where.kind != WHERE_NAMED || args->base.state_dir);
            return NULL;
        }
        cJSON *lines = cJSON_GetObjectItemCaseSensitive(answer, "lines"), *item;
        while ((item = cJSON_DetachItemFromArray(lines, 0)))
            cJSON_AddItemToArray(all, item);
        before = json_int(answer, "next", 0);
        *more = before != 0;
    }
    return client ? take_ptr(all) : NULL;
}

/* An empty answer says what was asked for, and a journal from before there were lines since when there are.
 */
static void note_none(const struct log_args *args, const struct audit_query *query)
{
    if (query->not_kept)
        cli_note("this journal is from before Berth kept who changed what: lines are kept from this "
                 "version's first start on");
    else if (args->user)
        cli_note("no line of a user \"%s\"%s", EXCERPT(args->user),
                 args->what || args->job || args->since || args->until ? " that the other options select"
                                                                       : "");
    else
        cli_note("no line%s", args->what || args->job || args->since || args->until
                                  ? " that these options select"
                                  : " yet");
}

/* Nobody answers where one's own Berth would: what its journal has. */
static cJSON *read_kept(const struct log_args *args, struct audit_query *query, struct error *err)
{
    char *end = NULL;
    struct error ignored = {0};
    _cleanup_free_ char *state_dir = where_state_dir(args->base.state_dir, &ignored);
    _cleanup_free_ char *journal = state_dir ? xasprintf("%s/journal", state_dir) : NULL;
    if (!journal || access(journal, R_OK) != 0)
        return NULL;
    query->job = args->job ? strtoull(args->job, &end, 10) : 0;
    if (args->job && (!query->job || *end)) {
        error_set(err, ERROR_INVALID, "no Berth is running: --job takes a job's id, not \"%s\"",
                  EXCERPT(args->job));
        error_hint(err, "berth up --detach, or --job ID: berth log shows ids behind names");
        return NULL;
    }
    cJSON *lines = daemon_log(state_dir, query, err);
    if (lines)
        cli_note("no Berth is running: read from %s", journal);
    return lines;
}

static int run_log(void *p, int argc, char **argv)
{
    const struct log_args *args = p;
    struct error err = {0};
    bool bad_output, json = cli_wants_json(&args->base, &bad_output), more = false, kept;
    struct audit_query query = {.user = args->user, .what = args->what, .limit = LINES_UNLESS_ASKED};
    char *end = NULL;
    if (bad_output)
        return cli_usage("log", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc)
        return cli_usage("log", "log takes no operands, not \"%s\"; --job JOB selects", argv[0]);
    if (args->limit) {
        unsigned long count = strtoul(args->limit, &end, 10);
        if (*end || *args->limit < '0' || *args->limit > '9' || !count || count > LINES_MAX)
            return cli_usage("log", "--limit takes a number from 1 to %d, not \"%s\"", LINES_MAX,
                             args->limit);
        query.limit = (uint32_t)count;
    }
    if (!read_moment("since", args->since, &query.since_ms, &err) ||
        !read_moment("until", args->until, &query.until_ms, &err))
        return cli_usage("log", "%s", err.message);
    _cleanup_json_ cJSON *lines = ask(args, &query, &more, &kept, &err);
    if (!lines && kept)
        lines = read_kept(args, &query, &err);
    if (!lines)
        return cli_fail(&err);
    if (json)
        show_json(lines);
    else
        show(lines);
    if (!cJSON_GetArraySize(lines))
        note_none(args, &query);
    if (more && !args->limit)
        cli_note("there are older ones: -n N shows more");
    return EXIT_OK;
}

const struct verb verb_log = {
    .name = "log",
    .synopsis = "[--since TIME] [--until TIME] [--user NAME] [--job JOB] [--what KIND] [-n N] [-o json]",
    .summary = "show who changed what, the newest first",
    .details =
        "One line for each change: of a job (submit, hold, release, update, cancel), and of what all share "
        "(policy,\nquotas, requests for quota, nodes, reservations, sizes, workspaces). Those of jobs are "
        "seen "
        "by administrators,\nthe job's owner, and who made the change. The 100,000 newest of each user are "
        "kept. "
        "Where one's own Berth\n(or that of --state-dir) is not running, its journal is read itself.\nWhat a "
        "job wrote is in berth logs.",
    .options = log_opts,
    .args_size = sizeof(struct log_args),
    .run = run_log,
};
