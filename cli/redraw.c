/* Carriage returns: on a terminal they redraw, elsewhere only a line's last state is wanted. */
#include "cli/follow.h"

#include "base/fs.h"

#include <errno.h>
#include <string.h>

static void put(struct redraw *r, const char *bytes, size_t n)
{
    if (!r->failed && n && !fs_write_all(r->fd, bytes, n)) {
        r->failed = true;
        r->error_number = errno;
    }
}

/* A line with a NUL is data, not a drawing: it stays as it is. */
static bool is_binary(const char *line, size_t n)
{
    return memchr(line, '\0', n) != NULL;
}

/* Where the last state of a line (without its newline) begins: behind the last "\r" that something follows.
 * Returns at `\r`s that end the line nothing is drawn over: they belong to it. */
static size_t last_state(const char *line, size_t n)
{
    if (is_binary(line, n))
        return 0;
    while (n && line[n - 1] == '\r')
        n--;
    const char *cr = n ? memrchr(line, '\r', n) : NULL;
    return cr ? (size_t)(cr - line) + 1 : 0;
}

/* Whole lines, each ending with a newline. */
static void put_lines(struct redraw *r, const char *bytes, size_t n)
{
    if (!memchr(bytes, '\r', n)) {
        put(r, bytes, n);
        return;
    }
    struct buf out = {0};
    for (const char *end = bytes + n; bytes < end;) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        size_t len = (size_t)(newline - bytes), skip = last_state(bytes, len);
        buf_add(&out, bytes + skip, len + 1 - skip);
        bytes = newline + 1;
    }
    put(r, out.data, out.len);
    buf_finish(&out);
}

static void hold(struct redraw *r, const char *bytes, size_t n)
{
    while (n) {
        size_t room = REDRAW_HELD_MAX - r->held.len, part = n < room ? n : room;
        buf_add(&r->held, bytes, part);
        bytes += part;
        n -= part;
        if (r->held.len < REDRAW_HELD_MAX)
            continue;
        buf_consume(&r->held, last_state(r->held.data, r->held.len));
        if (r->held.len > REDRAW_HELD_MAX / 2) { /* a line without end: it is shown in pieces */
            put(r, r->held.data, r->held.len);
            buf_clear(&r->held);
        }
    }
}

void redraw_add(struct redraw *r, const char *bytes, size_t n)
{
    if (!r->collapse) {
        put(r, bytes, n);
        return;
    }
    const char *last = n ? memrchr(bytes, '\n', n) : NULL;
    if (last && r->held.len) {
        const char *first = memchr(bytes, '\n', n);
        size_t part = (size_t)(first - bytes) + 1;
        hold(r, bytes, part - 1);
        buf_add_char(&r->held, '\n');
        put_lines(r, r->held.data, r->held.len);
        buf_clear(&r->held);
        bytes += part;
        n -= part;
    }
    if (last && last >= bytes) {
        size_t part = (size_t)(last - bytes) + 1;
        put_lines(r, bytes, part);
        bytes += part;
        n -= part;
    }
    hold(r, bytes, n);
}

void redraw_end(struct redraw *r)
{
    if (r->held.len) {
        size_t skip = last_state(r->held.data, r->held.len);
        put(r, r->held.data + skip, r->held.len - skip);
    }
    buf_finish(&r->held);
}
