/* berth reserve: nodes, or so much of any, for some users over a time. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/when.h"
#include "proto/units.h"

#include <stdlib.h>
#include <string.h>

struct reserve_args {
    struct args_base base;
    const char *from, *until, *duration, *users, *nodes, *memory;
    struct opt_number count, cpus, gpus;
};

static const struct opt reserve_opts[] = {
    {"from", 0, "TIME", "when it begins: " WHEN_COMING " (default: now)", OPT_STRING,
     offsetof(struct reserve_args, from)},
    {"for", 0, "DURATION", "how long: 90m, 4h, 2d", OPT_STRING, offsetof(struct reserve_args, duration)},
    {"until", 0, "TIME", "when it ends, in place of --for", OPT_STRING, offsetof(struct reserve_args, until)},
    {"users", 0, "A,B", "whose jobs may use it", OPT_STRING, offsetof(struct reserve_args, users)},
    {"nodes", 0, "A,B", "these nodes", OPT_STRING, offsetof(struct reserve_args, nodes)},
    {"count", 0, "N", "so many of any nodes (default: 1)", OPT_NUMBER, offsetof(struct reserve_args, count)},
    {"cpus", 0, "N", "CPUs of each node (no amount at all: the whole node)", OPT_NUMBER,
     offsetof(struct reserve_args, cpus)},
    {"gpus", 0, "N", "GPUs of each node", OPT_NUMBER, offsetof(struct reserve_args, gpus)},
    {"memory", 0, "SIZE", "memory of each node, such as 64G", OPT_STRING,
     offsetof(struct reserve_args, memory)},
    OPT_HOST(struct reserve_args),
    OPT_OUTPUT(struct reserve_args),
    {0},
};

static const struct table_column columns[] = {
    {"NAME", false, 1, 8, 0},  {"FROM", false, 0, 0, 0}, {"UNTIL", false, 0, 0, 0},
    {"USERS", false, 2, 8, 0}, {"EACH", false, 0, 0, 0}, {"NODES", false, 3, 8, 0},
};

/* ---- what there is ---- */

static void join(const cJSON *list, struct buf *out)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
        buf_printf(out, "%s%s", out->len ? "," : "", cJSON_IsString(item) ? item->valuestring : "?");
}

static void each(const cJSON *r, struct buf *out)
{
    char memory[32];
    long long cpus = json_int(r, "cpus", 0), gpus = json_int(r, "gpus", 0),
              bytes = json_int(r, "memory_bytes", 0);
    if (cJSON_IsTrue(json_get(r, "whole")))
        buf_add_str(out, "whole");
    if (cpus)
        buf_printf(out, "%lld CPU%s", cpus, cpus == 1 ? "" : "s");
    if (gpus)
        buf_printf(out, "%s%lld gpus", out->len ? ", " : "", gpus);
    if (bytes)
        buf_printf(out, "%s%s", out->len ? ", " : "", show_bytes(bytes, memory));
}

static void add_row(struct table *table, const cJSON *r)
{
    char from[32], until[32];
    _cleanup_buf_ struct buf users = {0}, nodes = {0}, amounts = {0};
    long long count = json_int(r, "count", 0), usable = json_int(r, "usable", 0);
    join(json_get(r, "users"), &users);
    join(json_get(r, "nodes"), &nodes);
    each(r, &amounts);
    if (usable < count)
        buf_printf(&nodes, " (%lld of %lld up)", usable, count);
    table_add(table, json_str(r, "name", "?"), TERM_PLAIN);
    table_add(table, show_time(json_int(r, "from_ms", 0), from), TERM_PLAIN);
    table_add(table, show_time(json_int(r, "until_ms", 0), until), TERM_PLAIN);
    table_add(table, users.data, TERM_PLAIN);
    table_add(table, amounts.data, TERM_PLAIN);
    table_add(table, nodes.data, usable < count ? TERM_YELLOW : TERM_PLAIN);
}

static void tell_in_the_way(const cJSON *r)
{
    const cJSON *item, *list = json_get(r, "in_the_way");
    char until[32];
    cJSON_ArrayForEach(item, list)
    {
        int64_t ms = json_int(item, "until_ms", 0);
        print_line(PRINT_OUT, "job %s is in the way on node %s, %s%s; it is not stopped",
                   json_str(item, "job", "?"), json_str(item, "node", "?"),
                   ms ? "until " : "nobody knows how long", ms ? show_time(ms, until) : "");
    }
}

/* All of them, or `name` alone. */
static int list(struct client *client, const char *name, bool json, struct error *err)
{
    _cleanup_json_ cJSON *all = client_list(client, "/v1/reservations", "reservations", err);
    const cJSON *r, *found = NULL;
    if (!all)
        return cli_fail(err);
    cJSON_ArrayForEach(r, all)
    {
        if (name && strcmp(json_str(r, "name", ""), name) == 0)
            found = r;
    }
    if (name && !found) {
        error_set(err, ERROR_NOT_FOUND, "there is no reservation %.64s", name);
        error_hint(err, "berth reserve list");
        return cli_fail(err);
    }
    if (json) {
        show_json(name ? found : all);
        return EXIT_OK;
    }
    struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(r, all)
    {
        if (!name || r == found)
            add_row(&table, r);
    }
    table_print(&table);
    table_finish(&table);
    if (found)
        tell_in_the_way(found);
    return EXIT_OK;
}

/* ---- changes ---- */

static void add_names(cJSON *body, const char *field, const char *text)
{
    cJSON *names = text ? cJSON_AddArrayToObject(body, field) : NULL;
    for (const char *p = text; p;) {
        size_t n = strcspn(p, ",");
        _cleanup_free_ char *name = xstrndup(p, n);
        cJSON_AddItemToArray(names, cJSON_CreateString(name));
        p = p[n] ? p + n + 1 : NULL;
    }
}

static int add_times(const struct reserve_args *args, cJSON *body)
{
    int64_t now = clock_wall_ms(), from = now, until, duration;
    struct error err = {0};
    if (args->from && !when_read_moment("--from", args->from, now, &from, &err))
        return cli_usage("reserve", "%s", err.message);
    if (!args->duration == !args->until)
        return cli_usage("reserve", "say how long: --for DURATION, or --until TIME");
    if ((args->until && !when_read_moment("--until", args->until, now, &until, &err)) ||
        (args->duration && !when_read_duration("--for", args->duration, &duration, &err)))
        return cli_usage("reserve", "%s", err.message);
    json_add_int(body, "from_ms", from);
    json_add_int(body, "until_ms", args->duration ? from + duration : until);
    return EXIT_OK;
}

static int fill(const struct reserve_args *args, cJSON *body)
{
    int64_t bytes;
    int code = add_times(args, body);
    if (code)
        return code;
    if (!args->users)
        return cli_usage("reserve", "say for whom: --users alice,bob");
    if (args->nodes && args->count.given)
        return cli_usage("reserve", "either --nodes, or --count: so many of any");
    if (args->memory && !units_parse_bytes(args->memory, &bytes))
        return cli_usage("reserve", "--memory takes a size such as 64G, not \"%s\"", args->memory);
    add_names(body, "users", args->users);
    add_names(body, "nodes", args->nodes);
    if (args->count.given)
        json_add_int(body, "count", args->count.value);
    if (args->cpus.given)
        json_add_int(body, "cpus", args->cpus.value);
    if (args->gpus.given)
        json_add_int(body, "gpus", args->gpus.value);
    if (args->memory)
        json_add_int(body, "memory_bytes", bytes);
    return EXIT_OK;
}

static int post(struct client *client, const cJSON *body, bool json, struct error *err)
{
    _cleanup_json_ cJSON *answer = client_call(client, "POST", "/v1/reservations", body, 0, err);
    if (!answer)
        return cli_fail(err);
    if (json)
        show_json(answer);
    else
        tell_in_the_way(answer);
    return EXIT_OK;
}

static int run_reserve(void *p, int argc, char **argv)
{
    const struct reserve_args *args = p;
    struct error err = {0};
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("reserve", "-o takes json or table, not \"%s\"", args->base.output);
    bool all = argc == 0 || (argc == 1 && strcmp(argv[0], "list") == 0);
    bool show = argc == 2 && strcmp(argv[0], "show") == 0,
         remove = argc == 2 && strcmp(argv[0], "delete") == 0;
    if (!all && !show && !remove && argc != 1)
        return cli_usage("reserve", "reserve takes: NAME with its options, list, show NAME, or delete NAME");
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    json_add_str(body, "name", remove ? argv[1] : argc ? argv[0] : NULL);
    if (remove)
        cJSON_AddTrueToObject(body, "remove");
    int code = all || show || remove ? EXIT_OK : fill(args, body);
    if (code)
        return code;
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    if (all || show)
        return list(client, show ? argv[1] : NULL, json, &err);
    return post(client, body, json, &err);
}

const struct verb verb_reserve = {
    .name = "reserve",
    .synopsis = "NAME --from TIME --for DURATION --users A,B [--nodes A,B | --count N] [amounts]\n"
                "[list] [-o json]\nshow NAME\ndelete NAME",
    .summary = "keep nodes, or parts of them, for some users over a time",
    .operands = WORD_NAME,
    .options = reserve_opts,
    .args_size = sizeof(struct reserve_args),
    .run = run_reserve,
};
