/* berth size: the named shapes that jobs may ask for. */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "cli/client.h"
#include "cli/named.h"
#include "cli/show.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct size_args {
    struct args_base base;
    const char *family, *category, *memory, *gpu_model, *restricted, *isolated, *price;
    struct opt_number cpus, gpus;
    bool fits;
};

static const struct opt size_opts[] = {
    {"family", 0, "F", "the family that it shares quotas and approval with; with list: its sizes alone",
     OPT_STRING, offsetof(struct size_args, family)},
    {"category", 0, "C", "general, memory, compute, hpc or gpu", OPT_STRING,
     offsetof(struct size_args, category)},
    {"cpus", 0, "N", "logical CPUs", OPT_NUMBER, offsetof(struct size_args, cpus)},
    {"memory", 0, "SIZE", "memory: 56G (powers of 1024)", OPT_STRING, offsetof(struct size_args, memory)},
    {"gpus", 0, "N", "GPUs", OPT_NUMBER, offsetof(struct size_args, gpus)},
    {"gpu-model", 0, "MODEL", "the GPUs' model, or a part of its name; any: whichever there is", OPT_STRING,
     offsetof(struct size_args, gpu_model)},
    {"restricted", 0, "yes|no", "whether the family's sizes need approval", OPT_STRING,
     offsetof(struct size_args, restricted)},
    {"isolated", 0, "yes|no", "whether the node is one tenant's alone", OPT_STRING,
     offsetof(struct size_args, isolated)},
    {"price", 0, "P", "price of an hour, a number; none: not known", OPT_STRING,
     offsetof(struct size_args, price)},
    {"fits", 0, NULL, "with list: those alone that some node could hold", OPT_FLAG,
     offsetof(struct size_args, fits)},
    OPT_HOST(struct size_args),
    OPT_OUTPUT(struct size_args),
    {0},
};

static const struct named kind = {.noun = "size", .path = "/v1/sizes", .any_case = true};

static const struct table_column columns[] = {
    {"NAME", false, 1, 12, 0},     {"FAMILY", false, 0, 0, 0},     {"CATEGORY", false, 0, 0, 4},
    {"CPUS", true, 0, 0, 0},       {"MEMORY", true, 0, 0, 0},      {"GPUS", true, 0, 0, 0},
    {"GPU MODEL", false, 2, 9, 5}, {"RESTRICTED", false, 0, 0, 0}, {"ISOLATED", false, 0, 0, 3},
    {"PRICE/H", true, 0, 0, 2},    {"FITS", false, 0, 0, 1},
};

static const char *yes(const cJSON *object, const char *field)
{
    return json_bool(object, field, false) ? "yes" : "";
}

static void add_size(struct table *table, const cJSON *size)
{
    char memory[32];
    const cJSON *price = json_get(size, "price_hour");
    table_add(table, json_str(size, "name", "?"), TERM_PLAIN);
    table_add(table, json_str(size, "family", "?"), TERM_PLAIN);
    table_add(table, json_str(size, "category", "?"), TERM_PLAIN);
    table_addf(table, "%lld", (long long)json_int(size, "cpus", 0));
    table_add(table, show_bytes(json_int(size, "memory_bytes", 0), memory), TERM_PLAIN);
    table_addf(table, "%lld", (long long)json_int(size, "gpus", 0));
    table_add(table, json_str(size, "gpu_model", NULL), TERM_PLAIN);
    table_add(table, yes(size, "restricted"), TERM_PLAIN);
    table_add(table, yes(size, "isolated"), TERM_PLAIN);
    if (cJSON_IsNumber(price))
        table_addf(table, "%g", price->valuedouble);
    else
        table_add(table, NULL, TERM_PLAIN);
    table_add(table, yes(size, "fits"), TERM_PLAIN);
}

static bool wanted(const struct size_args *args, const cJSON *size)
{
    return (!args->family || strcasecmp(args->family, json_str(size, "family", "")) == 0) &&
           (!args->fits || json_bool(size, "fits", false));
}

/* All of the list, or with names those; EXIT_REFUSED where one isn't there. */
static int list(const struct size_args *args, bool json, int count, char **names)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *answer = client ? client_call(client, "GET", kind.path, NULL, 0, &err) : NULL;
    if (!answer)
        return cli_fail(&err);
    const cJSON *sizes = json_get(answer, "sizes"), *size;
    _cleanup_json_ cJSON *chosen = cJSON_CreateArray();
    int code = named_choose(&kind, sizes, count, names, chosen);
    if (!count)
        cJSON_ArrayForEach(size, sizes) if (wanted(args, size))
            cJSON_AddItemToArray(chosen, cJSON_Duplicate(size, true));
    if (json) {
        show_json(chosen);
        return code;
    }
    struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(size, chosen) add_size(&table, size);
    if (!count || cJSON_GetArraySize(chosen))
        table_print(&table);
    table_finish(&table);
    return code;
}

/* yes or no; EXIT_OK, or what cli_usage gave. */
static int add_bool(cJSON *body, const char *field, const char *text)
{
    if (!text)
        return EXIT_OK;
    bool is = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;
    if (!is && strcmp(text, "no") != 0 && strcmp(text, "false") != 0)
        return cli_usage("size", "--%s takes yes or no, not \"%s\"", field, text);
    cJSON_AddBoolToObject(body, field, is);
    return EXIT_OK;
}

static int add_price(cJSON *body, const char *text)
{
    char *end;
    if (!text)
        return EXIT_OK;
    if (strcmp(text, "none") == 0) {
        cJSON_AddNullToObject(body, "price_hour");
        return EXIT_OK;
    }
    double value = strtod(text, &end);
    if (end == text || *end || strspn(text, "0123456789.") != strlen(text))
        return cli_usage("size", "--price takes a number or none, not \"%s\"", text);
    cJSON_AddNumberToObject(body, "price_hour", value);
    return EXIT_OK;
}

static int fill(const struct size_args *args, cJSON *body)
{
    if (args->family)
        json_add_str(body, "family", args->family);
    if (args->category)
        json_add_str(body, "category", args->category);
    if (args->cpus.given)
        json_add_int(body, "cpus", args->cpus.value);
    if (args->gpus.given)
        json_add_int(body, "gpus", args->gpus.value);
    if (args->memory)
        json_add_str(body, "memory", args->memory);
    if (args->gpu_model)
        json_add_str(body, "gpu_model", strcmp(args->gpu_model, "any") == 0 ? NULL : args->gpu_model);
    int code = add_bool(body, "restricted", args->restricted);
    code = code ? code : add_bool(body, "isolated", args->isolated);
    return code ? code : add_price(body, args->price);
}

static int change(const struct size_args *args, const char *verb, const char *name, bool json)
{
    struct error err = {0};
    bool create = strcmp(verb, "create") == 0, delete = strcmp(verb, "delete") == 0;
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    if (create)
        json_add_str(body, "name", name);
    int code = fill(args, body);
    if (code)
        return code;
    if (delete &&body->child)
        return cli_usage("size", "delete takes no more than the size's name");
    if (!create && !delete &&!body->child)
        return cli_usage("size", "update needs what is to be changed, such as --memory 64G");
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    _cleanup_json_ cJSON *size = client ? named_change(&kind, client, verb, name, body, &err) : NULL;
    if (!size)
        return cli_fail(&err);
    if (args->restricted)
        cli_note("that goes for all sizes of the family %s", json_str(size, "family", "?"));
    if (json && !delete)
        show_json(size);
    return EXIT_OK;
}

static int run_size(void *p, int argc, char **argv)
{
    const struct size_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("size", "-o takes json or table, not \"%s\"", args->base.output);
    const char *verb = argc ? argv[0] : "list";
    if (strcmp(verb, "list") == 0 && argc <= 1)
        return list(args, json, 0, NULL);
    if (strcmp(verb, "show") == 0 && argc >= 2)
        return list(args, json, argc - 1, argv + 1);
    if (named_changes(verb) && argc == 2)
        return change(args, verb, argv[1], json);
    return cli_usage("size", "size takes: list, show NAME..., create NAME, update NAME or delete NAME");
}

const struct verb verb_size = {
    .name = "size",
    .synopsis = "[list] [--family F] [--fits] [-o json]\nshow NAME...\n"
                "create NAME --family F --cpus N --memory SIZE [--gpus N] [--gpu-model M] [...]\n"
                "update NAME [--memory SIZE] [--restricted yes|no] [...]\ndelete NAME",
    .summary = "list the named shapes that jobs may ask for, or change them",
    .details =
        "A job asks for one with --size NAME, or `resources: {instance_type: NAME}` in its file. It gives "
        "the CPUs, memory\nand GPUs that the job leaves open. Berth brings the sizes of the service's "
        "families; a site changes what it wants.",
    .operands = WORD_NAME,
    .options = size_opts,
    .args_size = sizeof(struct size_args),
    .run = run_size,
};
