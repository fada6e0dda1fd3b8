/* Requests to a Berth, and its refusals as errors. */
#ifndef BERTH_CLI_CLIENT_H
#define BERTH_CLI_CLIENT_H

#include "cli/where.h"
#include "proto/http/easy.h"
#include "proto/json.h"

struct client {
    struct where where;
    struct http_easy *http;
    bool broke;      /* the last call's connection broke before an answer came */
    bool unanswered; /* it did, or nobody was there */
};

/* Resolves which Berth (nobody is called yet). The caller closes. */
struct client *client_open(const struct args_base *base, struct error *err);
/* As client_open, and where that is one's own and does not answer, starts it (it ends by itself when idle).
 */
struct client *client_open_or_start(const struct args_base *base, struct error *err);
void client_close(struct client *client); /* takes NULL */
static inline void client_cleanup_fn(struct client **client)
{
    client_close(*client);
}
#define _cleanup_client_ __attribute__((cleanup(client_cleanup_fn)))

/* One call with a JSON body (NULL for none) and a JSON answer, which the caller deletes; an object for an
 * empty answer. NULL with the Berth's own refusal, or with what to do where nobody answers. timeout_ms 0:
 * none. */
cJSON *client_call(struct client *client, const char *method, const char *path, const cJSON *body,
                   int64_t timeout_ms, struct error *err);
/* All pages of a listing whose pages have `field` and `next` (the `from` of the next one): the array of their
 * objects, which the caller deletes. */
cJSON *client_list(struct client *client, const char *path, const char *field, struct error *err);
/* "/v1/jobs/NAME" with `rest` behind it; the address of a job, escaped. The caller frees. */
char *client_job_path(const char *job, const char *rest);
/* "/v1/nodes/NAME" + rest, escaped. malloc'ed. */
char *client_node_path(const char *node, const char *rest);
/* Fills err from an answer that is no 2xx; returns false. */
bool client_refusal(const struct http_easy_answer *answer, struct error *err);
/* Adds to "nobody answers" the Berth that was tried and the command to start it; returns false. */
bool client_explain(const struct client *client, struct error *err);

#endif
