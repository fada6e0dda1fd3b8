/* Reads /etc/os-release, /proc and the cgroup mounts. No state. */
#include "executor/inventory_host.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/inventory.h"
#include "proto/json.h"

#include <ctype.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#define SMALL_FILE_MAX_BYTES (256u << 10)
#define CPUINFO_MAX_BYTES (8u << 20)
#define CGROUP_V1_UNLIMITED (INT64_C(1) << 62) /* v1 says "no limit" as a number just below 2^63 */

static char *read_text(const char *root, const char *path, size_t max)
{
    _cleanup_free_ char *full = xasprintf("%s%s", root, path);
    _cleanup_buf_ struct buf text = {0};
    return fs_read_file(AT_FDCWD, full, max, &text, NULL) ? buf_take(&text) : NULL;
}

/* The line "KEY=VALUE" of os-release(5), its quotes taken off. */
static char *os_name(const char *root)
{
    static const char key[] = "PRETTY_NAME=";
    _cleanup_free_ char *text = read_text(root, "/etc/os-release", SMALL_FILE_MAX_BYTES);
    if (!text)
        text = read_text(root, "/usr/lib/os-release", SMALL_FILE_MAX_BYTES);
    char *rest = NULL;
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
        if (strncmp(line, key, sizeof key - 1) != 0)
            continue;
        char *value = line + sizeof key - 1;
        if (*value == '"' || *value == '\'') {
            char *end = strrchr(value + 1, *value);
            if (end)
                *end = '\0';
            value++;
        }
        return xstrndup(value, INVENTORY_TEXT_MAX);
    }
    return xstrdup("Linux");
}

static bool is_cgroup2(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static const char *cgroup_mode(const char *root)
{
    _cleanup_free_ char *base = xasprintf("%s/sys/fs/cgroup", root);
    _cleanup_free_ char *unified = xasprintf("%s/unified", base);
    _cleanup_free_ char *memory = xasprintf("%s/memory", base);
    struct statfs fs;
    if (is_cgroup2(base))
        return "v2";
    bool v1 = statfs(memory, &fs) == 0 && fs.f_type == CGROUP_SUPER_MAGIC;
    if (is_cgroup2(unified))
        return "hybrid";
    return v1 ? "v1" : "none";
}

void inventory_add_host(cJSON *out, const char *root)
{
    struct utsname names;
    _cleanup_free_ char *os = os_name(root);
    uname(&names);
    json_add_str(out, "hostname", names.nodename);
    json_add_str(out, "os", os);
    json_add_str(out, "kernel", names.release);
    cJSON_AddStringToObject(out, "cgroup", cgroup_mode(root));
}

char *inventory_cpu_model(const char *root)
{
    _cleanup_free_ char *text = read_text(root, "/proc/cpuinfo", CPUINFO_MAX_BYTES);
    const char *at = text ? strstr(text, "model name") : NULL;
    const char *colon = at ? strchr(at, ':') : NULL;
    if (!colon)
        return NULL;
    colon += 1 + strspn(colon + 1, " \t");
    size_t n = strcspn(colon, "\n");
    return xstrndup(colon, n < INVENTORY_TEXT_MAX ? n : INVENTORY_TEXT_MAX);
}

/* A limit file's number; INT64_MAX for "max", for v1's huge number and where there is no such file. */
static int64_t limit_file(const char *root, const char *folder, const char *file)
{
    _cleanup_free_ char *path = xasprintf("%s/%s", folder, file);
    _cleanup_free_ char *text = read_text(root, path, SMALL_FILE_MAX_BYTES);
    if (!text || !isdigit((unsigned char)text[0]))
        return INT64_MAX;
    int64_t limit = strtoll(text, NULL, 10);
    return limit > 0 && limit < CGROUP_V1_UNLIMITED ? limit : INT64_MAX;
}

/* The least limit from `path` (below `mount`) up to the mount's own top. */
static int64_t least_limit(const char *root, const char *mount, const char *path, const char *file)
{
    int64_t least = INT64_MAX;
    _cleanup_free_ char *folder = xasprintf("%s%s", mount, strcmp(path, "/") == 0 ? "" : path);
    while (strlen(folder) >= strlen(mount)) {
        int64_t limit = limit_file(root, folder, file);
        least = limit < least ? limit : least;
        char *slash = strrchr(folder, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    return least;
}

/* Does the comma list of a cgroup v1 line name this controller? */
static bool names_controller(const char *list, const char *controller)
{
    size_t n = strlen(controller);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, controller, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    }
    return false;
}

int64_t inventory_memory_limit_bytes(const char *root)
{
    _cleanup_free_ char *text = read_text(root, "/proc/self/cgroup", SMALL_FILE_MAX_BYTES);
    int64_t least = INT64_MAX;
    char *rest = NULL;
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest)) {
        /* "ID:controllers:/path"; ID 0 and no controllers is v2 */
        char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        controllers++;
        int64_t limit = INT64_MAX;
        if (!*controllers)
            limit = least_limit(root, "/sys/fs/cgroup", path, "memory.max");
        else if (names_controller(controllers, "memory"))
            limit = least_limit(root, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
        least = limit < least ? limit : least;
    }
    return least;
}
