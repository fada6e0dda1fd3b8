/*
 * Whether the working directory still stands at the code directory's path. Who moves that directory takes the
 * mount along, and who removes it ends the mount; the second one, in Berth's own place, stays. The kernel's
 * list of mounts tells: no path of the user's is looked up.
 */
#include "executor/shim/shim.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOUNTINFO_MAX_BYTES (16u << 20)

/* Where the mount stands, as proc(5) writes it; NULL where there is none of that id. The caller frees it. */
static char *find_mount(uint64_t id)
{
    _cleanup_buf_ struct buf text = {0};
    struct error ignored;
    if (!fs_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX_BYTES, &text, &ignored) || !text.data)
        return NULL;
    for (const char *line = text.data, *next; line && *line; line = next ? next + 1 : NULL) {
        char *end;
        next = strchr(line, '\n');
        bool found = strtoull(line, &end, 10) == id && end != line;
        const char *field = line;
        for (int i = 0; found && field && i < 4; i++) /* id, parent, device, root */
            field = (field = strchr(field, ' ')) ? field + 1 : NULL;
        if (found && field)
            return xstrndup(field, strcspn(field, " \n"));
    }
    return NULL;
}

void code_mount_note(struct shim *s, uint64_t mount_id)
{
    s->code_mount_id = mount_id;
    s->code_mount_at = mount_id ? find_mount(mount_id) : NULL;
}

bool code_mount_lost(const struct shim *s)
{
    if (!s->code_mount_at)
        return false;
    _cleanup_free_ char *now = find_mount(s->code_mount_id);
    return !now || strcmp(now, s->code_mount_at) != 0;
}
