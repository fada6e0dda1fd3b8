/* Acting as a task's user, in a child. */
#include "executor/as_user.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool as_user_become(const struct user *user, pid_t parent, int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) /* out of the way of each other's places first */
        if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, AS_USER_FDS_MAX)) < 0)
            return false;
    for (size_t i = 0; i < count; i++)
        if (dup2(fds[i], (int)i) < 0)
            return false;
        else
            fds[i] = (int)i;
    close_range((unsigned)count, ~0u, 0);
    bool ok = geteuid() != 0 || (setgroups(user->group_count, user->groups) == 0 &&
                                 setresgid(user->gid, user->gid, user->gid) == 0 &&
                                 setresuid(user->uid, user->uid, user->uid) == 0);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* after the change of ids, which clears it */
    return ok && getppid() == parent;
}

bool as_user_read(int fd, void *answer, size_t size, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms - clock_boot_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, left > 0 ? (int)left : 0);
        if (ready < 0 && errno == EINTR)
            continue;
        return ready > 0 && read(fd, answer, size) == (ssize_t)size;
    }
}

void as_user_end(pid_t child)
{
    if (child <= 0)
        return;
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
}
