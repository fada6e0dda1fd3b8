/*
 * Who holds which share of which GPU, and the one lock behind a GPU's shares. Owns the notes and, for shares,
 * a copy of the lock, so that the next share needs to ask nobody. Invariant: by its own joins no GPU is held
 * to more than RESOURCE_GPU_WHOLE.
 */
#include "executor/gpu_share.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "executor/gpu_lock.h"
#include "executor/task_path.h"
#include "proto/resources.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX 1024

struct share {
    struct list link;
    char task[TASK_ID_TEXT_MAX];
    char *uuid, *folder;
    int milli;
    int lock; /* a copy of the GPU's, -1 where it is the shim's alone */
};

void gpu_shares_init(struct gpu_shares *s)
{
    pthread_mutex_init(&s->taking, NULL);
    pthread_mutex_init(&s->lock, NULL);
    list_init(&s->held);
}

static void share_free(struct share *share)
{
    list_remove(&share->link);
    if (share->lock >= 0)
        close(share->lock);
    free(share->uuid);
    free(share->folder);
    free(share);
}

void gpu_shares_finish(struct gpu_shares *s)
{
    struct share *share, *next;
    list_for_each(share, next, &s->held, link) share_free(share);
    pthread_mutex_destroy(&s->taking);
    pthread_mutex_destroy(&s->lock);
}

static bool holds(const struct gpu_shares *s, const char *task)
{
    const struct share *share, *next;
    list_for_each(share, next, &s->held, link) if (strcmp(share->task, task) == 0) return true;
    return false;
}

static int held_milli(const struct gpu_shares *s, const char *uuid)
{
    const struct share *share, *next;
    int sum = 0;
    list_for_each(share, next, &s->held, link) sum += strcmp(share->uuid, uuid) == 0 ? share->milli : 0;
    return sum;
}

static void note(struct gpu_shares *s, const struct order *order, const char *folder)
{
    for (size_t i = 0; i < order->lease.gpu_count; i++) {
        struct share *share = xcalloc(1, sizeof *share);
        memcpy(share->task, order->task, sizeof share->task);
        share->uuid = xstrdup(order->lease.gpus[i].uuid);
        share->folder = xstrdup(folder);
        share->milli = order->lease.gpus[i].milli;
        share->lock = -1;
        list_append(&s->held, &share->link);
    }
}

bool gpu_shares_join(struct gpu_shares *s, const struct order *order, const char *folder, struct error *err)
{
    bool ok = true;
    pthread_mutex_lock(&s->lock);
    if (!holds(s, order->task)) {
        for (size_t i = 0; ok && i < order->lease.gpu_count; i++) {
            const struct order_gpu *gpu = &order->lease.gpus[i];
            int held = held_milli(s, gpu->uuid);
            if (held + gpu->milli > RESOURCE_GPU_WHOLE)
                ok = error_set(err, ERROR_CONFLICT,
                               "other tasks of this node still hold %d thousandths of GPU %s", held,
                               gpu->uuid);
        }
        if (ok)
            note(s, order, folder);
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

void gpu_shares_adopt(struct gpu_shares *s, const struct order *order, const char *folder)
{
    pthread_mutex_lock(&s->lock);
    if (!holds(s, order->task))
        note(s, order, folder);
    pthread_mutex_unlock(&s->lock);
}

void gpu_shares_leave(struct gpu_shares *s, const char *task)
{
    struct share *share, *next;
    pthread_mutex_lock(&s->lock);
    list_for_each(share, next, &s->held, link) if (strcmp(share->task, task) == 0) share_free(share);
    pthread_mutex_unlock(&s->lock);
}

/* A copy of the lock where this process has one; else -1, and the folders of the tasks that share the GPU
 * (NUL-ended, one after the other) go into `folders`. */
static int find_lock(struct gpu_shares *s, const char *task, const char *uuid, struct buf *folders)
{
    const struct share *share, *next;
    int fd = -1;
    pthread_mutex_lock(&s->lock);
    list_for_each(share, next, &s->held, link)
    {
        if (strcmp(share->uuid, uuid) != 0)
            continue;
        if (share->lock >= 0 && fd < 0)
            fd = fcntl(share->lock, F_DUPFD_CLOEXEC, 0);
        else if (strcmp(share->task, task) != 0 && share->milli < RESOURCE_GPU_WHOLE)
            buf_add(folders, share->folder, strlen(share->folder) + 1);
    }
    pthread_mutex_unlock(&s->lock);
    return fd;
}

static void keep_copy(struct gpu_shares *s, const char *task, const char *uuid, int fd)
{
    struct share *share, *next;
    pthread_mutex_lock(&s->lock);
    list_for_each(share, next, &s->held, link)
    {
        if (share->lock < 0 && strcmp(share->uuid, uuid) == 0 && strcmp(share->task, task) == 0)
            share->lock = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    pthread_mutex_unlock(&s->lock);
}

/* Reads until the line that answers us; a descriptor comes with it where the shim has the lock. */
static int read_answer(int from)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char text[ANSWER_BYTES_MAX + 1];
    size_t len = 0;
    while (len < ANSWER_BYTES_MAX) {
        struct iovec io = {.iov_base = text + len, .iov_len = ANSWER_BYTES_MAX - len};
        struct msghdr m = {.msg_iov = &io,
                           .msg_iovlen = 1,
                           .msg_control = control.room,
                           .msg_controllen = sizeof control.room};
        ssize_t n = recvmsg(from, &m, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1; /* it ends at this moment, is of a version that knows no shares, or does not answer */
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_type == SCM_RIGHTS) {
            int fd;
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
            return fd;
        }
        len += (size_t)n;
        text[len] = '\0';
        if (strstr(text, "gpu-lock none\n"))
            return -1;
    }
    return -1;
}

/* Another task's shim, asked for its copy of a GPU's lock; -1 where it gives none. */
static int ask_shim(const char *folder, const char *uuid)
{
    struct sockaddr_un address;
    char line[GPU_LOCK_UUID_MAX + 32];
    struct timeval wait = {.tv_sec = GPU_SHARE_ASK_MS / 1000, .tv_usec = GPU_SHARE_ASK_MS % 1000 * 1000};
    _cleanup_close_ int dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_close_ int fd = dir_fd < 0 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    task_socket_address(dir_fd, "ctl", &address);
    int len = snprintf(line, sizeof line, "gpu-lock %s\n", uuid);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
        return -1;
    return read_answer(fd);
}

static int ask_shims(const struct buf *folders, const char *uuid)
{
    int fd = -1;
    for (size_t at = 0; fd < 0 && at < folders->len; at += strlen(folders->data + at) + 1)
        fd = ask_shim(folders->data + at, uuid);
    return fd;
}

int gpu_shares_lock(struct gpu_shares *s, const struct order *order, size_t which, struct error *err)
{
    const struct order_gpu *gpu = &order->lease.gpus[which];
    if (gpu->milli == RESOURCE_GPU_WHOLE)
        return gpu_lock_take(gpu->uuid, err);
    _cleanup_buf_ struct buf folders = {0};
    pthread_mutex_lock(&s->taking);
    int fd = find_lock(s, order->task, gpu->uuid, &folders);
    if (fd < 0)
        fd = gpu_lock_take(gpu->uuid, err);
    if (fd < 0 && (!err || err->code == ERROR_CONFLICT))
        fd = ask_shims(&folders, gpu->uuid);
    if (fd >= 0)
        keep_copy(s, order->task, gpu->uuid, fd);
    pthread_mutex_unlock(&s->taking);
    return fd;
}
