/*
 * From the task's pipe (or terminal) to its log file. Bytes move by splice(2), so they never pass through
 * this process. What the disk does not take stays in the pipe, which blocks the task's writes, and nobody's
 * memory grows.
 */
#include "executor/shim/shim.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define PIPE_BYTES_MAX (1 << 20)
#define PIPE_BYTES_MIN (64 << 10)
#define TURNS_MAX 64 /* then the loop looks at its other descriptors */
#define CHUNK_BYTES (256u << 10)
/* What a log leaves free on its disk, so that what runs can still record its end there. */
#define LOG_FLOOR_BYTES (8u << 20)
#define LOG_FLOOR_SHARE 16 /* at most one part in so many of a small disk */

/* While this file is in the log's directory, what the task writes is dropped: its user's storage limit is
 * reached (scheduler/shares.h). The task is never held up by that. */
#define DROP_FILE "drop"
#define DROP_LOOK_MS 500

static bool open_one(struct log_stream *l, const char *path, struct error *err)
{
    l->in_fd = -1;
    l->file_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    struct stat st;
    if (l->file_fd < 0 || fstat(l->file_fd, &st) != 0)
        return error_errno(err, errno, "can't open the log %s", path);
    l->base = (uint64_t)st.st_size;
    _cleanup_free_ char *folder = xstrdup(path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    l->dir_fd = slash ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    return true;
}

/* As large as the kernel lets this user have it, up to 1 MiB. */
static void widen(int fd)
{
    for (int bytes = PIPE_BYTES_MAX; bytes > PIPE_BYTES_MIN; bytes /= 2)
        if (fcntl(fd, F_SETPIPE_SZ, bytes) >= bytes)
            return;
}

static bool make_pipe(struct shim *s, struct log_stream *l, int *write_end, struct error *err)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) != 0)
        return error_errno(err, errno, "can't create the log's pipe");
    widen(p[0]);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    /* Programs open /dev/stdout and /dev/stderr anew: the pipe must be theirs. */
    if (!s->rootless && fchown(p[1], (uid_t)s->spec.uid, (gid_t)s->spec.gid) != 0)
        return error_errno(err, errno, "can't hand the log's pipe to the user");
    l->in_fd = p[0];
    *write_end = p[1];
    return true;
}

bool log_open(struct shim *s, struct error *err)
{
    s->err.in_fd = s->err.file_fd = -1;
    if (!open_one(&s->out, s->spec.log_path, err))
        return false;
    if (s->spec.tty) /* the terminal's master comes later, from the runtime */
        return true;
    if (!make_pipe(s, &s->out, &s->out_w, err))
        return false;
    if (!s->spec.split_streams) {
        s->err_w = fcntl(s->out_w, F_DUPFD_CLOEXEC, 3);
        return s->err_w >= 0 || error_errno(err, errno, "can't create the log's pipe");
    }
    return open_one(&s->err, s->spec.err_path, err) && make_pipe(s, &s->err, &s->err_w, err);
}

static uint64_t room_left(const struct shim *s)
{
    if (s->spec.log_limit_bytes <= 0)
        return UINT64_MAX;
    uint64_t limit = (uint64_t)s->spec.log_limit_bytes, used = s->out.bytes + s->err.bytes;
    return used < limit ? limit - used : 0;
}

/* What the log may still take of its disk. */
static uint64_t disk_left(const struct shim *s, const struct log_stream *l)
{
    struct statvfs st;
    if (fstatvfs(l->file_fd, &st) != 0 || !st.f_blocks)
        return UINT64_MAX;
    uint64_t all = (uint64_t)st.f_blocks * st.f_frsize;
    uint64_t left = (uint64_t)(s->rootless ? st.f_bavail : st.f_bfree) * st.f_frsize;
    uint64_t floor = all / LOG_FLOOR_SHARE < LOG_FLOOR_BYTES ? all / LOG_FLOOR_SHARE : LOG_FLOOR_BYTES;
    return left > floor ? left - floor : 0;
}

/* The disk takes no more: full where something waits to be written. */
static enum pump wait_for_disk(const struct log_stream *l)
{
    struct pollfd p = {.fd = l->in_fd, .events = POLLIN};
    if (l->pending.len || poll(&p, 1, 0) != 1 || (p.revents & POLLIN))
        return l->pending.len || (p.revents & POLLIN) ? PUMP_FULL : PUMP_IDLE;
    return PUMP_EOF;
}

static enum pump full_or_broken(struct log_stream *l)
{
    if (errno == EAGAIN)
        return PUMP_IDLE;
    if (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG)
        return PUMP_FULL;
    if (errno == EINVAL && !l->no_splice) {
        l->no_splice = true; /* a filesystem without splice */
        return PUMP_MORE;
    }
    return PUMP_FULL;
}

/* Past a limit: the task may write on, nothing is kept. */
static enum pump throw_away(struct log_stream *l)
{
    static char bin[CHUNK_BYTES];
    l->dropped += l->pending.len;
    buf_clear(&l->pending);
    ssize_t n = read(l->in_fd, bin, sizeof bin);
    l->dropped += n > 0 ? (uint64_t)n : 0;
    if (n > 0)
        return PUMP_MORE;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? PUMP_IDLE : PUMP_EOF;
}

/* A line of Berth's own in the log. */
static void mark(struct log_stream *l, const char *text)
{
    ssize_t n = pwrite(l->file_fd, text, strlen(text), (off_t)(l->base + l->bytes));
    l->bytes += n > 0 ? (uint64_t)n : 0;
}

static void mark_dropped(struct log_stream *l)
{
    char text[96];
    if (!l->dropping)
        return;
    snprintf(text, sizeof text, "[berth: %" PRIu64 " bytes were dropped here]\n", l->dropped);
    mark(l, text);
    l->dropping = false;
    l->dropped = 0;
}

static bool must_drop(struct log_stream *l)
{
    int64_t now = clock_boot_ms();
    if (l->dir_fd < 0 || now - l->drop_looked_ms < DROP_LOOK_MS)
        return l->dropping;
    l->drop_looked_ms = now;
    bool drop = faccessat(l->dir_fd, DROP_FILE, F_OK, 0) == 0;
    if (drop && !l->dropping)
        mark(l, "\n[berth: the storage limit of this user is reached: output is dropped; see berth df]\n");
    else if (!drop)
        mark_dropped(l);
    l->dropping = drop;
    return drop;
}

static enum pump flush_pending(struct log_stream *l, uint64_t room)
{
    size_t n = l->pending.len < room ? l->pending.len : (size_t)room;
    ssize_t w = pwrite(l->file_fd, l->pending.data, n, (off_t)(l->base + l->bytes));
    if (w < 0)
        return full_or_broken(l);
    l->bytes += (uint64_t)w;
    buf_consume(&l->pending, (size_t)w);
    return l->pending.len ? PUMP_FULL : PUMP_MORE;
}

static enum pump copy_some(struct log_stream *l, uint64_t room)
{
    if (l->pending.len)
        return flush_pending(l, room);
    buf_reserve(&l->pending, CHUNK_BYTES);
    ssize_t n = read(l->in_fd, l->pending.data, CHUNK_BYTES);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return PUMP_IDLE;
    if (n <= 0) /* EIO: the last process has closed the terminal */
        return PUMP_EOF;
    l->pending.len = (size_t)n;
    l->pending.data[n] = '\0';
    return flush_pending(l, room);
}

static enum pump splice_some(struct log_stream *l, uint64_t room)
{
    loff_t offset = (loff_t)(l->base + l->bytes);
    size_t want = room < PIPE_BYTES_MAX ? (size_t)room : PIPE_BYTES_MAX;
    if (FAULT_FAILS("shim.log_write")) {
        errno = ENOSPC;
        return PUMP_FULL;
    }
    ssize_t n = splice(l->in_fd, NULL, l->file_fd, &offset, want, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0)
        return full_or_broken(l);
    l->bytes += (uint64_t)n;
    return n == 0 ? PUMP_EOF : PUMP_MORE;
}

enum pump log_pump(struct shim *s, struct log_stream *l)
{
    if (l->in_fd < 0)
        return PUMP_EOF;
    for (uint64_t turns = 0;; turns++) {
        uint64_t room = room_left(s), disk = disk_left(s, l);
        bool drop = must_drop(l);
        enum pump r = room == 0 || drop ? throw_away(l)
                      : disk == 0       ? wait_for_disk(l)
                      : l->no_splice || l->is_tty || l->pending.len
                          ? copy_some(l, room < disk ? room : disk)
                          : splice_some(l, room < disk ? room : disk);
        if (room == 0 && r == PUMP_MORE)
            s->log_over = true; /* there was more than the limit allows */
        if (r == PUMP_EOF) {
            mark_dropped(l);
            close(l->in_fd);
            l->in_fd = -1;
        }
        if (r != PUMP_MORE || turns == TURNS_MAX)
            return r;
    }
}

size_t log_tail(const struct log_stream *l, char *out, size_t size)
{
    uint64_t want = l->bytes < size - 1 ? l->bytes : size - 1;
    /* By the descriptor: the path may be covered in the shim's own mount namespace. */
    ssize_t n = l->file_fd < 0 ? 0 : pread(l->file_fd, out, (size_t)want, (off_t)(l->base + l->bytes - want));
    if (n < 0)
        n = 0;
    for (ssize_t i = 0; i < n; i++)
        if (out[i] == '\0')
            out[i] = ' ';
    out[n] = '\0';
    return (size_t)n;
}
