/* The probe works in STATE/tasks/probe, a name that is no task's, so that adoption passes it by, and in
 * LOGS/probe-NODE, which is no job's. */
#include "executor/probe.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/bundle.h"
#include "executor/launch.h"
#include "executor/reap.h"
#include "executor/reclaim.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#define PROBE_NAME "probe"
#define PROBE_FILE_BYTES (64 << 10)

struct probe_places {
    char *tasks, *directory;
    char *logs; /* NULL: nobody has said yet where logs go */
    char *log;  /* of the trivial task */
};

static void probe_places_init(struct probe_places *p, const struct executor_config *config)
{
    const char *log_dir = atomic_load(&config->log_dir);
    p->tasks = xasprintf("%s/tasks", config->state_dir);
    p->directory = xasprintf("%s/" PROBE_NAME, p->tasks);
    p->logs = log_dir ? xasprintf("%s/" PROBE_NAME "-%s", log_dir, config->name) : NULL;
    p->log = xasprintf("%s/log", p->logs ? p->logs : p->directory);
}

static void probe_places_finish(struct probe_places *p)
{
    free(p->tasks);
    free(p->directory);
    free(p->logs);
    free(p->log);
}

#define _cleanup_probe_places_ __attribute__((cleanup(probe_places_finish)))

/* Bytes that stay, as an accepted order and a log do. */
static bool try_disk(const char *directory, struct error *err)
{
    _cleanup_free_ char *bytes = xcalloc(1, PROBE_FILE_BYTES), *path = xasprintf("%s/written", directory);
    return fs_write_atomic(AT_FDCWD, path, bytes, PROBE_FILE_BYTES, 0600, err) &&
           fs_fsync_dir(directory, err);
}

static bool remove_task(const char *directory, struct error *err)
{
    bool empty = true;
    enum reap_status status = reap_status(directory);
    if ((status == REAP_ALIVE || status == REAP_LOST) && !reap_kill(directory, 1000, &empty, err))
        return false;
    if (!empty)
        return error_set(err, ERROR_TIMEOUT, "the last trivial task has not ended yet");
    return reclaim_remove_tree(AT_FDCWD, directory, err);
}

static bool try_tasks(const struct probe_places *p, struct error *err)
{
    if (access(p->directory, F_OK) == 0 && !remove_task(p->directory, err))
        return false;
    if (!fs_mkdirs(p->tasks, 0700, err))
        return false;
    if (mkdir(p->directory, 0700) != 0)
        return error_errno(err, errno, "can't create a task's directory in %s", p->tasks);
    return try_disk(p->directory, err);
}

static bool try_logs(const struct probe_places *p, struct error *err)
{
    if (!p->logs)
        return true;
    if (!reclaim_remove_tree(AT_FDCWD, p->logs, err) || !fs_mkdirs(p->logs, 0700, err) ||
        !try_disk(p->logs, err))
        return error_wrap(err, "the directory of the logs");
    return true;
}

static bool try_blob_cache(const struct executor_config *config, struct error *err)
{
    char name[] = "probe-new";
    int fd = openat(config->blobs.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, name, sizeof name) != sizeof name)
        error_errno(err, errno, "can't write to the cache of blobs");
    if (fd >= 0)
        close(fd);
    unlinkat(config->blobs.fd, name, 0);
    return err->code == ERROR_NONE;
}

static bool try_gpus(const struct executor_config *config, struct error *err)
{
    const cJSON *gpu;
    if (config->inventory_file) /* simulated ones */
        return true;
    cJSON_ArrayForEach(gpu, json_get(config->inventory, "gpus"))
    {
        char path[64];
        int64_t minor = json_int(gpu, "minor", -1);
        snprintf(path, sizeof path, "/dev/nvidia%lld", (long long)minor);
        if (minor >= 0 && access(path, F_OK) != 0)
            return error_errno(err, errno, "GPU %s: its device %s is gone", json_str(gpu, "uuid", "?"), path);
    }
    return true;
}

static bool write_spec(const struct executor_config *config, const struct probe_places *p, enum runtime which,
                       const char *path, struct error *err)
{
    static const enum bundle_runtime runtimes[RUNTIME_COUNT] = {BUNDLE_RUNTIME_PROCESS, BUNDLE_RUNTIME_CRUN,
                                                                BUNDLE_RUNTIME_RUNC};
    static const char *const argv[] = {"/bin/true", NULL}, *const env[] = {"PATH=/bin:/usr/bin", NULL};
    struct bundle_request request = {
        .task_dir = p->directory,
        .task = PROBE_NAME,
        .user = {.uid = geteuid(), .gid = getegid(), .name = "probe", .home = "/", .shell = "/bin/sh"},
        .image = BUNDLE_IMAGE_HOST,
        .runtime = runtimes[which],
        .runtime_path = path,
        .argv = argv,
        .env = env,
        .log_path = p->log,
        .time_limit_ms = PROBE_LIMIT_MS,
        .covers = (const char *const *)config->covers.items,
        .isolation = &config->isolation,
        .read_only = true,
        .umask = 077,
    };
    return bundle_write(&request, err);
}

/* Until the shim has ended; reaped by force where it doesn't. */
static bool await_end(const char *directory, int pidfd, struct error *err)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    bool empty = false;
    int n = poll(&p, 1, PROBE_LIMIT_MS);
    if (n > 0)
        return true;
    reap_kill(directory, 1000, &empty, NULL);
    return error_set(err, ERROR_TIMEOUT, "a task that does nothing has not ended within %d s",
                     PROBE_LIMIT_MS / 1000);
}

/* How it ended, as an error. */
static bool ended_well(const struct reap_exit *end, struct error *err)
{
    if (!end->kind[0])
        return true;
    const char *text = end->text[0] ? end->text : end->kind;
    if (strcmp(end->kind, "time_limit") == 0)
        return error_set(err, ERROR_TIMEOUT, "a task that does nothing: %s", text);
    error_set(err, strcmp(end->kind, "disk_full") == 0 ? ERROR_NO_SPACE : ERROR_UNAVAILABLE, "%s", text);
    for (int i = 0; i < end->n_evidence; i++)
        if (strcmp(end->evidence[i].name, "start_errno") == 0)
            err->sys_errno = (int)strtol(end->evidence[i].value, NULL, 10);
    return false;
}

static bool try_task(const struct executor_config *config, const struct probe_places *p, enum runtime which,
                     const char *path, struct error *err)
{
    _cleanup_free_ struct reap_exit *end = xcalloc(1, sizeof *end);
    _cleanup_close_ int pidfd = -1;
    return write_spec(config, p, which, path, err) && launch_shim(p->directory, NULL, 0, NULL, &pidfd, err) &&
           await_end(p->directory, pidfd, err) && reap_read_exit(p->directory, end, err) &&
           ended_well(end, err);
}

static enum failure files(const struct executor_config *config, const struct probe_places *p,
                          struct error *err)
{
    if (!try_tasks(p, err))
        return failure_of_stage(FAILURE_DIRECTORY, err);
    if (!try_logs(p, err))
        return failure_of_stage(FAILURE_LOGS, err);
    if (!try_blob_cache(config, err))
        return failure_of_stage(FAILURE_BLOBS, err);
    return try_gpus(config, err) ? FAILURE_NONE : FAILURE_DEVICE;
}

/* What is left where it failed is removed by the next one. */
static enum failure clear(const struct probe_places *p, enum failure met, struct error *err)
{
    struct error late = {0};
    bool gone = remove_task(p->directory, &late);
    if (p->logs)
        gone = reclaim_remove_tree(AT_FDCWD, p->logs, gone ? &late : NULL) && gone;
    if (gone || met != FAILURE_NONE)
        return met;
    *err = late;
    return failure_of_stage(FAILURE_DIRECTORY, err);
}

enum failure probe_files(const struct executor_config *config, struct error *err)
{
    _cleanup_probe_places_ struct probe_places p;
    probe_places_init(&p, config);
    memset(err, 0, sizeof *err);
    return clear(&p, files(config, &p, err), err);
}

/* Without the runtime it starts: then the runtime is what is broken. */
static enum failure blame(const struct executor_config *config, const struct probe_places *p,
                          enum runtime which, struct error *err)
{
    struct error other = {0};
    enum failure met = failure_of_stage(FAILURE_START, err);
    if (met != FAILURE_START || which == RUNTIME_PROCESS)
        return met;
    if (!try_tasks(p, &other) || !try_task(config, p, RUNTIME_PROCESS, NULL, &other))
        return FAILURE_START;
    error_wrap(err, "%s", runtime_name(which));
    return FAILURE_RUNTIME;
}

enum failure probe_run(const struct executor_config *config, enum runtime which, const char *path,
                       struct error *err)
{
    _cleanup_probe_places_ struct probe_places p;
    probe_places_init(&p, config);
    memset(err, 0, sizeof *err);
    enum failure met = files(config, &p, err);
    if (met == FAILURE_NONE && !try_task(config, &p, which, path, err))
        met = blame(config, &p, which, err);
    return clear(&p, met, err);
}
