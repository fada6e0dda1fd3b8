/* Asks for quota, lists what was asked, and decides. */
#include "cli/quota_requests.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

static const struct table_column columns[] = {
    {"ID", true, 0, 0, 0},     {"USER", false, 3, 6, 0}, {"FAMILY", false, 0, 0, 0},
    {"CORES", true, 0, 0, 0},  {"GPUS", true, 0, 0, 0},  {"ASKED", false, 0, 0, 3},
    {"STATE", false, 0, 0, 0}, {"BY", false, 4, 6, 2},   {"WHY", false, 1, 11, 1},
};

static void add_request(struct table *table, const cJSON *r, int64_t now)
{
    char text[32];
    const cJSON *given = json_get(r, "given"), *amounts = cJSON_IsObject(given) ? given : r;
    const cJSON *gpus = json_get(amounts, "gpus");
    table_addf(table, "%lld", (long long)json_int(r, "id", 0));
    table_add(table, json_str(r, "user", "?"), TERM_PLAIN);
    table_add(table, json_str(r, "family", "?"), TERM_PLAIN);
    if (json_int(amounts, "cores", 0) != json_int(r, "cores", 0))
        table_addf(table, "%lld of %lld", (long long)json_int(amounts, "cores", 0),
                   (long long)json_int(r, "cores", 0));
    else
        table_addf(table, "%lld", (long long)json_int(r, "cores", 0));
    if (cJSON_IsNumber(gpus))
        table_addf(table, "%g", gpus->valuedouble);
    else
        table_add(table, NULL, TERM_PLAIN);
    table_add(table, show_ago(json_int(r, "asked_ms", 0), now, text), TERM_PLAIN);
    table_add(table, json_str(r, "state", "?"), TERM_PLAIN);
    table_add(table, json_str(r, "decided_by", NULL), TERM_PLAIN);
    table_add(table, json_str(r, "reason", json_str(r, "why", NULL)), TERM_PLAIN);
}

int quota_requests_list(const struct quota_request_args *args)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(args->base, &err);
    _cleanup_json_ cJSON *answer =
        client ? client_call(client, "GET", "/v1/quota-requests", NULL, 0, &err) : NULL;
    if (!answer)
        return cli_fail(&err);
    const cJSON *requests = json_get(answer, "requests"), *r;
    if (args->json) {
        show_json(requests);
        return EXIT_OK;
    }
    struct table table;
    table_init(&table, columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(r, requests) add_request(&table, r, clock_wall_ms());
    table_print(&table);
    table_finish(&table);
    return EXIT_OK;
}

/* EXIT_OK, or what cli_usage gave. */
static int add_number(cJSON *body, const char *field, const char *text)
{
    char *end;
    if (!text)
        return EXIT_OK;
    double value = strtod(text, &end);
    if (end == text || *end || strspn(text, "0123456789.") != strlen(text))
        return cli_usage("quota", "--%s takes a number here, not \"%s\"", field, text);
    cJSON_AddNumberToObject(body, field, value);
    return EXIT_OK;
}

static int post(const struct quota_request_args *args, const char *path, const cJSON *body, bool tell)
{
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(args->base, &err);
    _cleanup_json_ cJSON *r = client ? client_call(client, "POST", path, body, 0, &err) : NULL;
    if (!r)
        return cli_fail(&err);
    if (args->json)
        show_json(r);
    else if (tell)
        print_line(PRINT_OUT, "request %lld is with the administrators: berth quota requests",
                   (long long)json_int(r, "id", 0));
    return EXIT_OK;
}

int quota_request(const struct quota_request_args *args)
{
    if (!args->family || !args->cores)
        return cli_usage("quota", "request needs --family and --cores");
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    json_add_str(body, "family", args->family);
    if (args->reason)
        json_add_str(body, "why", args->reason);
    int code = add_number(body, "cores", args->cores);
    code = code ? code : add_number(body, "gpus", args->gpus);
    return code ? code : post(args, "/v1/quota-requests", body, true);
}

int quota_decide(const struct quota_request_args *args, const char *verb, const char *id)
{
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    if (args->family)
        return cli_usage("quota", "%s takes the request's number, and no family", verb);
    json_add_str(body, "decision", verb);
    if (args->reason)
        json_add_str(body, "reason", args->reason);
    int code = add_number(body, "cores", args->cores);
    code = code ? code : add_number(body, "gpus", args->gpus);
    if (code)
        return code;
    _cleanup_free_ char *escaped = http_easy_escape(id);
    _cleanup_buf_ struct buf path = {0};
    buf_printf(&path, "/v1/quota-requests/%s", escaped);
    return post(args, path.data, body, false);
}
