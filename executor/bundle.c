/*
 * A task's spec. What the request says goes in as it is; what this node decides (runtime, sub-ids, cgroups)
 * is decided here, so that the shim decides nothing but fallbacks.
 */
#include "executor/bundle.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/subids.h"
#include "proto/kv.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct bundle_cache_variable bundle_cache_variables[] = {
    {"XDG_CACHE_HOME", "xdg"},    {"HF_HOME", "huggingface"},     {"TORCH_HOME", "torch"},
    {"MPLCONFIGDIR", "mpl"},      {"TRITON_CACHE_DIR", "triton"}, {"CUDA_CACHE_PATH", "nv"},
    {"NUMBA_CACHE_DIR", "numba"}, {"KERAS_HOME", "keras"},        {NULL, NULL},
};

static bool env_has(const char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return true;
    return false;
}

static bool absolute(const char *path)
{
    return path && path[0] == '/' && strlen(path) < 4096;
}

static bool check(const struct bundle_request *r, struct error *err)
{
    size_t args = 0;
    while (r->argv && r->argv[args])
        args++;
    if (args == 0)
        return error_field(err, "command", "there is no command");
    if (args > BUNDLE_ARGS_MAX)
        return error_field(err, "argv", "more than %d arguments", BUNDLE_ARGS_MAX);
    if (r->n_binds > BUNDLE_BINDS_MAX)
        return error_field(err, "mounts", "more than %d mounts and left-out paths", BUNDLE_BINDS_MAX);
    if (r->n_gpus > BUNDLE_GPUS_MAX)
        return error_field(err, "gpus", "more than %d GPUs", BUNDLE_GPUS_MAX);
    for (size_t i = 0; i < r->n_binds; i++)
        if (!absolute(r->binds[i].source) || !absolute(r->binds[i].target))
            return error_field(err, "mounts", "%s:%s: both paths must be absolute", r->binds[i].source,
                               r->binds[i].target);
    if (!absolute(r->task_dir) || !absolute(r->log_path) || (r->split_streams && !absolute(r->err_path)) ||
        (r->work_target && !absolute(r->work_target)) || (r->cwd && !absolute(r->cwd)) ||
        strchr(r->task, '/'))
        return error_set(err, ERROR_INTERNAL, "a path of the task's bundle is not absolute");
    if (r->image == BUNDLE_IMAGE_FOLDER && !absolute(r->image_path))
        return error_field(err, "environment.image", "the image folder's path must be absolute");
    return true;
}

static bool choose_runtime(const struct bundle_request *r, const char **name, const char **path,
                           struct error *err)
{
    const struct runtimes *offered = r->isolation ? r->isolation->runtimes : NULL;
    const char *crun = runtimes_path(offered, RUNTIME_CRUN), *runc = runtimes_path(offered, RUNTIME_RUNC);
    *path = NULL;
    switch (r->runtime) {
    case BUNDLE_RUNTIME_PROCESS:
        *name = "process";
        return true;
    case BUNDLE_RUNTIME_CRUN:
        *name = "crun";
        *path = r->runtime_path ? r->runtime_path : crun;
        break;
    case BUNDLE_RUNTIME_RUNC:
        *name = "runc";
        *path = r->runtime_path ? r->runtime_path : runc;
        break;
    case BUNDLE_RUNTIME_AUTO:
        *name = crun ? "crun" : "runc";
        *path = crun ? crun : runc;
        if (!*path)
            *name = "an OCI runtime (crun or runc)";
        break;
    }
    if (!*path) {
        error_field(err, BUNDLE_RUNTIME_FIELD, "%s is not installed on this node, or does not work", *name);
        return error_hint(err, "apt-get install crun, or ask for runtime: process");
    }
    return true;
}

static void add_binds(const struct bundle_request *r, struct buf *b)
{
    for (size_t i = 0; i < r->n_binds; i++) {
        char flags[4];
        snprintf(flags, sizeof flags, "%s%s%s", r->binds[i].rw ? "w" : "r", r->binds[i].optional ? "o" : "",
                 r->binds[i].own         ? "b"
                 : r->binds[i].live_file ? "l"
                                         : "");
        kv_add(b, "bind_source", r->binds[i].source);
        kv_add(b, "bind_target", r->binds[i].target);
        kv_add(b, "bind_flags", flags);
    }
}

static void add_env(const struct bundle_request *r, const char *cache_target, struct buf *b)
{
    for (const char *const *e = r->env; e && *e; e++)
        if (r->n_gpus == 0 || strncmp(*e, "CUDA_VISIBLE_DEVICES=", 21) != 0)
            kv_add(b, "env", *e);
    for (const struct bundle_cache_variable *v = bundle_cache_variables; r->cache_dir && v->name; v++)
        if (!env_has(r->env, v->name))
            kv_addf(b, "env", "%s=%s/%s", v->name, cache_target, v->sub);
    if (r->n_gpus == 0) {
        if (!env_has(r->env, "CUDA_VISIBLE_DEVICES"))
            kv_add(b, "env", "CUDA_VISIBLE_DEVICES=");
        return;
    }
    buf_add_str(b, "env=CUDA_VISIBLE_DEVICES=");
    for (size_t i = 0; i < r->n_gpus; i++)
        buf_printf(b, "%s%s", i ? "," : "", r->gpus[i].uuid);
    buf_add_char(b, '\0');
}

static void add_gpus(const struct bundle_request *r, struct buf *b)
{
    for (size_t i = 0; i < r->n_gpus; i++)
        kv_add_int(b, "gpu_minor", r->gpus[i].minor);
    for (size_t i = 0; i < r->n_gpus * BUNDLE_GPU_CAPS; i++) {
        int cap = r->gpus[i / BUNDLE_GPU_CAPS].caps[i % BUNDLE_GPU_CAPS];
        if (cap > 0)
            kv_add_int(b, "gpu_cap", cap);
    }
}

static void add_list(struct buf *b, const char *key, const char *const *list)
{
    for (; list && *list; list++)
        kv_add(b, key, *list);
}

static void add_text(struct buf *b, const char *key, const char *value)
{
    if (value)
        kv_add(b, key, value);
}

static void add_user(const struct bundle_request *r, struct buf *b)
{
    kv_add_int(b, "uid", r->user.uid);
    kv_add_int(b, "gid", r->user.gid);
    for (size_t i = 0; i < r->user.n_groups; i++)
        kv_add_int(b, "group", r->user.groups[i]);
    add_text(b, "name", r->user.name);
    add_text(b, "home", r->user.home);
    add_text(b, "shell", r->user.shell);
    if (r->image != BUNDLE_IMAGE_FOLDER)
        return;
    struct subids ids;
    subids_find(r->user.name, r->user.uid, geteuid() == 0, &ids);
    kv_add_int(b, "sub_uid", ids.uid);
    kv_add_int(b, "sub_uid_count", ids.uid_count);
    kv_add_int(b, "sub_gid", ids.gid);
    kv_add_int(b, "sub_gid_count", ids.gid_count);
}

static void add_cgroups(const struct bundle_request *r, struct buf *b)
{
    kv_add(b, "cgroup_name", r->task);
    for (size_t i = 0; r->isolation && i < r->isolation->cgroups.n; i++) {
        char text[CGROUP_PATH_MAX + 32];
        cgroup_hierarchy_format(&r->isolation->cgroups.h[i], text, sizeof text);
        kv_add(b, "cgroup", text);
    }
}

bool bundle_write(const struct bundle_request *r, struct error *err)
{
    const char *runtime = "", *runtime_path = NULL;
    if (!check(r, err) || !choose_runtime(r, &runtime, &runtime_path, err))
        return false;
    bool host = r->image == BUNDLE_IMAGE_HOST;
    const char *cache_target = host ? BUNDLE_CACHE_IN_HOST : BUNDLE_CACHE_IN_IMAGE;
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {
        {"memory_bytes", r->memory_bytes},
        {"pids", r->pids_limit ? r->pids_limit : BUNDLE_PIDS_DEFAULT},
        {"shm_bytes", r->shm_bytes},
        {"time_limit_ms", r->time_limit_ms},
        {"log_limit_bytes", r->log_limit_bytes},
        {"grace_ms", r->grace_ms},
        {"stop_signal", (uint64_t)r->stop_signal},
        {"warn_ms", r->warn_ms},
        {"warn_signal", (uint64_t)r->warn_signal},
        {"tty", r->tty},
        {"stdin", r->stdin_open},
        {"split_streams", r->split_streams && !r->tty},
        {"rows", r->rows},
        {"cols", r->cols},
        {"fence_after_ms", r->fence_after_ms},
        {"processes", r->processes},
        {"first_rank", r->first_rank},
        {"read_only", r->read_only},
        {"umask", r->umask},
    };
    _cleanup_buf_ struct buf b = {0};
    kv_add_int(&b, "berth_shim", 1);
    kv_add(&b, "task", r->task);
    add_user(r, &b);
    kv_add(&b, "image", host ? "host" : "folder");
    add_text(&b, "image_path", r->image_path);
    kv_add(&b, "runtime", runtime);
    add_text(&b, "runtime_path", runtime_path);
    add_list(&b, "arg", r->argv);
    add_env(r, cache_target, &b);
    add_text(&b, "cwd", r->cwd);
    add_text(&b, "work_target", r->work_target);
    add_text(&b, "code_target", r->code_target);
    add_binds(r, &b);
    add_text(&b, "cpus", r->cpus);
    add_text(&b, "mems", r->mems);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        kv_addf(&b, numbers[i].key, "%" PRIu64, numbers[i].value);
    add_gpus(r, &b);
    add_text(&b, "log_path", r->log_path);
    add_text(&b, "err_path", r->err_path);
    if (r->cache_dir) {
        kv_add(&b, "cache_dir", r->cache_dir);
        kv_add(&b, "cache_target", cache_target);
    }
    add_list(&b, "cover", r->covers);
    add_list(&b, "allow_socket", r->allow_sockets);
    add_cgroups(r, &b);
    if (b.len > BUNDLE_SPEC_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "arguments and environment take more than %u MiB",
                         BUNDLE_SPEC_BYTES_MAX >> 20);
    char path[4096];
    snprintf(path, sizeof path, "%s/spec", r->task_dir);
    /* Not durable: after a power cut the task is prepared anew, or its shim had read it. */
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || !fs_write_all(fd, b.data, b.len))
        return error_errno(err, errno, "can't write %s", path);
    return true;
}
