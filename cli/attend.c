/* One loop for log, keys and signals: http_easy_wait waits for all of them. */
#include "cli/attend.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/cli.h"
#include "cli/follow.h"
#include "cli/outcome.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>

#define KEYS_RETRY_MS 50
#define KEYS_RETRY_MAX_MS 1000
#define CANCEL_TIMEOUT_MS 5000

enum { FD_SIGNALS, FD_KEYS };

struct attend {
    struct client *client;
    const char *job;
    const struct attend_options *options;
    int signal_fd;
    bool interrupted, canceled; /* SIGINT was sent to the job, or its cancel */
    bool detached;
    struct http_easy_call *signal_call, *cancel_call, *resize_call, *keys_call;
    struct buf cancel_path, resize_body, resize_path;
    bool resize_again;
    /* standard input on its way: one request at a time */
    struct buf keys;
    bool keys_eof, keys_done, keys_at_line_start, keys_tilde;
    int64_t keys_retry_at_ms;
    int keys_retry_ms;
};

static struct termios saved_terminal;
static bool terminal_is_raw;

static void restore_terminal(void)
{
    if (terminal_is_raw)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_terminal);
    terminal_is_raw = false;
}

static void make_terminal_raw(void)
{
    static bool registered;
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &saved_terminal) != 0)
        return;
    raw = saved_terminal;
    cfmakeraw(&raw);
    if (!registered)
        atexit(restore_terminal);
    registered = true;
    terminal_is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void waited_signals(sigset_t *set)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaddset(set, signals[i]);
}

void attend_block_signals(void)
{
    sigset_t set;
    waited_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- what goes to the job ---- */

static struct http_easy_call *post(struct attend *a, const char *rest, const void *body, size_t n)
{
    _cleanup_free_ char *path = client_job_path(a->job, rest);
    struct http_easy_request request = {.method = "POST", .path = path, .body = body, .body_len = n};
    return http_easy_start(a->client->http, &request);
}

static void ask_to_cancel(struct attend *a)
{
    static const char body[] = "{\"force\":false}";
    if (!a->cancel_call)
        a->cancel_call = post(a, "/cancel", body, sizeof body - 1);
}

static void cancel(struct attend *a, const char *why)
{
    a->canceled = true;
    cli_note("%s: it is asked to end; Ctrl-C again leaves it", why);
    ask_to_cancel(a);
}

static void send_window_size(struct attend *a)
{
    struct winsize size;
    if (!a->options->tty || ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0)
        return;
    if (a->resize_call) {
        a->resize_again = true;
        return;
    }
    buf_clear(&a->resize_body);
    buf_printf(&a->resize_body, "{\"rows\":%d,\"cols\":%d}", size.ws_row, size.ws_col);
    a->resize_call = post(a, "/resize", a->resize_body.data, a->resize_body.len);
}

static void send_keys(struct attend *a)
{
    bool nothing = a->keys.len == 0 && !a->keys_eof;
    if (a->keys_done || a->keys_call || nothing || clock_boot_ms() < a->keys_retry_at_ms)
        return;
    a->keys_call = post(a, a->keys_eof && a->keys.len == 0 ? "/stdin?eof=1" : "/stdin?eof=0",
                        a->keys.data ? a->keys.data : "", a->keys.len);
}

/* "~." at the start of a line leaves, as in ssh; "~~" is one tilde. */
static void filter_keys(struct attend *a, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && !a->detached; i++) {
        char c = bytes[i];
        if (a->keys_tilde) {
            a->keys_tilde = false;
            if (c == '.') {
                a->detached = true;
                return;
            }
            buf_add_char(&a->keys, '~');
            if (c == '~')
                continue;
        } else if (a->keys_at_line_start && c == '~') {
            a->keys_tilde = true;
            a->keys_at_line_start = false;
            continue;
        }
        buf_add_char(&a->keys, c);
        a->keys_at_line_start = c == '\r' || c == '\n';
    }
}

static void read_keys(struct attend *a)
{
    char bytes[ATTEND_KEYS_MAX / 2];
    ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0)
        a->keys_eof = true;
    else if (a->options->tty)
        filter_keys(a, bytes, (size_t)n);
    else
        buf_add(&a->keys, bytes, (size_t)n);
}

static void end_keys_call(struct attend *a)
{
    const struct http_easy_answer *answer;
    struct error err = {0};
    if (!a->keys_call || !http_easy_call_done(a->keys_call, &answer, &err))
        return;
    bool taken = answer && answer->status >= 200 && answer->status <= 299;
    if (taken) {
        if (a->keys.len == 0)
            a->keys_done = true;
        buf_clear(&a->keys);
        a->keys_retry_ms = 0;
        a->keys_retry_at_ms = 0;
    } else if (answer && answer->status != 429 && answer->status != 409 && answer->status != 503) {
        a->keys_done = true; /* refused for good */
    } else {                 /* not started yet, full, or the scheduler is away */
        a->keys_retry_ms = !a->keys_retry_ms ? KEYS_RETRY_MS : a->keys_retry_ms * 2;
        if (a->keys_retry_ms > KEYS_RETRY_MAX_MS || (answer && answer->status == 429))
            a->keys_retry_ms = answer && answer->status == 429 ? KEYS_RETRY_MS : KEYS_RETRY_MAX_MS;
        a->keys_retry_at_ms = clock_boot_ms() + a->keys_retry_ms;
    }
    http_easy_call_destroy(a->keys_call);
    a->keys_call = NULL;
}

static void end_resize_call(struct attend *a)
{
    const struct http_easy_answer *answer;
    if (!a->resize_call || !http_easy_call_done(a->resize_call, &answer, NULL))
        return;
    http_easy_call_destroy(a->resize_call);
    a->resize_call = NULL;
    if (a->resize_again) {
        a->resize_again = false;
        send_window_size(a);
    }
}

/* What does not run can't be interrupted: it is canceled. */
static void end_signal_call(struct attend *a)
{
    const struct http_easy_answer *answer;
    struct error err = {0};
    if (!a->signal_call || !http_easy_call_done(a->signal_call, &answer, &err))
        return;
    int status = answer ? answer->status : 0;
    if (answer && (status < 200 || status > 299))
        client_refusal(answer, &err);
    http_easy_call_destroy(a->signal_call);
    a->signal_call = NULL;
    if (a->canceled)
        return; /* the second Ctrl-C came before */
    if (status >= 200 && status <= 299)
        cli_note("sent SIGINT to job %s; Ctrl-C again cancels it, a third leaves it", a->job);
    else if (status == 409)
        cancel(a, err.message);
    else {
        cli_fail(&err);
        cli_note("Ctrl-C again cancels job %s, a third leaves it", a->job);
    }
}

static void end_cancel_call(struct attend *a)
{
    const struct http_easy_answer *answer;
    struct error err = {0};
    if (!a->cancel_call || !http_easy_call_done(a->cancel_call, &answer, &err))
        return;
    if (answer && (answer->status < 200 || answer->status > 299)) {
        client_refusal(answer, &err);
        answer = NULL;
    }
    if (!answer)
        cli_fail(&err);
    http_easy_call_destroy(a->cancel_call);
    a->cancel_call = NULL;
}

/* ---- signals ---- */

static void interrupted(struct attend *a)
{
    static const char body[] = "{\"signal\":\"INT\"}";
    if (!a->options->cancels || a->canceled) {
        a->detached = true;
        return;
    }
    print_err("\n");
    if (a->interrupted) {
        _cleanup_free_ char *why = xasprintf("job %s was interrupted already", a->job);
        cancel(a, why);
        return;
    }
    a->interrupted = true;
    a->signal_call = post(a, "/signal", body, sizeof body - 1);
}

static void read_signals(struct attend *a)
{
    struct signalfd_siginfo info;
    while (read(a->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        switch (info.ssi_signo) {
        case SIGINT:
            interrupted(a);
            break;
        case SIGWINCH:
            send_window_size(a);
            break;
        case SIGCONT:
            if (a->options->tty) {
                make_terminal_raw();
                send_window_size(a);
            }
            break;
        default: /* the terminal is gone, or we are told to go: the job goes on */
            a->detached = true;
        }
    }
}

/* ---- the loop's companion ---- */

static size_t companion_fds(void *ctx, struct pollfd *fds, int *timeout_ms)
{
    struct attend *a = ctx;
    fds[FD_SIGNALS] = (struct pollfd){.fd = a->signal_fd, .events = POLLIN};
    if (!a->options->interactive || a->keys_done)
        return 1;
    int64_t now = clock_boot_ms();
    if (a->keys_retry_at_ms > now && !a->keys_call)
        *timeout_ms = (int)(a->keys_retry_at_ms - now);
    bool wants = !a->keys_eof && !a->keys_call && a->keys.len < ATTEND_KEYS_MAX / 2;
    fds[FD_KEYS] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
    return wants ? 2 : 1;
}

static bool companion_turn(void *ctx, const struct pollfd *fds, size_t n)
{
    struct attend *a = ctx;
    if (fds[FD_SIGNALS].revents)
        read_signals(a);
    end_signal_call(a);
    end_cancel_call(a);
    end_resize_call(a);
    end_keys_call(a);
    if (n > FD_KEYS && fds[FD_KEYS].revents)
        read_keys(a);
    if (a->options->interactive)
        send_keys(a);
    return !a->detached;
}

/* A second Ctrl-C may come before the first one's request is out. */
static void finish_cancel(struct attend *a)
{
    int64_t deadline_ms = clock_boot_ms() + CANCEL_TIMEOUT_MS;
    while (a->cancel_call && clock_boot_ms() < deadline_ms) {
        end_cancel_call(a);
        if (a->cancel_call)
            http_easy_wait(a->client->http, NULL, 0, CANCEL_TIMEOUT_MS);
    }
}

static int leave(struct attend *a, const char *why)
{
    finish_cancel(a);
    restore_terminal();
    print_err("\n");
    cli_note("%s; job %s goes on%s", why, a->job, a->canceled ? " until it has stopped" : "");
    print_line(PRINT_ERR, "try: berth logs -f %s, or berth cancel %s", a->job, a->job);
    return EXIT_DETACHED;
}

/* The end of the job, while a Ctrl-C still counts. */
static int await_end(struct attend *a)
{
    sigset_t set;
    waited_signals(&set);
    signal(SIGINT, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    struct error err = {0};
    _cleanup_json_ cJSON *job = follow_wait(a->client, a->job, 0, &err);
    if (!job)
        return cli_fail(&err);
    outcome_tell(a->client, job);
    return outcome_exit_code(job);
}

static void finish(struct attend *a)
{
    restore_terminal();
    http_easy_call_destroy(a->signal_call);
    http_easy_call_destroy(a->cancel_call);
    http_easy_call_destroy(a->resize_call);
    http_easy_call_destroy(a->keys_call);
    buf_finish(&a->resize_body);
    buf_finish(&a->keys);
    if (a->signal_fd >= 0)
        close(a->signal_fd);
}

int attend_job(struct client *client, const char *job, const struct attend_options *options)
{
    struct attend a = {.client = client, .job = job, .options = options, .keys_at_line_start = true};
    sigset_t set;
    attend_block_signals();
    waited_signals(&set);
    a.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (options->tty && isatty(STDIN_FILENO)) {
        cli_note("keys go to the job once it runs; Enter ~ . leaves it");
        make_terminal_raw();
    }
    struct follow_options follow = {
        .follow = true, .fd = STDOUT_FILENO, .notes = !options->tty /* a raw terminal is the job's */};
    struct follow_companion companion = {companion_fds, companion_turn, &a};
    struct error err = {0};
    enum follow_end end = follow_log(client, job, &follow, &companion, NULL, &err);
    int code = EXIT_REFUSED;
    restore_terminal();
    switch (end) {
    case FOLLOW_DONE:
        code = await_end(&a);
        break;
    case FOLLOW_STOPPED:
        code = leave(&a, "left");
        break;
    case FOLLOW_CLOSED:
        if (err.sys_errno != EPIPE)
            code = cli_fail(&err);
        leave(&a, err.sys_errno == EPIPE ? "nobody reads the log here any more" : "left");
        if (err.sys_errno == EPIPE)
            code = EXIT_NO_READER;
        break;
    case FOLLOW_FAILED:
        code = cli_fail(&err);
        break;
    }
    finish(&a);
    return code;
}
