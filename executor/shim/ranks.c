/*
 * Lines of several processes into one log, as records: "[RANK] " and a line with its end, which is a newline,
 * a carriage return (as progress bars have it) or both; or "[RANK]+", bytes without an end of their own (the
 * piece of a long line, or a last line without a newline) and a newline that is not the process's. So each
 * process's bytes can be had back exactly. What the log does not take at once waits here, a little, and then
 * in the processes' own pipes, which blocks their writes: nobody's memory grows.
 */
#include "executor/shim/ranks.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES 65536
#define LINE_BYTES_MAX 65536        /* without its end; a longer line is cut into such pieces */
#define SINK_BYTES_MAX (256u << 10) /* waits for the log; then no more is read */
#define DRAIN_BYTES_MAX                                                                                      \
    (UINT64_C(1) << 20) /* of one pipe: more than it holds was written by who outlived the end */

struct source {
    int fd, child_fd; /* -1: closed */
    int64_t rank;
    int sink;
    struct buf line; /* not yet ended */
};

struct sink {
    int fd;
    struct buf pending;
    bool broken; /* nobody reads it */
};

struct ranks {
    int count, streams; /* streams of one process: 1, or 2 where its error output has a file of its own */
    struct sink sinks[2];
    struct source sources[];
};

static bool same_pipe(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

struct ranks *ranks_create(int count, int64_t first_rank)
{
    int streams = same_pipe(STDOUT_FILENO, STDERR_FILENO) ? 1 : 2;
    struct ranks *r = calloc(1, sizeof *r + (size_t)(count * streams) * sizeof *r->sources);
    if (!r)
        return NULL;
    r->count = count;
    r->streams = streams;
    for (int i = 0; i < count * streams; i++)
        r->sources[i] =
            (struct source){.fd = -1, .child_fd = -1, .rank = first_rank + i / streams, .sink = i % streams};
    for (int i = 0; i < streams; i++) {
        r->sinks[i].fd = i ? STDERR_FILENO : STDOUT_FILENO;
        fcntl(r->sinks[i].fd, F_SETFL, fcntl(r->sinks[i].fd, F_GETFL) | O_NONBLOCK);
    }
    return r;
}

bool ranks_open(struct ranks *r, int k)
{
    for (int i = 0; i < r->streams; i++) {
        struct source *s = &r->sources[k * r->streams + i];
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) != 0)
            return false;
        s->fd = ends[0];
        s->child_fd = ends[1];
        fcntl(s->fd, F_SETFL, O_NONBLOCK);
    }
    return true;
}

void ranks_enter(const struct ranks *r, int k)
{
    const struct source *own = &r->sources[k * r->streams];
    dup2(own[0].child_fd, STDOUT_FILENO);
    dup2(own[r->streams - 1].child_fd, STDERR_FILENO);
}

void ranks_opened(struct ranks *r, int k)
{
    for (int i = 0; i < r->streams; i++) {
        struct source *s = &r->sources[k * r->streams + i];
        close(s->child_fd);
        s->child_fd = -1;
    }
}

/* ---- moving ---- */

/* `whole`: the record's end is the process's own, and among its n bytes. */
static void put_record(struct ranks *r, struct source *s, size_t n, bool whole)
{
    struct sink *sink = &r->sinks[s->sink];
    if (!sink->broken) {
        buf_printf(&sink->pending, "[%" PRId64 "]%c", s->rank, whole ? ' ' : '+');
        buf_add(&sink->pending, s->line.data, n);
        if (!whole)
            buf_add_char(&sink->pending, '\n');
    }
    buf_consume(&s->line, n);
}

static void cut_lines(struct ranks *r, struct source *s)
{
    while (s->line.len) {
        size_t n = 0;
        while (n < s->line.len && s->line.data[n] != '\n' && s->line.data[n] != '\r')
            n++;
        if (n > LINE_BYTES_MAX) {
            put_record(r, s, LINE_BYTES_MAX, false);
            continue;
        }
        if (n == s->line.len)
            return;
        bool returns = s->line.data[n] == '\r';
        if (returns && n + 1 == s->line.len)
            return; /* a newline may follow, and belongs to it */
        put_record(r, s, n + (returns && s->line.data[n + 1] == '\n' ? 2 : 1), true);
    }
}

static void close_source(struct ranks *r, struct source *s)
{
    close(s->fd);
    s->fd = -1;
    cut_lines(r, s);
    if (s->line.len)
        put_record(r, s, s->line.len, s->line.data[s->line.len - 1] == '\r');
    buf_finish(&s->line);
}

/* The number of bytes; 0 where there are none now. */
static size_t take_some(struct ranks *r, struct source *s)
{
    static char chunk[CHUNK_BYTES];
    if (s->fd < 0 || r->sinks[s->sink].pending.len > SINK_BYTES_MAX)
        return 0;
    ssize_t n = read(s->fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        close_source(r, s);
        return 0;
    }
    buf_add(&s->line, chunk, (size_t)n);
    cut_lines(r, s);
    return (size_t)n;
}

static void give_some(struct sink *sink)
{
    while (sink->pending.len) {
        ssize_t n = write(sink->fd, sink->pending.data, sink->pending.len);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            sink->broken = true;
            buf_clear(&sink->pending);
            return;
        }
        buf_consume(&sink->pending, (size_t)n);
    }
}

void ranks_move(struct ranks *r)
{
    for (int i = 0; i < r->count * r->streams; i++)
        take_some(r, &r->sources[i]);
    for (int i = 0; i < r->streams; i++)
        give_some(&r->sinks[i]);
}

size_t ranks_poll_max(const struct ranks *r)
{
    return ((size_t)r->count + 1) * (size_t)r->streams;
}

size_t ranks_poll(const struct ranks *r, struct pollfd *p)
{
    size_t n = 0;
    for (int i = 0; i < r->count * r->streams; i++) {
        const struct source *s = &r->sources[i];
        if (s->fd >= 0 && r->sinks[s->sink].pending.len <= SINK_BYTES_MAX)
            p[n++] = (struct pollfd){.fd = s->fd, .events = POLLIN};
    }
    for (int i = 0; i < r->streams; i++) {
        if (r->sinks[i].pending.len)
            p[n++] = (struct pollfd){.fd = r->sinks[i].fd, .events = POLLOUT};
    }
    return n;
}

static bool wait_for_log(const struct sink *sink, int watched)
{
    struct pollfd p[2] = {{.fd = sink->fd, .events = POLLOUT}, {.fd = watched, .events = POLLRDHUP}};
    while (poll(p, 2, -1) < 0 && errno == EINTR) {
    }
    return !(p[1].revents & (POLLHUP | POLLERR | POLLRDHUP));
}

void ranks_drain(struct ranks *r, int watched)
{
    for (int i = 0; i < r->count * r->streams; i++) {
        struct source *s = &r->sources[i];
        struct sink *sink = &r->sinks[s->sink];
        for (uint64_t bytes = 0; s->fd >= 0 && bytes < DRAIN_BYTES_MAX;) {
            give_some(sink);
            if (sink->pending.len > SINK_BYTES_MAX && !wait_for_log(sink, watched))
                return;
            size_t n = take_some(r, s);
            if (!n && sink->pending.len <= SINK_BYTES_MAX)
                break;
            bytes += n;
        }
        if (s->fd >= 0)
            close_source(r, s);
    }
    for (int i = 0; i < r->streams; i++) {
        for (give_some(&r->sinks[i]); r->sinks[i].pending.len; give_some(&r->sinks[i])) {
            if (!wait_for_log(&r->sinks[i], watched))
                return;
        }
    }
}
