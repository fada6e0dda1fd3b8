/* The probe works in STATE/tasks/probe, a name that is no task's, so that adoption passes it by. */
#include "executor/probe.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
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

/* Bytes that stay, as an accepted order does. */
static bool try_disk(const char *directory, struct error *err)
{
    _cleanup_free_ char *bytes = xcalloc(1, PROBE_FILE_BYTES), *path = xasprintf("%s/written", directory);
    return fs_write_atomic(AT_FDCWD, path, bytes, PROBE_FILE_BYTES, 0600, err) &&
           fs_fsync_dir(directory, err);
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

static bool write_spec(const struct executor_config *config, const char *directory, const char *log,
                       struct error *err)
{
    static const char *const argv[] = {"/bin/true", NULL}, *const env[] = {"PATH=/bin:/usr/bin", NULL};
    struct bundle_request request = {
        .task_dir = directory,
        .task = PROBE_NAME,
        .user = {.uid = geteuid(), .gid = getegid(), .name = "probe", .home = "/", .shell = "/bin/sh"},
        .image = BUNDLE_IMAGE_HOST,
        .runtime =
            config->isolation.crun || config->isolation.runc ? BUNDLE_RUNTIME_AUTO : BUNDLE_RUNTIME_PROCESS,
        .argv = argv,
        .env = env,
        .log_path = log,
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
    error_set(err, ERROR_TIMEOUT, "a task that does nothing has not ended within %d s",
              PROBE_LIMIT_MS / 1000);
    reap_kill(directory, 1000, &empty, NULL);
    return false;
}

static bool try_task(const struct executor_config *config, const char *directory, struct error *err)
{
    _cleanup_free_ char *log = xasprintf("%s/log", directory);
    _cleanup_free_ struct reap_exit *end = xcalloc(1, sizeof *end);
    _cleanup_close_ int pidfd = -1;
    if (!write_spec(config, directory, log, err) || !launch_shim(directory, NULL, 0, NULL, &pidfd, err) ||
        !await_end(directory, pidfd, err) || !reap_read_exit(directory, end, err))
        return false;
    return !end->kind[0] || error_set(err, ERROR_UNAVAILABLE, "%s", end->text[0] ? end->text : end->kind);
}

static bool remove_rest(const char *directory, struct error *err)
{
    bool empty = true;
    enum reap_status status = reap_status(directory);
    if ((status == REAP_ALIVE || status == REAP_LOST) && !reap_kill(directory, 1000, &empty, err))
        return false;
    if (!empty)
        return error_set(err, ERROR_CONFLICT, "the last trivial task has not ended yet");
    return reclaim_remove_tree(AT_FDCWD, directory, err);
}

bool probe_run(const struct executor_config *config, struct error *err)
{
    _cleanup_free_ char *directory = xasprintf("%s/tasks/" PROBE_NAME, config->state_dir);
    if (access(directory, F_OK) == 0 && !remove_rest(directory, err))
        return false;
    if (mkdir(directory, 0700) != 0)
        return error_errno(err, errno, "can't create a task's directory in %s/tasks", config->state_dir);
    bool ok = try_disk(directory, err) && try_blob_cache(config, err) && try_gpus(config, err) &&
              try_task(config, directory, err);
    struct error ignored = {0};
    remove_rest(directory, ok ? err : &ignored);
    return ok && err->code == ERROR_NONE;
}
