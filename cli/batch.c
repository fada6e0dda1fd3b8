/* Batches: the question on a terminal, the request, the report. */
#include "cli/batch.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/show.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREVIEW_SHOWN 10 /* jobs that the question names */

int batch_check(const struct batch_options *o)
{
    struct error err = {0};
    if (!o->count && !selectors_given(o->by))
        return cli_usage(o->verb,
                         "%s needs a job's name, or --state, --user, --workspace, --tag, --array or --name",
                         o->verb);
    if (o->count && selectors_given(o->by))
        return cli_usage(o->verb, "%s takes names or selectors, not both", o->verb);
    return selectors_check(o->by, &err) ? EXIT_OK : cli_usage(o->verb, "%s", err.message);
}

/* USER/NAME where the users are several. */
static void add_address(const cJSON *job, bool whose, struct buf *out)
{
    if (whose)
        buf_printf(out, "%s/", json_str(job, "principal", "?"));
    show_add_address(job, out);
}

static bool confirmed(void)
{
    char line[16];
    print_flush();
    if (!fgets(line, sizeof line, stdin))
        return false;
    return (line[0] == 'y' || line[0] == 'Y') && (line[1] == '\n' || strncasecmp(line, "yes\n", 4) == 0);
}

/* True: go on, with the jobs that were there. *code where not. */
static bool ask(struct client *client, const struct batch_options *o, cJSON *body, int *code)
{
    struct error err = {0};
    cJSON_AddTrueToObject(body, "preview");
    _cleanup_json_ cJSON *shown = client_call(client, "POST", "/v1/jobs/batch", body, 0, &err);
    cJSON_DeleteItemFromObjectCaseSensitive(body, "preview");
    if (!shown) {
        *code = cli_fail(&err);
        return false;
    }
    long long count = json_int(shown, "selected", 0), users = json_int(shown, "users", 0);
    json_add_int(body, "before", json_int(shown, "before", 0));
    *code = EXIT_OK;
    if (!count || o->yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        error_set(&err, ERROR_INVALID,
                  "%lld job%s would be changed, and nobody can be asked: nothing was done", count,
                  count == 1 ? "" : "s");
        error_hint(&err, "the same with --yes");
        *code = cli_fail(&err);
        return false;
    }
    _cleanup_buf_ struct buf names = {0};
    const cJSON *job;
    int listed = 0;
    cJSON_ArrayForEach(job, json_get(shown, "jobs"))
    {
        if (listed == PREVIEW_SHOWN)
            break;
        buf_add_str(&names, listed++ ? ", " : "");
        add_address(job, users > 1, &names);
    }
    print_err("%s %lld job%s", o->verb, count, count == 1 ? "" : "s");
    if (users > 1)
        print_err(" of %lld users", users);
    print_err(": %s", names.data ? names.data : "");
    if (count > listed)
        print_err(", … and %lld more", count - listed);
    print_err("\nGo on? [y/N] ");
    if (confirmed())
        return true;
    cli_note("nothing was done");
    *code = EXIT_REFUSED;
    return false;
}

static int report(const struct batch_options *o, const cJSON *answer)
{
    const cJSON *item;
    long long done = json_int(answer, "done", 0), refused = json_int(answer, "refused", 0);
    long long told = cJSON_GetArraySize(json_get(answer, "refusals"));
    bool whose = json_int(answer, "users", 0) > 1;
    cJSON_ArrayForEach(item, json_get(answer, "jobs"))
    {
        _cleanup_buf_ struct buf address = {0};
        if (!o->count)
            break;
        add_address(item, whose, &address);
        print_line(PRINT_OUT, "%s %s", address.data, json_str(item, "state", "?"));
    }
    bool counted = !o->count || done > cJSON_GetArraySize(json_get(answer, "jobs"));
    if (counted && refused)
        print_line(PRINT_OUT, "%s: %lld job%s done, %lld refused", o->verb, done, done == 1 ? "" : "s",
                   refused);
    else if (counted)
        print_line(PRINT_OUT, "%s: %lld job%s done, none refused", o->verb, done, done == 1 ? "" : "s");
    cJSON_ArrayForEach(item, json_get(answer, "refusals"))
    {
        struct error err = {0};
        _cleanup_buf_ struct buf address = {0};
        if (json_get(item, "name"))
            add_address(item, whose, &address);
        else
            buf_add_str(&address, json_str(item, "asked", "?"));
        error_set(&err, ERROR_INVALID, "%s: %s", address.data, json_str(item, "message", "?"));
        error_hint(&err, "%s", json_str(item, "hint", ""));
        cli_fail(&err);
    }
    if (refused > told)
        print_line(PRINT_ERR, "berth: … and %lld more refused", refused - told);
    if (refused && !counted)
        print_line(PRINT_ERR, "berth: %lld done, %lld refused", done, refused);
    return refused ? EXIT_REFUSED : EXIT_OK;
}

int batch_run(const struct args_base *base, const struct batch_options *o, cJSON *body)
{
    struct error err = {0};
    int code = EXIT_OK;
    _cleanup_client_ struct client *client = client_open(base, &err);
    if (!client)
        return cli_fail(&err);
    if (o->count) {
        cJSON *jobs = cJSON_AddArrayToObject(body, "jobs");
        for (int i = 0; i < o->count; i++)
            cJSON_AddItemToArray(jobs, cJSON_CreateString(o->names[i]));
    } else {
        selectors_add_json(o->by, cJSON_AddObjectToObject(body, "select"));
        if (!ask(client, o, body, &code))
            return code;
    }
    _cleanup_json_ cJSON *answer = client_call(client, "POST", "/v1/jobs/batch", body, 0, &err);
    if (!answer)
        return cli_fail(&err);
    if (!o->json)
        return report(o, answer);
    show_json(answer);
    return json_int(answer, "refused", 0) ? EXIT_REFUSED : EXIT_OK;
}
