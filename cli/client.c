/* Requests and refusals. */
#include "cli/client.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "cli/up.h"
#include "proto/http/server.h"

#include <fcntl.h>
#include <string.h>

#define IDLE_EXIT_S 600 /* of a Berth that was started on behalf of run or submit */
#define PROBE_TIMEOUT_MS 10000

struct client *client_open(const struct args_base *base, struct error *err)
{
    struct client *client = xcalloc(1, sizeof *client);
    if (where_resolve(base, &client->where, err))
        client->http = http_easy_create(client->where.socket, err);
    if (client->http)
        return client;
    client_close(client);
    return NULL;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    http_easy_destroy(client->http);
    where_finish(&client->where);
    free(client);
}

bool client_explain(const struct client *client, struct error *err)
{
    if (!err)
        return false;
    struct error told = *err;
    const char *socket = client->where.socket;
    if (told.code == ERROR_DENIED) {
        error_set(err, ERROR_DENIED, "%s: %s", socket, told.message);
        return error_hint(err, "ask whoever runs it, or start your own: berth up --detach");
    }
    if (told.code != ERROR_UNAVAILABLE || told.hint[0])
        return error_wrap(err, "%s", socket);
    switch (client->where.kind) {
    case WHERE_SYSTEM:
        error_set(err, ERROR_UNAVAILABLE, "this machine's Berth (%s) is not running; %s", socket,
                  told.message);
        error_hint(err, "sudo systemctl start berth");
        break;
    case WHERE_NAMED:
        error_set(err, ERROR_UNAVAILABLE, "no Berth answers at %s; %s", socket, told.message);
        if (http_socket_replaceable(AT_FDCWD, socket, socket, NULL))
            error_hint(err, "berth up --detach --socket %s, or another --host (or BERTH_HOST)", socket);
        else
            error_hint(err, "another --host (or BERTH_HOST): %s is not a socket", socket);
        break;
    case WHERE_OWN:
        error_set(err, ERROR_UNAVAILABLE, "no Berth is running (%s); %s", socket, told.message);
        error_hint(err, "berth up --detach");
        break;
    }
    return false;
}

bool client_refusal(const struct http_easy_answer *answer, struct error *err)
{
    struct error ignored = {0};
    _cleanup_json_ cJSON *body =
        json_parse(answer->body.data ? answer->body.data : "", answer->body.len, &ignored);
    const cJSON *told = json_get(body, "error");
    if (!told)
        return error_set(err, ERROR_IO, "the Berth answered with status %d", answer->status);
    error_set(err, error_code_from_name(json_str(told, "code", "internal")), "%s",
              json_str(told, "message", ""));
    if (err && !err->message[0])
        snprintf(err->message, sizeof err->message, "refused (%s, status %d)", error_code_name(err->code),
                 answer->status);
    const char *hint = json_str(told, "hint", NULL);
    if (hint && *hint)
        error_hint(err, "%s", hint);
    const char *field = json_str(told, "field", NULL);
    if (err && field)
        snprintf(err->field, sizeof err->field, "%s", field);
    return false;
}

cJSON *client_call(struct client *client, const char *method, const char *path, const cJSON *body,
                   int64_t timeout_ms, struct error *err)
{
    _cleanup_free_ char *text = body ? json_text(body) : NULL;
    struct http_easy_request request = {.method = method,
                                        .path = path,
                                        .body = text,
                                        .body_len = text ? strlen(text) : 0,
                                        .timeout_ms = timeout_ms};
    _cleanup_answer_ struct http_easy_answer answer = {0};
    struct error unheard = {0};
    client->broke = client->unanswered = false;
    if (!http_easy_perform(client->http, &request, &answer, &unheard)) {
        client->unanswered = unheard.code == ERROR_UNAVAILABLE;
        client->broke = client->unanswered && !unheard.sys_errno; /* else connect's */
        if (err)
            *err = unheard;
        client_explain(client, err);
        return NULL;
    }
    if (answer.status < 200 || answer.status > 299) {
        client_refusal(&answer, err);
        return NULL;
    }
    if (answer.body.len == 0)
        return cJSON_CreateObject();
    cJSON *json = json_parse(answer.body.data, answer.body.len, err);
    if (!json)
        error_wrap(err, "the Berth's answer to %s %s can't be read", method, path);
    return json;
}

cJSON *client_list(struct client *client, const char *path, const char *field, struct error *err)
{
    cJSON *all = cJSON_CreateArray();
    for (int64_t from = 0; from >= 0;) {
        _cleanup_free_ char *page = xasprintf("%s?from=%lld", path, (long long)from);
        _cleanup_json_ cJSON *answer = client_call(client, "GET", page, NULL, 0, err);
        if (!answer) {
            cJSON_Delete(all);
            return NULL;
        }
        cJSON *list = cJSON_GetObjectItemCaseSensitive(answer, field), *item;
        while ((item = cJSON_DetachItemFromArray(list, 0)))
            cJSON_AddItemToArray(all, item);
        from = json_int(answer, "next", -1);
    }
    return all;
}

char *client_job_path(const char *job, const char *rest)
{
    _cleanup_free_ char *address = xstrdup(job);
    char *slash = strrchr(address, '/');
    if (slash)
        *slash = ':'; /* USER:NAME: a slash divides the path */
    _cleanup_free_ char *name = http_easy_escape(address);
    return xasprintf("/v1/jobs/%s%s", name, rest);
}

char *client_node_path(const char *node, const char *rest)
{
    _cleanup_free_ char *name = http_easy_escape(node);
    return xasprintf("/v1/nodes/%s%s", name, rest);
}

struct client *client_open_or_start(const struct args_base *base, struct error *err)
{
    struct client *client = client_open(base, err);
    if (!client)
        return NULL;
    struct error probe = {0};
    _cleanup_json_ cJSON *version = client_call(client, "GET", "/v1/version", NULL, PROBE_TIMEOUT_MS, &probe);
    if (version)
        return client;
    if (client->where.kind != WHERE_OWN || probe.code != ERROR_UNAVAILABLE) {
        if (err)
            *err = probe;
        client_close(client);
        return NULL;
    }
    struct up_options options = {.state_dir = client->where.state_dir,
                                 .socket = client->where.socket,
                                 .idle_exit_s = IDLE_EXIT_S,
                                 .ready_fd = -1,
                                 .lock_fd = -1};
    if (up_start_detached(&options, true, err))
        return client;
    client_close(client);
    return NULL;
}
