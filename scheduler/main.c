/* The verb `scheduler`: its options, and the daemon. */
#include "scheduler/entry.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "base/print.h"
#include "proto/units.h"
#include "scheduler/daemon.h"

#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: berth scheduler --state-dir DIR [options]\n"
    "\n"
    "Runs the scheduler alone, in the foreground; berth up runs it together with the local executor.\n"
    "\n"
    "  --state-dir DIR           where everything is kept\n"
    "  --socket PATH             the people's socket (DIR/berth.sock)\n"
    "  --socket-mode MODE        its permissions, octal (0600; for root's socket outside of DIR 0666: roles "
    "decide)\n"
    "  --log-dir DIR             the tasks' logs (DIR/logs)\n"
    "  --outputs-dir DIR         the tasks' outputs (DIR/outputs)\n"
    "  --parent-fd N             leave when this pipe ends\n"
    "  --idle-exit DURATION      leave when no job was live and no request came for this long\n"
    "  --checkpoint-rows N       journal rows between two checkpoints (50000): recovery applies no more\n"
    "  --allow-network-state     accept a state folder on a network filesystem\n"
    "  --may-sleep yes|no        whether this machine may go to sleep (one with a battery may): gangs then "
    "wait "
    "for silent nodes\n";

enum {
    OPT_STATE = 256,
    OPT_SOCKET,
    OPT_MODE,
    OPT_LOGS,
    OPT_OUTPUTS,
    OPT_PARENT,
    OPT_IDLE,
    OPT_CHECKPOINT,
    OPT_NETWORK,
    OPT_HELP,
    OPT_SLEEP
};

static const struct option options[] = {
    {"state-dir", required_argument, NULL, OPT_STATE},
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"socket-mode", required_argument, NULL, OPT_MODE},
    {"log-dir", required_argument, NULL, OPT_LOGS},
    {"outputs-dir", required_argument, NULL, OPT_OUTPUTS},
    {"parent-fd", required_argument, NULL, OPT_PARENT},
    {"idle-exit", required_argument, NULL, OPT_IDLE},
    {"checkpoint-rows", required_argument, NULL, OPT_CHECKPOINT},
    {"allow-network-state", no_argument, NULL, OPT_NETWORK},
    {"help", no_argument, NULL, OPT_HELP},
    {"may-sleep", required_argument, NULL, OPT_SLEEP},
    {NULL, 0, NULL, 0},
};

static bool number(const char *text, int base, long max, long *out)
{
    char *end;
    *out = strtol(text, &end, base);
    return *text && !*end && *out >= 0 && *out <= max;
}

static char *absolute(const char *path)
{
    char cwd[PATH_MAX];
    if (path[0] == '/' || !getcwd(cwd, sizeof cwd))
        return xstrdup(path);
    return xasprintf("%s/%s", cwd, path);
}

#define MODE_BY_PLACE ((mode_t)-1)

struct arguments {
    char *state, *socket, *logs, *outputs;
    struct daemon_options o;
    bool help;
};

static bool parse(int argc, char **argv, struct arguments *a)
{
    long n = 0;
    int64_t idle_ms = 0;
    bool ok = true;
    optind = 0;
    opterr = 0;
    for (int c; ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case OPT_STATE:
            a->state = absolute(optarg);
            break;
        case OPT_SOCKET:
            a->socket = absolute(optarg);
            break;
        case OPT_LOGS:
            a->logs = absolute(optarg);
            break;
        case OPT_OUTPUTS:
            a->outputs = absolute(optarg);
            break;
        case OPT_MODE:
            ok = number(optarg, 8, 0777, &n);
            a->o.socket_mode = (mode_t)n;
            break;
        case OPT_PARENT:
            ok = number(optarg, 10, INT_MAX, &n);
            a->o.parent_fd = (int)n;
            break;
        case OPT_IDLE:
            ok = units_parse_duration(optarg, &idle_ms);
            a->o.idle_exit_s = (idle_ms + 999) / 1000;
            break;
        case OPT_CHECKPOINT:
            ok = number(optarg, 10, JOURNAL_SEGMENT_ROWS, &n) && n > 0;
            a->o.checkpoint_rows = (uint32_t)n;
            break;
        case OPT_NETWORK:
            a->o.allow_network_state = true;
            break;
        case OPT_HELP:
            a->help = true;
            return true;
        case OPT_SLEEP:
            ok = strcmp(optarg, "yes") == 0 || strcmp(optarg, "no") == 0;
            a->o.may_sleep = optarg[0] == 'y';
            break;
        default:
            print_line(PRINT_ERR, "berth scheduler: unknown option, or one without its value: %.80s",
                       argv[optind - 1]);
            ok = false;
            break;
        }
    }
    if (!ok || optind < argc || !a->state) {
        print_err("berth scheduler: %s\ntry: berth scheduler --help\n",
                  a->state || !ok ? "bad arguments" : "--state-dir is missing");
        return false;
    }
    if (!a->socket)
        a->socket = xasprintf("%s/berth.sock", a->state);
    if (!a->logs)
        a->logs = xasprintf("%s/logs", a->state);
    if (!a->outputs)
        a->outputs = xasprintf("%s/outputs", a->state);
    return true;
}

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

int scheduler_main(int argc, char **argv)
{
    struct arguments a = {.o = {.parent_fd = -1, .socket_mode = MODE_BY_PLACE, .may_sleep = -1}};
    struct error err = {0};
    int code = 0;
    log_init("scheduler");
    if (!parse(argc, argv, &a))
        return 2;
    if (a.help) {
        print_out("%s", usage);
        return 0;
    }
    a.o.state_dir = a.state;
    if (a.o.socket_mode == MODE_BY_PLACE) { /* a system service's socket is everybody's */
        size_t n = strlen(a.state);
        bool inside = strncmp(a.socket, a.state, n) == 0 && a.socket[n] == '/';
        a.o.socket_mode = geteuid() == 0 && !inside ? 0666 : 0600;
    }
    a.o.socket_path = a.socket;
    a.o.log_dir = a.logs;
    a.o.outputs_dir = a.outputs;
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    raise_limits();
    struct daemon *d = xcalloc(1, sizeof *d);
    if (daemon_init(d, &a.o, &err)) {
        daemon_run(d);
    } else {
        log_error("%s%s%s", err.message, err.hint[0] ? "; " : "", err.hint);
        code = 1;
    }
    daemon_finish(d);
    free(d);
    free(a.state);
    free(a.socket);
    free(a.logs);
    free(a.outputs);
    return code;
}
