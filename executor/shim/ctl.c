/*
 * The ctl socket: lines from and to executors. Several may be connected, none needs to be. A peer that does
 * not read what it is told is cut off; it can connect anew and is told the present state first.
 */
#include "executor/shim/shim.h"
#include "executor/shim/words.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "executor/gpu_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CONNECTIONS_MAX (CTL_POLLS_MAX - 1)
#define LINE_BYTES_MAX 256
#define STDIN_BYTES_MAX (1u << 20)
#define OUT_BYTES_MAX 65536
#define FINISH_WAIT_MS 1000
#define TIME_MS_MAX (INT64_MAX / 4)

struct connection {
    int fd; /* -1: free */
    struct buf in, out;
    size_t stdin_left; /* raw bytes of a stdin line still to come */
};

struct ctl {
    struct connection c[CONNECTIONS_MAX];
};

bool ctl_init(struct shim *s)
{
    s->ctl = xcalloc(1, sizeof *s->ctl);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        s->ctl->c[i].fd = -1;
    return fcntl(SHIM_CTL_FD, F_SETFL, O_NONBLOCK) == 0;
}

static void drop(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    c->stdin_left = 0;
    buf_finish(&c->in);
    buf_finish(&c->out);
}

static void flush(struct connection *c)
{
    while (c->fd >= 0 && c->out.len) {
        ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            drop(c);
        else
            buf_consume(&c->out, (size_t)n);
    }
}

static void tell(struct connection *c, const char *line)
{
    if (c->fd < 0)
        return;
    if (c->out.len > OUT_BYTES_MAX) {
        drop(c);
        return;
    }
    buf_printf(&c->out, "%s\n", line);
    flush(c);
}

void ctl_tell(struct shim *s, const char *line)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        tell(&s->ctl->c[i], line);
}

void ctl_stdin_room(struct shim *s, size_t bytes)
{
    char line[64];
    snprintf(line, sizeof line, "stdin-room %zu", bytes);
    ctl_tell(s, line);
}

static void do_stop(struct shim *s, const char *line)
{
    char reason[33] = "cancel";
    int64_t grace_ms = 0;
    const char *rest = "";
    words_after(line, "stop", &grace_ms, 1, &rest);
    if (*rest)
        snprintf(reason, sizeof reason, "%s", rest);
    life_stop(s, grace_ms < 0 ? 0 : grace_ms > TIME_MS_MAX ? TIME_MS_MAX : grace_ms, reason);
}

static void do_kill(struct shim *s, const char *line)
{
    (void)line;
    s->outcome.force_asked = true;
    life_kill(s, "cancel");
}

static void do_pause(struct shim *s, const char *line)
{
    (void)line;
    life_pause(s, true);
}

static void do_resume(struct shim *s, const char *line)
{
    (void)line;
    life_pause(s, false);
}

static void do_eof(struct shim *s, const char *line)
{
    (void)line;
    s->stdin_eof = true;
}

static void do_resize(struct shim *s, const char *line)
{
    int64_t v[2];
    if (words_after(line, "resize", v, 2, NULL) == 2 && v[0] >= 0 && v[0] < 65536 && v[1] >= 0 &&
        v[1] < 65536)
        life_resize(s, (unsigned)v[0], (unsigned)v[1]);
}

static void do_signal(struct shim *s, const char *line)
{
    int64_t signo;
    if (words_after(line, "signal", &signo, 1, NULL) == 1 && signo > 0 && signo < NSIG)
        life_signal(s, (int)signo);
}

static void do_limit(struct shim *s, const char *line)
{
    int64_t limit_ms;
    if (words_after(line, "limit", &limit_ms, 1, NULL) == 1 && limit_ms >= 0 && limit_ms < TIME_MS_MAX)
        life_limit(s, limit_ms);
}

static void do_contact(struct shim *s, const char *line)
{
    int64_t at_ms;
    if (words_after(line, "contact", &at_ms, 1, NULL) == 1)
        fence_contact(s, at_ms);
}

static const struct {
    const char *word;
    void (*run)(struct shim *s, const char *line);
} verbs[] = {{"stop", do_stop},       {"kill", do_kill},   {"pause", do_pause},
             {"resume", do_resume},   {"eof", do_eof},     {"resize", do_resize},
             {"contact", do_contact}, {"limit", do_limit}, {"signal", do_signal}};

/* Our copy of a GPU's lock: a descriptor of ours, not to be closed; -1 where the task has no such GPU. */
static int gpu_lock_of(const struct shim *s, const char *uuid)
{
    char name[sizeof((struct sockaddr_un *)0)->sun_path];
    int length = snprintf(name, sizeof name, "%c%s%s", '\0', GPU_LOCK_PREFIX, uuid);
    for (int fd = SHIM_FIRST_KEPT_FD; fd < SHIM_FIRST_KEPT_FD + (int)s->spec.gpu_minors.n; fd++) {
        struct sockaddr_un a = {0};
        socklen_t n = sizeof a;
        if (getsockname(fd, (struct sockaddr *)&a, &n) == 0 && a.sun_family == AF_UNIX &&
            n == offsetof(struct sockaddr_un, sun_path) + (size_t)length &&
            memcmp(a.sun_path, name, (size_t)length) == 0)
            return fd;
    }
    return -1;
}

/* For another task of the same executor, which has a share of the same GPU. */
static void give_gpu_lock(struct shim *s, struct connection *c, const char *uuid)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {
        .header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    char line[] = "gpu-lock\n";
    struct iovec io = {.iov_base = line, .iov_len = sizeof line - 1};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    int fd = gpu_lock_of(s, uuid);
    if (fd < 0) {
        tell(c, "gpu-lock none");
        return;
    }
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    flush(c);
    /* It goes with its own line or not at all: who doesn't read what he was told is cut off. */
    if (c->fd >= 0 && (c->out.len || sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)io.iov_len))
        drop(c);
}

/* One line, without its newline. False for what is no line of ours. */
static bool obey(struct shim *s, struct connection *c, const char *line)
{
    int64_t n = 0;
    const char *uuid;
    if (words_after(line, "gpu-lock", NULL, 0, &uuid) >= 0) {
        give_gpu_lock(s, c, uuid);
        return true;
    }
    if (words_after(line, "stdin", &n, 1, NULL) == 1) {
        c->stdin_left = n < 0 ? 0 : (size_t)n;
        return n >= 0 && n <= STDIN_BYTES_MAX;
    }
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (words_after(line, verbs[i].word, NULL, 0, NULL) < 0)
            continue;
        verbs[i].run(s, line);
        return true;
    }
    return false;
}

static void take_stdin(struct shim *s, struct connection *c)
{
    size_t n = c->in.len < c->stdin_left ? c->in.len : c->stdin_left;
    if (s->stdin_fd >= 0 || strcmp(s->state, "starting") == 0)
        buf_add(&s->stdin_pending, c->in.data, n);
    else
        ctl_stdin_room(s, n); /* nobody will read it: it is gone */
    buf_consume(&c->in, n);
    c->stdin_left -= n;
}

static void receive(struct shim *s, struct connection *c)
{
    char bytes[65536];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || s->stdin_pending.len > 2 * STDIN_BYTES_MAX) {
        drop(c);
        return;
    }
    buf_add(&c->in, bytes, (size_t)n);
    while (c->fd >= 0 && c->in.len) {
        if (c->stdin_left) {
            take_stdin(s, c);
            continue;
        }
        char *end = memchr(c->in.data, '\n', c->in.len);
        if (!end) {
            if (c->in.len > LINE_BYTES_MAX)
                drop(c);
            return;
        }
        size_t length = (size_t)(end - c->in.data);
        char line[LINE_BYTES_MAX + 1];
        snprintf(line, sizeof line, "%.*s", (int)length, c->in.data);
        buf_consume(&c->in, length + 1);
        if (length > LINE_BYTES_MAX || !obey(s, c, line))
            drop(c);
    }
}

static void admit(struct shim *s)
{
    int fd = accept4(SHIM_CTL_FD, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    /* The socket lies in a 0700 folder; this is for a task that finds another way to it. */
    struct ucred peer;
    socklen_t n = sizeof peer;
    bool known =
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && (peer.uid == 0 || peer.uid == geteuid());
    for (size_t i = 0; known && i < CONNECTIONS_MAX; i++) {
        struct connection *c = &s->ctl->c[i];
        if (c->fd >= 0)
            continue;
        c->fd = fd;
        char line[64];
        snprintf(line, sizeof line, "state %s%s", s->state, s->log_blocked ? " log_disk_full" : "");
        tell(c, line);
        return;
    }
    close(fd);
}

size_t ctl_poll(struct shim *s, struct pollfd *p)
{
    p[0] = (struct pollfd){.fd = SHIM_CTL_FD, .events = POLLIN};
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *c = &s->ctl->c[i];
        /* Backpressure: while the task reads no stdin, no more of it is taken from the peers. */
        short want = s->stdin_pending.len > STDIN_BYTES_MAX && c->stdin_left ? 0 : POLLIN;
        p[i + 1] = (struct pollfd){.fd = c->fd, .events = (short)(want | (c->out.len ? POLLOUT : 0))};
    }
    return CTL_POLLS_MAX;
}

void ctl_serve(struct shim *s, const struct pollfd *p, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct connection *c = &s->ctl->c[i - 1];
        if (c->fd >= 0 && c->fd == p[i].fd && (p[i].revents & POLLOUT))
            flush(c);
        if (c->fd >= 0 && c->fd == p[i].fd && (p[i].revents & (POLLIN | POLLHUP | POLLERR)))
            receive(s, c);
    }
    if (p[0].revents & POLLIN)
        admit(s);
}

bool ctl_connected(const struct shim *s)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct pollfd p = {.fd = s->ctl->c[i].fd, .events = POLLRDHUP}; /* nobody may have read its end yet */
        if (p.fd >= 0 && poll(&p, 1, 0) == 0)
            return true;
    }
    return false;
}

void ctl_finish(struct shim *s)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = &s->ctl->c[i];
        while (c->fd >= 0 && c->out.len) {
            struct pollfd p = {.fd = c->fd, .events = POLLOUT};
            if (poll(&p, 1, FINISH_WAIT_MS) <= 0)
                break;
            flush(c);
        }
        if (c->fd >= 0)
            shutdown(c->fd, SHUT_WR); /* what is queued is delivered, then they see the end */
    }
}
