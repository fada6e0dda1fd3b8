/* berth why */
#include "cli/verbs.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"
#include "proto/units.h"

#include <string.h>

struct why_args {
    struct args_base base;
};

static const struct opt why_opts[] = {
    OPT_HOST(struct why_args),
    OPT_OUTPUT(struct why_args),
    {0},
};

static void add_amount(struct buf *out, const cJSON *blocker, const char *field, bool bytes)
{
    char text[32];
    if (bytes)
        buf_add_str(out, show_bytes(json_int(blocker, field, 0), text));
    else
        buf_printf(out, "%g", cJSON_GetNumberValue(json_get(blocker, field)));
}

static void add_blocker(struct buf *out, const cJSON *blocker)
{
    const char *resource = json_str(blocker, "resource", "?");
    bool bytes = strstr(resource, "memory") != NULL;
    buf_add_str(out, "  ");
    term_add_safe(out, resource, false);
    if (json_get(blocker, "wanted")) {
        buf_add_str(out, ": wants ");
        add_amount(out, blocker, "wanted", bytes);
        buf_add_str(out, ", free ");
        add_amount(out, blocker, "free", bytes);
    }
    const cJSON *holder;
    bool first = true;
    cJSON_ArrayForEach(holder, json_get(blocker, "held_by"))
    {
        buf_add_str(out, first ? "; held by " : ", ");
        term_add_safe(out, cJSON_IsString(holder) ? holder->valuestring : "?", false);
        first = false;
    }
    buf_add_char(out, '\n');
}

static void print_why(const char *name, const cJSON *why)
{
    _cleanup_buf_ struct buf out = {0};
    const cJSON *text, *blocker;
    term_add_safe(&out, name, false);
    buf_add_str(&out, " is ");
    term_add_safe(&out, json_str(why, "state", "?"), false);
    const char *reason = json_str(why, "reason", NULL);
    bool told = cJSON_GetArraySize(json_get(why, "text")) > 0;
    if (reason && *reason && !told) {
        buf_add_str(&out, ": ");
        term_add_safe(&out, reason, false);
    }
    buf_add_char(&out, '\n');
    cJSON_ArrayForEach(text, json_get(why, "text"))
    {
        buf_add_str(&out, "  ");
        term_add_safe(&out, cJSON_IsString(text) ? text->valuestring : "", false);
        buf_add_char(&out, '\n');
    }
    const cJSON *blockers = told ? NULL : json_get(why, "blockers"); /* the text has them already */
    cJSON_ArrayForEach(blocker, blockers)
    {
        add_blocker(&out, blocker);
    }
    print_out("%s", out.data);
}

static int run_why(void *p, int argc, char **argv)
{
    struct why_args *args = p;
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("why", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc == 0)
        return cli_usage("why", "why needs a job's name");
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    int code = EXIT_OK;
    for (int i = 0; i < argc; i++) {
        _cleanup_free_ char *path = client_job_path(argv[i], "/why");
        _cleanup_json_ cJSON *why = client_call(client, "GET", path, NULL, 0, &err);
        if (!why)
            code = cli_fail(&err);
        else if (json)
            show_json(why);
        else
            print_why(argv[i], why);
    }
    return code;
}

const struct verb verb_why = {
    .name = "why",
    .synopsis = "NAME... [-o json]",
    .summary = "tell why a job waits, and who holds what it waits for",
    .operands = WORD_JOB,
    .options = why_opts,
    .args_size = sizeof(struct why_args),
    .run = run_why,
};
