/*
 * The warning ahead of the time limit, sent by the first process inside. Unlike a signal to end it must harm
 * nobody: the default action of most signals is death, and a shell around a training program, or a helper of
 * it, has not asked for one. So it goes only to processes that have a handler for it or wait for it
 * (sigwait(3), signalfd(2)), as /proc/PID/status tells.
 */
#include "executor/shim/shim.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_BYTES_MAX 65536
/* Between fork and exec a process may block all there is; that is no sign that it waits for one of them. */
#define BLOCKED_MAX 32

static uint64_t mask_of(const char *status, const char *field)
{
    const char *at = strstr(status, field);
    return at ? strtoull(at + strlen(field), NULL, 16) : 0;
}

static bool awaits(pid_t pid, int signo)
{
    char path[32];
    _cleanup_buf_ struct buf status = {0};
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (!fs_read_file(AT_FDCWD, path, STATUS_BYTES_MAX, &status, NULL) || !status.len)
        return false;
    uint64_t bit = UINT64_C(1) << (signo - 1), blocked = mask_of(status.data, "\nSigBlk:");
    return (mask_of(status.data, "\nSigCgt:") & bit) ||
           ((blocked & bit) && __builtin_popcountll(blocked) <= BLOCKED_MAX);
}

int64_t warn_processes(int signo, pid_t session)
{
    _cleanup_dir_ DIR *proc = opendir("/proc");
    struct dirent *entry;
    int64_t warned = 0;
    while (proc && (entry = readdir(proc))) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;
        if (pid <= 1 || pid == getpid() || (session && getsid(pid) != session && getpgid(pid) != session) ||
            !awaits(pid, signo))
            continue;
        warned += kill(pid, signo) == 0;
    }
    return warned;
}
