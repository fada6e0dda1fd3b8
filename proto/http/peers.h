/* The connections of a server and what each uid holds. Only server.c, server_reply.c and load.c include this.
 */
#ifndef BERTH_PROTO_HTTP_PEERS_H
#define BERTH_PROTO_HTTP_PEERS_H

#include "proto/http/server_private.h"

/* What one uid holds of a server. Lives while it has a connection. */
struct http_user {
    uid_t uid;
    bool privileged; /* root, or the uid that runs this process */
    bool stranger;   /* not known yet: its connections are few */
    char name[HTTP_USER_NAME_MAX];
    unsigned references, connections;
    uint64_t body_bytes, reply_bytes; /* in memory */
    struct list idle;                 /* its connections without a request, longest idle first */
};

struct http_peer {
    struct list link;      /* of the server's connections */
    struct list idle_link; /* of its user's idle ones */
    struct http_server *server;
    struct http_user *user;
    struct http_request *req; /* NULL: idle */
    int fd;                   /* libmicrohttpd's */
    pid_t pid;
    uint64_t since_ms;       /* of its last request's end, else of its begin */
    bool counted;            /* among the connections of its user */
    bool refused;            /* its first request is answered with the refusal */
    bool ended;              /* shut down; libmicrohttpd is about to close it */
    unsigned refusal_status; /* where refused */
    struct error refusal;
};

/* Takes the descriptor over where it succeeds. */
bool http_peers_start(struct http_server *server, int listen_fd, struct error *err);
/* Accepts no more. */
void http_peers_quiesce(struct http_server *server);
/* After libmicrohttpd has closed all connections. */
void http_peers_finish(struct http_server *server);
/* MHD_NotifyConnectionCallback. */
void http_peers_notify(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code);
/* Asks who the user is and keeps the name. */
enum http_user_state http_peer_identify(struct http_peer *peer, struct error *err);
/* A request begins, and ends, on the connection. */
void http_peer_begin(struct http_peer *peer, struct http_request *req);
void http_peer_complete(struct http_peer *peer);

/* load.c: `more` bytes of the request's body, or of its answer, come into memory. False (with status and err
 * filled) where the user or all together hold too much; then they don't count. */
bool http_load_body(struct http_request *req, uint64_t more, unsigned *status, struct error *err);
/* As http_load_body, for bytes that are only announced: nothing is counted. */
bool http_load_body_fits(struct http_request *req, uint64_t more, unsigned *status, struct error *err);
bool http_load_reply(struct http_request *req, uint64_t more, unsigned *status, struct error *err);
/* The body is freed; the request ends. */
void http_load_drop_body(struct http_request *req);
void http_load_release(struct http_request *req);

#endif
