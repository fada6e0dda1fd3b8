/*
 * Runs one task by a shim, without scheduler and executor: writes the spec with executor/bundle.h, launches,
 * waits, prints the exit record. For the tests of the shim, and for trying things by hand.
 *
 *   shimrun [options] TASK_DIR -- COMMAND ARG...
 *     --user UID:GID[:GROUP...]  --name NAME  --home DIR     (default: the caller)
 *     --image FOLDER             --runtime crun|runc|process
 *     --env NAME=VALUE  --cwd DIR  --work TARGET  --bind SRC:DST[:rw][:optional]  --cover PATH  --cache DIR
 *     --cpus LIST  --memory BYTES  --pids N  --gpu UUID:MINOR[:CAP...]  --shm BYTES
 *     --warn MS  --warn-signal N  --stop-signal N  --stop-reason WORD  --processes N
 *     --time-limit MS  --log-limit BYTES  --grace MS  --split  --tty  --stdin (fed from ours)
 *     --rows N  --cols N  --log PATH  --err PATH  --no-wait  --stop-after MS  --timing  --adopt (a shim that
 * runs)  --reap (one that died) Prints the exit record as KEY=VALUE lines ("exit.code=0"), then "gone". With
 * --no-wait only "pid=N".
 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "executor/bundle.h"
#include "executor/launch.h"
#include "executor/reap.h"
#include "executor/shim_client.h"

#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LIST_MAX 64

static struct bundle_request request;
static const char *env_list[LIST_MAX], *covers[LIST_MAX];
static struct bundle_bind binds[LIST_MAX];
static struct bundle_gpu gpus[LIST_MAX];
static gid_t groups[LIST_MAX];
static size_t n_env, n_covers;
static bool no_wait, timing, adopt, reap;
static uint64_t stop_after_ms;
static const char *stop_reason = "cancel";
static struct shim_client *client;
static uv_pipe_t stdin_pipe;

static void parse_user(char *text)
{
    request.user.uid = (uid_t)strtoul(strsep(&text, ":"), NULL, 10);
    if (text)
        request.user.gid = (gid_t)strtoul(strsep(&text, ":"), NULL, 10);
    while (text)
        groups[request.user.n_groups++] = (gid_t)strtoul(strsep(&text, ":"), NULL, 10);
}

static void parse_bind(char *text)
{
    struct bundle_bind *b = &binds[request.n_binds++];
    b->source = strsep(&text, ":");
    b->target = text ? strsep(&text, ":") : b->source;
    while (text) {
        const char *word = strsep(&text, ":");
        b->rw = b->rw || strcmp(word, "rw") == 0;
        b->optional = b->optional || strcmp(word, "optional") == 0;
    }
}

static void parse_gpu(char *text)
{
    struct bundle_gpu *g = &gpus[request.n_gpus++];
    g->uuid = strsep(&text, ":");
    g->minor = text ? atoi(strsep(&text, ":")) : -1;
    for (size_t i = 0; text && i < BUNDLE_GPU_CAPS; i++)
        g->caps[i] = atoi(strsep(&text, ":"));
}

static enum bundle_runtime runtime_named(const char *name)
{
    return strcmp(name, "crun") == 0      ? BUNDLE_RUNTIME_CRUN
           : strcmp(name, "runc") == 0    ? BUNDLE_RUNTIME_RUNC
           : strcmp(name, "process") == 0 ? BUNDLE_RUNTIME_PROCESS
                                          : BUNDLE_RUNTIME_AUTO;
}

enum {
    OPT_USER = 256,
    OPT_NAME,
    OPT_HOME,
    OPT_IMAGE,
    OPT_RUNTIME,
    OPT_ENV,
    OPT_CWD,
    OPT_WORK,
    OPT_BIND,
    OPT_COVER,
    OPT_CACHE,
    OPT_CPUS,
    OPT_MEMORY,
    OPT_PIDS,
    OPT_GPU,
    OPT_SHM,
    OPT_TIME,
    OPT_LOG_LIMIT,
    OPT_GRACE,
    OPT_SPLIT,
    OPT_READ_ONLY,
    OPT_TTY,
    OPT_STDIN,
    OPT_LOG,
    OPT_ERR,
    OPT_NO_WAIT,
    OPT_STOP,
    OPT_TIMING,
    OPT_ADOPT,
    OPT_REAP,
    OPT_ROWS,
    OPT_WARN,
    OPT_WARN_SIGNAL,
    OPT_STOP_SIGNAL,
    OPT_STOP_REASON,
    OPT_PROCESSES,
    OPT_COLS
};

static const struct option options[] = {{"user", 1, 0, OPT_USER},
                                        {"name", 1, 0, OPT_NAME},
                                        {"home", 1, 0, OPT_HOME},
                                        {"image", 1, 0, OPT_IMAGE},
                                        {"runtime", 1, 0, OPT_RUNTIME},
                                        {"env", 1, 0, OPT_ENV},
                                        {"cwd", 1, 0, OPT_CWD},
                                        {"work", 1, 0, OPT_WORK},
                                        {"bind", 1, 0, OPT_BIND},
                                        {"cover", 1, 0, OPT_COVER},
                                        {"cache", 1, 0, OPT_CACHE},
                                        {"cpus", 1, 0, OPT_CPUS},
                                        {"memory", 1, 0, OPT_MEMORY},
                                        {"pids", 1, 0, OPT_PIDS},
                                        {"gpu", 1, 0, OPT_GPU},
                                        {"shm", 1, 0, OPT_SHM},
                                        {"time-limit", 1, 0, OPT_TIME},
                                        {"log-limit", 1, 0, OPT_LOG_LIMIT},
                                        {"grace", 1, 0, OPT_GRACE},
                                        {"split", 0, 0, OPT_SPLIT},
                                        {"read-only", 0, 0, OPT_READ_ONLY},
                                        {"tty", 0, 0, OPT_TTY},
                                        {"stdin", 0, 0, OPT_STDIN},
                                        {"log", 1, 0, OPT_LOG},
                                        {"err", 1, 0, OPT_ERR},
                                        {"no-wait", 0, 0, OPT_NO_WAIT},
                                        {"stop-after", 1, 0, OPT_STOP},
                                        {"timing", 0, 0, OPT_TIMING},
                                        {"rows", 1, 0, OPT_ROWS},
                                        {"cols", 1, 0, OPT_COLS},
                                        {"adopt", 0, 0, OPT_ADOPT},
                                        {"reap", 0, 0, OPT_REAP},
                                        {"warn", 1, 0, OPT_WARN},
                                        {"warn-signal", 1, 0, OPT_WARN_SIGNAL},
                                        {"stop-signal", 1, 0, OPT_STOP_SIGNAL},
                                        {"stop-reason", 1, 0, OPT_STOP_REASON},
                                        {"processes", 1, 0, OPT_PROCESSES},
                                        {0, 0, 0, 0}};

static void take_option(int option)
{
    const char **const texts[] = {
        [OPT_NAME - OPT_USER] = &request.user.name,  [OPT_HOME - OPT_USER] = &request.user.home,
        [OPT_CWD - OPT_USER] = &request.cwd,         [OPT_WORK - OPT_USER] = &request.work_target,
        [OPT_CACHE - OPT_USER] = &request.cache_dir, [OPT_CPUS - OPT_USER] = &request.cpus,
        [OPT_LOG - OPT_USER] = &request.log_path,    [OPT_ERR - OPT_USER] = &request.err_path,
        [OPT_STOP_REASON - OPT_USER] = &stop_reason, [OPT_COLS - OPT_USER] = NULL};
    uint64_t *const numbers[] = {[OPT_MEMORY - OPT_USER] = &request.memory_bytes,
                                 [OPT_PIDS - OPT_USER] = &request.pids_limit,
                                 [OPT_SHM - OPT_USER] = &request.shm_bytes,
                                 [OPT_TIME - OPT_USER] = &request.time_limit_ms,
                                 [OPT_LOG_LIMIT - OPT_USER] = &request.log_limit_bytes,
                                 [OPT_GRACE - OPT_USER] = &request.grace_ms,
                                 [OPT_STOP - OPT_USER] = &stop_after_ms,
                                 [OPT_WARN - OPT_USER] = &request.warn_ms,
                                 [OPT_PROCESSES - OPT_USER] = &request.processes,
                                 [OPT_COLS - OPT_USER] = NULL};
    bool *const flags[] = {[OPT_SPLIT - OPT_USER] = &request.split_streams,
                           [OPT_READ_ONLY - OPT_USER] = &request.read_only,
                           [OPT_TTY - OPT_USER] = &request.tty,
                           [OPT_STDIN - OPT_USER] = &request.stdin_open,
                           [OPT_NO_WAIT - OPT_USER] = &no_wait,
                           [OPT_TIMING - OPT_USER] = &timing,
                           [OPT_ADOPT - OPT_USER] = &adopt,
                           [OPT_REAP - OPT_USER] = &reap,
                           [OPT_COLS - OPT_USER] = NULL};
    int i = option - OPT_USER;
    if (texts[i])
        *texts[i] = optarg;
    else if (numbers[i])
        *numbers[i] = strtoull(optarg, NULL, 10);
    else if (flags[i])
        *flags[i] = true;
    else if (option == OPT_WARN_SIGNAL)
        request.warn_signal = atoi(optarg);
    else if (option == OPT_STOP_SIGNAL)
        request.stop_signal = atoi(optarg);
    else if (option == OPT_ROWS)
        request.rows = (unsigned)atoi(optarg);
    else if (option == OPT_COLS)
        request.cols = (unsigned)atoi(optarg);
    else if (option == OPT_USER)
        parse_user(optarg);
    else if (option == OPT_BIND)
        parse_bind(optarg);
    else if (option == OPT_GPU)
        parse_gpu(optarg);
    else if (option == OPT_ENV)
        env_list[n_env++] = optarg;
    else if (option == OPT_COVER)
        covers[n_covers++] = optarg;
    else if (option == OPT_RUNTIME)
        request.runtime = runtime_named(optarg);
    else if (option == OPT_IMAGE) {
        request.image = BUNDLE_IMAGE_FOLDER;
        request.image_path = optarg;
    } else {
        exit(2);
    }
}

static void on_gone(void *data)
{
    (void)data;
    shim_client_close(client);
    uv_stop(uv_default_loop());
}

static void on_state(void *data, enum shim_state state, const char *detail)
{
    (void)data;
    static const char *const names[] = {"starting", "running", "paused", "ending"};
    printf("state=%s%s%s\n", names[state], *detail ? " " : "", detail);
    fflush(stdout);
}

static void on_exited(void *data)
{
    (void)data;
    puts("exited");
    fflush(stdout);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    (void)h;
    static char bytes[65536];
    (void)suggested;
    *b = uv_buf_init(bytes, sizeof bytes);
}

/* What the shim would not take yet; nothing is read from our stdin until it does. */
static char held[65536];
static size_t held_bytes;

static void on_input(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    if (n < 0)
        uv_read_stop(s);
    if (n < 0 || shim_client_stdin(client, b->base, (size_t)n, false, NULL)) {
        if (n < 0)
            shim_client_stdin(client, NULL, 0, true, NULL);
        return;
    }
    memcpy(held, b->base, (size_t)n);
    held_bytes = (size_t)n;
    uv_read_stop(s);
}

static void on_taken(void *data, size_t bytes)
{
    (void)data;
    (void)bytes;
    if (!held_bytes || !shim_client_stdin(client, held, held_bytes, false, NULL))
        return;
    held_bytes = 0;
    uv_read_start((uv_stream_t *)&stdin_pipe, on_alloc, on_input);
}

static void on_stop(uv_timer_t *t)
{
    (void)t;
    shim_client_stop(client, request.grace_ms, stop_reason);
}

static void print_exit(const char *task_dir)
{
    struct reap_exit *e = xcalloc(1, sizeof *e);
    struct error err = {0};
    if (!reap_read_exit(task_dir, e, &err)) {
        printf("error=%s\n", err.message);
        free(e);
        return;
    }
    printf("exit.code=%d\nexit.signal=%d\nexit.kind=%s\nexit.text=%s\nexit.advice=%s\nexit.log_bytes=%" PRIu64
           "\nexit.err_bytes=%" PRIu64 "\nexit.started=%d\n",
           e->code, e->signal, e->kind, e->text, e->advice, e->log_bytes, e->err_bytes, e->started_ms > 0);
    for (int i = 0; i < e->n_notes; i++)
        printf("exit.note%d=%s\n", i, e->notes[i]);
    for (int i = 0; i < e->n_evidence; i++)
        printf("exit.ev.%s=%s\n", e->evidence[i].name, e->evidence[i].value);
    free(e);
}

static int reap_one(const char *task_dir)
{
    static const char *const names[] = {"never_ran", "alive", "exited", "lost"};
    struct error err = {0};
    bool empty = false;
    enum reap_status status = reap_status(task_dir);
    printf("status=%s\n", names[status]);
    bool dead = status == REAP_LOST || status == REAP_EXITED;
    if (dead && (!reap_kill(task_dir, 10000, &empty, &err) || !reap_write_lost(task_dir, &err)))
        printf("error=%s\n", err.message);
    printf("empty=%d\n", empty);
    print_exit(task_dir);
    return 0;
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
    request.umask = 022;
    request.user.uid = geteuid();
    request.user.gid = getegid();
    request.user.groups = groups;
    request.user.name = getenv("USER");
    request.user.home = getenv("HOME");
    request.grace_ms = 2000;
    for (int o; (o = getopt_long(argc, argv, "+", options, NULL)) != -1;)
        take_option(o);
    if (optind + 1 >= argc)
        return 2;
    const char *task_dir = argv[optind];
    request.task_dir = task_dir;
    request.task = xasprintf("%s", strrchr(task_dir, '/') + 1);
    request.argv = (const char *const *)argv + optind + 1 + (strcmp(argv[optind + 1], "--") == 0);
    if (n_env == 0)
        env_list[n_env++] = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    request.env = env_list;
    request.binds = binds;
    request.gpus = gpus;
    request.covers = covers;
    if (!request.log_path)
        request.log_path = xasprintf("%s/log", task_dir);
    if (request.split_streams && !request.err_path)
        request.err_path = xasprintf("%s/log.err", task_dir);
    static struct isolation iso;
    struct error err = {0};
    char parent[4096], tag[32];
    snprintf(parent, sizeof parent, "%s", task_dir);
    *strrchr(parent, '/') = '\0';
    pid_t pid = 0;
    int pidfd = -1;
    if (!isolation_tag(parent, tag, &err) || !isolation_probe(&iso, tag, &err)) {
        fprintf(stderr, "shimrun: %s\n", err.message);
        return 1;
    }
    request.isolation = &iso;
    if (reap)
        return reap_one(task_dir);
    uint64_t begin = now_us();
    if (!adopt && (!bundle_write(&request, &err) || !launch_shim(task_dir, NULL, 0, &pid, &pidfd, &err))) {
        fprintf(stderr, "shimrun: %s\n", err.message);
        return 1;
    }
    uint64_t launched = now_us();
    if (no_wait) {
        printf("pid=%d\n", (int)pid);
        return 0;
    }
    const struct shim_client_callbacks cb = {.gone = on_gone,
                                             .stdin_taken = on_taken,
                                             .state = timing ? NULL : on_state,
                                             .exited = timing ? NULL : on_exited};
    client = shim_client_open(uv_default_loop(), task_dir, &cb, NULL, &err);
    if (!client) {
        fprintf(stderr, "shimrun: %s\n", err.message);
    } else {
        uv_timer_t timer;
        uv_timer_init(uv_default_loop(), &timer);
        if (stop_after_ms)
            uv_timer_start(&timer, on_stop, stop_after_ms, 0);
        if (request.stdin_open) {
            uv_pipe_init(uv_default_loop(), &stdin_pipe, 0);
            uv_pipe_open(&stdin_pipe, 0);
            uv_read_start((uv_stream_t *)&stdin_pipe, on_alloc, on_input);
        }
        uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    }
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    if (pidfd >= 0)
        poll(&p, 1, -1);
    uint64_t end = now_us();
    print_exit(task_dir);
    if (timing)
        printf("launch_us=%" PRIu64 "\ntotal_us=%" PRIu64 "\n", launched - begin, end - begin);
    puts("gone");
    isolation_finish(&iso);
    return 0;
}
