/* What server.c (connections, requests) and server_reply.c (answers) share. Nobody else includes this. */
#ifndef BERTH_PROTO_HTTP_SERVER_PRIVATE_H
#define BERTH_PROTO_HTTP_SERVER_PRIVATE_H

#include "base/buf.h"
#include "base/list.h"
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
    void *data;
    uid_t uid;
    pid_t pid;
    bool refused;   /* an answer is ready before the body was read */
    bool handled;   /* `handle` was called */
    bool over;      /* the body passed the limit */
    bool held;      /* no more pieces for now */
    bool suspended; /* MHD's view */
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

/* Makes the answer known to the server: queues it now or on resumption. Takes the response. */
void http_request_answer(struct http_request *req, unsigned status, struct MHD_Response *response);
void http_request_suspend(struct http_request *req);
void http_request_resume(struct http_request *req);
/* Starts noticing departures while suspended. */
void http_request_watch(struct http_request *req);

#endif
