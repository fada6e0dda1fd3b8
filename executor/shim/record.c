/*
 * The shim's files in the task's folder. Invariant: `exit` appears whole or not at all, and survives a power
 * cut once it is there; `state` is whole at any time, but not durable (a shim that lost power is dead
 * anyway).
 */
#include "executor/shim/shim.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "proto/kv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define EXIT_RESERVED_BYTES 32768
#define EXIT_NEW "exit.new"

bool record_shim(const struct shim *s, struct error *err)
{
    _cleanup_buf_ struct buf b = {0};
    kv_add(&b, "version", BERTH_VERSION);
    kv_add_int(&b, "pid", getpid());
    kv_addf(&b, "start_time", "%llu", (unsigned long long)clock_process_start(getpid()));
    kv_add(&b, "boot_id", clock_boot_id());
    kv_add(&b, "cgroup_name", s->spec.cgroup_name);
    for (size_t i = 0; i < s->spec.cgroups.n; i++)
        kv_add(&b, "cgroup", s->spec.cgroups.v[i]);
    if (ftruncate(SHIM_LOCK_FD, 0) != 0 || pwrite(SHIM_LOCK_FD, b.data, b.len, 0) != (ssize_t)b.len ||
        fdatasync(SHIM_LOCK_FD) != 0)
        return error_errno(err, errno, "can't write the shim's record");
    return true;
}

void record_state(const struct shim *s)
{
    _cleanup_buf_ struct buf b = {0};
    kv_add(&b, "state", s->state);
    if (s->init_pid) {
        kv_add_int(&b, "payload_pid", s->init_pid);
        kv_addf(&b, "payload_start", "%llu", (unsigned long long)s->init_start);
    }
    kv_add_int(&b, "started_ms", s->started_ms);
    _cleanup_close_ int fd =
        openat(SHIM_TASK_FD, "state.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    /* A full disk only means that the file keeps telling the state of before. */
    if (fd >= 0 && fs_write_all(fd, b.data, b.len))
        renameat(SHIM_TASK_FD, "state.new", SHIM_TASK_FD, "state");
}

bool record_exit_reserve(struct error *err)
{
    _cleanup_close_ int fd = openat(SHIM_TASK_FD, EXIT_NEW, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(err, errno, "can't create the exit record");
    int rc = posix_fallocate(fd, 0, EXIT_RESERVED_BYTES);
    if (rc != 0 && rc != EOPNOTSUPP && rc != EINVAL)
        return error_errno(err, rc, "can't reserve room for the exit record");
    return true;
}

bool record_exit(const char *bytes, size_t n, struct error *err)
{
    FAULT("shim.before_exit_record");
    _cleanup_close_ int fd = openat(SHIM_TASK_FD, EXIT_NEW, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, bytes, n, 0) != (ssize_t)n || ftruncate(fd, (off_t)n) != 0 || fdatasync(fd) != 0)
        return error_errno(err, errno, "can't write the exit record");
    FAULT("shim.exit_record_written");
    if (renameat(SHIM_TASK_FD, EXIT_NEW, SHIM_TASK_FD, "exit") != 0)
        return error_errno(err, errno, "can't put the exit record in place");
    if (fsync(SHIM_TASK_FD) != 0)
        return error_errno(err, errno, "can't sync the task's folder");
    FAULT("shim.exit_recorded");
    return true;
}
