/* The supervisor's loop: signals, the two daemons, back-off, readiness. One thread; all waiting is in one
 * poll. */
#include "cli/up.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/up_scope.h"
#include "proto/http/easy.h"
#include "proto/json.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 5000
#define BACKOFF_RESET_MS 10000 /* of life */
#define READY_PROBE_MS 10
#define PROBE_TIMEOUT_MS 2000
#define ARGUMENTS_MAX 24

enum { SCHEDULER, EXECUTOR, DAEMONS };

struct daemon {
    const char *name;
    pid_t pid; /* 0: not running */
    int64_t started_ms, start_at_ms, backoff_ms;
    int starts;
    int last_status;
};

struct supervisor {
    const struct up_options *options;
    struct daemon daemons[DAEMONS];
    int parent_pipe[2]; /* the daemons hold the read end; it closes when the supervisor is gone, however it
                           went */
    int signal_fd;
    bool ready, leaving;
    int64_t leave_deadline_ms;
    int exit_code;
};

bool up_is_ready(const char *socket, int pid)
{
    struct http_easy *http = http_easy_create(socket, NULL);
    if (!http)
        return false;
    struct http_easy_request request = {
        .method = "GET", .path = "/v1/version", .timeout_ms = PROBE_TIMEOUT_MS};
    _cleanup_answer_ struct http_easy_answer version = {0}, nodes = {0};
    bool ready = http_easy_perform(http, &request, &version, NULL) && version.status == 200;
    if (ready && pid) {
        _cleanup_json_ cJSON *json = json_parse(version.body.data, version.body.len, NULL);
        ready = json_int(json, "pid", 0) == pid;
    }
    request.path = "/v1/nodes";
    if (ready && http_easy_perform(http, &request, &nodes, NULL) && nodes.status == 200) {
        _cleanup_json_ cJSON *json = json_parse(nodes.body.data, nodes.body.len, NULL);
        const cJSON *node;
        ready = false;
        cJSON_ArrayForEach(node, json_get(json, "nodes"))
        {
            ready = ready ||
                    (strcmp(json_str(node, "name", ""), "local") == 0 && json_bool(node, "session", false));
        }
    } else {
        ready = false;
    }
    http_easy_destroy(http);
    return ready;
}

/* sd_notify(3) by hand: one datagram. */
static void notify_systemd(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, len) < 0)
        cli_note("systemd can't be told: %s", strerror(errno));
}

static void tell_starter(struct supervisor *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell_starter(struct supervisor *s, const char *fmt, ...)
{
    if (s->options->ready_fd < 0)
        return;
    va_list ap;
    va_start(ap, fmt);
    vdprintf(s->options->ready_fd, fmt, ap);
    va_end(ap);
}

static void open_log(const struct up_options *options, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/%s.log", options->state_dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static size_t scheduler_arguments(const struct up_options *o, const char **argv)
{
    size_t n = 0;
    argv[n++] = "--socket";
    argv[n++] = xstrdup(o->socket);
    if (o->idle_exit_s) {
        argv[n++] = "--idle-exit";
        argv[n++] = xasprintf("%lld", (long long)o->idle_exit_s);
    }
    if (o->allow_network_state)
        argv[n++] = "--allow-network-state";
    argv[n++] = "--state-dir";
    argv[n++] = xstrdup(o->state_dir);
    return n;
}

static size_t executor_arguments(const struct up_options *o, const char **argv)
{
    size_t n = 0;
    argv[n++] = "--socket";
    argv[n++] = xasprintf("%s" UP_NODE_SOCKET, o->state_dir);
    argv[n++] = "--secret-file";
    argv[n++] = xasprintf("%s/nodes/local/secret", o->state_dir);
    argv[n++] = "--state-dir";
    argv[n++] = xasprintf("%s/executor", o->state_dir);
    argv[n++] = "--name";
    argv[n++] = "local";
    if (o->inventory) {
        argv[n++] = "--inventory";
        argv[n++] = xstrdup(o->inventory);
    }
    if (o->gpu_library) {
        argv[n++] = "--gpu-library";
        argv[n++] = xstrdup(o->gpu_library);
    }
    return n;
}

/* In the child. The daemons get a process group of their own: a Ctrl-C at the terminal is the supervisor's to
 * pass on. */
static void exec_daemon(struct supervisor *s, struct daemon *d,
                        size_t (*arguments)(const struct up_options *, const char **))
{
    const char *argv[ARGUMENTS_MAX] = {"berth", xstrdup(d->name)};
    size_t n = 2 + arguments(s->options, argv + 2);
    argv[n++] = "--parent-fd";
    argv[n++] = xasprintf("%d", s->parent_pipe[0]);
    setpgid(0, 0);
    fcntl(s->parent_pipe[0], F_SETFD, 0);
    if (s->options->detached)
        open_log(s->options, d->name);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (d == &s->daemons[EXECUTOR])
        up_enter_scope(); /* where it can't, the node lists what it does not limit */
    execv("/proc/self/exe", (char *const *)argv);
    dprintf(STDERR_FILENO, "berth: can't start the %s: %s\n", d->name, strerror(errno));
    _exit(127);
}

static void start_daemon(struct supervisor *s, int which)
{
    struct daemon *d = &s->daemons[which];
    FAULT("up.before_daemon");
    pid_t pid = fork();
    if (pid == 0)
        exec_daemon(s, d, which == SCHEDULER ? scheduler_arguments : executor_arguments);
    d->started_ms = clock_boot_ms();
    d->starts++;
    if (pid < 0) {
        cli_note("can't start the %s: %s", d->name, strerror(errno));
        d->start_at_ms = d->started_ms + BACKOFF_MAX_MS;
        return;
    }
    d->pid = pid;
}

static void leave(struct supervisor *s, int exit_code)
{
    if (s->leaving)
        return;
    s->leaving = true;
    s->exit_code = exit_code;
    s->leave_deadline_ms = clock_boot_ms() + UP_STOP_TIMEOUT_MS;
    notify_systemd("STOPPING=1");
    for (int i = 0; i < DAEMONS; i++)
        if (s->daemons[i].pid)
            kill(s->daemons[i].pid, SIGTERM);
}

static char *describe_status(int status)
{
    if (WIFSIGNALED(status))
        return xasprintf("killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    return xasprintf("exit code %d", WEXITSTATUS(status));
}

static void give_up(struct supervisor *s, const struct daemon *d, const char *how)
{
    const struct up_options *o = s->options;
    if (o->detached)
        tell_starter(s, "failed the %s does not start (%s); its last words are in %s/%s.log\n", d->name, how,
                     o->state_dir, d->name);
    else
        tell_starter(s, "failed the %s does not start (%s)\n", d->name, how);
    cli_note("the %s does not start (%s, tried %d times)", d->name, how, d->starts);
    leave(s, EXIT_REFUSED);
}

static void daemon_ended(struct supervisor *s, int which, int status)
{
    struct daemon *d = &s->daemons[which];
    d->pid = 0;
    d->last_status = status;
    if (s->leaving)
        return;
    if (which == SCHEDULER && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        leave(s, EXIT_OK); /* idle, or told to shut down */
        return;
    }
    _cleanup_free_ char *how = describe_status(status);
    int64_t now = clock_boot_ms();
    if (!s->ready && d->starts >= UP_START_TRIES) {
        give_up(s, d, how);
        return;
    }
    if (now - d->started_ms >= BACKOFF_RESET_MS)
        d->backoff_ms = 0;
    d->backoff_ms = !d->backoff_ms                       ? BACKOFF_FIRST_MS
                    : d->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                         : d->backoff_ms * 2;
    d->start_at_ms = now + d->backoff_ms;
    cli_note("the %s ended (%s); it is started again in %.1f s", d->name, how, (double)d->backoff_ms / 1000);
}

static void reap(struct supervisor *s)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < DAEMONS; i++)
            if (s->daemons[i].pid == pid)
                daemon_ended(s, i, status);
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            continue;
        if (!s->leaving && !s->options->detached)
            cli_note("leaving; jobs that run go on");
        leave(s, EXIT_OK);
    }
    reap(s);
}

static void became_ready(struct supervisor *s)
{
    s->ready = true;
    FAULT("up.before_ready");
    tell_starter(s, "ready\n");
    notify_systemd("READY=1");
    cli_note("ready: %s", s->options->socket);
}

static bool node_exists(const struct up_options *options)
{
    _cleanup_free_ char *secret = xasprintf("%s/nodes/local/secret", options->state_dir);
    return access(secret, F_OK) == 0;
}

/* Starts what is due and returns how long the loop may sleep, in ms (-1: until something happens). */
static int run_timers(struct supervisor *s)
{
    int64_t now = clock_boot_ms(), next = INT64_MAX;
    if (s->leaving) {
        if (now >= s->leave_deadline_ms)
            for (int i = 0; i < DAEMONS; i++)
                if (s->daemons[i].pid)
                    kill(s->daemons[i].pid, SIGKILL);
        return now >= s->leave_deadline_ms ? 1000 : (int)(s->leave_deadline_ms - now);
    }
    for (int i = 0; i < DAEMONS; i++) {
        struct daemon *d = &s->daemons[i];
        if (d->pid)
            continue;
        if (i == EXECUTOR && !node_exists(s->options)) /* made by the scheduler's very first start */
            d->start_at_ms = now + READY_PROBE_MS;
        if (now >= d->start_at_ms)
            start_daemon(s, i);
        if (!d->pid && d->start_at_ms < next)
            next = d->start_at_ms;
    }
    if (!s->ready) {
        if (s->daemons[SCHEDULER].pid && up_is_ready(s->options->socket, s->daemons[SCHEDULER].pid))
            became_ready(s);
        else if (next > now + READY_PROBE_MS)
            next = now + READY_PROBE_MS;
    }
    now = clock_boot_ms();
    return next == INT64_MAX ? -1 : next <= now ? 0 : (int)(next - now);
}

static bool anything_runs(const struct supervisor *s)
{
    for (int i = 0; i < DAEMONS; i++)
        if (s->daemons[i].pid)
            return true;
    return false;
}

static bool prepare_loop(struct supervisor *s, struct error *err)
{
    if (pipe2(s->parent_pipe, O_CLOEXEC) != 0)
        return error_errno(err, errno, "can't make a pipe");
    sigset_t set;
    sigemptyset(&set);
    static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(&set, signals[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signal_fd >= 0 ? true : error_errno(err, errno, "can't wait for signals");
}

int up_supervise(const struct up_options *options)
{
    struct supervisor s = {.options = options,
                           .daemons = {{.name = "scheduler"}, {.name = "executor"}},
                           .parent_pipe = {-1, -1},
                           .signal_fd = -1};
    struct error err = {0};
    _cleanup_close_ int lock = -1;
    bool ok = up_prepare_state(options, &err);
    if (options->lock_fd >= 0) {
        lock = options->lock_fd;
        ok = ok && fcntl(lock, F_SETFD, FD_CLOEXEC) == 0 && up_sign_lock(lock, &err);
    } else {
        lock = ok ? up_lock_state(options->state_dir, NULL, &err) : -1;
        ok = lock >= 0;
    }
    ok = ok && prepare_loop(&s, &err);
    if (!ok) {
        tell_starter(&s, "failed %s\n", err.message);
        return cli_fail(&err);
    }
    for (;;) {
        int timeout_ms = run_timers(&s);
        if (s.leaving && !anything_runs(&s))
            break;
        struct pollfd fd = {.fd = s.signal_fd, .events = POLLIN};
        poll(&fd, 1, timeout_ms);
        read_signals(&s);
    }
    close(s.parent_pipe[0]);
    close(s.parent_pipe[1]);
    close(s.signal_fd);
    return s.exit_code;
}
