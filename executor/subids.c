/* Sub-id ranges: /etc/subuid and /etc/subgid ("name:first:count"), else the service's default. */
#include "executor/subids.h"

#include "base/buf.h"
#include "base/fs.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (4u << 20)

bool subids_in_file(const char *path, const char *name, uid_t uid, uint32_t *first, uint32_t *count)
{
    _cleanup_buf_ struct buf b = {0};
    if (!fs_read_file(AT_FDCWD, path, FILE_BYTES_MAX, &b, NULL) || !b.len)
        return false;
    char number[16];
    snprintf(number, sizeof number, "%u", (unsigned)uid);
    char *rest = b.data;
    for (char *line; (line = strsep(&rest, "\n"));) {
        char *range = strchr(line, ':');
        if (!range)
            continue;
        *range++ = '\0';
        char *colon, *end;
        unsigned long long a = strtoull(range, &colon, 10),
                           n = *colon == ':' ? strtoull(colon + 1, &end, 10) : 0;
        bool ours = (name && strcmp(line, name) == 0) || strcmp(line, number) == 0;
        if (ours && a > 0 && n > 0 && a <= UINT32_MAX && n <= UINT32_MAX && a + n <= UINT32_MAX) {
            *first = (uint32_t)a;
            *count = (uint32_t)(n > SUBIDS_COUNT ? SUBIDS_COUNT : n);
            return true;
        }
    }
    return false;
}

void subids_find(const char *name, uid_t uid, bool by_root, struct subids *ids)
{
    memset(ids, 0, sizeof *ids);
    bool found = subids_in_file("/etc/subuid", name, uid, &ids->uid, &ids->uid_count) &&
                 subids_in_file("/etc/subgid", name, uid, &ids->gid, &ids->gid_count);
    if (found)
        return;
    memset(ids, 0, sizeof *ids);
    if (!by_root)
        return;
    ids->uid = ids->gid = SUBIDS_DEFAULT_BASE + (uint32_t)uid % SUBIDS_DEFAULT_SLOTS * SUBIDS_COUNT;
    ids->uid_count = ids->gid_count = SUBIDS_COUNT;
}
