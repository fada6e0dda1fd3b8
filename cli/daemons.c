/* Verbs that are daemons: they parse their own arguments (argv[0] is the verb). */
#include "cli/daemons.h"

#include "cli/cli.h"

#ifdef BERTH_HAVE_SCHEDULER
#include "scheduler/entry.h"
#endif
#ifdef BERTH_HAVE_EXECUTOR
#include "executor/entry.h"
#endif
#ifdef BERTH_HAVE_GPU
#include "gpu/entry.h"
#endif

int daemon_scheduler(void *args, int argc, char **argv)
{
    (void)args;
#ifdef BERTH_HAVE_SCHEDULER
    return scheduler_main(argc, argv);
#else
    return cli_usage(NULL, "this build has no scheduler (%d words after %s)", argc - 1, argv[0]);
#endif
}

int daemon_sim(void *args, int argc, char **argv)
{
    (void)args;
#ifdef BERTH_HAVE_SCHEDULER
    return sim_main(argc, argv);
#else
    return cli_usage(NULL, "this build has no simulator (%d words after %s)", argc - 1, argv[0]);
#endif
}

const char *daemon_sim_option(unsigned index)
{
#ifdef BERTH_HAVE_SCHEDULER
    return sim_option(index);
#else
    return index ? NULL : "help";
#endif
}

int daemon_replay(const char *state_dir, int64_t at_ms, const char *policy, bool json)
{
#ifdef BERTH_HAVE_SCHEDULER
    return replay_run(state_dir, at_ms, policy, json);
#else
    return cli_usage("replay", "this build has no scheduler (%s%s%s%s)", state_dir, at ? at : "",
                     policy ? policy : "", json ? ", json" : "");
#endif
}

int daemon_executor(void *args, int argc, char **argv)
{
    (void)args;
#ifdef BERTH_HAVE_EXECUTOR
    return executor_main(argc, argv);
#else
    return cli_usage(NULL, "this build has no executor (%d words after %s)", argc - 1, argv[0]);
#endif
}

int daemon_gpu_probe(void *args, int argc, char **argv)
{
    (void)args;
#ifdef BERTH_HAVE_GPU
    return gpu_probe_main(argc, argv);
#else
    return cli_usage(NULL, "this build has no GPU probe (%d words after %s)", argc - 1, argv[0]);
#endif
}

cJSON *daemon_log(const char *state_dir, struct audit_query *query, struct error *err)
{
#ifdef BERTH_HAVE_SCHEDULER
    return audit_kept(state_dir, query, err);
#else
    (void)query;
    error_set(err, ERROR_INVALID, "this build has no scheduler, which reads %s", state_dir);
    return NULL;
#endif
}
