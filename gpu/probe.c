/*
 * The parent's side of the probe: starts the child, reads its answer up to a deadline, kills it past that.
 * Owns the children that even SIGKILL does not end (a driver stuck in the kernel): they are remembered and
 * reaped by a later call, and never waited for.
 */
#include "gpu/probe.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "gpu/merge.h"
#include "proto/json.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED_WAIT_MS 1000 /* how long a killed child may take to go before it counts as stuck */
#define STUCK_MAX 16        /* stuck children; more are not started: the driver needs a reboot by then */
#define ARGUMENTS_MAX 16

static pthread_mutex_t stuck_lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t stuck[STUCK_MAX];
static size_t stuck_count;

/* Takes what has ended meanwhile off the list; false when the list is full. */
static bool reap_stuck(void)
{
    pthread_mutex_lock(&stuck_lock);
    for (size_t i = 0; i < stuck_count;) {
        if (waitpid(stuck[i], NULL, WNOHANG) != 0)
            stuck[i] = stuck[--stuck_count];
        else
            i++;
    }
    bool room = stuck_count < STUCK_MAX;
    pthread_mutex_unlock(&stuck_lock);
    return room;
}

static void remember_stuck(pid_t pid)
{
    pthread_mutex_lock(&stuck_lock);
    if (stuck_count < STUCK_MAX)
        stuck[stuck_count++] = pid;
    pthread_mutex_unlock(&stuck_lock);
}

/* Reads until end of file or `deadline` (clock_boot_ms); false on the deadline or too much output. */
static bool read_until(int fd, int64_t deadline_ms, struct buf *out, struct error *err)
{
    for (;;) {
        int64_t left = deadline_ms - clock_boot_ms();
        if (left <= 0)
            return error_set(err, ERROR_TIMEOUT, "no answer");
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, (int)left);
        if (ready < 0 && errno != EINTR)
            return error_errno(err, errno, "poll");
        if (ready <= 0)
            continue;
        char bytes[4096];
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return error_errno(err, errno, "reading the GPU probe's answer");
        if (n > 0)
            buf_add(out, bytes, (size_t)n);
        if (out->len > GPU_PROBE_OUTPUT_MAX_BYTES)
            return error_set(err, ERROR_LIMIT, "the GPU probe's answer passes %u bytes",
                             GPU_PROBE_OUTPUT_MAX_BYTES);
    }
}

/* Waits up to `wait_ms`; false while the child is still there. Children have no descriptor on kernels before
 * 5.3, so this looks again, at growing intervals; it is not on anybody's fast path. */
static bool wait_child(pid_t pid, int64_t wait_ms, int *status)
{
    int64_t deadline = clock_boot_ms() + wait_ms;
    for (int pause_ms = 1;; pause_ms = pause_ms < 50 ? pause_ms * 2 : 50) {
        pid_t got = waitpid(pid, status, WNOHANG);
        if (got == pid)
            return true;
        if (got < 0 && errno != EINTR) {
            *status = 0; /* somebody else reaped it: its answer decides */
            return true;
        }
        if (clock_boot_ms() >= deadline)
            return false;
        poll(NULL, 0, pause_ms);
    }
}

static bool start_child(const struct gpu_probe_options *o, const char *question, int deadline_ms, pid_t *pid,
                        int *answer, struct error *err)
{
    char deadline[32];
    const char *argv[ARGUMENTS_MAX];
    size_t argc = 0;
    snprintf(deadline, sizeof deadline, "%d", deadline_ms);
    argv[argc++] = "berth";
    argv[argc++] = "gpu-probe";
    argv[argc++] = "--deadline-ms";
    argv[argc++] = deadline;
    const struct {
        const char *option, *value;
    } given[] = {{"--gpu-library", o->cuda_library},
                 {"--nvml-library", o->nvml_library},
                 {"--system-root", o->system_root}};
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        if (given[i].value && *given[i].value) {
            argv[argc++] = given[i].option;
            argv[argc++] = given[i].value;
        }
    if (question)
        argv[argc++] = question;
    argv[argc] = NULL;

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_errno(err, errno, "a pipe to the GPU probe");
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    /* A daemon blocks signals and ignores some; SIGALRM and SIGKILL must find the child as usual. */
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int failed = posix_spawn(pid, o->program ? o->program : "/proc/self/exe", &actions, &attributes,
                             (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(ends[1]);
    if (failed) {
        close(ends[0]);
        return error_errno(err, failed, "starting the GPU probe");
    }
    *answer = ends[0];
    return true;
}

/* The one asked for, else $BERTH_GPU_DEADLINE_MS (a machine whose driver is slow to wake up), else the usual.
 */
static int deadline_of(const struct gpu_probe_options *o)
{
    const char *given = getenv("BERTH_GPU_DEADLINE_MS");
    long ms = given ? strtol(given, NULL, 10) : 0;
    if (o->deadline_ms > 0)
        return o->deadline_ms;
    return ms > 0 && ms <= GPU_PROBE_DEADLINE_MAX_MS ? (int)ms : GPU_PROBE_DEADLINE_MS;
}

/* Runs one probe, with the option that says what is asked (NULL: what GPUs there are); NULL and *err on a
 * crash, a hang or nonsense. */
static cJSON *run_probe(const struct gpu_probe_options *o, const char *question, const char *whom,
                        struct error *err)
{
    int deadline_ms = deadline_of(o);
    _cleanup_close_ int answer = -1;
    _cleanup_buf_ struct buf text = {0};
    pid_t pid = -1;
    if (!reap_stuck()) {
        error_set(err, ERROR_UNAVAILABLE, "%d earlier probes are stuck in %s; a restart of the machine helps",
                  STUCK_MAX, whom);
        return NULL;
    }
    int64_t deadline = clock_boot_ms() + deadline_ms;
    /* The child's own alarm comes second, so that the parent is the one who says what happened. */
    if (!start_child(o, question, deadline_ms + KILLED_WAIT_MS, &pid, &answer, err))
        return NULL;
    bool answered = read_until(answer, deadline, &text, err);
    int status = 0;
    /* A child whose standard output is closed is about to end; one that is not gets no more time. */
    if (!answered || !wait_child(pid, KILLED_WAIT_MS, &status)) {
        kill(pid, SIGKILL);
        if (!wait_child(pid, KILLED_WAIT_MS, &status))
            remember_stuck(pid);
        else if (answered)
            status = 0;
    }
    if (!answered) {
        if (err && err->code == ERROR_TIMEOUT)
            error_set(err, ERROR_TIMEOUT, "%s did not answer in %g s", whom, deadline_ms / 1000.0);
        return NULL;
    }
    if (WIFSIGNALED(status)) {
        error_set(err, ERROR_UNAVAILABLE, "%s crashed the probe: %s (signal %d)", whom,
                  strsignal(WTERMSIG(status)), WTERMSIG(status));
        return NULL;
    }
    if (WEXITSTATUS(status) != 0) {
        error_set(err, ERROR_INTERNAL, "the GPU probe ended with code %d", WEXITSTATUS(status));
        return NULL;
    }
    cJSON *out = json_parse(text.data ? text.data : "", text.len, err);
    if (!out)
        error_wrap(err, "the GPU probe's answer");
    return out;
}

/* NVML is asked in a child of its own: what it does wrong costs the links and MIG instances, not the GPUs. */
static void add_topology(const struct gpu_probe_options *options, cJSON *inventory)
{
    struct error err = {0};
    bool driver_works =
        cJSON_IsObject(json_get(inventory, "gpu_driver")) &&
        (cJSON_GetArraySize(json_get(inventory, "gpus")) > 0 || !json_str(inventory, "gpu_error", NULL));
    _cleanup_json_ cJSON *answer = driver_works ? run_probe(options, "--topology", "NVML", &err) : NULL;
    const char *failed = json_str(answer, "topology_error", NULL);
    if (err.code || failed)
        log_info("how the GPUs are linked can't be told: %s", failed ? failed : err.message);
    gpu_merge_topology(inventory, json_get(answer, "topology"));
}

cJSON *gpu_probe_inventory(const struct gpu_probe_options *options)
{
    struct error err = {0};
    cJSON *out = run_probe(options, NULL, "the CUDA driver", &err);
    if (out && cJSON_IsArray(json_get(out, "gpus"))) {
        add_topology(options, out);
        return out;
    }
    cJSON_Delete(out);
    out = cJSON_CreateObject();
    cJSON_AddArrayToObject(out, "gpus");
    cJSON_AddNullToObject(out, "gpu_driver");
    json_add_str(out, "gpu_error", err.code ? err.message : "the GPU probe gave no list");
    return out;
}

static void read_comm(pid_t pid, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, size - 1) : 0;
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static void read_usage(const cJSON *from, struct gpu_usage *to)
{
    const cJSON *compute = json_get(from, "compute"), *process;
    memset(to, 0, sizeof *to);
    snprintf(to->uuid, sizeof to->uuid, "%s", json_str(from, "uuid", ""));
    to->memory_bytes = (uint64_t)json_int(from, "memory_bytes", 0);
    to->used_bytes = (uint64_t)json_int(from, "used_bytes", 0);
    to->graphics_bytes = (uint64_t)json_int(from, "graphics_bytes", 0);
    to->processes_known = cJSON_IsArray(compute);
    to->compute_count = (unsigned)json_int(from, "compute_count", 0);
    cJSON_ArrayForEach(process, compute)
    {
        if (to->listed == GPU_PROCESSES_MAX)
            break;
        struct gpu_process *p = &to->compute[to->listed++];
        p->pid = (pid_t)json_int(process, "pid", 0);
        p->memory_bytes = (uint64_t)json_int(process, "memory_bytes", 0);
        read_comm(p->pid, p->name, sizeof p->name);
    }
}

bool gpu_probe_usage(const struct gpu_probe_options *options, struct gpu_usage *out, size_t max,
                     size_t *count, struct error *err)
{
    *count = 0;
    _cleanup_json_ cJSON *answer = run_probe(options, "--usage", "NVML", err);
    if (!answer)
        return false;
    const char *failed = json_str(answer, "usage_error", NULL);
    if (failed)
        return error_set(err, json_bool(answer, "nvml", false) ? ERROR_UNAVAILABLE : ERROR_UNSUPPORTED, "%s",
                         failed);
    const cJSON *gpu;
    cJSON_ArrayForEach(gpu, json_get(answer, "usage"))
    {
        if (*count == max)
            break;
        read_usage(gpu, &out[(*count)++]);
    }
    return true;
}
