/* The administrator's default mounts. */
#include "executor/site_mounts.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

bool site_mounts_read(const char *path, struct site_mounts *out, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    memset(out, 0, sizeof *out);
    struct error read_err = {0};
    if (!fs_read_file(AT_FDCWD, path, SITE_MOUNTS_BYTES_MAX, &text, &read_err)) {
        if (read_err.code == ERROR_NOT_FOUND)
            return true;
        *err = read_err;
        return false;
    }
    out->items = xcalloc(SITE_MOUNTS_MAX, sizeof *out->items);
    int number = 0;
    for (char *line = text.data, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        number++;
        line += strspn(line, " \t");
        line[strcspn(line, "#\r")] = '\0';
        for (size_t n = strlen(line); n && strchr(" \t", line[n - 1]); n--)
            line[n - 1] = '\0';
        if (!*line)
            continue;
        if (out->count == SITE_MOUNTS_MAX)
            error_set(&read_err, ERROR_LIMIT, "more than %d mounts", SITE_MOUNTS_MAX);
        else if (job_mount_parse(line, &out->items[out->count], &read_err))
            out->count++;
        if (read_err.code != ERROR_NONE) {
            site_mounts_finish(out);
            error_set(err, read_err.code, "%s, line %d: %s", path, number, read_err.message);
            return error_hint(err, "write one SRC[:DST][:rw] a line");
        }
    }
    return true;
}

void site_mounts_finish(struct site_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->items[i].source);
        free(mounts->items[i].target);
    }
    free(mounts->items);
    memset(mounts, 0, sizeof *mounts);
}
