/* berth family: which families of sizes need approval, and what they guard. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"

#include <string.h>

struct family_args {
    struct args_base base;
    struct opt_list models, labels, nodes;
};

static const struct opt family_opts[] = {
    {"gpu-model", 0, "MODEL", "with restrict: it guards GPUs of this model (may be repeated)", OPT_LIST,
     offsetof(struct family_args, models)},
    {"label", 0, "L", "with restrict: it guards nodes with this label (may be repeated)", OPT_LIST,
     offsetof(struct family_args, labels)},
    {"node", 0, "NODE", "with restrict: it guards this node (may be repeated)", OPT_LIST,
     offsetof(struct family_args, nodes)},
    OPT_HOST(struct family_args),
    OPT_OUTPUT(struct family_args),
    {0},
};

static const struct table_column columns[] = {{"FAMILY", false, 1, 8, 0},
                                              {"RESTRICTED", false, 0, 0, 0},
                                              {"GPU MODELS", false, 8, 8, 1},
                                              {"LABELS", false, 8, 8, 1}};

static void add_joined(struct table *table, const cJSON *list)
{
    _cleanup_buf_ struct buf text = {0};
    const cJSON *item;
    cJSON_ArrayForEach(item, list) if (cJSON_IsString(item))
        buf_printf(&text, "%s%s", text.len ? ", " : "", item->valuestring);
    table_add(table, text.data, TERM_PLAIN);
}

static int list(struct client *client, bool json)
{
    struct error err = {0};
    const cJSON *family;
    _cleanup_json_ cJSON *answer = client_call(client, "GET", "/v1/families", NULL, 0, &err);
    if (!answer)
        return cli_fail(&err);
    if (json) {
        show_json(json_get(answer, "families"));
        return EXIT_OK;
    }
    struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(family, json_get(answer, "families"))
    {
        table_add(&table, json_str(family, "name", "?"), TERM_PLAIN);
        table_add(&table, json_bool(family, "restricted", false) ? "yes" : "", TERM_PLAIN);
        add_joined(&table, json_get(family, "gpu_models"));
        add_joined(&table, json_get(family, "labels"));
    }
    table_print(&table);
    table_finish(&table);
    return EXIT_OK;
}

/* What is named replaces what was; nothing named leaves it. */
static void add_list(cJSON *body, const char *field, const struct opt_list *list)
{
    cJSON *names = list->count ? cJSON_AddArrayToObject(body, field) : NULL;
    for (size_t i = 0; i < list->count; i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(list->items[i]));
}

static int restrict_family(const struct family_args *args, struct client *client, const char *name,
                           bool restricted, bool json)
{
    struct error err = {0};
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    cJSON_AddBoolToObject(body, "restricted", restricted);
    add_list(body, "gpu_models", &args->models);
    add_list(body, "labels", &args->labels);
    add_list(body, "nodes", &args->nodes);
    _cleanup_free_ char *escaped = http_easy_escape(name), *path = xasprintf("/v1/families/%s", escaped);
    _cleanup_json_ cJSON *family = client_call(client, "POST", path, body, 0, &err);
    if (!family)
        return cli_fail(&err);
    if (restricted && !cJSON_GetArraySize(json_get(family, "gpu_models")) &&
        !cJSON_GetArraySize(json_get(family, "labels")))
        cli_note("it guards the names of its sizes alone: --gpu-model, --label or --node guard what they "
                 "stand for");
    if (json)
        show_json(family);
    return EXIT_OK;
}

static int run_family(void *p, int argc, char **argv)
{
    const struct family_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("family", "-o takes json or table, not \"%s\"", args->base.output);
    const char *verb = argc ? argv[0] : "list";
    bool lists = strcmp(verb, "list") == 0 && argc <= 1, on = strcmp(verb, "restrict") == 0 && argc == 2;
    bool off = strcmp(verb, "unrestrict") == 0 && argc == 2;
    if (!lists && !on && !off)
        return cli_usage("family", "family takes: list, restrict FAMILY or unrestrict FAMILY");
    if (!on && (args->models.count || args->labels.count || args->nodes.count))
        return cli_usage("family", "--gpu-model, --label and --node go with family restrict");
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    return lists ? list(client, json) : restrict_family(args, client, argv[1], on, json);
}

const struct verb verb_family = {
    .name = "family",
    .synopsis = "[list] [-o json]\nrestrict FAMILY [--gpu-model MODEL] [--label L] [--node NODE]\n"
                "unrestrict FAMILY",
    .summary = "list the families of sizes, and restrict what they stand for",
    .details =
        "Sizes of a restricted family need approval (berth quota request). GPUs of the models that it "
        "guards, and nodes with\nthe labels, are for those alone who are approved, however a job asks for "
        "them; what is named replaces what was.\nWhat runs already goes on. A node that is named gets the "
        "label restricted:FAMILY.",
    .operands = WORD_NAME,
    .options = family_opts,
    .args_size = sizeof(struct family_args),
    .run = run_family,
};
