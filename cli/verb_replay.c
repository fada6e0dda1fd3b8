/* berth replay: what a kept journal says. It needs no Berth that runs. */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/daemons.h"
#include "cli/when.h"
#include "cli/where.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct replay_args {
    struct args_base base;
    const char *at, *policy;
};

static const struct opt replay_opts[] = {
    {"at", 0, "TIME", "show that moment: " WHEN_PAST, OPT_STRING, offsetof(struct replay_args, at)},
    {"policy", 0, "P", "decide the kept jobs again: fcfs, easy, easy-sjbf, conservative, berth", OPT_STRING,
     offsetof(struct replay_args, policy)},
    {"state-dir", 0, "DIR", "the state folder (default: your own Berth's)", OPT_STRING,
     offsetof(struct replay_args, base.state_dir)},
    OPT_OUTPUT(struct replay_args),
    {0},
};

/* The state directory of the Berth that $BERTH_HOST names: that of its socket. NULL with an error where no
 * journal of this machine is meant. */
static char *named_by_host(const char *host, struct error *err)
{
    const char *slash = strrchr(host, '/');
    _cleanup_free_ char *directory =
        *host == '/' && slash != host ? xstrndup(host, (size_t)(slash - host)) : NULL;
    _cleanup_free_ char *journal = directory ? xasprintf("%s/journal", directory) : NULL;
    if (journal && access(journal, F_OK) == 0)
        return take_ptr(directory);
    error_set(err, ERROR_INVALID, "replay reads a journal of this machine, and BERTH_HOST=%s names none",
              host);
    error_hint(err, "berth replay --state-dir DIR");
    return NULL;
}

static int run_replay(void *p, int argc, char **argv)
{
    const struct replay_args *args = p;
    struct error err = {0};
    bool bad_output, json = cli_wants_json(&args->base, &bad_output);
    if (bad_output)
        return cli_usage("replay", "-o takes json or table, not \"%s\"", args->base.output);
    if (argc)
        return cli_usage("replay", "replay takes no operands, not \"%s\"", argv[0]);
    if (args->at && args->policy)
        return cli_usage("replay", "--at and --policy exclude each other");
    int64_t at_ms = 0;
    if (args->at && !when_read_past("--at", args->at, clock_wall_ms(), &at_ms, &err))
        return cli_usage("replay", "%s", err.message);
    const char *host = args->base.state_dir ? NULL : getenv("BERTH_HOST");
    _cleanup_free_ char *state_dir =
        host && *host ? named_by_host(host, &err) : where_state_dir(args->base.state_dir, &err);
    return state_dir ? daemon_replay(state_dir, at_ms, args->policy, json) : cli_fail(&err);
}

const struct verb verb_replay = {
    .name = "replay",
    .synopsis = "[--state-dir DIR] [-o json]\n--at TIME [--state-dir DIR] [-o json]\n"
                "--policy P [--state-dir DIR] [-o json]",
    .summary = "check the kept journal, show a moment of it, or decide it again",
    .details =
        "Alone it applies every kept row and decides each again, and says at which row that differs from "
        "what was recorded.\n--at shows the queue, what ran and what was free at a moment. --policy plays "
        "the jobs that have ended by\nanother policy, and compares how long each user's jobs would have "
        "waited. The Berth may be running; nothing of\nit is changed.",
    .options = replay_opts,
    .args_size = sizeof(struct replay_args),
    .run = run_replay,
};
