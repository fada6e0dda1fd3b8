/* berth licence: how many there are of each licence. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct licence_args {
    struct args_base base;
};

static const struct opt licence_opts[] = {
    OPT_HOST(struct licence_args),
    OPT_OUTPUT(struct licence_args),
    {0},
};

static const struct table_column columns[] = {
    {"NAME", false, 1, 8, 0}, {"TOTAL", true, 0, 0, 0}, {"IN USE", true, 0, 0, 0}};

static int list(struct client *client, bool json, struct error *err)
{
    _cleanup_json_ cJSON *answer = client_call(client, "GET", "/v1/licences", NULL, 0, err);
    if (!answer)
        return cli_fail(err);
    const cJSON *licences = json_get(answer, "licences"), *licence;
    if (json) {
        show_json(licences);
        return EXIT_OK;
    }
    struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(licence, licences)
    {
        table_add(&table, json_str(licence, "name", "?"), TERM_PLAIN);
        table_addf(&table, "%lld", (long long)json_int(licence, "total", 0));
        table_addf(&table, "%lld", (long long)json_int(licence, "used", 0));
    }
    table_print(&table);
    table_finish(&table);
    return EXIT_OK;
}

static int run_licence(void *p, int argc, char **argv)
{
    const struct licence_args *args = p;
    struct error err = {0};
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("licence", "-o takes json or table, not \"%s\"", args->base.output);
    bool set = argc == 3 && strcmp(argv[0], "set") == 0;
    if (!set && argc && !(argc == 1 && strcmp(argv[0], "list") == 0))
        return cli_usage("licence", "licence takes: list, or set NAME TOTAL");
    if (set && (!*argv[2] || strlen(argv[2]) > 9 || strspn(argv[2], "0123456789") != strlen(argv[2])))
        return cli_usage("licence", "TOTAL is a whole number, not \"%s\"", argv[2]);
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    if (!set)
        return list(client, json, &err);
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    json_add_str(body, "name", argv[1]);
    json_add_int(body, "total", strtoll(argv[2], NULL, 10));
    _cleanup_json_ cJSON *licence = client_call(client, "POST", "/v1/licences", body, 0, &err);
    if (!licence)
        return cli_fail(&err);
    if (json)
        show_json(licence);
    return EXIT_OK;
}

const struct verb verb_licence = {
    .name = "licence",
    .synopsis = "[list] [-o json]\nset NAME TOTAL",
    .summary = "list licences, or say how many there are of one",
    .operands = WORD_NAME,
    .options = licence_opts,
    .args_size = sizeof(struct licence_args),
    .run = run_licence,
};
