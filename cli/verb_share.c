/* berth share: what each user has used lately, who goes first by the fair share, and whose use weighs less.
 */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"
#include "proto/units.h"

#include <stdlib.h>
#include <string.h>

#define WEIGHT_MIN 0.001 /* as the scheduler has it */
#define WEIGHT_MAX 1000.0

struct share_args {
    struct args_base base;
};

static const struct opt share_opts[] = {
    OPT_HOST(struct share_args),
    OPT_OUTPUT(struct share_args),
    {0},
};

static const struct table_column columns[] = {{"RANK", true, 0, 0, 0},   {"USER", false, 1, 8, 0},
                                              {"IN USE", true, 0, 0, 0}, {"CORE-HOURS", true, 0, 0, 0},
                                              {"SHARE", true, 0, 0, 0},  {"WEIGHT", false, 0, 0, 0},
                                              {"QUEUED", true, 0, 0, 0}};

static void add_weight(struct table *table, const cJSON *share)
{
    const char *group = json_str(share, "weight_of_group", NULL);
    double weight = cJSON_GetNumberValue(json_get(share, "weight"));
    if (group)
        table_addf(table, "%.10g (group %s)", weight, group);
    else
        table_addf(table, "%.10g", weight);
}

static void show(const cJSON *answer)
{
    struct table table;
    const cJSON *share;
    char half[32];
    int64_t weight = json_int(answer, "share_weight", 0);
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(share, json_get(answer, "shares"))
    {
        if (weight)
            table_addf(&table, "%lld", (long long)json_int(share, "rank", 0));
        else
            table_add(&table, NULL, TERM_DIM);
        table_add(&table, json_str(share, "user", "?"), TERM_PLAIN);
        table_addf(&table, "%lld", (long long)json_int(share, "in_use", 0));
        table_addf(&table, "%.1f", cJSON_GetNumberValue(json_get(share, "core_hours")));
        table_addf(&table, "%.0f%%", 100 * cJSON_GetNumberValue(json_get(share, "share")));
        add_weight(&table, share);
        table_addf(&table, "%lld", (long long)json_int(share, "queued", 0));
    }
    table_print(&table);
    table_finish(&table);
    cJSON_ArrayForEach(share, json_get(answer, "weights"))
    {
        const char *group = json_str(share, "group", NULL);
        print_line(PRINT_OUT, "%s %s has the weight %.10g", group ? "group" : "user",
                   group ? group : json_str(share, "user", "?"),
                   cJSON_GetNumberValue(json_get(share, "weight")));
    }
    if (!weight)
        print_line(PRINT_OUT,
                   "the fair share is off, and use changes no order: berth policy set --share-weight 8 "
                   "--half-life 7d");
    else
        print_line(PRINT_OUT, "use fades by half in %s; rank 1 goes first",
                   units_format_exact(json_int(answer, "share_half_life_s", 0) * 1000, half));
}

/* `set user|group NAME WEIGHT` or `remove user|group NAME`; NULL, after saying what is wrong. */
static cJSON *change(int argc, char **argv)
{
    bool set = strcmp(argv[0], "set") == 0, remove = strcmp(argv[0], "remove") == 0;
    bool whose = argc > 1 && (strcmp(argv[1], "user") == 0 || strcmp(argv[1], "group") == 0);
    if (!whose || !(set ? argc == 4 : remove && argc == 3)) {
        cli_usage("share", "share takes: list, set user|group NAME WEIGHT, or remove user|group NAME");
        return NULL;
    }
    cJSON *body = cJSON_CreateObject();
    json_add_str(body, argv[1], argv[2]);
    if (remove) {
        cJSON_AddNullToObject(body, "weight");
        return body;
    }
    char *end;
    double weight = strtod(argv[3], &end);
    if (!*argv[3] || *end || strspn(argv[3], "0123456789.") != strlen(argv[3]) || !(weight >= WEIGHT_MIN) ||
        !(weight <= WEIGHT_MAX)) {
        cli_usage("share", "WEIGHT is a number from %g to %g such as 2 or 0.5, not \"%s\"", WEIGHT_MIN,
                  WEIGHT_MAX, argv[3]);
        cJSON_Delete(body);
        return NULL;
    }
    cJSON_AddNumberToObject(body, "weight", weight);
    return body;
}

static int run_share(void *p, int argc, char **argv)
{
    const struct share_args *args = p;
    struct error err = {0};
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("share", "-o takes json or table, not \"%s\"", args->base.output);
    bool list = !argc || (argc == 1 && strcmp(argv[0], "list") == 0);
    _cleanup_json_ cJSON *body = list ? NULL : change(argc, argv);
    if (!list && !body)
        return EXIT_USAGE;
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *answer =
        client ? client_call(client, list ? "GET" : "POST", "/v1/shares", body, 0, &err) : NULL;
    if (!answer)
        return cli_fail(&err);
    if (!list && !json)
        return EXIT_OK;
    if (json)
        show_json(answer);
    else
        show(answer);
    return EXIT_OK;
}

const struct verb verb_share = {
    .name = "share",
    .synopsis = "[list] [-o json]\n"
                "set user|group NAME WEIGHT\n"
                "remove user|group NAME",
    .summary = "show what each user has used lately, and who goes first, or set weights",
    .details =
        "CORE-HOURS counts cores and GPUs by the time for which they are held: what runs in full, what has "
        "ended\nfades with the half-life. With a share weight (berth policy set --share-weight) who has "
        "used less goes\nfirst within a class of priority. Administrators set weights: who has 2 goes as far "
        "with twice the use of who\nhas none (1). A user's own weight counts, or else the highest of the "
        "Unix "
        "groups that the user is in.",
    .options = share_opts,
    .args_size = sizeof(struct share_args),
    .run = run_share,
};
