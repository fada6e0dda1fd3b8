/* The task's terminal: one of its own /dev/pts, opened by init under every runtime, so that no runtime
 * creates a console in the task's /dev. */
#include "executor/shim/agent.h"
#include "executor/shim/shim.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

bool terminal_open(int status_fd, int64_t rows, int64_t cols)
{
    int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
    if (master < 0)
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) != 0)
        return false;
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    /* An OCI runtime has made this process the leader of a session already. */
    if (slave < 0 || (setsid() < 0 && getsid(0) != getpid()) || ioctl(slave, TIOCSCTTY, 0) != 0)
        return false;
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)cols};
    if (size.ws_row && size.ws_col)
        ioctl(slave, TIOCSWINSZ, &size);
    if (!agent_send(status_fd, "tty", 3, master))
        return false;
    close(master);
    for (int fd = 0; fd < 3; fd++)
        dup2(slave, fd);
    if (slave > 2)
        close(slave);
    return true;
}
