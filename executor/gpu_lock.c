/*
 * GPU locks. The lock itself is the kernel's: one abstract name, one socket. All else here is finding out who
 * the holder is. SO_PEERCRED of a connection says it best (uid and pid), but a connection that nobody accepts
 * stays in the holder's backlog; so the holder's socket is first looked up by sock_diag, and a connection
 * made once for each socket (its inode), not once for each look. Owns that small memory, under a mutex.
 */
#include "executor/gpu_lock.h"

#include "base/cleanup.h"
#include "proto/resources.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_STATE 10 /* TCP_LISTEN, which sock_diag(7) uses for every family */
#define BACKLOG 64
#define SEEN_MAX RESOURCE_GPUS_MAX

struct seen {
    char uuid[GPU_LOCK_UUID_MAX + 1];
    uint32_t inode;
    uid_t uid;
    pid_t pid;
};
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static struct seen seen[SEEN_MAX];
static size_t seen_next; /* the oldest is overwritten */

static bool address_of(const char *uuid, struct sockaddr_un *address, socklen_t *len, struct error *err)
{
    size_t n = strlen(uuid);
    if (n == 0 || n > GPU_LOCK_UUID_MAX)
        return error_set(err, ERROR_INVALID, "a GPU's UUID has 1 to %d characters, not %zu",
                         GPU_LOCK_UUID_MAX, n);
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-/";
    if (uuid[strspn(uuid, allowed)])
        return error_set(err, ERROR_INVALID, "a GPU's UUID holds letters, digits, '-' and '/' only");
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    int name = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "%s%s", GPU_LOCK_PREFIX, uuid);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)name);
    return true;
}

struct diag_hit {
    bool found, uid_known;
    uint32_t inode;
    uid_t uid;
};

/* One socket of the dump: is it the one with this address? */
static void match_socket(const struct nlmsghdr *header, const struct sockaddr_un *address, socklen_t len,
                         struct diag_hit *hit)
{
    const struct unix_diag_msg *socket_info = NLMSG_DATA(header);
    size_t name_len = len - offsetof(struct sockaddr_un, sun_path);
    const struct rtattr *a = (const struct rtattr *)(const void *)(socket_info + 1);
    int left = (int)header->nlmsg_len - (int)NLMSG_LENGTH(sizeof *socket_info);
    bool same = false, uid_known = false;
    uint32_t uid = 0;
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == UNIX_DIAG_NAME)
            same = RTA_PAYLOAD(a) == name_len && memcmp(RTA_DATA(a), address->sun_path, name_len) == 0;
        if (a->rta_type == UNIX_DIAG_UID && RTA_PAYLOAD(a) == sizeof uid) {
            memcpy(&uid, RTA_DATA(a), sizeof uid);
            uid_known = true;
        }
    }
    if (same)
        *hit = (struct diag_hit){
            .found = true, .uid_known = uid_known, .inode = socket_info->udiag_ino, .uid = uid};
}

/* Asks the kernel for the listening socket of that name; true when it could be asked. */
static bool look_by_diag(const struct sockaddr_un *address, socklen_t len, struct diag_hit *hit)
{
    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } ask = {
        .header = {.nlmsg_len = sizeof ask,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.sdiag_family = AF_UNIX,
                    .udiag_states = 1u << LISTEN_STATE,
                    .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_UID},
    };
    if (fd < 0 || send(fd, &ask, sizeof ask, 0) != (ssize_t)sizeof ask)
        return false;
    _Alignas(struct nlmsghdr) char bytes[32768];
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        int left = (int)got;
        for (struct nlmsghdr *h = (void *)bytes; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return true;
            if (h->nlmsg_type == NLMSG_ERROR)
                return false;
            if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY)
                match_socket(h, address, len, hit);
        }
    }
}

static bool recall(const char *uuid, uint32_t inode, struct gpu_lock_holder *holder)
{
    bool known = false;
    pthread_mutex_lock(&seen_lock);
    for (size_t i = 0; i < SEEN_MAX && !known; i++) {
        if (seen[i].inode != inode || strcmp(seen[i].uuid, uuid) != 0)
            continue;
        known = true;
        holder->uid = seen[i].uid;
        holder->pid = seen[i].pid;
        holder->uid_known = holder->pid_known = true;
    }
    pthread_mutex_unlock(&seen_lock);
    return known;
}

static void remember(const char *uuid, uint32_t inode, const struct gpu_lock_holder *holder)
{
    pthread_mutex_lock(&seen_lock);
    struct seen *s = &seen[seen_next++ % SEEN_MAX];
    snprintf(s->uuid, sizeof s->uuid, "%s", uuid);
    s->inode = inode;
    s->uid = holder->uid;
    s->pid = holder->pid;
    pthread_mutex_unlock(&seen_lock);
}

/* The holder's uid and pid from a connection. Sets held; false where the credentials can't be had. */
static bool look_by_connecting(const struct sockaddr_un *address, socklen_t len,
                               struct gpu_lock_holder *holder)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    if (connect(fd, (const struct sockaddr *)address, len) < 0) {
        /* Refused: no such name, or its holder is just between bind and listen. Full: somebody holds it. */
        if (errno == EAGAIN)
            holder->held = true;
        return false;
    }
    struct ucred peer;
    socklen_t size = sizeof peer;
    holder->held = true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    holder->uid = peer.uid;
    holder->uid_known = true;
    holder->pid = peer.pid;
    holder->pid_known = peer.pid > 0; /* 0: in a PID namespace that is not ours */
    return true;
}

static void name_user(struct gpu_lock_holder *holder)
{
    struct passwd entry, *found = NULL;
    char bytes[4096];
    if (!holder->uid_known)
        snprintf(holder->user, sizeof holder->user, "another Berth");
    else if (getpwuid_r(holder->uid, &entry, bytes, sizeof bytes, &found) == 0 && found)
        snprintf(holder->user, sizeof holder->user, "%s", found->pw_name);
    else
        snprintf(holder->user, sizeof holder->user, "uid %u", (unsigned)holder->uid);
}

struct gpu_lock_holder gpu_lock_look(const char *uuid)
{
    struct gpu_lock_holder holder = {0};
    struct sockaddr_un address;
    socklen_t len = 0;
    struct diag_hit hit = {0};
    if (!address_of(uuid, &address, &len, NULL))
        return holder;
    bool asked = look_by_diag(&address, len, &hit);
    if (asked && hit.found) {
        holder.held = true;
        if (!recall(uuid, hit.inode, &holder)) {
            if (look_by_connecting(&address, len, &holder))
                remember(uuid, hit.inode, &holder);
            else if (hit.uid_known) {
                holder.uid = hit.uid;
                holder.uid_known = true;
            }
        }
    } else if (!asked) {
        look_by_connecting(&address, len, &holder);
    }
    /* An executor that has gone since leaves its shim holding the lock; a pid of nobody helps nobody. */
    if (holder.pid_known && kill(holder.pid, 0) < 0 && errno == ESRCH)
        holder.pid_known = false;
    if (holder.held)
        name_user(&holder);
    return holder;
}

int gpu_lock_take(const char *uuid, struct error *err)
{
    struct sockaddr_un address;
    socklen_t len = 0;
    if (!address_of(uuid, &address, &len, err))
        return -1;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        error_errno(err, errno, "a socket to lock GPU %s", uuid);
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&address, len) < 0) {
        if (errno != EADDRINUSE) {
            error_errno(err, errno, "locking GPU %s", uuid);
            return -1;
        }
        struct gpu_lock_holder holder = gpu_lock_look(uuid);
        if (!holder.held) /* it was given back this moment, or is not listening yet */
            snprintf(holder.user, sizeof holder.user, "another Berth");
        if (holder.pid_known)
            error_set(err, ERROR_CONFLICT, "GPU %s is held by %s%s (pid %d)", uuid,
                      holder.uid_known ? "user " : "", holder.user, (int)holder.pid);
        else
            error_set(err, ERROR_CONFLICT, "GPU %s is held by %s%s", uuid, holder.uid_known ? "user " : "",
                      holder.user);
        return -1;
    }
    if (listen(fd, BACKLOG) < 0) {
        error_errno(err, errno, "locking GPU %s", uuid);
        return -1;
    }
    return take_fd(&fd);
}
