/* Inventories: JSON to the core's terms, and leases back to the machine's terms. */
#include "scheduler/inventory.h"

#include "base/alloc.h"

#include <ctype.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLOSENESS_OF_NVLINK 4

void inventory_gpu_key(const char *uuid, uint8_t key[RESOURCE_GPU_KEY_BYTES])
{
    const char *digits = strncmp(uuid, "GPU-", 4) == 0 ? uuid + 4 : uuid;
    unsigned count = 0;
    memset(key, 0, RESOURCE_GPU_KEY_BYTES);
    for (const char *p = digits; *p; p++) {
        if (*p == '-')
            continue;
        if (!isxdigit((unsigned char)*p) || count == 32) {
            count = 0;
            break;
        }
        int value = isdigit((unsigned char)*p) ? *p - '0' : tolower((unsigned char)*p) - 'a' + 10;
        key[count / 2] = (uint8_t)(key[count / 2] << 4 | value);
        count++;
    }
    static const uint8_t none[RESOURCE_GPU_KEY_BYTES];
    if (count == 32 && digits != uuid && memcmp(key, none, sizeof none) != 0)
        return;
    uint8_t hash[32];
    gnutls_hash_fast(GNUTLS_DIG_SHA256, uuid, strlen(uuid), hash);
    memcpy(key, hash, RESOURCE_GPU_KEY_BYTES);
}

uint8_t inventory_link_closeness(enum gpu_link kind, uint32_t nvlinks)
{
    static const uint8_t of_kind[GPU_LINK_COUNT] = {
        [GPU_LINK_SYSTEM] = 10,      [GPU_LINK_NUMA] = 20,    [GPU_LINK_PCIE_BRIDGE] = 40,
        [GPU_LINK_PCIE_SWITCH] = 60, [GPU_LINK_NVLINK] = 100,
    };
    if ((unsigned)kind >= GPU_LINK_COUNT)
        return 0;
    uint32_t room = (UINT8_MAX - of_kind[GPU_LINK_NVLINK]) / CLOSENESS_OF_NVLINK;
    uint32_t counted = kind != GPU_LINK_NVLINK ? 0 : nvlinks < room ? nvlinks : room;
    return (uint8_t)(of_kind[kind] + CLOSENESS_OF_NVLINK * counted);
}

static bool parse_core(const cJSON *json, struct inventory_core *core, struct error *err)
{
    int64_t id = json_int(json, "id", -1), numa = json_int(json, "numa", 0);
    const cJSON *cpus = json_get(json, "cpus"), *cpu;
    int count = cJSON_GetArraySize(cpus);
    if (id < 0 || id >= RESOURCE_CORES_MAX)
        return error_field(err, "inventory.cores", "a core's id %lld is not below %d", (long long)id,
                           RESOURCE_CORES_MAX);
    if (count < 1 || count > RESOURCE_CORE_THREADS_MAX)
        return error_field(err, "inventory.cores", "core %lld has %d CPUs", (long long)id, count);
    core->unit = (uint16_t)id;
    core->numa = numa < 0 || numa >= RESOURCE_NUMA_MAX ? 0 : (uint8_t)numa;
    cJSON_ArrayForEach(cpu, cpus)
    {
        int64_t value;
        if (!json_item_int(cpu, &value) || value < 0 || value > INT32_MAX)
            return error_field(err, "inventory.cores", "core %lld has a CPU that is no number",
                               (long long)id);
        core->cpus[core->cpu_count++] = (uint32_t)value;
    }
    return true;
}

static const cJSON *gpu_at(const cJSON *gpus, uint32_t place)
{
    return cJSON_GetArrayItem(gpus, (int)place);
}

/* Where nothing is said of a pair, its NUMA nodes tell the least. MIG instances reach no other's memory. */
static uint8_t closeness_by_numa(const struct inventory *inv, const cJSON *gpus, uint32_t a, uint32_t b)
{
    if (inv->gpus[a].mig || inv->gpus[b].mig || json_int(gpu_at(gpus, a), "numa", -1) < 0 ||
        json_int(gpu_at(gpus, b), "numa", -1) < 0)
        return 0;
    return inventory_link_closeness(inv->gpus[a].numa == inv->gpus[b].numa ? GPU_LINK_NUMA : GPU_LINK_SYSTEM,
                                    0);
}

/* A link that is told from one end only, or differently, counts as the better one. A kind that this Berth
 * does not know, or an index of no GPU, is left out. */
static void parse_links(const cJSON *gpus, struct inventory *inv)
{
    for (uint32_t a = 0; a < inv->gpu_count; a++) {
        const cJSON *link;
        cJSON_ArrayForEach(link, json_get(gpu_at(gpus, a), "links"))
        {
            int64_t to = json_int(link, "to", -1), nvlinks = json_int(link, "nvlinks", 0);
            enum gpu_link kind;
            if (!gpu_link_parse(json_str(link, "kind", ""), &kind))
                continue;
            uint8_t closeness =
                inventory_link_closeness(kind, nvlinks < 0                      ? 0
                                               : nvlinks > GPU_LINK_NVLINKS_MAX ? GPU_LINK_NVLINKS_MAX
                                                                                : (uint32_t)nvlinks);
            for (uint32_t b = 0; b < inv->gpu_count; b++) {
                if (b == a || inv->gpus[b].index != to || closeness <= inv->gpus[a].link[b])
                    continue;
                inv->gpus[a].link[b] = inv->gpus[b].link[a] = closeness;
            }
        }
    }
    for (uint32_t a = 0; a < inv->gpu_count; a++)
        for (uint32_t b = 0; b < inv->gpu_count; b++)
            if (a != b && !inv->gpus[a].link[b])
                inv->gpus[a].link[b] = closeness_by_numa(inv, gpus, a, b);
}

static void parse_mig(const cJSON *json, struct inventory_gpu *gpu)
{
    const cJSON *mig = json_get(json, "mig");
    const char *parent = json_str(mig, "parent", "");
    gpu->mig = cJSON_IsObject(mig) && *parent;
    if (!gpu->mig)
        return;
    inventory_gpu_key(parent, gpu->parent);
    snprintf(gpu->profile, sizeof gpu->profile, "%s", json_str(mig, "profile", ""));
}

static bool parse_gpu(const cJSON *json, struct inventory *inv, struct error *err)
{
    struct inventory_gpu *gpu = &inv->gpus[inv->gpu_count];
    const char *uuid = json_str(json, "uuid", "");
    int64_t numa = json_int(json, "numa", 0), memory = json_int(json, "memory_bytes", 0);
    if (!*uuid || strlen(uuid) >= sizeof gpu->uuid)
        return error_field(err, "inventory.gpus", "a GPU without a UUID");
    for (const char *p = uuid; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_/.:", *p))
            return error_field(err, "inventory.gpus", "a GPU's UUID holds '%c'", *p);
    snprintf(gpu->uuid, sizeof gpu->uuid, "%s", uuid);
    inventory_gpu_key(uuid, gpu->key);
    for (uint32_t i = 0; i < inv->gpu_count; i++)
        if (memcmp(inv->gpus[i].key, gpu->key, sizeof gpu->key) == 0)
            return error_field(err, "inventory.gpus", "two GPUs have the UUID %s", uuid);
    gpu->index = (uint32_t)json_int(json, "index", (int64_t)inv->gpu_count);
    gpu->numa = numa < 0 || numa >= RESOURCE_NUMA_MAX ? 0 : (uint8_t)numa;
    if (memory < 0 || (uint64_t)memory > RESOURCE_MEMORY_MAX_BYTES)
        return error_field(err, "inventory.gpus", "GPU %s has %lld bytes of memory", uuid, (long long)memory);
    gpu->memory_bytes = (uint64_t)memory;
    snprintf(gpu->model, sizeof gpu->model, "%s", json_str(json, "name", "GPU"));
    parse_mig(json, gpu);
    inv->gpu_count++;
    return true;
}

static bool parse(const cJSON *json, struct inventory *inv, struct error *err)
{
    const cJSON *cores = json_get(json, "cores"), *gpus = json_get(json, "gpus"), *item;
    int64_t memory = json_int(json, "memory_bytes", 0), version = json_int(json, "version", 1);
    uint64_t seen[RESOURCE_CORE_WORDS] = {0};
    int core_count = cJSON_GetArraySize(cores);
    if (version > 1)
        return error_set(err, ERROR_VERSION, "the inventory has version %lld, this Berth knows 1",
                         (long long)version);
    if (memory <= 0 || (uint64_t)memory > RESOURCE_MEMORY_MAX_BYTES)
        return error_field(err, "inventory.memory_bytes", "%lld bytes of memory", (long long)memory);
    if (core_count < 1 || core_count > RESOURCE_CORES_MAX)
        return error_field(err, "inventory.cores", "%d cores; 1 to %d are possible", core_count,
                           RESOURCE_CORES_MAX);
    if (cJSON_GetArraySize(gpus) > RESOURCE_GPUS_MAX)
        return error_field(err, "inventory.gpus", "more than %d GPUs", RESOURCE_GPUS_MAX);
    inv->memory_bytes = (uint64_t)memory;
    inv->cores = xcalloc((size_t)core_count, sizeof *inv->cores);
    cJSON_ArrayForEach(item, cores)
    {
        struct inventory_core *core = &inv->cores[inv->core_count];
        if (!parse_core(item, core, err))
            return false;
        if (resource_bit(seen, core->unit))
            return error_field(err, "inventory.cores", "core %u is there twice", core->unit);
        resource_bit_set(seen, core->unit);
        inv->cpu_count += core->cpu_count;
        inv->core_count++;
    }
    cJSON_ArrayForEach(item, gpus) if (!parse_gpu(item, inv, err)) return false;
    parse_links(gpus, inv);
    return true;
}

struct inventory *inventory_parse(const cJSON *json, struct error *err)
{
    struct inventory *inv = xcalloc(1, sizeof *inv);
    if (!cJSON_IsObject(json)) {
        error_field(err, "inventory", "the node tells no inventory");
    } else if (parse(json, inv, err)) {
        return inv;
    }
    inventory_destroy(inv);
    return NULL;
}

void inventory_destroy(struct inventory *inv)
{
    if (!inv)
        return;
    free(inv->cores);
    free(inv);
}

struct core_inventory *inventory_for_core(const struct inventory *inv)
{
    struct core_inventory *out = xcalloc(1, sizeof *out);
    out->memory_bytes = inv->memory_bytes / 100 * INVENTORY_JOB_MEMORY_PERCENT;
    out->core_count = inv->core_count;
    out->gpu_count = inv->gpu_count;
    for (uint32_t i = 0; i < inv->core_count; i++)
        out->cores[i] = (struct core_inventory_core){
            .unit = inv->cores[i].unit, .threads = inv->cores[i].cpu_count, .numa = inv->cores[i].numa};
    for (uint32_t i = 0; i < inv->gpu_count; i++) {
        memcpy(out->gpus[i].key, inv->gpus[i].key, RESOURCE_GPU_KEY_BYTES);
        out->gpus[i].memory_bytes = inv->gpus[i].memory_bytes;
        out->gpus[i].numa = inv->gpus[i].numa;
        memcpy(out->gpus[i].link, inv->gpus[i].link, inv->gpu_count * sizeof *inv->gpus[i].link);
    }
    return out;
}

static const struct inventory_gpu *gpu_of_unit(const struct inventory *inv, const struct core *core,
                                               struct node_id node, uint32_t unit)
{
    uint8_t key[RESOURCE_GPU_KEY_BYTES];
    if (!core_node_gpu_key(core, node, unit, key))
        return NULL;
    for (uint32_t i = 0; inv && i < inv->gpu_count; i++)
        if (memcmp(inv->gpus[i].key, key, sizeof key) == 0)
            return &inv->gpus[i];
    return NULL;
}

/* A share is told as such, with its part of the memory. */
static void write_order_gpu(const struct inventory_gpu *gpu, uint32_t milli, const char *comma,
                            struct buf *out)
{
    buf_printf(out, "%s{\"uuid\":\"%s\",\"index\":%u", comma, gpu->uuid, gpu->index);
    unsigned long long memory = gpu->memory_bytes / RESOURCE_GPU_WHOLE * milli;
    if (milli && milli < RESOURCE_GPU_WHOLE)
        buf_printf(out, ",\"milli\":%u,\"memory_bytes\":%llu", milli, memory);
    buf_add_char(out, '}');
}

void inventory_write_lease(const struct inventory *inv, const struct core *core, struct node_id node,
                           const struct resource_lease *lease, enum lease_form form, struct buf *out)
{
    const char *comma = "";
    uint64_t mems = 0;
    buf_add_str(out, "{\"cores\":[");
    for (uint32_t i = 0; i < RESOURCE_CORES_MAX; i++) {
        if (!resource_bit(lease->cores, i))
            continue;
        buf_printf(out, "%s%u", comma, i);
        comma = ",";
    }
    buf_add_str(out, "],\"cpus\":[");
    comma = "";
    for (uint32_t i = 0; inv && i < inv->core_count; i++) {
        const struct inventory_core *c = &inv->cores[i];
        if (!resource_bit(lease->cores, c->unit))
            continue;
        mems |= UINT64_C(1) << c->numa;
        for (unsigned k = 0; k < c->cpu_count; k++) {
            buf_printf(out, "%s%u", comma, c->cpus[k]);
            comma = ",";
        }
    }
    buf_add_str(out, "],\"mems\":[");
    comma = "";
    for (unsigned i = 0; i < RESOURCE_NUMA_MAX; i++) {
        if (!(mems >> i & 1))
            continue;
        buf_printf(out, "%s%u", comma, i);
        comma = ",";
    }
    buf_printf(out, "],\"memory_bytes\":%llu,\"gpus\":[", (unsigned long long)lease->memory_bytes);
    comma = "";
    for (uint32_t unit = 0; unit < RESOURCE_GPUS_MAX; unit++) {
        if (!(lease->gpus >> unit & 1))
            continue;
        const struct inventory_gpu *gpu = gpu_of_unit(inv, core, node, unit);
        if (!gpu)
            continue;
        if (form == LEASE_FOR_ORDER)
            write_order_gpu(gpu, lease->gpu_milli_each, comma, out);
        else
            buf_printf(out, "%s\"%s\"", comma, gpu->uuid);
        comma = ",";
    }
    buf_add_str(out, "]}");
}
