/* One connection to a shim's ctl socket, on the loop. It owns its handle and what is queued; libuv frees in
 * the close callback. */
#include "executor/shim_client.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "executor/task_path.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 256
#define READ_BYTES 4096
#define STDIN_LINE_BYTES (64u << 10)

struct shim_client {
    uv_pipe_t pipe;
    struct shim_client_callbacks cb;
    void *data;
    struct buf in;
    size_t stdin_outstanding;
    bool closed; /* by the owner: no callback any more */
    bool ended;  /* `gone` was told */
    char read_buffer[READ_BYTES];
};

struct write_request {
    uv_write_t req;
    char bytes[];
};

static const struct {
    const char *word;
    enum shim_state state;
} states[] = {
    {"starting", SHIM_STARTING}, {"running", SHIM_RUNNING}, {"paused", SHIM_PAUSED}, {"ending", SHIM_ENDING}};

static void on_closed(uv_handle_t *h)
{
    struct shim_client *c = h->data;
    buf_finish(&c->in);
    free(c);
}

static void tell_gone(struct shim_client *c)
{
    if (c->closed || c->ended)
        return;
    c->ended = true;
    uv_read_stop((uv_stream_t *)&c->pipe);
    if (c->cb.gone)
        c->cb.gone(c->data);
}

static void on_state(struct shim_client *c, const char *text)
{
    char word[32], detail[64] = "";
    if (sscanf(text, "%31s %63s", word, detail) < 1)
        return;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(word, states[i].word) == 0 && c->cb.state)
            c->cb.state(c->data, states[i].state, detail);
}

static void on_line(struct shim_client *c, const char *line)
{
    if (strncmp(line, "state ", 6) == 0) {
        on_state(c, line + 6);
    } else if (strcmp(line, "exit") == 0) {
        if (c->cb.exited)
            c->cb.exited(c->data);
    } else if (strncmp(line, "stdin-room ", 11) == 0) {
        size_t n = strtoul(line + 11, NULL, 10);
        c->stdin_outstanding -= n < c->stdin_outstanding ? n : c->stdin_outstanding;
        if (c->cb.stdin_taken)
            c->cb.stdin_taken(c->data, n);
    } /* a newer shim may say more */
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    (void)suggested;
    struct shim_client *c = h->data;
    *b = uv_buf_init(c->read_buffer, sizeof c->read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct shim_client *c = stream->data;
    if (n < 0) {
        tell_gone(c);
        return;
    }
    buf_add(&c->in, b->base, (size_t)n);
    char *end;
    while (!c->closed && c->in.len && (end = memchr(c->in.data, '\n', c->in.len))) {
        size_t length = (size_t)(end - c->in.data);
        char line[LINE_BYTES_MAX];
        snprintf(line, sizeof line, "%.*s", (int)length, c->in.data);
        buf_consume(&c->in, length + 1);
        on_line(c, line);
    }
    if (c->in.len > LINE_BYTES_MAX)
        tell_gone(c);
}

struct shim_client *shim_client_open(uv_loop_t *loop, const char *task_dir,
                                     const struct shim_client_callbacks *cb, void *data, struct error *err)
{
    _cleanup_close_ int dir_fd = open(task_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0) {
        error_errno(err, errno, "can't open %s", task_dir);
        return NULL;
    }
    struct sockaddr_un a;
    task_socket_address(dir_fd, "ctl", &a);
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* A Unix socket connects at once or not at all. */
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        error_errno(err, errno, "no shim answers at %s/ctl", task_dir);
        return NULL;
    }
    struct shim_client *c = xcalloc(1, sizeof *c);
    c->cb = *cb;
    c->data = data;
    c->pipe.data = c;
    uv_pipe_init(loop, &c->pipe, 0);
    c->pipe.data = c;
    int rc = uv_pipe_open(&c->pipe, fd);
    if (rc == 0) {
        (void)take_fd(&fd); /* the handle's now */
        rc = uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
    }
    if (rc != 0) {
        error_set(err, ERROR_IO, "can't read from %s/ctl: %s", task_dir, uv_strerror(rc));
        c->closed = true;
        uv_close((uv_handle_t *)&c->pipe, on_closed);
        return NULL;
    }
    return c;
}

void shim_client_close(struct shim_client *c)
{
    if (!c || c->closed)
        return;
    c->closed = true;
    uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static void on_written(uv_write_t *req, int status)
{
    (void)status; /* a broken connection shows in on_read */
    free(container_of(req, struct write_request, req));
}

static void send_bytes(struct shim_client *c, const void *bytes, size_t n)
{
    if (c->closed || c->ended)
        return;
    struct write_request *w = xmalloc(sizeof *w + n);
    memcpy(w->bytes, bytes, n);
    uv_buf_t b = uv_buf_init(w->bytes, (unsigned)n);
    if (uv_write(&w->req, (uv_stream_t *)&c->pipe, &b, 1, on_written) != 0)
        free(w);
}

static void send_line(struct shim_client *c, const char *fmt, ...)
{
    char line[LINE_BYTES_MAX];
    va_list ap;
    va_start(ap, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is above
    int n = vsnprintf(line, sizeof line - 1, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof line - 1)
        return;
    line[n++] = '\n';
    send_bytes(c, line, (size_t)n);
}

void shim_client_stop(struct shim_client *c, uint64_t grace_ms, const char *reason)
{
    send_line(c, "stop %" PRIu64 " %s", grace_ms > INT64_MAX / 2 ? INT64_MAX / 2 : grace_ms,
              reason && *reason ? reason : "cancel");
}

void shim_client_kill(struct shim_client *c)
{
    send_line(c, "kill");
}

void shim_client_pause(struct shim_client *c, bool pause)
{
    send_line(c, pause ? "pause" : "resume");
}

void shim_client_limit(struct shim_client *c, int64_t limit_ms)
{
    send_line(c, "limit %" PRId64, limit_ms);
}

bool shim_client_stdin(struct shim_client *c, const void *bytes, size_t n, bool eof, struct error *err)
{
    if (c->closed || c->ended)
        return error_set(err, ERROR_CONFLICT, "the task has ended");
    if (c->stdin_outstanding + n > SHIM_STDIN_OUTSTANDING_MAX)
        return error_set(err, ERROR_LIMIT, "more than %u bytes of stdin wait for the task",
                         SHIM_STDIN_OUTSTANDING_MAX);
    for (const char *p = bytes; n;) {
        size_t part = n < STDIN_LINE_BYTES ? n : STDIN_LINE_BYTES;
        send_line(c, "stdin %zu", part);
        send_bytes(c, p, part);
        c->stdin_outstanding += part;
        p += part;
        n -= part;
    }
    if (eof)
        send_line(c, "eof");
    return true;
}

void shim_client_resize(struct shim_client *c, unsigned rows, unsigned cols)
{
    send_line(c, "resize %u %u", rows, cols);
}

void shim_client_signal(struct shim_client *c, int signo)
{
    send_line(c, "signal %d", signo);
}

void shim_client_contact(struct shim_client *c, int64_t contact_ms)
{
    send_line(c, "contact %" PRId64, contact_ms);
}
