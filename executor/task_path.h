/* Sockets in a task's folder, whose path may be longer than an address can hold. */
#ifndef BERTH_EXECUTOR_TASK_PATH_H
#define BERTH_EXECUTOR_TASK_PATH_H

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Through our own descriptor of the folder: valid in this process while dir_fd is open. */
static inline void task_socket_address(int dir_fd, const char *name, struct sockaddr_un *a)
{
    memset(a, 0, sizeof *a);
    a->sun_family = AF_UNIX;
    snprintf(a->sun_path, sizeof a->sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
}

#endif
