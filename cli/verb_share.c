/* berth share: what each user has used lately, and who goes first by the fair share. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"
#include "proto/units.h"

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
                                              {"SHARE", true, 0, 0, 0},  {"QUEUED", true, 0, 0, 0}};

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
        table_addf(&table, "%lld", (long long)json_int(share, "queued", 0));
    }
    table_print(&table);
    table_finish(&table);
    if (!weight)
        print_line(PRINT_OUT,
                   "the fair share is off, and use changes no order: berth policy set --share-weight 8 "
                   "--half-life 7d");
    else
        print_line(PRINT_OUT, "use fades by half in %s; rank 1 goes first",
                   units_format_exact(json_int(answer, "share_half_life_s", 0) * 1000, half));
}

static int run_share(void *p, int argc, char **argv)
{
    const struct share_args *args = p;
    struct error err = {0};
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("share", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc)
        return cli_usage("share", "share takes no operands, not \"%s\"", argv[0]);
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *answer = client ? client_call(client, "GET", "/v1/shares", NULL, 0, &err) : NULL;
    if (!answer)
        return cli_fail(&err);
    if (json)
        show_json(answer);
    else
        show(answer);
    return EXIT_OK;
}

const struct verb verb_share = {
    .name = "share",
    .synopsis = "[-o json]",
    .summary = "show what each user has used lately, and who goes first",
    .details =
        "CORE-HOURS counts cores and GPUs by the time for which they are held: what runs in full, what has "
        "ended\nfades with the half-life. With a share weight (berth policy set --share-weight) who has "
        "used less goes\nfirst within a class of priority.",
    .options = share_opts,
    .args_size = sizeof(struct share_args),
    .run = run_share,
};
