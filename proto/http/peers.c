/*
 * Who is connected: accepts, counts what each uid holds, evicts, refuses, and closes what takes too long.
 * Owns every http_peer and http_user. Invariant: the listening socket is ignored only while the process has
 * no free descriptor, and at most until the next HTTP_ACCEPT_RETRY_MS.
 */
#include "proto/http/peers.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ACCEPTS_PER_TURN 64    /* connections, before others have their turn */
#define REFUSAL_LINGER_MS 5000 /* how long a refused connection may take to send its request */
#define SWEEP_LEAST_MS 1000
#define DESCRIPTORS_FREED 8 /* idle connections closed when the process has no descriptor */

void http_limits_of(uint64_t descriptors, struct http_limits *out)
{
    uint64_t own = descriptors / 4 < HTTP_DESCRIPTORS_OWN ? descriptors / 4 : HTTP_DESCRIPTORS_OWN;
    uint64_t all = (descriptors - own) / HTTP_DESCRIPTORS_EACH;
    if (all > HTTP_CONNECTIONS_MAX)
        all = HTTP_CONNECTIONS_MAX;
    if (all < 4)
        all = 4;
    out->all = (unsigned)all;
    out->users = out->all - out->all / 4;
    out->user = out->users / 4 < HTTP_UID_CONNECTIONS_MAX ? out->users / 4 : HTTP_UID_CONNECTIONS_MAX;
    if (!out->user)
        out->user = 1;
}

/* ---- users ---- */

static struct http_user *user_of(struct http_server *server, uid_t uid)
{
    struct http_user *user = map_get_num(&server->users, uid);
    if (!user) {
        user = xcalloc(1, sizeof *user);
        user->uid = uid;
        user->privileged = uid == 0 || uid == geteuid();
        list_init(&user->idle);
        map_put_num(&server->users, uid, user);
    }
    return user;
}

static void user_release(struct http_server *server, struct http_user *user)
{
    if (--user->references)
        return;
    map_remove_num(&server->users, user->uid);
    free(user);
}

/* ---- connections ---- */

static struct http_peer *peer_create(struct http_server *server, int fd, const struct ucred *who)
{
    struct http_peer *peer = xcalloc(1, sizeof *peer);
    peer->server = server;
    peer->fd = fd;
    peer->pid = who->pid;
    peer->user = user_of(server, who->uid);
    peer->user->references++;
    peer->since_ms = uv_now(server->loop);
    list_init(&peer->idle_link);
    list_append(&server->peers, &peer->link);
    return peer;
}

static void peer_count(struct http_peer *peer, bool refused)
{
    peer->counted = !refused;
    if (refused) {
        peer->server->refused++;
        return;
    }
    peer->user->connections++;
    peer->server->connections++;
    peer->server->ordinary += !peer->user->privileged;
    peer->server->strangers += peer->user->stranger;
    list_append(&peer->user->idle, &peer->idle_link);
}

static void peer_uncount(struct http_peer *peer)
{
    list_remove(&peer->idle_link);
    if (peer->counted) {
        peer->user->connections--;
        peer->server->connections--;
        peer->server->ordinary -= !peer->user->privileged;
        peer->server->strangers -= peer->user->stranger;
    } else if (peer->refused) {
        peer->server->refused--;
    }
    peer->counted = peer->refused = false;
}

static void peer_destroy(struct http_peer *peer)
{
    peer_uncount(peer);
    list_remove(&peer->link);
    user_release(peer->server, peer->user);
    free(peer);
}

/* libmicrohttpd sees the end of the connection and closes it. */
static void peer_end(struct http_peer *peer)
{
    peer_uncount(peer);
    peer->ended = true;
    shutdown(peer->fd, SHUT_RDWR);
}

void http_peers_notify(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = cls;
    (void)connection;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = server->accepted;
        server->accepted = NULL;
    } else if (*context) {
        peer_destroy(*context);
        *context = NULL;
    }
}

void http_peer_begin(struct http_peer *peer, struct http_request *req)
{
    peer->req = req;
    list_remove(&peer->idle_link);
}

void http_peer_complete(struct http_peer *peer)
{
    peer->req = NULL;
    peer->since_ms = uv_now(peer->server->loop);
    if (peer->counted)
        list_append(&peer->user->idle, &peer->idle_link);
}

/* ---- who ---- */

static void set_stranger(struct http_server *server, struct http_user *user, bool stranger)
{
    server->strangers -= user->stranger ? user->connections : 0;
    user->stranger = stranger;
    server->strangers += stranger ? user->connections : 0;
}

enum http_user_state http_peer_identify(struct http_peer *peer, struct error *err)
{
    const struct http_server_options *options = &peer->server->options;
    struct http_user *user = peer->user;
    if (!options->identify)
        return HTTP_USER_KNOWN;
    enum http_user_state state = options->identify(options->context, user->uid, user->name, err);
    set_stranger(peer->server, user, !user->privileged && state != HTTP_USER_KNOWN);
    return state;
}

/* ---- room ---- */

static bool evict_of(struct http_user *user)
{
    if (list_empty(&user->idle))
        return false;
    peer_end(container_of(user->idle.next, struct http_peer, idle_link));
    return true;
}

/* One that waits for nothing: it is idle, or was refused. */
static bool evict_stranger(struct http_server *server)
{
    struct http_peer *peer, *tmp;
    list_for_each(peer, tmp, &server->peers, link)
    {
        bool may_end = peer->counted && peer->user->stranger && (!peer->req || peer->req->refused);
        if (!may_end)
            continue;
        peer_end(peer);
        return true;
    }
    return false;
}

/* The longest idle connection of whoever has the most; ordinary users go first. */
static bool evict_any(struct http_server *server, bool ordinary_only)
{
    struct http_user *most = NULL;
    struct map_slot *slot;
    for (size_t i = 0; (slot = map_next(&server->users, &i));) {
        struct http_user *user = slot->value;
        if (list_empty(&user->idle) || (ordinary_only && user->privileged))
            continue;
        if (!most || (most->privileged && !user->privileged) ||
            (most->privileged == user->privileged && user->connections > most->connections))
            most = user;
    }
    return most && evict_of(most);
}

static bool has_room(struct http_server *server, struct http_user *user, unsigned *status, struct error *err)
{
    const struct http_limits *limits = &server->limits;
    if (!user->privileged && user->connections >= limits->user && !evict_of(user)) {
        *status = 429;
        error_set(err, ERROR_LIMIT, "user %u has %u connections in use already, the most that one may have",
                  (unsigned)user->uid, user->connections);
        return error_hint(err, "end some of the programs that follow or wait for jobs, and try again");
    }
    if (user->stranger && server->strangers >= limits->user && !evict_stranger(server)) {
        *status = 503;
        error_set(err, ERROR_UNAVAILABLE, "too many users wait to have their names looked up");
        return error_hint(err, "try again in a moment");
    }
    bool full =
        server->connections >= limits->all || (!user->privileged && server->ordinary >= limits->users);
    if (full && !evict_any(server, !user->privileged)) {
        *status = 503;
        error_set(err, ERROR_UNAVAILABLE, "all %u connections are in use",
                  user->privileged ? limits->all : limits->users);
        return error_hint(err, "try again in a moment");
    }
    return true;
}

/* ---- accepting ---- */

#define UNREAD_PIECES_MAX 256 /* 1 MiB: more than a Unix socket holds */

/* For those that no connection can be kept for: the answer without the question. A socket that is closed with
 * bytes unread resets its peer, who then loses the answer: no more are let in, and what is there is read. */
static void refuse(int fd, unsigned status, const struct error *err)
{
    _cleanup_free_ char *body = http_error_text(err, NULL);
    _cleanup_buf_ struct buf out = {0};
    buf_printf(&out,
               "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nConnection: close\r\n"
               "Content-Length: %zu\r\n\r\n%s",
               status,
               status == 429   ? "Too Many Requests"
               : status == 403 ? "Forbidden"
                               : "Service Unavailable",
               strlen(body), body);
    char unread[4096];
    (void)!send(fd, out.data, out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_RD);
    for (unsigned i = 0; i < UNREAD_PIECES_MAX && recv(fd, unread, sizeof unread, MSG_DONTWAIT) > 0; i++)
        ;
    close(fd);
}

static void add_peer(struct http_server *server, int fd)
{
    struct ucred who = {.uid = (uid_t)-1, .pid = -1};
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        who = (struct ucred){.uid = (uid_t)-1, .pid = -1};
    struct http_peer *peer = peer_create(server, fd, &who);
    unsigned status = 0;
    struct error err = {0};
    bool known = http_peer_identify(peer, &err) != HTTP_USER_REFUSED;
    if (!known)
        status = http_status_of(err.code);
    peer->refused = !known || !has_room(server, peer->user, &status, &err);
    if (peer->refused && server->refused >= HTTP_REFUSALS_MAX) {
        peer->refused = false;
        peer_destroy(peer);
        refuse(fd, status, &err);
        return;
    }
    if (peer->refused) {
        peer->refusal_status = status;
        peer->refusal = err;
    }
    peer_count(peer, peer->refused);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    server->accepted = peer;
    (void)MHD_add_connection(server->daemon, fd, (const struct sockaddr *)&address, sizeof address);
    if (server->accepted) /* it never started: libmicrohttpd has closed the descriptor */
        peer_destroy(peer);
    server->accepted = NULL;
}

static void pause_listening(struct http_server *server)
{
    server->paused = true;
    uv_poll_stop(server->listen);
    uv_timer_start(server->retry, server->retry->timer_cb, HTTP_ACCEPT_RETRY_MS, 0);
}

static void free_descriptors(struct http_server *server)
{
    for (unsigned i = 0; i < DESCRIPTORS_FREED; i++)
        (void)evict_any(server, true);
    MHD_run(server->daemon);
}

/* No descriptor is free: the spare one serves to refuse whoever waits. */
static bool refuse_next(struct http_server *server)
{
    struct error err = {0};
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        error_set(&err, ERROR_UNAVAILABLE, "the scheduler has no file descriptor left");
        error_hint(&err, "try again in a moment; an administrator may raise its limit (LimitNOFILE)");
        refuse(fd, 503, &err);
    }
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

/* accept(2) without a free descriptor fails before it looks: nobody is put out where nobody waits. */
static bool somebody_waits(const struct http_server *server)
{
    struct pollfd p = {.fd = server->listen_fd, .events = POLLIN};
    return poll(&p, 1, 0) != 0;
}

static void accept_all(struct http_server *server)
{
    bool freed = false;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN && !server->closing; i++) {
        int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            server->paused = false;
            add_peer(server, fd);
        } else if (errno == EINTR || errno == ECONNABORTED) {
            continue;
        } else if (errno == EAGAIN) {
            return;
        } else {
            int e = errno;
            bool scarce = e == EMFILE || e == ENFILE;
            if (scarce && !somebody_waits(server))
                return;
            if (scarce && !freed) {
                free_descriptors(server);
                freed = true;
                continue;
            }
            if (scarce && refuse_next(server))
                continue;
            if (!server->paused)
                log_warn("can't accept a connection: %s", strerror(e));
            pause_listening(server);
            return;
        }
    }
}

static void on_listen(uv_poll_t *poll, int status, int events)
{
    struct http_server *server = poll->data;
    (void)status;
    (void)events;
    accept_all(server);
    http_server_pump(server);
}

static void on_retry(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    if (!server->closing && server->listen)
        uv_poll_start(server->listen, UV_READABLE, on_listen);
}

/* ---- deadlines ---- */

/* What a transfer of `bytes` may take: the idle time, and longer in step with what came. */
static uint64_t allowed_ms(const struct http_server *server, uint64_t bytes)
{
    return server->idle_ms + bytes * 1000 / HTTP_RATE_MIN_BYTES;
}

static bool overdue(const struct http_peer *peer, uint64_t now)
{
    const struct http_server *server = peer->server;
    const struct http_request *req = peer->req;
    if (peer->ended)
        return false;
    bool brief = peer->refused || (peer->user->stranger && (!req || req->refused));
    uint64_t idle_ms = brief && REFUSAL_LINGER_MS < server->idle_ms ? REFUSAL_LINGER_MS : server->idle_ms;
    if (!req)
        return now - peer->since_ms > idle_ms;
    if (req->suspended || req->streaming)
        return false;
    if (brief)
        return now - req->begun_ms > idle_ms + req->suspended_ms;
    if (req->queued)
        return req->reply_bytes && now - req->queued_ms > allowed_ms(server, req->reply_bytes);
    return now - req->begun_ms > allowed_ms(server, req->received_bytes) + req->suspended_ms;
}

static void on_sweep(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    struct http_peer *peer, *tmp;
    uint64_t now = uv_now(server->loop);
    bool any = false;
    list_for_each(peer, tmp, &server->peers, link)
    {
        if (!overdue(peer, now))
            continue;
        peer_end(peer);
        any = true;
    }
    if (any)
        http_server_pump(server);
}

/* ---- start and end ---- */

bool http_peers_start(struct http_server *server, int listen_fd, struct error *err)
{
    struct rlimit files = {.rlim_cur = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &files);
    if (server->options.limits)
        server->limits = *server->options.limits;
    else
        http_limits_of(files.rlim_cur, &server->limits);
    server->listen = xcalloc(1, sizeof *server->listen);
    server->retry = xcalloc(1, sizeof *server->retry);
    server->sweep = xcalloc(1, sizeof *server->sweep);
    uv_timer_init(server->loop, server->retry);
    uv_timer_init(server->loop, server->sweep);
    int rc = uv_poll_init(server->loop, server->listen, listen_fd);
    server->listen->data = server->retry->data = server->sweep->data = server;
    server->retry->timer_cb = on_retry;
    uint64_t every = server->idle_ms / 4 > SWEEP_LEAST_MS ? server->idle_ms / 4 : SWEEP_LEAST_MS;
    uv_timer_start(server->sweep, on_sweep, every, every);
    if (rc == 0)
        rc = uv_poll_start(server->listen, UV_READABLE, on_listen);
    if (rc != 0)
        return error_set(err, ERROR_INTERNAL, "can't watch the HTTP server's socket: %s", uv_strerror(rc));
    server->listen_fd = listen_fd;
    server->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return true;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void http_peers_quiesce(struct http_server *server)
{
    if (server->listen)
        uv_close((uv_handle_t *)take_ptr(server->listen), free_handle);
    if (server->retry)
        uv_close((uv_handle_t *)take_ptr(server->retry), free_handle);
    if (server->listen_fd >= 0)
        close(take_fd(&server->listen_fd));
    if (server->spare_fd >= 0)
        close(take_fd(&server->spare_fd));
}

void http_peers_finish(struct http_server *server)
{
    http_peers_quiesce(server);
    if (server->sweep)
        uv_close((uv_handle_t *)take_ptr(server->sweep), free_handle);
    map_finish(&server->users);
}
