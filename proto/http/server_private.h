/* What server.c (connections, requests) and server_reply.c (answers) share. Nobody else includes this. */
#ifndef BERTH_PROTO_HTTP_SERVER_PRIVATE_H
#define BERTH_PROTO_HTTP_SERVER_PRIVATE_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "proto/http/server.h"

#include <microhttpd.h>

#define HTTP_HEADERS_OUT_MAX 8

struct http_server {
    uv_loop_t *loop;
    struct MHD_Daemon *daemon;
    uv_poll_t *poll; /* own allocations: closed handles outlive the server by one turn of the loop */
    uv_timer_t *timer;
    struct http_server_options options;
    struct list requests;
    bool closing;

    /* peers.c */
    struct list peers;          /* all connections */
    struct map users;           /* by uid */
    struct http_peer *accepted; /* on its way to libmicrohttpd */
    struct http_limits limits;
    unsigned connections, ordinary, refused; /* all; those of ordinary users; beyond the limits */
    unsigned strangers;                      /* of users who are not known yet */
    uint64_t idle_ms;
    bool paused;                            /* no descriptor was free when somebody came */
    uint64_t body_bytes[2], reply_bytes[2]; /* in memory, of ordinary and of privileged users */
    int listen_fd, spare_fd;                /* -1: none */
    uv_poll_t *listen;
    uv_timer_t *retry, *sweep;
};

struct http_request {
    struct list link;
    struct http_server *server;
    struct MHD_Connection *connection;
    const struct http_route *route; /* NULL: refused before one was found */
    char *params[HTTP_PATH_PARAMS_MAX];
    char *url;
    struct buf body;
    uint64_t received_bytes;
    uint64_t body_bytes, reply_bytes; /* counted by load.c */
    void *data;
    struct http_peer *peer;
    uint64_t begun_ms, queued_ms;           /* the loop's clock */
    uint64_t suspended_at_ms, suspended_ms; /* since when; how long in all, before that */
    bool unknown;                           /* it waits until its user is known */
    bool begins_again;                      /* it waited for that */
    bool refused;                           /* an answer is ready before the body was read */
    bool handled;                           /* `handle` was called */
    bool over;                              /* the body passed the limit */
    bool held;                              /* no more pieces for now */
    bool suspended;                         /* MHD's view */
    bool answered, queued;

    unsigned status;
    struct MHD_Response *response;
    struct {
        char *name, *value;
    } headers[HTTP_HEADERS_OUT_MAX];
    unsigned header_count;

    bool streaming, starved; /* starved: suspended because pull had nothing */
    bool broken;             /* the reader of the stream is gone */
    struct http_stream stream;

    void (*gone)(struct http_request *req, void *data);
    void *gone_data;
    uv_poll_t *watch; /* notices that the client left while the connection is suspended */
};

/* Lets libmicrohttpd do what is ready. */
void http_server_pump(struct http_server *server);
/* The JSON text of an error answer; the caller frees. Takes `errors` (NULL: none). */
char *http_error_text(const struct error *err, cJSON *errors);
/* Makes the answer known to the server: queues it now or on resumption. Takes the response. */
void http_request_answer(struct http_request *req, unsigned status, struct MHD_Response *response);
void http_request_suspend(struct http_request *req);
void http_request_resume(struct http_request *req);
/* Starts noticing departures while suspended. */
void http_request_watch(struct http_request *req);

#endif
