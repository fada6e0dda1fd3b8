/*
 * HTTP client on a libuv loop: libcurl's multi interface over one Unix socket. Calls run at the same time, up
 * to HTTP_CLIENT_CALLS_MAX; more wait in order. Nothing here is thread-safe: one loop, one thread.
 *
 * A call ends exactly once, by `on_done`, always from the loop and never from inside http_call_start or
 * http_call_cancel. After it the call is freed. http_call_cancel is the other end: no callback comes after
 * it.
 */
#ifndef BERTH_PROTO_HTTP_CLIENT_H
#define BERTH_PROTO_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define HTTP_CLIENT_CALLS_MAX 16             /* at once, the long streaming one not counted */
#define HTTP_CLIENT_ANSWER_MAX (64u << 20)   /* bytes of an answer that is kept in memory */
#define HTTP_CLIENT_CHUNK_BYTES (128 * 1024) /* the largest piece that on_data gets */
#define HTTP_CLIENT_CONNECT_TIMEOUT_MS 10000

struct http_client;
struct http_call;

/* status is 0 where no answer came (err says why). body is the whole answer where no on_data was given, else
 * empty; borrowed. */
typedef void http_done_fn(void *ctx, int status, const struct buf *body, const struct error *err);
/* One piece of a successful (2xx) answer, as it comes. false gives the call up (on_done follows, status 0).
 */
typedef bool http_data_fn(void *ctx, const void *bytes, size_t n);

struct http_request {
    const char *method; /* a literal */
    const char *path;   /* with query; copied */
    const void *body;   /* copied; NULL for none. Content-Type is application/json */
    size_t body_len;
    int64_t timeout_ms;      /* whole call; 0: none */
    int64_t idle_timeout_ms; /* without a byte; 0: none; counted in whole seconds */
    bool streaming;          /* lives long: not counted in HTTP_CLIENT_CALLS_MAX, connection of its own */
    bool urgent;             /* not counted in HTTP_CLIENT_CALLS_MAX: never waits behind others */
    http_data_fn *on_data;   /* NULL: the answer is collected */
    http_done_fn *on_done;
    void *ctx;
};

/* `headers`: NULL-terminated list of "Name: value" sent with every call (copied). */
struct http_client *http_client_create(uv_loop_t *loop, const char *unix_socket, const char *const *headers,
                                       struct error *err);
/* Cancels what runs. Its loop handles close asynchronously: the loop has to run once more before it is
 * closed. Takes NULL. */
void http_client_destroy(struct http_client *client);
struct http_call *http_call_start(struct http_client *client, const struct http_request *request);
void http_call_cancel(struct http_call *call); /* takes NULL */

#endif
