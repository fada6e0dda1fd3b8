/*
 * HTTP server on the libuv loop (libmicrohttpd in external epoll mode), on Unix sockets. A process may hold
 * several servers, each with its own socket, route table and context. Everything here runs on the loop's
 * thread.
 *
 * A request's life: the route is found and its parameters are checked by name, the body is read up to the
 * route's limit, then `handle` is called once. It answers (http_respond...) at once or keeps the pointer and
 * answers later, from anywhere on the loop; in between the connection is suspended and costs nothing. After
 * the answer the pointer belongs to the server again. A client that goes away while its request waits is
 * noticed only where the handler asked (http_request_on_gone); else the answer goes nowhere, which does no
 * harm.
 *
 * Connections, bodies and unread answers are counted by uid. A user's oldest idle connection is closed before
 * a new one is refused; root and our own uid have a share that nobody else can use up. A transfer slower than
 * HTTP_RATE_MIN_BYTES is cut.
 */
#ifndef BERTH_PROTO_HTTP_SERVER_H
#define BERTH_PROTO_HTTP_SERVER_H

#include "base/error.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#define HTTP_HEADERS_MAX_BYTES (32 << 10)      /* request line and header block; more is 431 */
#define HTTP_BODY_JSON_MAX_BYTES (16ULL << 20) /* more is 413 */
#define HTTP_DISCARD_MAX_BYTES (64ULL << 20)   /* read and thrown away so that a refused sender hears why */
#define HTTP_CONNECTIONS_MAX 4096              /* of one server; fewer where descriptors are scarce */
#define HTTP_UID_CONNECTIONS_MAX 512           /* of one user, but for root and our own; more is 429 */
#define HTTP_DESCRIPTORS_OWN 256               /* descriptors left to the rest of the process, and to nodes */
#define HTTP_DESCRIPTORS_EACH 2                /* of one connection: itself and the file of its answer */
#define HTTP_REFUSALS_MAX 64                   /* connections beyond the limits that may send their request */
#define HTTP_ACCEPT_RETRY_MS 200               /* without a free descriptor */
#define HTTP_PIECE_MAX_BYTES (128 << 10)       /* most that a streaming answer holds for a slow reader */
#define HTTP_IDLE_TIMEOUT_S 60                 /* half a request, or nothing after one */
#define HTTP_RATE_MIN_BYTES (16 << 10)         /* a second, after the idle time: a slower transfer is cut */
#define HTTP_UID_BODY_MAX_BYTES (64ULL << 20)  /* bodies of one user in memory; more is 429 */
#define HTTP_BODY_TOTAL_MAX_BYTES (512ULL << 20)  /* of all users, and as much of root and us; more is 503 */
#define HTTP_BODY_SMALL_BYTES (64ULL << 10)       /* never refused for what others send */
#define HTTP_UID_REPLY_MAX_BYTES (64ULL << 20)    /* answers that one user has not read; more is 429 */
#define HTTP_REPLY_TOTAL_MAX_BYTES (512ULL << 20) /* as HTTP_BODY_TOTAL_MAX_BYTES */
#define HTTP_REPLY_SMALL_BYTES (64ULL << 10)      /* never refused */
#define HTTP_USER_NAME_MAX 256
#define HTTP_PATH_PARAMS_MAX 3

struct http_server;
struct http_request;

struct http_route {
    const char *method;
    const char *path; /* "/v1/jobs/{job}/logs": {word} matches one segment that is not empty */
    const char
        *query; /* names of the query parameters it takes, separated by blanks; others are refused; or NULL */
    uint64_t body_max_bytes; /* 0: a body is refused */
    void (*handle)(struct http_request *req, void *context);
    /* Where set, the body is given in pieces instead of being collected. `piece` takes all of them, and may
     * call http_request_hold to be given no more until http_request_go_on. `dropped` is called instead of
     * `handle` when the sender goes away in the middle or passes the limit. */
    void (*piece)(struct http_request *req, void *context, const char *bytes, size_t n);
    void (*dropped)(struct http_request *req, void *context);
};

/* How many connections a server keeps. */
struct http_limits {
    unsigned all;   /* together */
    unsigned users; /* of users other than root and our own: the rest is kept for those two */
    unsigned user;  /* of one of them, and of all who are not known yet together */
};
/* What a process with so many descriptors (RLIMIT_NOFILE) can keep. */
void http_limits_of(uint64_t descriptors, struct http_limits *out);

/* Who a uid is. */
enum http_user_state {
    HTTP_USER_KNOWN,
    HTTP_USER_LATER,  /* http_server_identified follows */
    HTTP_USER_REFUSED /* err says why */
};

struct http_server_options {
    const struct http_route *routes;
    size_t route_count;
    void *context; /* handed to every handler */
    /* Asked before anything of the body is read; false (with err filled) refuses. May be NULL. */
    bool (*admit)(struct http_request *req, void *context, struct error *err);
    /* Asked for each connection and each request: fills `name` or err. A request waits, before anything of
     * its body is read, while the answer is HTTP_USER_LATER. May be NULL: all are known, by no name. */
    enum http_user_state (*identify)(void *context, uid_t uid, char name[HTTP_USER_NAME_MAX],
                                     struct error *err);
    void (*seen)(void *context);      /* called for every request, or NULL */
    unsigned idle_timeout_s;          /* 0: HTTP_IDLE_TIMEOUT_S */
    const struct http_limits *limits; /* NULL: by RLIMIT_NOFILE */
};

/* Binds a Unix stream socket at `path` with `mode` and listens (replaces a stale one; one that answers is
 * ERROR_EXISTS). Long paths are fine. -1 on failure. */
int http_listen_unix(const char *path, mode_t mode, struct error *err);
/* Whether `name` in dirfd, `path` to people, is free or a socket: nothing else is ever replaced. */
bool http_socket_replaceable(int dirfd, const char *name, const char *path, struct error *err);

/* Takes the listening descriptor over. `options` is copied, what it points to is borrowed. */
struct http_server *http_server_create(uv_loop_t *loop, int listen_fd,
                                       const struct http_server_options *options, struct error *err);
/* Answers what waits with 503 unavailable, ends streams, closes all. NULL is fine. */
void http_server_destroy(struct http_server *server);
/* `identify` has another answer for the uid now. */
void http_server_identified(struct http_server *server, uid_t uid);
/* No new connections from here on. */
void http_server_quiesce(struct http_server *server);

/* What the request is. Strings are valid as long as the request. */
const char *http_request_param(const struct http_request *req, unsigned index);   /* the n-th {word} */
const char *http_request_query(const struct http_request *req, const char *name); /* NULL where absent */
/* A whole number in the query, `missing` where absent; false where it isn't one in min..max. */
bool http_request_query_int(const struct http_request *req, const char *name, int64_t min, int64_t max,
                            int64_t missing, int64_t *out, struct error *err);
bool http_request_query_bool(const struct http_request *req, const char *name, bool missing, bool *out,
                             struct error *err); /* 0, 1, false, true */
const char *http_request_header(const struct http_request *req, const char *name);
const char *http_request_body(const struct http_request *req,
                              size_t *len);             /* "" where none; NUL-terminated */
uid_t http_request_uid(const struct http_request *req); /* SO_PEERCRED */
/* The name that `identify` gave; "" where nobody was asked. Valid as long as the request. */
const char *http_request_user(const struct http_request *req);
pid_t http_request_pid(const struct http_request *req);
const struct http_route *http_request_route(const struct http_request *req);
/* A pointer that the handlers of one request pass among themselves. */
void http_request_set_data(struct http_request *req, void *data);
void *http_request_data(const struct http_request *req);

/* While the answer is open: `gone` is called when the client has left; the request is invalid after it. NULL
 * forgets. Any answer forgets too. */
void http_request_on_gone(struct http_request *req, void (*gone)(struct http_request *req, void *data),
                          void *data);
void http_request_hold(struct http_request *req);
void http_request_go_on(struct http_request *req);

/* Answers. Each may be called once. A header is added before the answer. */
void http_respond_header(struct http_request *req, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void http_respond_empty(struct http_request *req, unsigned status);
void http_respond_json(struct http_request *req, unsigned status, cJSON *value); /* takes the value */
void http_respond_text(struct http_request *req, unsigned status, const char *content_type, char *bytes,
                       size_t n); /* takes the bytes (malloc'ed) */
/* {"error":{...}} as docs/PROTOCOL.md section 3 has it, with the status of the code. */
void http_respond_error(struct http_request *req, const struct error *err);
/* `status` 0: by code. `errors` (taken, may be NULL) is the array of several. */
void http_respond_errors(struct http_request *req, unsigned status, const struct error *err, cJSON *errors);
/* n bytes of an open file from offset, by sendfile. Takes the descriptor. */
void http_respond_file(struct http_request *req, unsigned status, const char *content_type, int fd,
                       uint64_t offset, uint64_t n);

#define HTTP_PULL_WAIT 0     /* nothing now: http_stream_wake will be called */
#define HTTP_PULL_END (-1)   /* that was all */
#define HTTP_PULL_BREAK (-2) /* something is wrong: close so that the reader sees it */
struct http_stream {
    /* Puts up to max bytes into out and returns how many, or one of the above. Called only when the
     * reader has taken what it had: a slow one costs one piece. */
    ssize_t (*pull)(void *data, char *out, size_t max);
    void (*done)(void *data); /* once, whichever way it ended; the request is invalid from here on */
    void *data;
};
/* A chunked answer that lasts until pull ends it or the reader goes away. */
void http_respond_stream(struct http_request *req, unsigned status, const char *content_type,
                         const struct http_stream *stream);
void http_stream_wake(struct http_request *req);

/* HTTP status of an error code. */
unsigned http_status_of(enum error_code code);

#endif
