/* /proc/driver/nvidia, /sys/module/nvidia and /sys/bus/pci, as far as an inventory needs them. No state. */
#include "gpu/files.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "proto/json.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_FILE_MAX_BYTES (64u << 10)

/* Without its trailing blanks; NULL where it can't be read. The caller frees. */
static char *read_small(const char *root, const char *path)
{
    _cleanup_free_ char *full = xasprintf("%s%s", root, path);
    _cleanup_buf_ struct buf text = {0};
    if (!fs_read_file(AT_FDCWD, full, SMALL_FILE_MAX_BYTES, &text, NULL) || !text.len)
        return NULL;
    while (text.len && isspace((unsigned char)text.data[text.len - 1]))
        text.data[--text.len] = '\0';
    return buf_take(&text);
}

/* "KEY \t N" somewhere in the file; -1 where it is not there. */
static int64_t number_after(const char *root, const char *path, const char *key)
{
    _cleanup_free_ char *text = read_small(root, path);
    const char *at = text ? strstr(text, key) : NULL;
    if (!at)
        return -1;
    char *end;
    at += strlen(key);
    long n = strtol(at, &end, 10);
    return end == at || n < 0 ? -1 : n;
}

int64_t gpu_files_minor(const char *root, const char *pci)
{
    _cleanup_free_ char *path = xasprintf("/proc/driver/nvidia/gpus/%s/information", pci);
    return number_after(root, path, "Device Minor:");
}

int64_t gpu_files_cap(const char *root, int64_t minor, int gi, int ci)
{
    _cleanup_free_ char *within = ci < 0 ? xstrdup("") : xasprintf("ci%d/", ci);
    _cleanup_free_ char *path =
        xasprintf("/proc/driver/nvidia/capabilities/gpu%lld/mig/gi%d/%saccess", (long long)minor, gi, within);
    return number_after(root, path, "DeviceFileMinor:");
}

int64_t gpu_files_numa(const char *root, const char *pci)
{
    _cleanup_free_ char *path = xasprintf("/sys/bus/pci/devices/%s/numa_node", pci);
    _cleanup_free_ char *text = read_small(root, path);
    return text ? strtol(text, NULL, 10) : -1;
}

char *gpu_files_driver_version(const char *root)
{
    char *version = read_small(root, "/sys/module/nvidia/version");
    if (version)
        return version;
    _cleanup_free_ char *text = read_small(root, "/proc/driver/nvidia/version");
    const char *at = text ? strstr(text, "Kernel Module") : NULL;
    for (at = at ? at + strlen("Kernel Module") : NULL; at && *at && *at != '\n'; at++) {
        if (!isdigit((unsigned char)*at))
            continue;
        return xstrndup(at, strspn(at, "0123456789."));
    }
    return NULL;
}

void gpu_files_normalize_pci(char *pci)
{
    for (char *c = pci; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

void gpu_files_add_number(cJSON *object, const char *field, int64_t value)
{
    if (value < 0)
        cJSON_AddNullToObject(object, field);
    else
        json_add_int(object, field, value);
}
