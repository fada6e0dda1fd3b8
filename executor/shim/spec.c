/* Reading TASK_DIR/spec. One table says which key goes where. */
#include "executor/shim/shim.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "proto/kv.h"

#include <string.h>

#define SPEC_VERSION 1

enum kind { TEXT, NUMBER, LIST };

#define FIELD(key, kind, member)                                                                             \
    {                                                                                                        \
        key, kind, offsetof(struct spec, member)                                                             \
    }
static const struct {
    const char *key;
    enum kind kind;
    size_t offset;
} fields[] = {
    FIELD("task", TEXT, task),
    FIELD("uid", NUMBER, uid),
    FIELD("gid", NUMBER, gid),
    FIELD("group", LIST, groups),
    FIELD("name", TEXT, name),
    FIELD("home", TEXT, home),
    FIELD("shell", TEXT, shell),
    FIELD("image", TEXT, image),
    FIELD("image_path", TEXT, image_path),
    FIELD("runtime", TEXT, runtime),
    FIELD("runtime_path", TEXT, runtime_path),
    FIELD("arg", LIST, args),
    FIELD("env", LIST, env),
    FIELD("cwd", TEXT, cwd),
    FIELD("work_target", TEXT, work_target),
    FIELD("code_target", TEXT, code_target),
    FIELD("bind_source", LIST, bind_sources),
    FIELD("bind_target", LIST, bind_targets),
    FIELD("bind_flags", LIST, bind_flags),
    FIELD("cpus", TEXT, cpus),
    FIELD("mems", TEXT, mems),
    FIELD("memory_bytes", NUMBER, memory_bytes),
    FIELD("pids", NUMBER, pids),
    FIELD("shm_bytes", NUMBER, shm_bytes),
    FIELD("gpu_minor", LIST, gpu_minors),
    FIELD("gpu_cap", LIST, gpu_caps),
    FIELD("time_limit_ms", NUMBER, time_limit_ms),
    FIELD("log_limit_bytes", NUMBER, log_limit_bytes),
    FIELD("grace_ms", NUMBER, grace_ms),
    FIELD("stop_signal", NUMBER, stop_signal),
    FIELD("warn_ms", NUMBER, warn_ms),
    FIELD("warn_signal", NUMBER, warn_signal),
    FIELD("tty", NUMBER, tty),
    FIELD("stdin", NUMBER, stdin_open),
    FIELD("split_streams", NUMBER, split_streams),
    FIELD("rows", NUMBER, rows),
    FIELD("cols", NUMBER, cols),
    FIELD("log_path", TEXT, log_path),
    FIELD("err_path", TEXT, err_path),
    FIELD("cache_dir", TEXT, cache_dir),
    FIELD("cache_target", TEXT, cache_target),
    FIELD("cover", LIST, covers),
    FIELD("allow_socket", LIST, allow_sockets),
    FIELD("cgroup", LIST, cgroups),
    FIELD("cgroup_name", TEXT, cgroup_name),
    FIELD("sub_uid", NUMBER, sub_uid),
    FIELD("sub_uid_count", NUMBER, sub_uid_count),
    FIELD("sub_gid", NUMBER, sub_gid),
    FIELD("sub_gid_count", NUMBER, sub_gid_count),
    FIELD("fence_after_ms", NUMBER, fence_after_ms),
    FIELD("processes", NUMBER, processes),
    FIELD("first_rank", NUMBER, first_rank),
    FIELD("read_only", NUMBER, read_only),
    FIELD("umask", NUMBER, umask),
};

struct strings kv_list(const char *data, size_t len, const char *key)
{
    struct strings list = {0};
    size_t cursor = 0, n = 0;
    while (kv_next(data, len, key, &cursor))
        n++;
    list.v = xcalloc(n + 1, sizeof *list.v);
    cursor = 0;
    for (const char *value; (value = kv_next(data, len, key, &cursor));)
        list.v[list.n++] = value;
    return list;
}

bool spec_read(struct spec *s, int dir_fd, struct error *err)
{
    memset(s, 0, sizeof *s);
    if (!fs_read_file(dir_fd, "spec", SPEC_BYTES_MAX, &s->text, err))
        return false;
    const struct buf *t = &s->text;
    int64_t version = kv_get_int(t->data, t->len, "berth_shim", 0);
    if (version != SPEC_VERSION)
        return error_set(err, ERROR_VERSION, "the task's spec has version %d, this shim reads %d",
                         (int)version, SPEC_VERSION);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        void *member = (char *)s + fields[i].offset;
        if (fields[i].kind == TEXT)
            *(const char **)member = kv_get(t->data, t->len, fields[i].key);
        else if (fields[i].kind == NUMBER)
            *(int64_t *)member = kv_get_int(t->data, t->len, fields[i].key, 0);
        else
            *(struct strings *)member = kv_list(t->data, t->len, fields[i].key);
    }
    if (!s->task || !s->image || !s->runtime || !s->log_path || !s->cgroup_name || s->args.n == 0 ||
        s->bind_sources.n != s->bind_targets.n || s->bind_sources.n != s->bind_flags.n ||
        (s->split_streams && !s->err_path))
        return error_set(err, ERROR_INVALID, "the task's spec is incomplete");
    return true;
}

bool spec_is_host(const struct spec *s)
{
    return strcmp(s->image, "host") == 0;
}
