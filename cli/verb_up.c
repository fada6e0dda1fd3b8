/* berth up */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/print.h"
#include "cli/up.h"
#include "cli/when.h"
#include "cli/where.h"

#include <string.h>
#include <sys/stat.h>

struct up_args {
    struct args_base base;
    bool detach, allow_network_state, detached_child;
    const char *socket, *inventory, *gpu_library;
    struct opt_number ready_fd, lock_fd;
    const char *idle_exit;
};

static const struct opt up_opts[] = {
    {"detach", 'd', NULL, "return once it is ready; it goes on without this terminal", OPT_FLAG,
     offsetof(struct up_args, detach)},
    {"state-dir", 0, "DIR",
     "where everything is kept (default: /var/lib/berth for root, else ~/.local/state/berth)", OPT_STRING,
     offsetof(struct up_args, base.state_dir)},
    {"socket", 0, "PATH", "the socket for people (default: berth.sock in the state folder)", OPT_STRING,
     offsetof(struct up_args, socket)},
    {"idle-exit", 0, "DURATION", "end by itself when for so long no job was live and nobody asked",
     OPT_STRING, offsetof(struct up_args, idle_exit)},
    {"inventory", 0, "FILE", "what the local node is said to have, instead of looking (simulation)",
     OPT_STRING, offsetof(struct up_args, inventory)},
    {"gpu-library", 0, "PATH", "the CUDA driver library to load instead of libcuda.so.1", OPT_STRING,
     offsetof(struct up_args, gpu_library)},
    {"allow-network-state", 0, NULL, "use a state folder on a network filesystem all the same", OPT_FLAG,
     offsetof(struct up_args, allow_network_state)},
    {"ready-fd", 0, "N", NULL, OPT_NUMBER, offsetof(struct up_args, ready_fd)},
    {"lock-fd", 0, "N", NULL, OPT_NUMBER, offsetof(struct up_args, lock_fd)},
    {"detached-child", 0, NULL, NULL, OPT_FLAG, offsetof(struct up_args, detached_child)},
    {0},
};

/* As the machine's service (root, started by systemd with RuntimeDirectory=berth), where everybody looks. */
static char *default_socket(const char *state_dir)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY");
    if (geteuid() == 0 && runtime && strcmp(runtime, "/run/berth") == 0)
        return xstrdup(WHERE_SYSTEM_SOCKET);
    return xasprintf("%s/berth.sock", state_dir);
}

static int run_up(void *p, int argc, char **argv)
{
    struct up_args *args = p;
    if (argc > 0)
        return cli_usage("up", "up takes no operands; \"%s\" is one", argv[0]);
    struct error err = {0};
    int64_t idle_ms = 0;
    if (args->idle_exit && !when_read_duration("--idle-exit", args->idle_exit, &idle_ms, &err))
        return cli_usage("up", "%s", err.message);
    _cleanup_free_ char *state_dir = where_state_dir(args->base.state_dir, &err);
    if (!state_dir)
        return cli_fail(&err);
    _cleanup_free_ char *socket =
        args->socket ? where_absolute(args->socket, &err) : default_socket(state_dir);
    if (!socket)
        return cli_fail(&err);
    struct up_options options = {
        .state_dir = state_dir,
        .socket = socket,
        .idle_exit_s = (idle_ms + 999) / 1000,
        .inventory = args->inventory,
        .gpu_library = args->gpu_library,
        .allow_network_state = args->allow_network_state,
        .detached = args->detached_child,
        .ready_fd = args->ready_fd.given ? (int)args->ready_fd.value : -1,
        .lock_fd = args->lock_fd.given ? (int)args->lock_fd.value : -1,
    };
    struct stat st;
    if (!args->detached_child && strcmp(socket, WHERE_SYSTEM_SOCKET) != 0 &&
        lstat(WHERE_SYSTEM_SOCKET, &st) == 0)
        cli_note("this machine has a Berth for all (" WHERE_SYSTEM_SOCKET
                 "), which every command finds first; "
                 "this one needs BERTH_HOST=%s",
                 socket);
    if (!args->detach)
        return up_supervise(&options);
    _cleanup_free_ char *inventory = args->inventory ? where_absolute(args->inventory, &err) : NULL;
    if (args->inventory && !inventory)
        return cli_fail(&err);
    options.inventory = inventory;
    if (!up_start_detached(&options, false, &err))
        return cli_fail(&err);
    print_line(PRINT_OUT, "Berth is up: %s", socket);
    _cleanup_free_ char *own = xasprintf("%s/berth.sock", state_dir);
    bool found =
        (strcmp(socket, own) == 0 && !args->base.state_dir) || strcmp(socket, WHERE_SYSTEM_SOCKET) == 0;
    print_line(PRINT_OUT, "next: berth run %s%s%s-- COMMAND...", found ? "" : "--host ", found ? "" : socket,
               found ? "" : " ");
    return EXIT_OK;
}

const struct verb verb_up = {
    .name = "up",
    .synopsis = "[--detach] [--state-dir DIR] [--socket PATH]",
    .summary = "start Berth: scheduler and this machine's executor",
    .details =
        "In the foreground Ctrl-C leaves; jobs that run go on and are found again by the next `berth up`.\n"
        "`berth run` and `berth submit` start it by themselves when it is not there.",
    .options = up_opts,
    .args_size = sizeof(struct up_args),
    .run = run_up,
};
