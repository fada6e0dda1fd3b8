/* The HTTP server, driven over real Unix sockets by a blocking client in another thread. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "proto/http/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <cmocka.h>

#define DEADLINE_MS 20000
#define SMALL_BODY 1000

struct fixture {
    char folder[64], path[128];
    uv_loop_t loop;
    uv_async_t stop, act;
    pthread_t thread;
    struct http_server *server;
    struct http_request *waiting; /* the loop's */
    atomic_int gone, done, dropped, pulled_pieces, pieces;
    atomic_int is_waiting, is_starved;
    atomic_int wake; /* 1: answer what waits; 2: give the stream more */
    int stream_left, stream_ready;
    uint64_t piece_bytes;
    bool endless;
};

static const struct http_limits few = {.all = 4, .users = 3, .user = 2};

static struct fixture fix;

static void on_gone(struct http_request *req, void *data)
{
    (void)req;
    (void)data;
    fix.waiting = NULL;
    atomic_fetch_add(&fix.gone, 1);
}

static void get_wait(struct http_request *req, void *context)
{
    (void)context;
    fix.waiting = req;
    http_request_on_gone(req, on_gone, NULL);
    atomic_store(&fix.is_waiting, 1);
}

static void get_echo(struct http_request *req, void *context)
{
    (void)context;
    int64_t n;
    struct error err = {0};
    if (!http_request_query_int(req, "n", 0, 10, 7, &n, &err)) {
        http_respond_error(req, &err);
        return;
    }
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddStringToObject(answer, "word", http_request_param(req, 0));
    cJSON_AddNumberToObject(answer, "n", (double)n);
    cJSON_AddNumberToObject(answer, "uid", (double)http_request_uid(req));
    http_respond_header(req, "X-Berth-Attempt", "%d", 3);
    http_respond_json(req, 200, answer);
}

static void post_body(struct http_request *req, void *context)
{
    (void)context;
    size_t n;
    const char *body = http_request_body(req, &n);
    http_respond_text(req, 200, "text/plain", xstrndup(body, n), n);
}

static ssize_t pull(void *data, char *out, size_t max)
{
    (void)data;
    assert_true(max <= HTTP_PIECE_MAX_BYTES);
    if (fix.endless) {
        memset(out, 'e', max);
        atomic_fetch_add(&fix.pulled_pieces, 1);
        return (ssize_t)max;
    }
    if (fix.stream_ready) {
        fix.stream_ready--;
        memcpy(out, (const char[]){'l', 'i', 'n', 'e', '\n'}, 5);
        return 5;
    }
    if (fix.stream_left == 0)
        return HTTP_PULL_END;
    atomic_store(&fix.is_starved, 1);
    return HTTP_PULL_WAIT;
}

static void stream_done(void *data)
{
    (void)data;
    fix.waiting = NULL;
    atomic_fetch_add(&fix.done, 1);
}

static void get_stream(struct http_request *req, void *context)
{
    (void)context;
    fix.waiting = req;
    http_respond_stream(req, 200, "application/octet-stream", &(struct http_stream){pull, stream_done, NULL});
}

static void put_piece(struct http_request *req, void *context, const char *bytes, size_t n)
{
    (void)context;
    (void)bytes;
    fix.piece_bytes += n;
    atomic_fetch_add(&fix.pieces, 1);
    http_request_hold(req);
    fix.waiting = req;
    atomic_store(&fix.wake, 3);
    uv_async_send(&fix.act);
}

static void put_end(struct http_request *req, void *context)
{
    (void)context;
    char *text = xasprintf("%llu", (unsigned long long)fix.piece_bytes);
    http_respond_text(req, 201, "text/plain", text, strlen(text));
}

static void put_dropped(struct http_request *req, void *context)
{
    (void)req;
    (void)context;
    atomic_fetch_add(&fix.dropped, 1);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/wait", .handle = get_wait},
    {.method = "GET", .path = "/echo/{word}", .query = "n m", .handle = get_echo},
    {.method = "POST", .path = "/body", .body_max_bytes = SMALL_BODY, .handle = post_body},
    {.method = "GET", .path = "/stream", .handle = get_stream},
    {.method = "PUT",
     .path = "/pieces",
     .body_max_bytes = 1 << 20,
     .handle = put_end,
     .piece = put_piece,
     .dropped = put_dropped},
};

static void on_act(uv_async_t *async)
{
    (void)async;
    switch (atomic_exchange(&fix.wake, 0)) {
    case 1:
        if (fix.waiting)
            http_respond_text(fix.waiting, 200, "text/plain", xstrdup("late"), 4);
        break;
    case 2:
        fix.stream_ready = 2;
        fix.stream_left = 0;
        if (fix.waiting)
            http_stream_wake(fix.waiting);
        break;
    case 3:
        if (fix.waiting)
            http_request_go_on(fix.waiting);
        break;
    default:
        break;
    }
}

static void on_stop(uv_async_t *async)
{
    http_server_destroy(fix.server);
    uv_close((uv_handle_t *)&fix.act, NULL);
    uv_close((uv_handle_t *)async, NULL);
}

static void *run_loop(void *arg)
{
    (void)arg;
    uv_run(&fix.loop, UV_RUN_DEFAULT);
    return NULL;
}

static int start_with(unsigned idle_timeout_s, const struct http_limits *limits)
{
    memset(&fix, 0, sizeof fix);
    fix.stream_left = 1;
    strcpy(fix.folder, "/tmp/berth-test-http-XXXXXX");
    assert_non_null(mkdtemp(fix.folder));
    snprintf(fix.path, sizeof fix.path, "%s/sock", fix.folder);
    struct error err = {0};
    int fd = http_listen_unix(fix.path, 0600, &err);
    assert_true(fd >= 0);
    uv_loop_init(&fix.loop);
    uv_async_init(&fix.loop, &fix.stop, on_stop);
    uv_async_init(&fix.loop, &fix.act, on_act);
    struct http_server_options options = {.routes = routes,
                                          .route_count = sizeof routes / sizeof *routes,
                                          .idle_timeout_s = idle_timeout_s,
                                          .limits = limits};
    fix.server = http_server_create(&fix.loop, fd, &options, &err);
    assert_non_null(fix.server);
    assert_int_equal(pthread_create(&fix.thread, NULL, run_loop, NULL), 0);
    return 0;
}

static int start(void **state)
{
    (void)state;
    return start_with(2, NULL);
}

static int start_few(void **state)
{
    (void)state;
    return start_with(60, &few);
}

static int stop(void **state)
{
    (void)state;
    uv_async_send(&fix.stop);
    pthread_join(fix.thread, NULL);
    assert_int_equal(uv_loop_close(&fix.loop), 0);
    unlink(fix.path);
    rmdir(fix.folder);
    return 0;
}

/* ---- the client ---- */

static int dial(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", fix.path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads until `end` is in what came, or the peer closes. */
static void hear(int fd, struct buf *in, const char *end)
{
    while (!end || !in->data || !strstr(in->data, end)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
        char bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0)
            return;
        buf_add(in, bytes, (size_t)n);
    }
}

static void await(atomic_int *what, int value)
{
    for (int waited = 0; atomic_load(what) < value; waited += 5) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 5);
    }
}

static void a_request_is_answered_with_its_parameters(void **state)
{
    (void)state;
    _cleanup_close_ int fd = dial();
    _cleanup_buf_ struct buf in = {0};
    say(fd, "GET /echo/hello?n=3 HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(fd, &in, "}");
    assert_non_null(strstr(in.data, "200 OK"));
    assert_non_null(strstr(in.data, "X-Berth-Attempt: 3"));
    char expected[96];
    snprintf(expected, sizeof expected, "{\"word\":\"hello\",\"n\":3,\"uid\":%u}", getuid());
    assert_non_null(strstr(in.data, expected));
}

static void one_connection_carries_many_requests(void **state)
{
    (void)state;
    _cleanup_close_ int fd = dial();
    for (int i = 0; i < 50; i++) {
        _cleanup_buf_ struct buf in = {0};
        say(fd, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nping");
        hear(fd, &in, "ping");
        assert_non_null(strstr(in.data, "200 OK"));
    }
}

static void unknown_query_parameters_paths_and_methods_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *request, *status, *word;
    } cases[] = {
        {"GET /echo/a?limmit=3 HTTP/1.1\r\nHost: x\r\n\r\n", " 400 ", "\"field\":\"limmit\""},
        {"GET /echo/a?n=30 HTTP/1.1\r\nHost: x\r\n\r\n", " 400 ", "from 0 to 10"},
        {"GET /echo/ HTTP/1.1\r\nHost: x\r\n\r\n", " 404 ", "not_found"},
        {"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", " 404 ", "there is nothing at /nothing"},
        {"DELETE /body HTTP/1.1\r\nHost: x\r\n\r\n", " 404 ", "use POST"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        _cleanup_close_ int fd = dial();
        _cleanup_buf_ struct buf in = {0};
        say(fd, cases[i].request);
        hear(fd, &in, "}}");
        assert_non_null(strstr(in.data, cases[i].status));
        assert_non_null(strstr(in.data, cases[i].word));
    }
}

static void send_body(int fd, size_t n, bool chunked)
{
    _cleanup_buf_ struct buf out = {0};
    buf_printf(&out, "POST /body HTTP/1.1\r\nHost: x\r\n");
    if (chunked)
        buf_printf(&out, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", n);
    else
        buf_printf(&out, "Content-Length: %zu\r\n\r\n", n);
    for (size_t i = 0; i < n; i++)
        buf_add_char(&out, 'b');
    if (chunked)
        buf_add_str(&out, "\r\n0\r\n\r\n");
    say(fd, out.data);
}

static void a_body_at_the_limit_is_taken_and_one_past_it_refused(void **state)
{
    (void)state;
    for (int chunked = 0; chunked < 2; chunked++) {
        for (size_t over = 0; over < 2; over++) {
            _cleanup_close_ int fd = dial();
            _cleanup_buf_ struct buf in = {0};
            send_body(fd, SMALL_BODY + over, chunked);
            hear(fd, &in, over ? "}}" : "bbbbbbbb");
            assert_non_null(strstr(in.data, over ? " 413 " : " 200 "));
        }
    }
}

static void a_body_far_past_the_limit_is_refused_at_once(void **state)
{
    (void)state;
    _cleanup_close_ int fd = dial();
    _cleanup_buf_ struct buf in = {0};
    say(fd, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
    hear(fd, &in, "}}");
    assert_non_null(strstr(in.data, " 413 "));
}

static void headers_past_the_limit_are_refused(void **state)
{
    (void)state;
    _cleanup_close_ int fd = dial();
    _cleanup_buf_ struct buf in = {0}, out = {0};
    buf_add_str(&out, "GET /echo/a HTTP/1.1\r\nHost: x\r\nX-Long: ");
    for (int i = 0; i < HTTP_HEADERS_MAX_BYTES; i++)
        buf_add_char(&out, 'h');
    buf_add_str(&out, "\r\n\r\n");
    say(fd, out.data);
    hear(fd, &in, "}}");
    assert_non_null(strstr(in.data, " 431 "));
}

static void half_a_request_is_dropped_after_the_idle_time_and_disturbs_nobody(void **state)
{
    (void)state;
    _cleanup_close_ int half = dial();
    say(half, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
    a_request_is_answered_with_its_parameters(NULL);
    _cleanup_buf_ struct buf in = {0};
    hear(half, &in, NULL); /* ends because the server closes */
    assert_null(in.data);
}

/* Sends one byte at a time, far more often than the idle time asks for. */
static void trickle(int fd, const char *begin)
{
    say(fd, begin);
    for (int waited = 0; send(fd, "a", 1, MSG_NOSIGNAL) == 1; waited += 20) {
        assert_true(waited < DEADLINE_MS);
        poll(NULL, 0, 20);
    }
}

static void a_request_that_trickles_in_is_cut_wherever_it_is(void **state)
{
    (void)state;
    static const char *const begins[] = {"GET /echo/", "GET /echo/a HTTP/1.1\r\nHost: ",
                                         "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n",
                                         "PUT /pieces HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        _cleanup_close_ int fd = dial();
        trickle(fd, begins[i]);
        a_request_is_answered_with_its_parameters(NULL);
    }
}

static void connections_follow_from_descriptors(void **state)
{
    (void)state;
    struct http_limits limits;
    http_limits_of(0, &limits);
    assert_true(limits.users >= 1 && limits.user >= 1 && limits.users < limits.all);
    http_limits_of(1024, &limits); /* a fourth is ours, and each connection may need two */
    assert_int_equal(limits.all, (1024 - 256) / 2);
    assert_int_equal(limits.users, limits.all - limits.all / 4);
    assert_int_equal(limits.user, limits.users / 4);
    uint64_t enough = 2ULL * HTTP_CONNECTIONS_MAX + HTTP_DESCRIPTORS_OWN;
    http_limits_of(enough, &limits);
    assert_int_equal(limits.all, HTTP_CONNECTIONS_MAX);
    assert_int_equal(limits.user, HTTP_UID_CONNECTIONS_MAX);
    http_limits_of(enough - 1, &limits);
    assert_int_equal(limits.all, HTTP_CONNECTIONS_MAX - 1);
    http_limits_of(enough * 100, &limits);
    assert_int_equal(limits.all, HTTP_CONNECTIONS_MAX);
}

static void the_longest_idle_connection_makes_room_for_a_new_one(void **state)
{
    (void)state;
    int idle[8];
    for (size_t i = 0; i < 8; i++) { /* each is known to the server before the next comes */
        _cleanup_buf_ struct buf in = {0};
        idle[i] = dial();
        say(idle[i], "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n");
        hear(idle[i], &in, "}");
        assert_non_null(strstr(in.data, " 200 "));
    }
    _cleanup_buf_ struct buf in = {0}, last = {0};
    hear(idle[3], &in, NULL); /* ends */
    assert_null(in.data);
    say(idle[7], "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n"); /* the newest are still there */
    hear(idle[7], &last, "}");
    assert_non_null(strstr(last.data, " 200 "));
    for (size_t i = 0; i < 8; i++)
        close(idle[i]);
}

static void a_connection_beyond_those_in_use_is_refused_until_one_ends(void **state)
{
    (void)state;
    int used[4];
    for (unsigned i = 0; i < few.all; i++) {
        used[i] = dial();
        say(used[i], "PUT /pieces HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
        await(&fix.pieces, (int)i + 1);
    }
    int refused[HTTP_REFUSALS_MAX + 2]; /* the last ones are not even heard */
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        refused[i] = dial();
    for (size_t i = sizeof refused / sizeof *refused; i-- > 0;) {
        _cleanup_buf_ struct buf in = {0};
        static const char request[] = "GET /echo/a HTTP/1.1\r\nHost: x\r\n\r\n";
        (void)!send(refused[i], request, sizeof request - 1, MSG_NOSIGNAL);
        hear(refused[i], &in, NULL);
        assert_non_null(strstr(in.data ? in.data : "", " 503 "));
        assert_non_null(strstr(in.data, "\"code\":\"unavailable\""));
        assert_non_null(strstr(in.data, "all 4 connections are in use"));
        close(refused[i]);
    }
    for (unsigned i = 0; i < few.all; i++)
        close(used[i]);
    await(&fix.dropped, (int)few.all);
    a_request_is_answered_with_its_parameters(NULL);
}

static void an_answer_may_come_later(void **state)
{
    (void)state;
    _cleanup_close_ int fd = dial();
    _cleanup_buf_ struct buf in = {0};
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    await(&fix.is_waiting, 1);
    a_request_is_answered_with_its_parameters(NULL); /* others go on in between */
    atomic_store(&fix.wake, 1);
    uv_async_send(&fix.act);
    hear(fd, &in, "late");
    assert_int_equal(atomic_load(&fix.gone), 0);
}

static void a_client_that_leaves_while_it_waits_is_noticed(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    await(&fix.is_waiting, 1);
    close(fd);
    await(&fix.gone, 1);
    a_request_is_answered_with_its_parameters(NULL);
}

static void a_client_that_only_ends_its_sending_still_gets_its_answer(void **state)
{
    (void)state;
    _cleanup_close_ int fd = dial();
    _cleanup_buf_ struct buf in = {0};
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    await(&fix.is_waiting, 1);
    shutdown(fd, SHUT_WR);
    a_request_is_answered_with_its_parameters(NULL);
    atomic_store(&fix.wake, 1);
    uv_async_send(&fix.act);
    hear(fd, &in, "late");
    assert_int_equal(atomic_load(&fix.gone), 0);
}

static void a_stream_is_pushed_as_data_comes(void **state)
{
    (void)state;
    _cleanup_close_ int fd = dial();
    _cleanup_buf_ struct buf in = {0};
    say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    await(&fix.is_starved, 1);
    atomic_store(&fix.wake, 2);
    uv_async_send(&fix.act);
    hear(fd, &in, "0\r\n\r\n");
    assert_non_null(strstr(in.data, "line\n"));
    await(&fix.done, 1);
}

static void a_follower_that_leaves_is_noticed_and_freed(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    await(&fix.is_starved, 1);
    close(fd);
    await(&fix.done, 1);
    a_request_is_answered_with_its_parameters(NULL);
}

static void a_slow_reader_costs_one_piece_and_nobody_else(void **state)
{
    (void)state;
    fix.endless = true;
    int slow = dial();
    say(slow, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    await(&fix.pulled_pieces, 1);
    for (int i = 0; i < 20; i++)
        a_request_is_answered_with_its_parameters(NULL);
    /* the socket's buffer and a piece: far from the thousands of pieces that a server without a bound takes
     */
    int pieces = atomic_load(&fix.pulled_pieces);
    assert_true(pieces < 64);
    close(slow);
    await(&fix.done, 1);
}

static void pieces_of_a_body_may_be_held_back(void **state)
{
    (void)state;
    _cleanup_close_ int fd = dial();
    _cleanup_buf_ struct buf in = {0}, out = {0};
    buf_printf(&out, "PUT /pieces HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 1 << 20);
    for (int i = 0; i < 1 << 20; i++)
        buf_add_char(&out, 'p');
    say(fd, out.data);
    hear(fd, &in, "1048576");
    assert_non_null(strstr(in.data, " 201 "));
    assert_int_equal(atomic_load(&fix.dropped), 0);
}

static void a_sender_that_leaves_in_the_middle_is_dropped(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, "PUT /pieces HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf");
    await(&fix.pieces, 1);
    close(fd);
    await(&fix.dropped, 1);
}

static void a_server_that_ends_answers_what_waits(void **state)
{
    (void)state;
    _cleanup_close_ int fd = dial();
    _cleanup_buf_ struct buf in = {0};
    say(fd, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    await(&fix.is_waiting, 1);
    stop(NULL);
    hear(fd, &in, "}}");
    assert_non_null(strstr(in.data ? in.data : "", " 503 "));
    assert_int_equal(atomic_load(&fix.gone), 1);
    start(NULL);
}

static void a_stale_socket_is_replaced_and_a_live_one_refused(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(http_listen_unix(fix.path, 0600, &err), -1);
    assert_int_equal(err.code, ERROR_EXISTS);
    char stale[160];
    snprintf(stale, sizeof stale, "%s/stale", fix.folder);
    close(http_listen_unix(stale, 0600, &err));
    int fd = http_listen_unix(stale, 0666, &err);
    assert_true(fd >= 0);
    struct stat st;
    assert_int_equal(stat(stale, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0666);
    close(fd);
    unlink(stale);
}

static void what_is_not_a_socket_is_never_replaced(void **state)
{
    (void)state;
    static const char *const kinds[] = {"file", "link", "dangling", "directory", "pipe"};
    char path[160], target[160];
    struct stat before, after;
    snprintf(target, sizeof target, "%s/file", fix.folder);
    int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    assert_int_equal(write(fd, "mine", 4), 4);
    close(fd);
    snprintf(path, sizeof path, "%s/link", fix.folder);
    assert_int_equal(symlink(fix.path, path), 0);
    snprintf(path, sizeof path, "%s/dangling", fix.folder);
    assert_int_equal(symlink("nowhere", path), 0);
    snprintf(path, sizeof path, "%s/directory", fix.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/pipe", fix.folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct error err = {0};
        snprintf(path, sizeof path, "%s/%s", fix.folder, kinds[i]);
        assert_int_equal(lstat(path, &before), 0);
        assert_int_equal(http_listen_unix(path, 0666, &err), -1);
        assert_int_equal(err.code, ERROR_EXISTS);
        assert_non_null(
            strstr(err.message, i == 1 ? "answers on" : "is not a socket: choose another --socket"));
        assert_int_equal(lstat(path, &after), 0);
        assert_int_equal(after.st_ino, before.st_ino);
        assert_int_equal(after.st_mode, before.st_mode);
        assert_int_equal(i == 3 ? rmdir(path) : i ? unlink(path) : 0, 0);
    }
    assert_int_equal(unlink(target), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(a_request_is_answered_with_its_parameters),
        TEST(one_connection_carries_many_requests),
        TEST(unknown_query_parameters_paths_and_methods_are_refused_by_name),
        TEST(a_body_at_the_limit_is_taken_and_one_past_it_refused),
        TEST(a_body_far_past_the_limit_is_refused_at_once),
        TEST(headers_past_the_limit_are_refused),
        TEST(half_a_request_is_dropped_after_the_idle_time_and_disturbs_nobody),
        TEST(a_request_that_trickles_in_is_cut_wherever_it_is),
        cmocka_unit_test(connections_follow_from_descriptors),
        cmocka_unit_test_setup_teardown(the_longest_idle_connection_makes_room_for_a_new_one, start_few,
                                        stop),
        cmocka_unit_test_setup_teardown(a_connection_beyond_those_in_use_is_refused_until_one_ends, start_few,
                                        stop),
        TEST(an_answer_may_come_later),
        TEST(a_client_that_leaves_while_it_waits_is_noticed),
        TEST(a_client_that_only_ends_its_sending_still_gets_its_answer),
        TEST(a_stream_is_pushed_as_data_comes),
        TEST(a_follower_that_leaves_is_noticed_and_freed),
        TEST(a_slow_reader_costs_one_piece_and_nobody_else),
        TEST(pieces_of_a_body_may_be_held_back),
        TEST(a_sender_that_leaves_in_the_middle_is_dropped),
        TEST(a_server_that_ends_answers_what_waits),
        TEST(a_stale_socket_is_replaced_and_a_live_one_refused),
        TEST(what_is_not_a_socket_is_never_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
