/*
 * Requests: libmicrohttpd's epoll descriptor in a uv_poll_t, its time-out in a uv_timer_t; peers.c accepts.
 * Owns every http_request from its first header to its completion. Invariant: a connection is suspended
 * exactly while its request is handled without an answer, held, or starved of stream data.
 */
#include "proto/http/peers.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/loop_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define POOL_BYTES                                                                                           \
    (HTTP_PIECE_MAX_BYTES + HTTP_HEADERS_MAX_BYTES + (16 << 10)) /* of a connection, libmicrohttpd's */
#define POOL_STEP_BYTES (32 << 10)
#define LISTEN_BACKLOG 512

/* ---- listening ---- */

static bool socket_answers(const struct sockaddr_un *address)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd >= 0 &&
           (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN);
}

bool http_socket_replaceable(int dirfd, const char *name, const char *path, struct error *err)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || error_errno(err, errno, "can't look at the socket %s", path);
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, ERROR_EXISTS, "%s exists and is not a socket: choose another --socket", path);
    return true;
}

/* The socket of a process that is gone. */
static bool remove_stale(int dirfd, const char *name, const char *path, struct error *err)
{
    return http_socket_replaceable(dirfd, name, path, err) &&
           (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT ||
            error_errno(err, errno, "can't replace the socket %s", path));
}

/* bind(2) gives the socket's file the mode of the socket, less the umask: a chmod of its name would reach
 * what has that name by then. The umask is all threads', so it is opened by no more than `mode` wants.
 */
static bool bind_with_mode(int fd, const struct sockaddr_un *address, mode_t mode)
{
    if (fchmod(fd, mode) != 0)
        return false;
    mode_t mask = umask(077);
    umask(mask & ~mode);
    bool ok = bind(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    int saved = errno;
    umask(mask);
    errno = saved;
    return ok;
}

int http_listen_unix(const char *path, mode_t mode, struct error *err)
{
    /* sun_path holds 107 characters: the folder is reached through its descriptor */
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *folder = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    const char *name = slash ? slash + 1 : path;
    _cleanup_close_ int dirfd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        error_errno(err, errno, "can't open the folder of the socket %s", path);
        return -1;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dirfd, name);
    if (!*name || n >= (int)sizeof address.sun_path) {
        error_set(err, ERROR_LIMIT, "the socket's name %s is too long", name);
        return -1;
    }
    if (socket_answers(&address)) {
        error_set(err, ERROR_EXISTS, "another process answers on %s", path);
        return -1;
    }
    if (!remove_stale(dirfd, name, path, err))
        return -1;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || !bind_with_mode(fd, &address, mode) || listen(fd, LISTEN_BACKLOG) != 0) {
        error_errno(err, errno, "can't listen on %s", path);
        return -1;
    }
    return take_fd(&fd);
}

/* ---- the loop ---- */

void http_server_pump(struct http_server *server)
{
    MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES)
        uv_timer_start(server->timer, server->timer->timer_cb, wait_ms, 0);
    else
        uv_timer_stop(server->timer);
}

static void on_timer(uv_timer_t *timer)
{
    http_server_pump(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    http_server_pump(poll->data);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* ---- requests ---- */

static void on_client_event(uv_poll_t *watch, int status, int events)
{
    (void)events;
    struct http_request *req = watch->data;
    struct pollfd p = {.events = POLLRDHUP};
    if (status == 0 && uv_fileno((uv_handle_t *)watch, &p.fd) == 0)
        (void)!(p.fd >= 0 && poll(&p, 1, 0));
    uv_poll_stop(watch);
    if (status == 0 && !(p.revents & (POLLHUP | POLLERR)))
        return; /* it has only ended its own sending, and may well read the answer */
    if (req->gone) {
        void (*gone)(struct http_request *, void *) = req->gone;
        req->gone = NULL;
        gone(req, req->gone_data);
        if (!req->answered) {
            struct error err;
            error_set(&err, ERROR_UNAVAILABLE, "the client left");
            http_respond_error(req, &err); /* fails to be written, and so ends the connection */
        }
    } else if (req->starved) {
        req->broken = true;
        http_stream_wake(req);
    }
}

void http_request_watch(struct http_request *req)
{
    if (!req->watch) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        req->watch = xcalloc(1, sizeof *req->watch);
        if (uv_poll_init(req->server->loop, req->watch, info->connect_fd) != 0) {
            free(req->watch);
            req->watch = NULL;
            return;
        }
        req->watch->data = req;
    }
    uv_poll_start(req->watch, UV_DISCONNECT, on_client_event);
}

static void unwatch(struct http_request *req)
{
    if (req->watch)
        uv_close((uv_handle_t *)req->watch, free_handle);
    req->watch = NULL;
}

void http_request_suspend(struct http_request *req)
{
    if (req->suspended)
        return;
    req->suspended = true;
    req->suspended_at_ms = uv_now(req->server->loop);
    MHD_suspend_connection(req->connection);
}

void http_request_resume(struct http_request *req)
{
    if (!req->suspended)
        return;
    req->suspended = false;
    req->suspended_ms += uv_now(req->server->loop) - req->suspended_at_ms;
    MHD_resume_connection(req->connection);
    uv_timer_start(req->server->timer, on_timer, 0, 0);
}

static void request_free(struct http_request *req)
{
    unwatch(req);
    list_remove(&req->link);
    for (unsigned i = 0; i < HTTP_PATH_PARAMS_MAX; i++)
        free(req->params[i]);
    for (unsigned i = 0; i < req->header_count; i++) {
        free(req->headers[i].name);
        free(req->headers[i].value);
    }
    if (req->response)
        MHD_destroy_response(req->response);
    http_load_release(req);
    http_peer_complete(req->peer);
    free(req->url);
    free(req);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode how)
{
    (void)cls;
    (void)connection;
    (void)how;
    struct http_request *req = *con_cls;
    if (!req)
        return;
    *con_cls = NULL;
    unwatch(req);
    if (req->route && req->route->piece && !req->handled && !req->refused && req->route->dropped)
        req->route->dropped(req, req->server->options.context);
    if (req->gone)
        req->gone(req, req->gone_data);
    if (req->streaming && req->stream.done)
        req->stream.done(req->stream.data);
    request_free(req);
}

/* Does `path` fit the pattern? Fills the parameters (the caller frees them either way). */
static bool path_matches(const char *pattern, const char *path, char **params)
{
    unsigned count = 0;
    while (*pattern && *path) {
        if (*pattern == '{') {
            size_t n = strcspn(path, "/");
            pattern = strchr(pattern, '}') + 1;
            if (n == 0 || count == HTTP_PATH_PARAMS_MAX)
                return false;
            free(params[count]);
            params[count++] = xstrndup(path, n);
            path += n;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return !*pattern && !*path;
}

static void clear_params(struct http_request *req)
{
    for (unsigned i = 0; i < HTTP_PATH_PARAMS_MAX; i++) {
        free(req->params[i]);
        req->params[i] = NULL;
    }
}

static bool find_route(struct http_request *req, const char *method, struct error *err)
{
    const struct http_server_options *options = &req->server->options;
    char allowed[64] = "";
    for (size_t i = 0; i < options->route_count; i++) {
        const struct http_route *route = &options->routes[i];
        clear_params(req);
        if (!path_matches(route->path, req->url, req->params))
            continue;
        if (strcmp(route->method, method) == 0) {
            req->route = route;
            return true;
        }
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s", used ? ", " : "", route->method);
    }
    clear_params(req);
    if (*allowed) {
        error_set(err, ERROR_NOT_FOUND, "%s is not answered at %s", method, req->url);
        return error_hint(err, "use %s", allowed);
    }
    return error_set(err, ERROR_NOT_FOUND, "there is nothing at %s", req->url);
}

struct query_check {
    const char *names;
    struct error *err;
};

static bool word_in(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; p && *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        if (len == n && memcmp(p, word, n) == 0)
            return true;
        p += len;
    }
    return false;
}

static enum MHD_Result check_query(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
    (void)kind;
    (void)value;
    struct query_check *check = cls;
    if (check->err->code == ERROR_NONE && !word_in(check->names, key)) {
        error_field(check->err, key, "unknown query parameter %s", key);
        if (check->names)
            error_hint(check->err, "this path takes: %s", check->names);
    }
    return MHD_YES;
}

/* What can be refused from the headers alone. */
static bool check_headers(struct http_request *req, const char *method, struct error *err, unsigned *status)
{
    const struct http_server_options *options = &req->server->options;
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(req->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (size && size->header_size > HTTP_HEADERS_MAX_BYTES) {
        *status = 431;
        return error_set(err, ERROR_LIMIT, "the headers are larger than %d bytes", HTTP_HEADERS_MAX_BYTES);
    }
    if (req->server->closing)
        return error_set(err, ERROR_UNAVAILABLE, "the scheduler is shutting down");
    if (req->peer->refused) {
        *status = req->peer->refusal_status;
        *err = req->peer->refusal;
        http_respond_header(req, MHD_HTTP_HEADER_CONNECTION, "close");
        return false;
    }
    if (!find_route(req, method, err))
        return false;
    struct query_check check = {.names = req->route->query, .err = err};
    MHD_get_connection_values(req->connection, MHD_GET_ARGUMENT_KIND, check_query, &check);
    if (err->code != ERROR_NONE)
        return false;
    const char *length = http_request_header(req, "Content-Length");
    if (length && strtoull(length, NULL, 10) > req->route->body_max_bytes) {
        *status = 413;
        return error_set(err, ERROR_LIMIT, "the body of %s bytes is larger than %llu", length,
                         (unsigned long long)req->route->body_max_bytes);
    }
    if (req->route->piece ? !http_load_body(req, HTTP_PIECE_MAX_BYTES, status, err)
                          : length && !http_load_body_fits(req, strtoull(length, NULL, 10), status, err))
        return false;
    return !options->admit || options->admit(req, options->context, err);
}

static enum MHD_Result begin_request(struct http_server *server, struct MHD_Connection *connection,
                                     const char *url, const char *method, void **con_cls)
{
    struct http_request *req = xcalloc(1, sizeof *req);
    req->server = server;
    req->connection = connection;
    req->url = xstrdup(url);
    req->begun_ms = uv_now(server->loop);
    req->peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    http_peer_begin(req->peer, req);
    list_append(&server->requests, &req->link);
    *con_cls = req;
    if (server->options.seen)
        server->options.seen(server->options.context);
    struct error err = {0};
    unsigned status = 0;
    if (check_headers(req, method, &err, &status)) {
        enum http_user_state user = http_peer_identify(req->peer, &err);
        req->unknown = user == HTTP_USER_LATER;
        if (req->unknown) {
            req->begins_again = true;
            http_request_suspend(req);
        }
        if (user != HTTP_USER_REFUSED)
            return MHD_YES;
        http_respond_header(req, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    req->refused = true;
    http_respond_errors(req, status, &err, NULL);
    const char *length = http_request_header(req, "Content-Length");
    if (length && strtoull(length, NULL, 10) > HTTP_DISCARD_MAX_BYTES) {
        req->queued = true;
        req->queued_ms = req->begun_ms;
        return MHD_queue_response(connection, req->status, req->response);
    }
    return MHD_YES;
}

/* In the middle of the body: what came is forgotten. */
static void refuse_body(struct http_request *req, unsigned status, const struct error *err)
{
    req->over = true;
    if (req->route->piece && req->route->dropped)
        req->route->dropped(req, req->server->options.context);
    http_load_drop_body(req);
    req->refused = true;
    http_respond_errors(req, status, err, NULL);
}

void http_server_identified(struct http_server *server, uid_t uid)
{
    struct http_request *req, *tmp;
    struct error err = {0};
    list_for_each(req, tmp, &server->requests, link)
    {
        if (!req->unknown || req->peer->user->uid != uid)
            continue;
        enum http_user_state user = http_peer_identify(req->peer, &err);
        if (user == HTTP_USER_LATER)
            return;
        req->unknown = false;
        if (user == HTTP_USER_REFUSED) {
            req->refused = true;
            http_respond_header(req, MHD_HTTP_HEADER_CONNECTION, "close");
            http_respond_error(req, &err);
        } else {
            http_request_resume(req);
        }
    }
}

static void take_body(struct http_request *req, const char *bytes, size_t n)
{
    struct error err = {0};
    unsigned status = 0;
    req->received_bytes += n;
    if (req->refused || req->over)
        return;
    if (req->received_bytes > req->route->body_max_bytes) {
        error_set(&err, ERROR_LIMIT, "the body is larger than %llu bytes",
                  (unsigned long long)req->route->body_max_bytes);
        refuse_body(req, 413, &err);
        return;
    }
    if (!req->route->piece && !http_load_body(req, n, &status, &err)) {
        refuse_body(req, status, &err);
        return;
    }
    if (req->route->piece) {
        int64_t begin = loop_watch_begin();
        req->route->piece(req, req->server->options.context, bytes, n);
        loop_watch_end(begin, req->route->method, req->route->path);
    } else {
        buf_add(&req->body, bytes, n);
    }
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **con_cls)
{
    (void)version;
    struct http_request *req = *con_cls;
    if (!req)
        return begin_request(cls, connection, url, method, con_cls);
    if (req->begins_again) { /* libmicrohttpd repeats the call that was suspended */
        req->begins_again = false;
        if (!req->refused)
            return MHD_YES;
        req->queued = true;
        req->queued_ms = uv_now(req->server->loop);
        return MHD_queue_response(connection, req->status, req->response);
    }
    /* The next chunk of one buffer is offered even so; what is not taken is offered again on resuming. */
    if (req->suspended)
        return MHD_YES;
    if (*upload_size) {
        take_body(req, upload, *upload_size);
        *upload_size = 0;
        if (req->received_bytes > HTTP_DISCARD_MAX_BYTES && req->refused)
            return MHD_NO; /* it would not stop sending */
        if (req->held && !req->refused)
            http_request_suspend(req);
        return MHD_YES;
    }
    if (req->queued)
        return MHD_YES;
    if (!req->answered && !req->handled) {
        const struct http_route *route = req->route;
        req->handled = true;
        int64_t begin = loop_watch_begin();
        route->handle(req, req->server->options.context);
        loop_watch_end(begin, route->method, route->path);
    }
    if (!req->answered) {
        http_request_suspend(req);
        if (req->gone)
            http_request_watch(req);
        return MHD_YES;
    }
    req->queued = true;
    req->queued_ms = uv_now(req->server->loop);
    if (req->streaming)
        MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    return MHD_queue_response(connection, req->status, req->response);
}

void http_request_answer(struct http_request *req, unsigned status, struct MHD_Response *response)
{
    if (req->answered) { /* a bug of a handler, harmless to the client */
        log_error("request %s was answered twice", req->url);
        MHD_destroy_response(response);
        return;
    }
    req->answered = true;
    req->gone = NULL;
    req->held = false;
    req->status = status;
    req->response = response;
    for (unsigned i = 0; i < req->header_count; i++)
        MHD_add_response_header(response, req->headers[i].name, req->headers[i].value);
    unwatch(req);
    http_request_resume(req);
}

void http_request_on_gone(struct http_request *req, void (*gone)(struct http_request *req, void *data),
                          void *data)
{
    req->gone = gone;
    req->gone_data = data;
    if (gone && req->suspended)
        http_request_watch(req);
    else if (!gone)
        unwatch(req);
}

void http_request_hold(struct http_request *req)
{
    req->held = true;
}

void http_request_go_on(struct http_request *req)
{
    req->held = false;
    http_request_resume(req);
}

/* ---- what the request is ---- */

const char *http_request_param(const struct http_request *req, unsigned index)
{
    return index < HTTP_PATH_PARAMS_MAX && req->params[index] ? req->params[index] : "";
}

const char *http_request_query(const struct http_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool http_request_query_int(const struct http_request *req, const char *name, int64_t min, int64_t max,
                            int64_t missing, int64_t *out, struct error *err)
{
    const char *text = http_request_query(req, name);
    *out = missing;
    if (!text)
        return true;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (!*text || *end || errno || value < min || value > max)
        return error_field(err, name, "%s is a whole number from %lld to %lld, not '%.64s'", name,
                           (long long)min, (long long)max, text);
    *out = value;
    return true;
}

bool http_request_query_bool(const struct http_request *req, const char *name, bool missing, bool *out,
                             struct error *err)
{
    const char *text = http_request_query(req, name);
    *out = missing;
    if (!text)
        return true;
    bool yes = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "0") != 0 && strcmp(text, "false") != 0)
        return error_field(err, name, "%s is 0 or 1, not '%.64s'", name, text);
    *out = yes;
    return true;
}

const char *http_request_header(const struct http_request *req, const char *name)
{
    return MHD_lookup_connection_value(req->connection, MHD_HEADER_KIND, name);
}

const char *http_request_body(const struct http_request *req, size_t *len)
{
    if (len)
        *len = req->body.len;
    return req->body.data ? req->body.data : "";
}

uid_t http_request_uid(const struct http_request *req)
{
    return req->peer->user->uid;
}

const char *http_request_user(const struct http_request *req)
{
    return req->peer->user->name;
}

pid_t http_request_pid(const struct http_request *req)
{
    return req->peer->pid;
}

const struct http_route *http_request_route(const struct http_request *req)
{
    return req->route;
}

void http_request_set_data(struct http_request *req, void *data)
{
    req->data = data;
}

void *http_request_data(const struct http_request *req)
{
    return req->data;
}

/* ---- the server ---- */

static void log_line(void *cls, const char *fmt, va_list ap)
{
    (void)cls;
    char line[512];
    vsnprintf(line, sizeof line, fmt, ap);
    log_debug("libmicrohttpd: %s", line);
}

struct http_server *http_server_create(uv_loop_t *loop, int listen_fd,
                                       const struct http_server_options *options, struct error *err)
{
    struct http_server *server = xcalloc(1, sizeof *server);
    server->loop = loop;
    server->options = *options;
    list_init(&server->requests);
    list_init(&server->peers);
    server->listen_fd = server->spare_fd = -1;
    unsigned timeout_s = options->idle_timeout_s ? options->idle_timeout_s : HTTP_IDLE_TIMEOUT_S;
    server->idle_ms = timeout_s * 1000ULL;
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, http_peers_notify, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(2 * HTTP_CONNECTIONS_MAX), /* peers.c has the real limits */
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_CONNECTION_MEMORY_INCREMENT,
        (size_t)POOL_STEP_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, timeout_s, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
        1, MHD_OPTION_END);
    if (!server->daemon) {
        error_set(err, ERROR_INTERNAL, "can't start the HTTP server");
        free(server);
        return NULL;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    server->poll = xcalloc(1, sizeof *server->poll);
    server->timer = xcalloc(1, sizeof *server->timer);
    uv_timer_init(loop, server->timer);
    server->timer->data = server;
    int rc = uv_poll_init(loop, server->poll, info->epoll_fd);
    server->poll->data = server;
    if (rc == 0)
        rc = uv_poll_start(server->poll, UV_READABLE, on_ready);
    if (rc != 0) {
        error_set(err, ERROR_INTERNAL, "can't watch the HTTP server: %s", uv_strerror(rc));
        http_server_destroy(server);
        return NULL;
    }
    if (!http_peers_start(server, listen_fd, err)) {
        http_server_destroy(server);
        return NULL;
    }
    uv_timer_start(server->timer, on_timer, 0, 0);
    return server;
}

void http_server_quiesce(struct http_server *server)
{
    server->closing = true;
    http_peers_quiesce(server);
}

void http_server_destroy(struct http_server *server)
{
    if (!server)
        return;
    http_server_quiesce(server);
    struct http_request *req, *tmp;
    struct error err;
    error_set(&err, ERROR_UNAVAILABLE, "the scheduler is shutting down");
    error_hint(&err, "try again when it is back");
    list_for_each(req, tmp, &server->requests, link)
    {
        if (req->gone) {
            void (*gone)(struct http_request *, void *) = req->gone;
            req->gone = NULL;
            gone(req, req->gone_data);
        }
        if (!req->answered && (req->suspended || req->handled))
            http_respond_error(req, &err);
        else if (req->starved)
            http_stream_wake(req);
    }
    /* what is ready is written; whoever does not read now never hears it */
    for (int turn = 0; turn < 8; turn++)
        MHD_run(server->daemon);
    list_for_each(req, tmp, &server->requests, link) http_request_resume(req);
    MHD_run(server->daemon);
    uv_poll_stop(server->poll);
    uv_timer_stop(server->timer);
    uv_close((uv_handle_t *)server->poll, free_handle);
    uv_close((uv_handle_t *)server->timer, free_handle);
    MHD_stop_daemon(server->daemon);
    http_peers_finish(server);
    free(server);
}
