/* berth down */
#include "cli/verbs.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/print.h"
#include "cli/client.h"
#include "cli/up.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DOWN_TIMEOUT_MS 120000 /* jobs that are canceled have their time of grace */
#define DOWN_PROBE_MS 20

struct down_args {
    struct args_base base;
    bool cancel, keep;
};

static const struct opt down_opts[] = {
    {"cancel", 0, NULL, "cancel the jobs that are queued or running", OPT_FLAG,
     offsetof(struct down_args, cancel)},
    {"keep", 0, NULL, "leave running jobs running; the next `berth up` finds them again", OPT_FLAG,
     offsetof(struct down_args, keep)},
    OPT_HOST(struct down_args),
    {0},
};

/* "cancel", "keep", or NULL where the person at the terminal wants neither. */
static const char *ask(const char *jobs)
{
    print_err("berth: %s\n[c]ancel them, [k]eep them (they go on without Berth), or leave Berth [u]p? ",
              jobs);
    char line[32];
    if (!fgets(line, sizeof line, stdin))
        return NULL;
    if (strncasecmp(line, "c", 1) == 0)
        return "cancel";
    return strncasecmp(line, "k", 1) == 0 ? "keep" : NULL;
}

static cJSON *shutdown_request(struct client *client, const char *jobs, struct error *err)
{
    _cleanup_json_ cJSON *body = cJSON_CreateObject();
    cJSON_AddStringToObject(body, "jobs", jobs);
    return client_call(client, "POST", "/v1/shutdown", body, 0, err);
}

/* The answer comes before the end: waits until the supervisor has let go of the state folder, and, where that
 * can't be seen, until nobody answers. */
static bool await_end(struct client *client, const char *state_dir, struct error *err)
{
    int64_t deadline_ms = clock_boot_ms() + DOWN_TIMEOUT_MS;
    for (;;) {
        struct error probe = {0};
        _cleanup_json_ cJSON *version = client_call(client, "GET", "/v1/version", NULL, 10000, &probe);
        if (!version && probe.code == ERROR_UNAVAILABLE && (!state_dir || !up_lock_holder(state_dir)))
            return true;
        if (clock_boot_ms() >= deadline_ms) {
            error_set(err, ERROR_TIMEOUT, "Berth has not ended after %d s", DOWN_TIMEOUT_MS / 1000);
            return error_hint(err, "berth ps shows what still runs");
        }
        poll(NULL, 0, DOWN_PROBE_MS);
    }
}

static int run_down(void *p, int argc, char **argv)
{
    struct down_args *args = p;
    if (argc > 0)
        return cli_usage("down", "down takes no operands; \"%s\" is one", argv[0]);
    if (args->cancel && args->keep)
        return cli_usage("down", "--cancel and --keep can't stand together");
    struct error err = {0};
    _cleanup_client_ struct client *client = client_open(&args->base, &err);
    if (!client)
        return cli_fail(&err);
    _cleanup_json_ cJSON *version = client_call(client, "GET", "/v1/version", NULL, 0, &err);
    if (!version && err.code == ERROR_UNAVAILABLE) {
        print_line(PRINT_OUT, "no Berth is running at %s", client->where.socket);
        return EXIT_OK;
    }
    if (!version)
        return cli_fail(&err);
    const char *jobs = args->cancel ? "cancel" : args->keep ? "keep" : "refuse";
    _cleanup_json_ cJSON *answer = shutdown_request(client, jobs, &err);
    if (!answer && err.code == ERROR_CONFLICT && strcmp(jobs, "refuse") == 0) {
        if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
            error_hint(&err, "berth down --cancel ends them, berth down --keep leaves them running");
            return cli_fail(&err);
        }
        jobs = ask(err.message);
        if (!jobs) {
            cli_note("Berth stays up");
            return EXIT_REFUSED;
        }
        answer = shutdown_request(client, jobs, &err);
    }
    if (!answer)
        return cli_fail(&err);
    const char *state_dir = json_str(version, "state_dir", NULL);
    if (!await_end(client, state_dir, &err))
        return cli_fail(&err);
    print_line(PRINT_OUT, "Berth is down%s%s%s", strcmp(jobs, "keep") == 0 ? "; jobs that run go on" : "",
               state_dir ? "; its state is in " : "", state_dir ? state_dir : "");
    const char *note = json_str(answer, "note", NULL);
    if (note)
        cli_note("%s", note);
    return note ? EXIT_REFUSED : EXIT_OK;
}

const struct verb verb_down = {
    .name = "down",
    .synopsis = "[--cancel|--keep]",
    .summary = "end Berth; asks what becomes of jobs that run",
    .options = down_opts,
    .args_size = sizeof(struct down_args),
    .run = run_down,
};
