/* The shim's end of the path agent: requests, answers, and the bound on waiting for them. */
#include "executor/shim/agent.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SLICE_MS 100 /* between two questions whether to go on */

bool agent_send(int socket_fd, const void *bytes, size_t n, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec io = {.iov_base = (void *)bytes, .iov_len = n};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control.space;
        m.msg_controllen = sizeof control.space;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    return sendmsg(socket_fd, &m, MSG_NOSIGNAL) == (ssize_t)n;
}

bool agent_receive(int socket_fd, void *bytes, size_t n, int *fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec io = {.iov_base = bytes, .iov_len = n};
    struct msghdr m = {.msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = control.space,
                       .msg_controllen = sizeof control.space};
    *fd = -1;
    ssize_t got = recvmsg(socket_fd, &m, MSG_CMSG_CLOEXEC);
    if (got != (ssize_t)n) {
        errno = got < 0 ? errno : EPIPE;
        return false;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    return true;
}

bool agent_start(struct path_agent *a, const struct agent_user *user, struct error *err)
{
    int pair[2];
    if (!a->until_ms)
        a->until_ms = clock_boot_ms() + AGENT_WAIT_MS;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return error_errno(err, errno, "can't create a socket pair");
    a->pid = fork();
    if (a->pid == 0)
        agent_serve(user, pair[1]);
    int e = errno;
    close(pair[1]);
    a->fd = pair[0];
    if (a->pid > 0)
        return true;
    a->pid = 0;
    close(a->fd);
    return error_errno(err, e, "can't start the child that opens the user's paths");
}

/* One that hangs in a file system is reaped by the shim's loop, whenever it goes. */
void agent_stop(struct path_agent *a)
{
    if (a->pid <= 0)
        return;
    close(a->fd);
    kill(a->pid, SIGKILL);
    for (int64_t until = clock_boot_ms() + 100;
         waitpid(a->pid, NULL, WNOHANG) == 0 && clock_boot_ms() < until;)
        poll(NULL, 0, 1);
    a->pid = 0;
    a->fd = -1;
}

/* -1 with errno set; a descriptor that came with an error is the caller's too. */
static bool receive(struct path_agent *a, struct agent_reply *reply, int *fd)
{
    struct pollfd p = {.fd = a->fd, .events = POLLIN};
    int ready = 0, e = 0;
    while (ready <= 0 && !e) {
        int64_t left = a->until_ms - clock_boot_ms();
        if (left <= 0)
            e = ETIMEDOUT;
        else
            ready = poll(&p, 1, left < SLICE_MS ? (int)left : SLICE_MS);
        if (ready == 0 && !e && a->go_on && !a->go_on(a->data))
            e = ECANCELED;
    }
    if (e)
        *fd = -1;
    else if (!agent_receive(a->fd, reply, sizeof *reply, fd))
        e = EIO;
    if (!e)
        return true;
    agent_stop(a);
    errno = e;
    return false;
}

static bool request(struct path_agent *a, enum agent_op op, unsigned flags, const char *path,
                    uint64_t bytes_max, int fd)
{
    static struct agent_request r; /* a page and more: not on the stack */
    if (a->pid <= 0) {
        errno = ETIMEDOUT;
        return false;
    }
    if (strlen(path) >= sizeof r.path) {
        errno = ENAMETOOLONG;
        return false;
    }
    memset(&r, 0, sizeof r);
    r.op = op;
    r.flags = flags;
    r.bytes_max = bytes_max;
    snprintf(r.path, sizeof r.path, "%s", path);
    if (agent_send(a->fd, &r, sizeof r, fd))
        return true;
    errno = EIO;
    return false;
}

/* The descriptor of the answer. One that came with an error goes to *stray, or is closed where that is NULL.
 */
static int call(struct path_agent *a, enum agent_op op, unsigned flags, int root_fd, const char *path,
                uint64_t bytes_max, struct agent_reply *reply, int *stray)
{
    static struct agent_reply unwanted;
    int fd = -1;
    reply = reply ? reply : &unwanted;
    reply->text[0] = '\0';
    if (!request(a, op, flags, path, bytes_max, root_fd) || !receive(a, reply, &fd))
        return -1;
    if (!reply->error && fd >= 0)
        return fd;
    if (stray)
        *stray = fd;
    else if (fd >= 0)
        close(fd);
    errno = reply->error ? reply->error : EIO;
    return -1;
}

int agent_open(struct path_agent *a, const char *path, struct agent_reply *reply)
{
    return call(a, AGENT_OPEN, 0, -1, path, 0, reply, NULL);
}

int agent_find(struct path_agent *a, int root_fd, const char *path, unsigned flags, struct agent_reply *reply)
{
    return call(a, AGENT_FIND, flags, root_fd, path, 0, reply, NULL);
}

int agent_make(struct path_agent *a, int root_fd, const char *path, unsigned flags, struct agent_reply *reply,
               int *stuck)
{
    *stuck = -1;
    return call(a, AGENT_MAKE, flags, root_fd, path, 0, reply, stuck);
}

int agent_read(struct path_agent *a, int root_fd, const char *path, uint64_t bytes_max)
{
    return call(a, AGENT_READ, 0, root_fd, path, bytes_max, NULL, NULL);
}

bool agent_list(struct path_agent *a, int dir_fd, agent_entry *each, void *context, struct error *err)
{
    static struct agent_reply entry;
    bool ok = true;
    if (!request(a, AGENT_LIST, 0, "", 0, dir_fd))
        return error_errno(err, errno, "can't list a directory");
    for (;;) {
        int fd = -1;
        if (!receive(a, &entry, &fd))
            return error_errno(err, errno, "can't list a directory");
        if (!entry.more)
            break;
        entry.text[sizeof entry.text - 1] = '\0';
        if (ok) /* what follows a failure is still on its way */
            ok = each(context, &entry, fd, err);
        else if (fd >= 0)
            close(fd);
    }
    if (ok && entry.error == E2BIG)
        return error_set(err, ERROR_LIMIT, "a directory has more than %d entries", AGENT_LIST_ENTRIES_MAX);
    return ok && (!entry.error || error_errno(err, entry.error, "can't list a directory"));
}
