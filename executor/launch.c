/*
 * Starting a shim. The lock on TASK_DIR/shim is taken here and inherited, so that there is no moment in which
 * the task has a shim that does not hold it; the ctl socket listens before the shim exists, so that
 * connecting never races.
 */
#include "executor/launch.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fs.h"
#include "executor/shim/image/image.h"
#include "executor/task_path.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TASK_FD 3 /* the shim's descriptors, executor/shim/shim.h */
#define LOCK_FD 4
#define CTL_FD 5
#define KEPT_FD 6
#define HIGH_FD 200
#define CTL_BACKLOG 16
#define SHIM_PROGRAM_MODE 0511

static pthread_mutex_t image_lock = PTHREAD_MUTEX_INITIALIZER;

/* The shim's program in a sealed memory file, made once. */
static int shim_program(struct error *err)
{
    static int fd = -1;
    pthread_mutex_lock(&image_lock);
    if (fd < 0) {
        int made = memfd_create("berth-shim", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        /* Others may execute it but not read it: as the user's init it can't be dumped from its first
         * instruction on (would_dump in the kernel's exec). */
        if (made < 0 || !fs_write_all(made, shim_image, (size_t)(shim_image_end - shim_image)) ||
            fchmod(made, SHIM_PROGRAM_MODE) != 0 ||
            fcntl(made, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
            error_errno(err, errno, "can't put the shim's program into memory");
            if (made >= 0)
                close(made);
        } else {
            /* Opened anew for reading: a file that someone holds open for writing can't be executed. */
            char path[32];
            snprintf(path, sizeof path, "/proc/self/fd/%d", made);
            fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                error_errno(err, errno, "can't open the shim's program");
            close(made);
        }
    }
    pthread_mutex_unlock(&image_lock);
    return fd;
}

static int take_lock(int dir_fd, const char *task_dir, struct error *err)
{
    _cleanup_close_ int fd = openat(dir_fd, "shim", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_errno(err, errno, "can't create %s/shim", task_dir), -1;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return error_set(err, ERROR_CONFLICT, "%s has a shim that lives", task_dir), -1;
    return take_fd(&fd);
}

static int listen_ctl(int dir_fd, const char *task_dir, struct error *err)
{
    unlinkat(dir_fd, "ctl", 0);
    struct sockaddr_un a;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    task_socket_address(dir_fd, "ctl", &a);
    mode_t mask = umask(077);
    int rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&a, sizeof a);
    int e = errno;
    umask(mask);
    if (rc != 0 || listen(fd, CTL_BACKLOG) != 0)
        return error_errno(err, rc ? e : errno, "can't listen on %s/ctl", task_dir), -1;
    return take_fd(&fd);
}

struct start {
    int program, go;
    int fds[KEPT_FD - TASK_FD + LAUNCH_FDS_MAX];
    size_t n;
};

/* In the child's child: descriptors to their places, then the shim. */
static void __attribute__((noreturn)) become_shim(const struct start *st)
{
    setsid();
    int high[sizeof st->fds / sizeof *st->fds], program = fcntl(st->program, F_DUPFD_CLOEXEC, HIGH_FD);
    int go = fcntl(st->go, F_DUPFD_CLOEXEC, HIGH_FD);
    for (size_t i = 0; i < st->n; i++)
        high[i] = fcntl(st->fds[i], F_DUPFD_CLOEXEC, HIGH_FD);
    for (size_t i = 0; i < st->n; i++)
        dup2(high[i], TASK_FD + (int)i);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2); /* it outlives us, and must not keep whoever reads our messages waiting */
    /* All else is closed before the wait: this process has inherited the other end of its own pipe, and of
     * those of shims that are started beside it, and would wait for ever, with the executor's own lock, where
     * the executor is killed now. */
    int low = program < go ? program : go, top = program < go ? go : program;
    close_range((unsigned)(TASK_FD + (int)st->n), (unsigned)low - 1, 0);
    if (top > low + 1)
        close_range((unsigned)low + 1, (unsigned)top - 1, 0);
    close_range((unsigned)top + 1, ~0u, 0);
    char c;
    if (read(go, &c, 1) != 1)
        _exit(1);
    for (size_t i = 0; i < st->n; i++)
        fcntl(TASK_FD + (int)i, F_SETFD, 0);
    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    char *argv[] = {(char *)"berth-shim", NULL};
    char *env[8] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
#ifdef BERTH_FAULT_POINTS
    static const char *const passed[] = {"BERTH_FAULT", "BERTH_FAULT_ONCE", "BERTH_FAULT_LOG"};
    size_t used = 1;
    for (char **e = environ; *e; e++)
        for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
            if (strncmp(*e, passed[i], strlen(passed[i])) == 0 && (*e)[strlen(passed[i])] == '=' && used < 7)
                env[used++] = *e;
#endif
    fexecve(program, argv, env);
    _exit(1);
}

/* A child of a child, so that nobody has to wait for the shim: its pid, or -1. */
static pid_t fork_twice(const struct start *st)
{
    int tell[2];
    if (pipe2(tell, O_CLOEXEC) != 0)
        return -1;
    pid_t middle = fork();
    if (middle == 0) {
        pid_t shim = fork();
        if (shim == 0)
            become_shim(st);
        ssize_t n = write(tell[1], &shim, sizeof shim);
        _exit(n == sizeof shim ? 0 : 1);
    }
    int e = errno;
    close(tell[1]);
    pid_t shim = -1;
    if (middle > 0) {
        while (waitpid(middle, NULL, 0) < 0 && errno == EINTR) {
        }
        if (read(tell[0], &shim, sizeof shim) != sizeof shim)
            shim = -1;
        e = EAGAIN;
    }
    close(tell[0]);
    errno = e;
    return shim;
}

bool launch_shim(const char *task_dir, const int *keep_fds, size_t n, pid_t *pid, int *pidfd,
                 struct error *err)
{
    if (n > LAUNCH_FDS_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d descriptors for a shim", LAUNCH_FDS_MAX);
    int program = shim_program(err);
    _cleanup_close_ int dir_fd = program < 0 ? -1 : open(task_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (program < 0)
        return false;
    if (dir_fd < 0)
        return error_errno(err, errno, "can't open %s", task_dir);
    _cleanup_close_ int lock = take_lock(dir_fd, task_dir, err);
    _cleanup_close_ int ctl = lock < 0 ? -1 : listen_ctl(dir_fd, task_dir, err);
    if (ctl < 0)
        return false;
    int go[2];
    if (pipe2(go, O_CLOEXEC) != 0)
        return error_errno(err, errno, "can't create a pipe");
    struct start st = {.program = program, .go = go[0], .fds = {dir_fd, lock, ctl}, .n = KEPT_FD - TASK_FD};
    for (size_t i = 0; i < n; i++)
        st.fds[st.n++] = keep_fds[i];
    FAULT("executor.before_shim");
    pid_t shim = fork_twice(&st);
    close(go[0]);
    _cleanup_close_ int go_fd = go[1];
    if (shim <= 0)
        return error_errno(err, errno, "can't start the shim");
    /* It waits for our word, so its pid is still its own. */
    _cleanup_close_ int handle = (int)syscall(SYS_pidfd_open, shim, 0);
    if (write(go_fd, "g", 1) != 1)
        return error_errno(err, errno, "the shim is gone before it began");
    FAULT("executor.after_shim");
    if (pid)
        *pid = shim;
    if (pidfd)
        *pidfd = take_fd(&handle);
    return true;
}
