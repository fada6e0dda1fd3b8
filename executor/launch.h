/*
 * Starts a shim: the static program embedded in this executable, from memory (memfd, fexecve), as a process
 * that is nobody's child to wait for (no SIGCHLD), in a session of its own. docs/PROTOCOL.md section 5.
 */
#ifndef BERTH_EXECUTOR_LAUNCH_H
#define BERTH_EXECUTOR_LAUNCH_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define LAUNCH_FDS_MAX 64

/* TASK_DIR/spec must be written. On return true the shim exists, TASK_DIR/shim is locked by it (no moment in
 * between), and TASK_DIR/ctl accepts connections. `keep_fds` (n of them; GPU locks) are inherited by the shim
 * and stay open as long as it lives; the caller may close its own. *pidfd (may be NULL) becomes readable when
 * the shim has ended; the caller closes it. Blocks for about a millisecond. Calling it while the folder's
 * shim lives is ERROR_CONFLICT. */
bool launch_shim(const char *task_dir, const int *keep_fds, size_t n, pid_t *pid, int *pidfd,
                 struct error *err);

#endif
