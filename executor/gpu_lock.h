/*
 * One GPU, one holder, machine-wide: a GPU is locked by binding the abstract Unix socket named after its UUID
 * ("\0berth-gpu-UUID"), so that the Berths of two users never hand out the same one, and no lock outlives its
 * holder's last process. The lock is the descriptor: the executor takes it and gives it to the shim (keep_fds
 * of launch_shim), which keeps it for the task's life and must let no process of the task inherit it.
 *
 * Abstract names belong to a network namespace: Berths in different ones (two containers that share a GPU) do
 * not see each other's locks; docs/SECURITY.md says so.
 */
#ifndef BERTH_EXECUTOR_GPU_LOCK_H
#define BERTH_EXECUTOR_GPU_LOCK_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

#define GPU_LOCK_PREFIX "berth-gpu-" /* after the NUL */
#define GPU_LOCK_UUID_MAX 80         /* bytes of a UUID; letters, digits, '-' and '/' (MIG) */

struct gpu_lock_holder {
    bool held;
    bool uid_known, pid_known;
    uid_t uid;
    pid_t pid;     /* who called listen(2) last on it: the executor, or the shim where it did so again */
    char user[64]; /* login name, "uid N" where there is none, "another Berth" where the uid is not known */
};

/* Returns the lock, a descriptor with CLOEXEC that is given back by closing its last copy; -1 and
 * ERROR_CONFLICT, naming who holds it, where it is held; other errors as they come. Never waits. */
int gpu_lock_take(const char *uuid, struct error *err);
/* Looks who holds a GPU, without taking it. May ask the user database: not on the loop. */
struct gpu_lock_holder gpu_lock_look(const char *uuid);

#endif
