/* Starting a supervisor that outlives the terminal, and waiting until it is ready. */
#include "cli/up.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "cli/cli.h"
#include "cli/up_scope.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define JOIN_PROBE_MS 20
#define JOIN_TRIES 10 /* others that start and fail while this one waits for them */
#define TAIL_BYTES 2000

/* Large logs are set aside here, where no daemon has them open. */
static void rotate_logs(const char *state_dir)
{
    static const char *const names[] = {"up", "scheduler", "executor"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s.log", state_dir, names[i]);
        _cleanup_free_ char *old = xasprintf("%s.1", path);
        struct stat st;
        if (lstat(path, &st) == 0 && st.st_size > UP_LOG_MAX_BYTES)
            rename(path, old);
    }
}

static void exec_supervisor(const struct up_options *o, int ready_fd, int lock_fd)
{
    const char *argv[24] = {"berth",
                            "up",
                            "--ready-fd",
                            "3",
                            "--lock-fd",
                            "4",
                            "--detached-child",
                            "--state-dir",
                            xstrdup(o->state_dir),
                            "--socket",
                            xstrdup(o->socket)};
    size_t n = 11;
    if (o->idle_exit_s) {
        argv[n++] = "--idle-exit";
        argv[n++] = xasprintf("%lld", (long long)o->idle_exit_s);
    }
    if (o->inventory) {
        argv[n++] = "--inventory";
        argv[n++] = xstrdup(o->inventory);
    }
    if (o->gpu_library) {
        argv[n++] = "--gpu-library";
        argv[n++] = xstrdup(o->gpu_library);
    }
    if (o->allow_network_state)
        argv[n++] = "--allow-network-state";
    _cleanup_free_ char *log = xasprintf("%s/up.log", o->state_dir);
    int null = open("/dev/null", O_RDWR), out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
    ready_fd = fcntl(ready_fd, F_DUPFD, 10); /* out of the way of what comes to 0..4 */
    lock_fd = fcntl(lock_fd, F_DUPFD, 10);
    dup2(null, STDIN_FILENO);
    dup2(out >= 0 ? out : null, STDOUT_FILENO);
    dup2(out >= 0 ? out : null, STDERR_FILENO);
    dup2(ready_fd, 3);
    dup2(lock_fd, 4);
    close_range(5, ~0U, 0);
    umask(077);
    if (chdir("/") != 0)
        _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int sig = 1; sig < 32; sig++) /* nohup and shells hand ignored signals on */
        signal(sig, SIG_DFL);
    execv("/proc/self/exe", (char *const *)argv);
    dprintf(3, "failed can't start again as the supervisor: %s\n", strerror(errno));
    _exit(127);
}

/* Reads the supervisor's one line. */
static bool await_line(int fd, const char *state_dir, struct error *err)
{
    char line[ERROR_MESSAGE_MAX];
    size_t len = 0;
    int64_t deadline_ms = clock_boot_ms() + UP_READY_TIMEOUT_MS;
    while (!memchr(line, '\n', len)) {
        int64_t left = deadline_ms - clock_boot_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR)) {
            error_set(err, ERROR_TIMEOUT, "the Berth that was started is not ready after %d s",
                      UP_READY_TIMEOUT_MS / 1000);
            return error_hint(err, "look into %s/up.log and executor.log", state_dir);
        }
        if (!p.revents)
            continue;
        ssize_t n = len < sizeof line - 1 ? read(fd, line + len, sizeof line - 1 - len) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            error_set(err, ERROR_UNAVAILABLE, "the Berth that was started ended before it was ready");
            return error_hint(err, "look into %s/up.log", state_dir);
        }
        len += (size_t)n;
    }
    *(char *)memchr(line, '\n', len) = '\0';
    if (strcmp(line, "ready") == 0)
        return true;
    error_set(err, ERROR_UNAVAILABLE, "%s", strncmp(line, "failed ", 7) == 0 ? line + 7 : line);
    return error_hint(err, "berth doctor tells what this machine lacks");
}

static bool await_other(const struct up_options *o, struct error *err)
{
    int64_t deadline_ms = clock_boot_ms() + UP_READY_TIMEOUT_MS;
    while (!up_is_ready(o->socket, 0)) {
        if (!up_lock_holder(o->state_dir))
            return error_set(err, ERROR_UNAVAILABLE, "the Berth that was starting on %s is gone",
                             o->state_dir);
        if (clock_boot_ms() >= deadline_ms) {
            error_set(err, ERROR_TIMEOUT, "the Berth on %s (pid %d) is not ready after %d s", o->state_dir,
                      up_lock_holder(o->state_dir), UP_READY_TIMEOUT_MS / 1000);
            return error_hint(err, "look into %s/up.log and executor.log", o->state_dir);
        }
        poll(NULL, 0, JOIN_PROBE_MS);
    }
    return true;
}

static bool start_once(const struct up_options *options, int lock_fd, struct error *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_errno(err, errno, "can't make a pipe");
    rotate_logs(options->state_dir);
    pid_t pid = fork();
    if (pid == 0) {
        /* a session of its own, and a second fork so that it is nobody's child here and never gets a terminal
         */
        setsid();
        pid_t second = fork();
        if (second != 0)
            _exit(second < 0 ? 1 : 0);
        exec_supervisor(options, ends[1], lock_fd);
    }
    int e = errno;
    close(ends[1]);
    _cleanup_close_ int fd = ends[0];
    if (pid < 0)
        return error_errno(err, e, "can't start a process");
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return await_line(fd, options->state_dir, err);
}

/* At the first use of a login: what it lacks, and who can mend it. */
static bool tell_lingering(void)
{
    const struct passwd *user = up_lacks_lingering() ? getpwuid(geteuid()) : NULL;
    if (user)
        cli_note(
            "lingering is off: jobs have no limits of cores and memory here, and may end when you log out; "
            "sudo loginctl enable-linger %s mends it",
            user->pw_name);
    return true;
}

bool up_start_detached(const struct up_options *options, bool join, struct error *err)
{
    if (!up_prepare_state(options, err))
        return false;
    for (int tries = 0;; tries++) {
        int holder = 0;
        _cleanup_close_ int lock = up_lock_state(options->state_dir, &holder, err);
        if (lock >= 0) /* handed over: nobody comes between */
            return start_once(options, lock, err) && tell_lingering();
        bool held = up_lock_holder(options->state_dir) != 0;
        if (!join || tries == JOIN_TRIES)
            return false;
        if (held && await_other(options, err))
            return true;
    }
}
