/* libcurl's multi interface on libuv: curl says which sockets and which timeout it waits for, libuv watches
 * them. Owned here: the easy handles, the poll handle of each socket, the answer buffers. A call is in
 * exactly one of the two lists, waiting or running, until it ends. Handles are only removed from the multi
 * outside of curl's own callbacks. */
#include "proto/http/client.h"

#include "base/alloc.h"
#include "base/list.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

struct http_client {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    char *socket_path;
    struct curl_slist *headers;
    struct list waiting, running;
    unsigned running_count; /* without the uncounted ones */
    unsigned in_curl;       /* inside curl's callbacks: no handle may be taken away */
    unsigned in_sweep;      /* handing answers on: destroying waits */
    bool destroyed, timer_closed;
};

struct http_call {
    struct list link;
    struct http_client *client;
    CURL *easy;
    char *url, *body;
    struct buf answer;
    char curl_text[CURL_ERROR_SIZE];
    bool started, uncounted, cancelled, too_large; /* cancelled: nobody waits for it any more */
    http_data_fn *on_data;
    http_done_fn *on_done;
    void *ctx;
};

struct socket_watch {
    uv_poll_t poll;
    struct http_client *client;
    curl_socket_t fd;
};

static void client_free(struct http_client *client)
{
    if (!client->timer_closed || client->in_curl || client->in_sweep)
        return;
    curl_slist_free_all(client->headers);
    free(client->socket_path);
    free(client);
}

static void call_free(struct http_call *call)
{
    list_remove(&call->link);
    if (call->easy) {
        if (call->started)
            curl_multi_remove_handle(call->client->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }
    buf_finish(&call->answer);
    free(call->url);
    free(call->body);
    free(call);
}

static void start_waiting(struct http_client *client)
{
    struct http_call *call, *next;
    list_for_each(call, next, &client->waiting, link)
    {
        if (!call->uncounted && client->running_count >= HTTP_CLIENT_CALLS_MAX)
            continue;
        if (!call->uncounted)
            client->running_count++;
        list_remove(&call->link);
        list_append(&client->running, &call->link);
        call->started = true;
        curl_multi_add_handle(client->multi, call->easy);
    }
}

static void finish_call(struct http_call *call, CURLcode result)
{
    struct http_client *client = call->client;
    long status = 0;
    struct error err = {0};
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result != CURLE_OK) {
        status = 0;
        if (call->too_large)
            error_set(&err, ERROR_LIMIT, "the answer to %s is larger than %u bytes", call->url,
                      HTTP_CLIENT_ANSWER_MAX);
        else
            error_set(&err, result == CURLE_OPERATION_TIMEDOUT ? ERROR_TIMEOUT : ERROR_UNAVAILABLE, "%s: %s",
                      call->url, call->curl_text[0] ? call->curl_text : curl_easy_strerror(result));
    }
    if (!call->uncounted)
        client->running_count--;
    bool tell = !call->cancelled;
    call->cancelled = true; /* a cancel from inside on_done must not free it twice */
    if (tell)
        call->on_done(call->ctx, (int)status, &call->answer, &err);
    call_free(call);
}

/* After curl did something: hand ended calls on, start waiting ones. Runs outside of curl. */
static void sweep(struct http_client *client)
{
    client->in_sweep++;
    CURLMsg *message;
    int left;
    while (!client->destroyed && (message = curl_multi_info_read(client->multi, &left))) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct http_call *call;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        finish_call(call, message->data.result);
    }
    if (!client->destroyed) {
        struct http_call *call, *next;
        list_for_each(call, next, &client->running, link)
        {
            if (!call->cancelled)
                continue;
            if (!call->uncounted)
                client->running_count--;
            call_free(call);
        }
        start_waiting(client);
    }
    client->in_sweep--;
    if (client->destroyed)
        client_free(client);
}

static void on_socket_event(uv_poll_t *poll, int status, int events)
{
    struct socket_watch *watch = poll->data;
    struct http_client *client = watch->client;
    int flags = 0, running;
    if (status < 0)
        flags = CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    client->in_curl++;
    curl_multi_socket_action(client->multi, watch->fd, flags, &running);
    client->in_curl--;
    sweep(client);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_client *client = timer->data;
    int running;
    client->in_curl++;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    client->in_curl--;
    sweep(client);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    (void)easy;
    struct http_client *client = ctx;
    struct socket_watch *watch = socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        if (watch) {
            uv_poll_stop(&watch->poll);
            curl_multi_assign(client->multi, fd, NULL);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (!watch) {
        watch = xcalloc(1, sizeof *watch);
        watch->client = client;
        watch->fd = fd;
        if (uv_poll_init(client->loop, &watch->poll, fd) != 0) {
            free(watch);
            return -1;
        }
        watch->poll.data = watch;
        curl_multi_assign(client->multi, fd, watch);
    }
    int events = 0;
    if (what != CURL_POLL_IN)
        events |= UV_WRITABLE;
    if (what != CURL_POLL_OUT)
        events |= UV_READABLE;
    uv_poll_start(&watch->poll, events, on_socket_event);
    return 0;
}

static int set_timeout(CURLM *multi, long timeout_ms, void *ctx)
{
    (void)multi;
    struct http_client *client = ctx;
    if (client->destroyed)
        return 0;
    if (timeout_ms < 0)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(&client->timer, on_timer, (uint64_t)timeout_ms, 0);
    return 0;
}

static size_t take_bytes(char *bytes, size_t size, size_t count, void *ctx)
{
    struct http_call *call = ctx;
    size_t n = size * count;
    if (call->cancelled || call->client->destroyed)
        return 0;
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (call->on_data && status >= 200 && status < 300)
        return call->on_data(call->ctx, bytes, n) && !call->cancelled ? n : 0;
    if (call->answer.len + n > HTTP_CLIENT_ANSWER_MAX) {
        call->too_large = true;
        return 0;
    }
    buf_add(&call->answer, bytes, n);
    return n;
}

struct http_client *http_client_create(uv_loop_t *loop, const char *unix_socket, const char *const *headers,
                                       struct error *err)
{
    static bool initialised;
    if (!initialised && curl_global_init(CURL_GLOBAL_NOTHING) != 0) {
        error_set(err, ERROR_INTERNAL, "libcurl can't start");
        return NULL;
    }
    initialised = true;
    struct http_client *client = xcalloc(1, sizeof *client);
    client->loop = loop;
    client->multi = curl_multi_init();
    if (!client->multi) {
        free(client);
        error_set(err, ERROR_INTERNAL, "libcurl can't start");
        return NULL;
    }
    client->socket_path = xstrdup(unix_socket);
    list_init(&client->waiting);
    list_init(&client->running);
    client->headers = curl_slist_append(NULL, "Expect:"); /* bodies go without asking first */
    client->headers = curl_slist_append(client->headers, "Content-Type: application/json");
    for (size_t i = 0; headers && headers[i]; i++)
        client->headers = curl_slist_append(client->headers, headers[i]);
    uv_timer_init(loop, &client->timer);
    client->timer.data = client;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timeout);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_CLIENT_CALLS_MAX);
    return client;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct http_client *client = handle->data;
    client->timer_closed = true;
    client_free(client);
}

static void tear_down(struct http_client *client)
{
    struct http_call *call, *next;
    list_for_each(call, next, &client->waiting, link) call_free(call);
    list_for_each(call, next, &client->running, link) call_free(call);
    curl_multi_cleanup(client->multi);
    uv_close((uv_handle_t *)&client->timer, on_timer_closed);
}

/* curl forbids taking handles away from inside its callbacks; a timer of zero does it on the way out. */
static void on_tear_down(uv_timer_t *timer)
{
    tear_down(timer->data);
}

void http_client_destroy(struct http_client *client)
{
    if (!client || client->destroyed)
        return;
    client->destroyed = true;
    struct http_call *call, *next;
    list_for_each(call, next, &client->waiting, link) call->cancelled = true;
    list_for_each(call, next, &client->running, link) call->cancelled = true;
    if (client->in_curl || client->in_sweep)
        uv_timer_start(&client->timer, on_tear_down, 0, 0);
    else
        tear_down(client);
}

struct http_call *http_call_start(struct http_client *client, const struct http_request *request)
{
    struct http_call *call = xcalloc(1, sizeof *call);
    call->client = client;
    call->uncounted = request->streaming || request->urgent;
    call->on_data = request->on_data;
    call->on_done = request->on_done;
    call->ctx = request->ctx;
    call->url = xasprintf("http://berth%s", request->path);
    CURL *easy = call->easy = curl_easy_init();
    if (!easy)
        abort(); /* out of memory, as everywhere */
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, client->headers);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_text);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    if (call->on_data)
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)HTTP_CLIENT_CHUNK_BYTES);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CLIENT_CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms);
    if (request->idle_timeout_ms) {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((request->idle_timeout_ms + 999) / 1000));
    }
    if (request->streaming) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    if (strcmp(request->method, "GET") != 0) {
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
        if (request->body) {
            call->body = xmalloc(request->body_len + 1);
            memcpy(call->body, request->body, request->body_len);
        }
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    }
    list_init(&call->link);
    list_append(&client->waiting, &call->link);
    if (!client->in_curl && !client->in_sweep)
        start_waiting(client);
    return call;
}

void http_call_cancel(struct http_call *call)
{
    if (!call || call->cancelled)
        return;
    struct http_client *client = call->client;
    call->cancelled = true;
    if (client->in_curl && call->started)
        return; /* sweep takes it away */
    if (call->started && !call->uncounted)
        client->running_count--;
    call_free(call);
    if (!client->in_curl && !client->in_sweep)
        start_waiting(client);
}
