/* What is left of a task when its payload has ended: seen by its first process, which all of it descends
 * from. */
#include "executor/shim/shim.h"

#include "base/cleanup.h"
#include "base/fs.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHILDREN_BYTES_MAX (1u << 20)
#define COMM_BYTES_MAX 64
#define DEPTH_MAX 64 /* deeper processes are killed as all are, and not counted */

/* The user's words reach terminals and the log: only what prints is kept. */
static void read_name(pid_t pid, char *out, size_t size)
{
    char path[64];
    _cleanup_buf_ struct buf comm = {0};
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    if (fs_read_file(AT_FDCWD, path, COMM_BYTES_MAX, &comm, NULL))
        for (; n < comm.len && comm.data[n] != '\n' && n + 1 < size; n++)
            out[n] = (char)(isgraph((unsigned char)comm.data[n]) ? comm.data[n] : '?');
    out[n] = '\0';
}

static int64_t count_below(pid_t of, char *name, size_t size, int depth)
{
    char path[64];
    _cleanup_buf_ struct buf children = {0};
    int64_t count = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)of, (int)of);
    if (depth == DEPTH_MAX || !fs_read_file(AT_FDCWD, path, CHILDREN_BYTES_MAX, &children, NULL) ||
        !children.len)
        return 0;
    char *rest = children.data;
    for (char *word; (word = strsep(&rest, " "));) {
        pid_t pid = (pid_t)strtol(word, NULL, 10);
        if (pid <= 1)
            continue;
        if (!*name)
            read_name(pid, name, size);
        count += 1 + count_below(pid, name, size, depth + 1);
    }
    return count;
}

int64_t left_count(char *name, size_t size)
{
    *name = '\0';
    return count_below(getpid(), name, size, 0);
}
