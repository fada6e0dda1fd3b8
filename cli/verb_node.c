/* berth node list, berth node show */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/claims.h"
#include "cli/client.h"
#include "cli/node_links.h"
#include "cli/show.h"
#include "cli/table.h"
#include "proto/units.h"

#include <stdarg.h>
#include <string.h>

#define NAME_SHOWN 64

struct node_args {
    struct args_base base;
    struct opt_list labels, unlabel;
    const char *reason;
};

static const struct opt node_opts[] = {
    {"label", 0, "L", "with update: a label that jobs may ask for (may be repeated)", OPT_LIST,
     offsetof(struct node_args, labels)},
    {"unlabel", 0, "L", "with update: a label that it has no more (may be repeated)", OPT_LIST,
     offsetof(struct node_args, unlabel)},
    {"reason", 0, "TEXT", "with drain: why, for people", OPT_STRING, offsetof(struct node_args, reason)},
    OPT_HOST(struct node_args),
    OPT_OUTPUT(struct node_args),
    {0},
};

static const struct table_column columns[] = {
    {"NODE", false, 3, 8, 0}, {"STATE", false, 0, 0, 0}, {"CPUS", true, 0, 0, 0},
    {"CORES", true, 0, 0, 2}, {"FREE", true, 0, 0, 2},   {"MEMORY", true, 0, 0, 0},
    {"FREE", true, 0, 0, 0},  {"GPUS", true, 0, 0, 0},   {"FREE", true, 0, 0, 0},
    {"TASKS", true, 0, 0, 1}, {"MODEL", false, 9, 8, 3}, {"LABELS", false, 10, 8, 4},
};

static int64_t amount(const cJSON *object, const char *field)
{
    const cJSON *item = json_get(object, field);
    return cJSON_IsArray(item) ? cJSON_GetArraySize(item) : json_int(object, field, 0);
}

static int64_t logical_cpus(const cJSON *inventory)
{
    const cJSON *core;
    int64_t n = 0;
    cJSON_ArrayForEach(core, json_get(inventory, "cores"))
    {
        n += cJSON_GetArraySize(json_get(core, "cpus"));
    }
    return n;
}

/* "fast-disk, nvme" */
static void add_labels(struct buf *out, const cJSON *node)
{
    const cJSON *label;
    cJSON_ArrayForEach(label, json_get(node, "labels"))
    {
        if (cJSON_IsString(label))
            buf_printf(out, "%s%s", out->len ? ", " : "", label->valuestring);
    }
}

#define SAYS_SOMETHING_MS 25000 /* a keepalive of 15 s, and some time for it to come */

/* A node that says nothing: for how long. What is drained or given up stays that. */
static const char *node_state_words(const cJSON *node, char *out, size_t size)
{
    const char *state = json_str(node, "state", "?");
    int64_t seen = json_int(node, "last_seen_ms", 0), now = clock_wall_ms();
    char time[32];
    bool up = strcmp(state, "idle") == 0 || strcmp(state, "running") == 0;
    bool silent = strcmp(state, "notresponding") == 0 ||
                  (up && (!json_bool(node, "connected", true) || now - seen > SAYS_SOMETHING_MS));
    if (!silent || !seen)
        return state;
    int64_t silent_ms = now > seen ? now - seen : 0;
    snprintf(out, size, "silent %s", units_format_duration(silent_ms / 1000 * 1000, time));
    return out;
}

/* One line, whatever the names and reasons in it hold. */
__attribute__((format(printf, 2, 3))) static void add_line(struct buf *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    _cleanup_buf_ struct buf line = {0};
    buf_vprintf(&line, fmt, args);
    va_end(args);
    term_add_safe(out, line.data, false);
    buf_printf(out, "\n");
}

/* Why it gets no jobs: who drained it, or what of it doesn't work. */
static void add_drains(struct buf *out, const cJSON *node, const char *indent)
{
    const cJSON *drained = json_get(node, "drained"), *fault = json_get(node, "fault");
    char ago[32];
    if (cJSON_IsObject(drained)) {
        const char *reason = json_str(drained, "reason", NULL);
        add_line(out, "%sdrained by %s %s%s%s", indent, json_str(drained, "by", "?"),
                 show_ago(json_int(drained, "since_ms", 0), clock_wall_ms(), ago), reason ? ": " : "",
                 reason ? reason : "");
    }
    if (cJSON_IsObject(fault))
        add_line(out, "%sdrained itself %s, and is probed: %s", indent,
                 show_ago(json_int(fault, "since_ms", 0), clock_wall_ms(), ago),
                 json_str(fault, "reason", "?"));
}

/* What of it is kept for some, now or later. */
static void add_claims(struct buf *out, const cJSON *node, const char *indent)
{
    const cJSON *claim;
    _cleanup_buf_ struct buf words = {0};
    cJSON_ArrayForEach(claim, json_get(node, "claims"))
    {
        claims_describe(claim, &words);
        add_line(out, "%s%s", indent, words.data);
    }
}

/* "crun works; runc: not installed" */
static void add_runtimes(struct buf *out, const cJSON *node, bool *any)
{
    const cJSON *one;
    *any = false;
    cJSON_ArrayForEach(one, json_get(json_get(node, "isolation"), "runtimes"))
    {
        bool works = json_bool(one, "works", false);
        *any = *any || works;
        buf_printf(out, "%s%s%s%s", out->len ? "; " : "", json_str(one, "name", "?"), works ? " " : ": ",
                   works ? "works" : json_str(one, "why", "?"));
    }
}

/* A node that takes only a part of what jobs ask for. */
static void add_lack(struct buf *out, const cJSON *node, const char *indent)
{
    _cleanup_buf_ struct buf runtimes = {0};
    bool any;
    add_runtimes(&runtimes, node, &any);
    if (runtimes.len && !any)
        add_line(out, "%sonly jobs with runtime: process start there: %s", indent, runtimes.data);
}

static void add_node(struct table *table, const cJSON *node)
{
    char text[32];
    const cJSON *inventory = json_get(node, "inventory"), *free = json_get(node, "free");
    const cJSON *gpu = cJSON_GetArrayItem(json_get(inventory, "gpus"), 0);
    const char *state = json_str(node, "state", "?");
    char words[48];
    table_add(table, json_str(node, "name", "?"), TERM_PLAIN);
    table_add(table, node_state_words(node, words, sizeof words), show_state_colour(state));
    table_addf(table, "%lld", (long long)logical_cpus(inventory));
    table_addf(table, "%lld", (long long)amount(inventory, "cores"));
    table_addf(table, "%lld", (long long)amount(free, "cores"));
    table_add(table, show_bytes(json_int(inventory, "memory_bytes", 0), text), TERM_PLAIN);
    table_add(table, show_bytes(json_int(free, "memory_bytes", 0), text), TERM_PLAIN);
    table_addf(table, "%lld", (long long)amount(inventory, "gpus"));
    table_addf(table, "%g", cJSON_GetNumberValue(json_get(free, "gpus")));
    table_addf(table, "%d", cJSON_GetArraySize(json_get(node, "tasks")));
    table_add(table, gpu ? json_str(gpu, "name", "") : json_str(inventory, "cpu_model", ""), TERM_DIM);
    _cleanup_buf_ struct buf labels = {0};
    add_labels(&labels, node);
    table_add(table, labels.data, TERM_PLAIN);
}

static void show_node(const cJSON *node)
{
    static const char *const abilities[] = {"cpu",    "memory", "pids",    "devices",     "users",
                                            "freeze", "userns", "overlay", "cgroup_kill", "landlock_scope"};
    const cJSON *inventory = json_get(node, "inventory"), *isolation = json_get(node, "isolation"), *item;
    _cleanup_buf_ struct buf out = {0};
    char size[32], ago[32];
    show_add_line(&out, "node", "%s", json_str(node, "name", "?"));
    show_add_line(&out, "state", "%s, last seen %s", json_str(node, "state", "?"),
                  show_ago(json_int(node, "last_seen_ms", 0), clock_wall_ms(), ago));
    add_drains(&out, node, "             ");
    add_claims(&out, node, "kept         ");
    _cleanup_buf_ struct buf labels = {0};
    add_labels(&labels, node);
    if (labels.len)
        show_add_line(&out, "labels", "%s", labels.data);
    show_add_line(&out, "host", "%s, %s, Linux %s", json_str(inventory, "hostname", "?"),
                  json_str(inventory, "os", "?"), json_str(inventory, "kernel", "?"));
    show_add_line(&out, "processor", "%s: %lld package(s), %lld cores, %lld logical CPUs",
                  json_str(inventory, "cpu_model", "?"), (long long)amount(inventory, "packages"),
                  (long long)amount(inventory, "cores"), (long long)logical_cpus(inventory));
    show_add_line(&out, "memory", "%s", show_bytes(json_int(inventory, "memory_bytes", 0), size));
    cJSON_ArrayForEach(item, json_get(inventory, "numa"))
    {
        show_add_line(&out, "numa", "node %lld: CPUs %s, %s", (long long)json_int(item, "id", 0),
                      json_str(item, "cpus", "?"), show_bytes(json_int(item, "memory_bytes", 0), size));
    }
    cJSON_ArrayForEach(item, json_get(inventory, "gpus"))
    {
        const char *parent = json_str(json_get(item, "mig"), "parent", NULL);
        show_add_line(&out, "gpu", "%lld: %s, %s, compute capability %s, %s, %s%s%s",
                      (long long)json_int(item, "index", 0), json_str(item, "name", "?"),
                      show_bytes(json_int(item, "memory_bytes", 0), size),
                      json_str(item, "compute_capability", "?"), json_str(item, "pci", "?"),
                      json_str(item, "uuid", "?"), parent ? ", of " : "", parent ? parent : "");
    }
    node_links_show(json_get(inventory, "gpus"), &out);
    const char *gpu_error = json_str(inventory, "gpu_error", NULL);
    if (gpu_error)
        show_add_line(&out, "gpu error", "%s", gpu_error);
    show_add_line(&out, "cgroup", "%s", json_str(inventory, "cgroup", "?"));
    buf_printf(&out, "%-12s", "enforces");
    for (size_t i = 0; i < sizeof abilities / sizeof *abilities; i++)
        if (json_bool(isolation, abilities[i], false))
            buf_printf(&out, " %s", abilities[i]);
    buf_add_char(&out, '\n');
    _cleanup_buf_ struct buf runtimes = {0};
    bool any;
    add_runtimes(&runtimes, node, &any);
    if (runtimes.len)
        show_add_line(&out, "runtimes", "%s", runtimes.data);
    cJSON_ArrayForEach(item, json_get(isolation, "missing"))
    {
        if (cJSON_IsString(item))
            show_add_line(&out, "missing", "%s", item->valuestring);
    }
    cJSON_ArrayForEach(item, json_get(node, "tasks"))
    {
        show_add_line(&out, "task", "%s",
                      cJSON_IsString(item) ? item->valuestring : json_str(item, "task", "?"));
    }
    print_out("%s", out.data);
}

static int show_nodes(const cJSON *nodes, int count, char **names, bool json)
{
    int code = EXIT_OK;
    for (int i = 0; i < count; i++) {
        const cJSON *node, *found = NULL;
        cJSON_ArrayForEach(node, nodes)
        {
            if (strcmp(json_str(node, "name", ""), names[i]) == 0)
                found = node;
        }
        if (!found) {
            struct error err = {0};
            error_set(&err, ERROR_NOT_FOUND, "there is no node %s", names[i]);
            error_hint(&err, "berth node list");
            code = cli_fail(&err);
        } else if (json) {
            show_json(found);
        } else {
            show_node(found);
        }
    }
    return code;
}

/* drain: no new jobs; resume: jobs again; lost: it will not come back, what it ran is over. */
static int use_nodes(struct client *client, const char *use, const char *reason, int count, char **names)
{
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "use", use);
    if (reason)
        json_add_bytes(body, "reason", reason);
    int code = EXIT_OK;
    for (int i = 0; i < count; i++) {
        struct error err = {0};
        _cleanup_free_ char *path = client_node_path(names[i], "/use");
        _cleanup_json_ cJSON *answer = client_call(client, "POST", path, body, 0, &err);
        if (!answer)
            code = cli_fail(&err);
    }
    return code;
}

static void add_list(cJSON *body, const char *field, const struct opt_list *list)
{
    cJSON *names = list->count ? cJSON_AddArrayToObject(body, field) : NULL;
    for (size_t i = 0; i < list->count; i++)
        cJSON_AddItemToArray(names, cJSON_CreateString(list->items[i]));
}

static int update_nodes(struct client *client, const struct node_args *args, int count, char **names)
{
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    add_list(body, "labels", &args->labels);
    add_list(body, "unlabel", &args->unlabel);
    int code = EXIT_OK;
    for (int i = 0; i < count; i++) {
        struct error err = {0};
        _cleanup_free_ char *path = client_node_path(names[i], "/update");
        _cleanup_json_ cJSON *answer = client_call(client, "POST", path, body, 0, &err);
        if (!answer)
            code = cli_fail(&err);
    }
    return code;
}

static int run_node(void *p, int argc, char **argv)
{
    struct node_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("node", "-o takes json or table, not \"%s\"", args->base.output);
    bool list = argc == 0 || (argc == 1 && strcmp(argv[0], "list") == 0);
    bool show = argc >= 2 && strcmp(argv[0], "show") == 0;
    bool use = argc >= 2 && (strcmp(argv[0], "drain") == 0 || strcmp(argv[0], "resume") == 0 ||
                             strcmp(argv[0], "lost") == 0);
    bool update = argc >= 2 && strcmp(argv[0], "update") == 0;
    bool labels = args->labels.count || args->unlabel.count;
    if (!list && !show && !use && !update)
        return cli_usage("node", "node takes: list, or show, update, drain, resume, lost with NAME...");
    if (update != labels)
        return cli_usage("node", update ? "update needs --label or --unlabel"
                                        : "--label and --unlabel go with node update NAME");
    if (args->reason && !(use && strcmp(argv[0], "drain") == 0))
        return cli_usage("node", "--reason goes with node drain NAME");
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    if (use)
        return use_nodes(client, argv[0], args->reason, argc - 1, argv + 1);
    if (update)
        return update_nodes(client, args, argc - 1, argv + 1);
    _cleanup_json_ cJSON *nodes = client_list(client, "/v1/nodes", "nodes", &err);
    const cJSON *node;
    if (!nodes)
        return cli_fail(&err);
    if (show)
        return show_nodes(nodes, argc - 1, argv + 1, json);
    if (json) {
        show_json(nodes);
        return EXIT_OK;
    }
    struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(node, nodes)
    {
        add_node(&table, node);
    }
    table_print(&table);
    table_finish(&table);
    _cleanup_buf_ struct buf notes = {0};
    cJSON_ArrayForEach(node, nodes)
    {
        char start[NAME_SHOWN + 4];
        snprintf(start, sizeof start, "%.*s: ", NAME_SHOWN, json_str(node, "name", "?"));
        add_drains(&notes, node, start);
        add_lack(&notes, node, start);
        add_claims(&notes, node, start);
    }
    if (notes.len)
        print_out("\n%s", notes.data);
    return EXIT_OK;
}

const struct verb verb_node = {
    .name = "node",
    .synopsis = "list [-o json]\nshow NAME... [-o json]\ndrain NAME... [--reason TEXT]\nresume NAME...\nlost "
                "NAME...\n"
                "update NAME... [--label L] [--unlabel L]",
    .summary = "list the nodes, and say what they are used for",
    .operands = WORD_NAME,
    .options = node_opts,
    .args_size = sizeof(struct node_args),
    .run = run_node,
};
