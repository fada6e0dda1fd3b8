/* Checks an inventory that came from outside: every number inside its limit, every id given once. No state.
 */
#include "executor/inventory.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "executor/gpu_lock.h"
#include "proto/gpu_link.h"
#include "proto/json.h"
#include "proto/resources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_MAX 96
#define DEVICE_MINOR_MAX (1 << 20)
#define MIG_ID_MAX 1024
#define CPUS_MAX (RESOURCE_CORES_MAX * RESOURCE_CORE_THREADS_MAX) /* OS indexes are below it */

/* "list[3].field" into out; returns out. */
static const char *field_name(char *out, const char *list, int index, const char *field)
{
    snprintf(out, FIELD_MAX, "%s[%d].%s", list, index, field);
    return out;
}

static bool number_in(const cJSON *object, const char *field, const char *shown, int64_t least, int64_t most,
                      int64_t *out, struct error *err)
{
    const cJSON *item = json_get(object, field);
    if (!item)
        return error_field(err, shown, "is missing");
    if (!json_item_int(item, out))
        return error_field(err, shown, "must be a whole number");
    if (*out < least || *out > most)
        return error_field(err, shown, "is %lld; it must be %lld to %lld", (long long)*out, (long long)least,
                           (long long)most);
    return true;
}

static bool text_in(const cJSON *object, const char *field, const char *shown, struct error *err)
{
    const cJSON *item = json_get(object, field);
    if (!cJSON_IsString(item))
        return error_field(err, shown, item ? "must be text" : "is missing");
    if (strlen(item->valuestring) > INVENTORY_TEXT_MAX)
        return error_field(err, shown, "is longer than %d bytes", INVENTORY_TEXT_MAX);
    return true;
}

static bool list_in(const cJSON *inventory, const char *field, int least, int most, const cJSON **out,
                    struct error *err)
{
    *out = json_get(inventory, field);
    if (!cJSON_IsArray(*out))
        return error_field(err, field, *out ? "must be a list" : "is missing");
    int count = cJSON_GetArraySize(*out);
    if (count < least || count > most)
        return error_field(err, field, "has %d entries; it must have %d to %d", count, least, most);
    return true;
}

/* Marks bit `n`; false where it was marked. */
static bool mark_once(uint64_t *bits, int64_t n)
{
    uint64_t bit = UINT64_C(1) << (n % 64);
    bool fresh = !(bits[n / 64] & bit);
    bits[n / 64] |= bit;
    return fresh;
}

static bool check_cores(const cJSON *inventory, struct error *err)
{
    uint64_t ids[RESOURCE_CORE_WORDS] = {0};
    _cleanup_free_ uint64_t *seen = xcalloc(CPUS_MAX / 64, sizeof *seen);
    char name[FIELD_MAX];
    const cJSON *cores = NULL, *core, *cpu;
    int64_t n = 0;
    int i = 0;
    if (!list_in(inventory, "cores", 1, RESOURCE_CORES_MAX, &cores, err))
        return false;
    cJSON_ArrayForEach(core, cores)
    {
        if (!number_in(core, "id", field_name(name, "cores", i, "id"), 0, RESOURCE_CORES_MAX - 1, &n, err))
            return false;
        if (!mark_once(ids, n))
            return error_field(err, name, "%lld is given twice", (long long)n);
        if (!number_in(core, "package", field_name(name, "cores", i, "package"), 0, RESOURCE_CORES_MAX - 1,
                       &n, err) ||
            !number_in(core, "numa", field_name(name, "cores", i, "numa"), 0, RESOURCE_NUMA_MAX - 1, &n, err))
            return false;
        const cJSON *cpus = json_get(core, "cpus");
        field_name(name, "cores", i, "cpus");
        int count = cJSON_IsArray(cpus) ? cJSON_GetArraySize(cpus) : 0;
        if (count < 1 || count > RESOURCE_CORE_THREADS_MAX)
            return error_field(err, name, "must list 1 to %d logical CPUs", RESOURCE_CORE_THREADS_MAX);
        cJSON_ArrayForEach(cpu, cpus)
        {
            if (!json_item_int(cpu, &n) || n < 0 || n >= CPUS_MAX)
                return error_field(err, name, "must hold whole numbers from 0 to %d", CPUS_MAX - 1);
            if (!mark_once(seen, n))
                return error_field(err, name, "CPU %lld belongs to two cores", (long long)n);
        }
        i++;
    }
    return true;
}

static bool check_numa(const cJSON *inventory, struct error *err)
{
    uint64_t ids[(RESOURCE_NUMA_MAX + 63) / 64] = {0};
    char name[FIELD_MAX];
    const cJSON *list = NULL, *node;
    int64_t n = 0;
    int i = 0;
    if (!list_in(inventory, "numa", 0, RESOURCE_NUMA_MAX, &list, err))
        return false;
    cJSON_ArrayForEach(node, list)
    {
        if (!number_in(node, "id", field_name(name, "numa", i, "id"), 0, RESOURCE_NUMA_MAX - 1, &n, err))
            return false;
        if (!mark_once(ids, n))
            return error_field(err, name, "%lld is given twice", (long long)n);
        if (!number_in(node, "memory_bytes", field_name(name, "numa", i, "memory_bytes"), 0,
                       RESOURCE_MEMORY_MAX_BYTES, &n, err))
            return false;
        i++;
    }
    return true;
}

static bool check_gpu(const cJSON *gpus, const cJSON *gpu, int i, uint64_t *indexes, struct error *err)
{
    char name[FIELD_MAX];
    int64_t n = 0;
    if (!number_in(gpu, "index", field_name(name, "gpus", i, "index"), 0, RESOURCE_GPUS_MAX * 2 - 1, &n, err))
        return false;
    if (!mark_once(indexes, n))
        return error_field(err, name, "%lld is given twice", (long long)n);
    const char *uuid = json_str(gpu, "uuid", "");
    field_name(name, "gpus", i, "uuid");
    if (!*uuid || strlen(uuid) > GPU_LOCK_UUID_MAX)
        return error_field(err, name, "must be text of 1 to %d characters", GPU_LOCK_UUID_MAX);
    for (const cJSON *other = gpus->child; other != gpu; other = other->next)
        if (strcmp(json_str(other, "uuid", ""), uuid) == 0)
            return error_field(err, name, "%s is given twice", uuid);
    if (!text_in(gpu, "name", field_name(name, "gpus", i, "name"), err) ||
        !number_in(gpu, "memory_bytes", field_name(name, "gpus", i, "memory_bytes"), 0,
                   RESOURCE_MEMORY_MAX_BYTES, &n, err))
        return false;
    const cJSON *numa = json_get(gpu, "numa"), *minor = json_get(gpu, "minor");
    if (numa && !cJSON_IsNull(numa) &&
        !number_in(gpu, "numa", field_name(name, "gpus", i, "numa"), 0, RESOURCE_NUMA_MAX - 1, &n, err))
        return false;
    return !minor || cJSON_IsNull(minor) ||
           number_in(gpu, "minor", field_name(name, "gpus", i, "minor"), 0, DEVICE_MINOR_MAX, &n, err);
}

/* `to` must be the index of another GPU of the list, and of none twice. */
static bool check_link(const cJSON *gpus, const cJSON *gpu, const cJSON *link, const char *name,
                       uint64_t *seen, struct error *err)
{
    int64_t to = 0, nvlinks = 0;
    enum gpu_link kind;
    const cJSON *other, *found = NULL, *p2p = json_get(link, "p2p");
    if (!number_in(link, "to", name, 0, RESOURCE_GPUS_MAX * 2 - 1, &to, err))
        return false;
    cJSON_ArrayForEach(other, gpus) if (json_int(other, "index", -1) == to) found = other;
    if (!found || found == gpu || !mark_once(seen, to))
        return error_field(err, name, "%lld is not the index of another GPU, or is given twice",
                           (long long)to);
    if (!gpu_link_parse(json_str(link, "kind", ""), &kind))
        return error_field(err, name, "'%.40s' is no kind of link", json_str(link, "kind", ""));
    if (json_get(link, "nvlinks") &&
        !number_in(link, "nvlinks", name, 0, GPU_LINK_NVLINKS_MAX * 2, &nvlinks, err))
        return false;
    return !p2p || cJSON_IsNull(p2p) || cJSON_IsBool(p2p) ||
           error_field(err, name, "p2p is true, false or null");
}

static bool check_links(const cJSON *gpus, const cJSON *gpu, int i, struct error *err)
{
    uint64_t seen[(RESOURCE_GPUS_MAX * 2 + 63) / 64] = {0};
    char name[FIELD_MAX];
    const cJSON *links = json_get(gpu, "links"), *link;
    field_name(name, "gpus", i, "links");
    if (!links || cJSON_IsNull(links))
        return true;
    if (!cJSON_IsArray(links))
        return error_field(err, name, "must be a list");
    cJSON_ArrayForEach(link, links) if (!check_link(gpus, gpu, link, name, seen, err)) return false;
    return true;
}

static bool check_mig(const cJSON *gpu, int i, struct error *err)
{
    char name[FIELD_MAX];
    const cJSON *mig = json_get(gpu, "mig"), *caps = json_get(mig, "caps"), *cap;
    int64_t n = 0;
    field_name(name, "gpus", i, "mig");
    if (!mig || cJSON_IsNull(mig))
        return true;
    const char *parent = json_str(mig, "parent", "");
    if (!cJSON_IsObject(mig) || !*parent || strlen(parent) > GPU_LOCK_UUID_MAX)
        return error_field(err, name, "must name the parent, in 1 to %d characters", GPU_LOCK_UUID_MAX);
    if (!text_in(mig, "profile", name, err) || !number_in(mig, "gi", name, 0, MIG_ID_MAX, &n, err) ||
        !number_in(mig, "ci", name, 0, MIG_ID_MAX, &n, err))
        return false;
    cJSON_ArrayForEach(cap, caps)
    {
        if (!json_item_int(cap, &n) || n < 0 || n > DEVICE_MINOR_MAX)
            return error_field(err, name, "caps are numbers of device nodes");
    }
    return cJSON_GetArraySize(caps) <= 2 || error_field(err, name, "has more than two caps");
}

static bool check_gpus(const cJSON *inventory, struct error *err)
{
    uint64_t indexes[(RESOURCE_GPUS_MAX * 2 + 63) / 64] = {0};
    const cJSON *gpus = NULL, *gpu;
    int i = 0;
    if (!list_in(inventory, "gpus", 0, RESOURCE_GPUS_MAX, &gpus, err))
        return false;
    cJSON_ArrayForEach(gpu, gpus) if (!check_gpu(gpus, gpu, i++, indexes, err)) return false;
    i = 0;
    cJSON_ArrayForEach(gpu, gpus)
    {
        if (!check_links(gpus, gpu, i, err) || !check_mig(gpu, i, err))
            return false;
        i++;
    }
    return true;
}

bool inventory_check(const cJSON *inventory, struct error *err)
{
    int64_t n = 0;
    if (!cJSON_IsObject(inventory))
        return error_field(err, "", "an inventory is a JSON object");
    const cJSON *version = json_get(inventory, "version");
    if (json_item_int(version, &n) && n > 1)
        return error_set(err, ERROR_VERSION, "this inventory is of version %lld; this program knows 1",
                         (long long)n);
    if (!number_in(inventory, "version", "version", 1, 1, &n, err))
        return false;
    static const char *const texts[] = {"hostname", "os", "kernel", "cpu_model", "cgroup"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!text_in(inventory, texts[i], texts[i], err))
            return false;
    return number_in(inventory, "packages", "packages", 1, RESOURCE_CORES_MAX, &n, err) &&
           number_in(inventory, "memory_bytes", "memory_bytes", 1, RESOURCE_MEMORY_MAX_BYTES, &n, err) &&
           check_cores(inventory, err) && check_numa(inventory, err) && check_gpus(inventory, err);
}
