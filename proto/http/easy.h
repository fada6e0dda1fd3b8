/*
 * HTTP client for programs without a loop (the CLI): libcurl over one Unix socket, connections kept alive.
 * Calls block, or run beside descriptors of the caller's in http_easy_wait, so that a log can be followed
 * while keys are read.
 *
 * One thread. A call that was started must be finished with http_easy_call_destroy before its http_easy is
 * destroyed.
 */
#ifndef BERTH_PROTO_HTTP_EASY_H
#define BERTH_PROTO_HTTP_EASY_H

#include "base/buf.h"
#include "base/error.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_EASY_ANSWER_MAX (256u << 20)  /* bytes of an answer that is kept in memory */
#define HTTP_EASY_HEADERS_MAX (32u << 10)  /* bytes of an answer's header block */
#define HTTP_EASY_CONNECT_TIMEOUT_MS 10000 /* a Unix socket whose backlog is full */
#define HTTP_EASY_WAIT_FDS_MAX 8

struct http_easy;
struct http_easy_call;

struct http_easy_request {
    const char *method; /* a literal */
    const char *path;   /* with query; copied */
    const void *body;   /* borrowed until the call is over; NULL for none */
    size_t body_len;
    int body_fd; /* when body is NULL and body_fd_len is not 0: sent from this descriptor's position */
    int64_t body_fd_len; /* bytes; fewer in the file is an error */
    const char *range;   /* NULL, or the value of a Range header after "bytes=": "100-" */
    int64_t timeout_ms;  /* of the whole call; 0: none */
    /* A piece of a successful (2xx) answer as it comes, instead of collecting it; false gives the call up. */
    bool (*on_data)(void *ctx, const void *bytes, size_t n);
    void *ctx;
};

struct http_easy_answer {
    int status;
    struct buf body;    /* what on_data did not get */
    struct buf headers; /* "Name: value\r\n"..., of the final answer */
};

/* The socket need not exist yet. NULL where the path can't be used. */
struct http_easy *http_easy_create(const char *unix_socket, struct error *err);
void http_easy_destroy(struct http_easy *easy); /* takes NULL */

/* One call from start to end. true: an answer came, of whatever status; false: none, or a cut one
 * (ERROR_UNAVAILABLE where nobody listens or the connection broke, ERROR_TIMEOUT, ERROR_DENIED; sys_errno is
 * connect's). The caller finishes the answer in both cases. */
bool http_easy_perform(struct http_easy *easy, const struct http_easy_request *request,
                       struct http_easy_answer *answer, struct error *err);
void http_easy_answer_finish(struct http_easy_answer *answer);
/* Value of an answer's header (name without colon, any case) into out; false where it has none or it does not
 * fit. */
bool http_easy_header(const struct http_easy_answer *answer, const char *name, char *out, size_t size);

struct http_easy_call *http_easy_start(struct http_easy *easy, const struct http_easy_request *request);
/* Works on all started calls until one of them ends, one of `fds` (n of them, their revents are filled) is
 * ready, or timeout_ms has passed (-1: no limit). */
void http_easy_wait(struct http_easy *easy, struct pollfd *fds, size_t n, int timeout_ms);
/* true once the call is over: *answer (borrowed) is its answer, or NULL where none came (err says why). */
bool http_easy_call_done(struct http_easy_call *call, const struct http_easy_answer **answer,
                         struct error *err);
/* Ends the call wherever it stands. Takes NULL. */
void http_easy_call_destroy(struct http_easy_call *call);

/* Percent-encodes one path segment or query value. The caller frees. */
char *http_easy_escape(const char *text);

#define _cleanup_answer_ __attribute__((cleanup(http_easy_answer_finish)))

#endif
