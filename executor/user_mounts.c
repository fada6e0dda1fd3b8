#include "executor/user_mounts.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"

#include <fcntl.h>
#include <string.h>

#define MOUNTINFO_BYTES_MAX (8u << 20)

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

bool user_mounts_line(const char *line)
{
    char target[512] = "";
    const char *type = strstr(line, " - "), *user = strstr(line, "user_id=");
    sscanf(line, "%*d %*d %*s %*s %511s", target); // NOLINT(cert-err34-c): no number is taken
    if (begins(target, "/media/") || begins(target, "/run/media/"))
        return true;
    return type && begins(type + 3, "fuse") && !begins(type + 3, "fusectl") &&
           !(user && begins(user, "user_id=0,"));
}

bool user_mounts_any(void)
{
    struct error ignored;
    _cleanup_buf_ struct buf text = {0};
    if (!fs_read_file(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_BYTES_MAX, &text, &ignored) || !text.len)
        return true;
    char *rest = text.data;
    for (char *line; (line = strsep(&rest, "\n"));)
        if (user_mounts_line(line))
            return true;
    return false;
}
