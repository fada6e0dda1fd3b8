/*
 * The inventory: hwloc's view of the machine, cut to what this process may use, joined with the names of
 * inventory_host.c and the GPU probe's answer. Owns nothing between calls.
 */
#include "executor/inventory.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/inventory_host.h"
#include "proto/json.h"
#include "proto/resources.h"

#include <fcntl.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* hwloc's "0-3,8-11", as taskset and cpuset files write it. The caller frees. */
static char *cpu_list(hwloc_const_cpuset_t set)
{
    char *text = NULL;
    hwloc_bitmap_list_asprintf(&text, set);
    return text;
}

static void destroy_topology(hwloc_topology_t *topology)
{
    if (*topology)
        hwloc_topology_destroy(*topology);
}

/* Loads the topology; on the machine itself (not a simulated one) it is cut to the CPUs of this thread. */
static bool load_topology(hwloc_topology_t *topology, struct error *err)
{
    if (hwloc_topology_init(topology) < 0)
        return error_set(err, ERROR_INTERNAL, "hwloc can't start");
    /* Caches and devices are not asked about: this halves the time, and nothing here uses them. */
    for (int type = HWLOC_OBJ_L1CACHE; type <= HWLOC_OBJ_L3ICACHE; type++)
        hwloc_topology_set_type_filter(*topology, (hwloc_obj_type_t)type, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_io_types_filter(*topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (hwloc_topology_load(*topology) < 0)
        return error_set(err, ERROR_INTERNAL, "hwloc can't read this machine's topology");
    if (!hwloc_topology_is_thissystem(*topology))
        return true;
    hwloc_bitmap_t mine = hwloc_bitmap_alloc();
    if (mine && hwloc_get_cpubind(*topology, mine, HWLOC_CPUBIND_THREAD) == 0 && !hwloc_bitmap_iszero(mine))
        hwloc_topology_restrict(*topology, mine,
                                0); /* refused where nothing would be left: then all counts */
    hwloc_bitmap_free(mine);
    return true;
}

static unsigned first_numa(hwloc_obj_t object)
{
    int node = object->nodeset ? hwloc_bitmap_first(object->nodeset) : -1;
    return node < 0 ? 0 : (unsigned)node;
}

static unsigned package_of(hwloc_topology_t topology, hwloc_obj_t object)
{
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_PACKAGE, object);
    return package ? package->logical_index : 0;
}

static bool add_core(hwloc_topology_t topology, hwloc_obj_t core, unsigned id, cJSON *cores,
                     struct error *err)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddItemToArray(cores, item);
    json_add_int(item, "id", id);
    json_add_int(item, "package", package_of(topology, core));
    json_add_int(item, "numa", first_numa(core));
    cJSON *cpus = cJSON_AddArrayToObject(item, "cpus");
    unsigned cpu, count = 0;
    hwloc_bitmap_foreach_begin(cpu, core->cpuset)
    {
        cJSON_AddItemToArray(cpus, json_int_item(cpu));
        count++;
    }
    hwloc_bitmap_foreach_end();
    if (count < 1 || count > RESOURCE_CORE_THREADS_MAX)
        return error_set(err, ERROR_LIMIT, "core %u has %u logical CPUs; 1 to %d are known", id, count,
                         RESOURCE_CORE_THREADS_MAX);
    return true;
}

static bool add_cores(hwloc_topology_t topology, cJSON *out, struct error *err)
{
    /* Some virtual machines show no cores: then each logical CPU is one. */
    hwloc_obj_type_t type =
        hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
    int count = hwloc_get_nbobjs_by_type(topology, type);
    if (count < 1)
        return error_set(err, ERROR_INTERNAL, "hwloc finds no CPU that this process may use");
    if (count > RESOURCE_CORES_MAX)
        return error_set(err, ERROR_LIMIT, "this machine has %d cores; %d are the limit", count,
                         RESOURCE_CORES_MAX);
    cJSON *cores = cJSON_AddArrayToObject(out, "cores");
    /* Ids are the first CPU's OS index, unless one would pass the limit: then they are the order. */
    bool by_cpu = true;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topology, type, o));)
        by_cpu = by_cpu && hwloc_bitmap_first(o->cpuset) < RESOURCE_CORES_MAX;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topology, type, o));)
        if (!add_core(topology, o, by_cpu ? (unsigned)hwloc_bitmap_first(o->cpuset) : o->logical_index, cores,
                      err))
            return false;
    return true;
}

/* Adds "numa" and returns the machine's memory. */
static int64_t add_numa(hwloc_topology_t topology, cJSON *out)
{
    cJSON *list = cJSON_AddArrayToObject(out, "numa");
    int64_t sum = 0;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, o));) {
        _cleanup_free_ char *cpus = cpu_list(o->cpuset);
        cJSON *item = cJSON_CreateObject();
        json_add_int(item, "id", o->os_index);
        json_add_int(item, "memory_bytes", (int64_t)o->attr->numanode.local_memory);
        json_add_str(item, "cpus", cpus);
        cJSON_AddItemToArray(list, item);
        sum += (int64_t)o->attr->numanode.local_memory;
    }
    return sum;
}

static void add_cpu_model(hwloc_topology_t topology, cJSON *out)
{
    hwloc_obj_t package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
    const char *known = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    _cleanup_free_ char *own = known ? NULL : inventory_cpu_model("");
    json_add_str(out, "cpu_model", known ? known : own ? own : "unknown");
}

static void add_gpus(const struct inventory_options *options, cJSON *out)
{
    cJSON *found;
    if (options->no_gpus) {
        cJSON_AddArrayToObject(out, "gpus");
        cJSON_AddNullToObject(out, "gpu_driver");
        cJSON_AddNullToObject(out, "gpu_error");
        return;
    }
    cJSON *probe = gpu_probe_inventory(&options->gpu);
    static const char *const fields[] = {"gpus", "gpu_driver", "gpu_error"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        found = cJSON_DetachItemFromObjectCaseSensitive(probe, fields[i]);
        cJSON_AddItemToObject(out, fields[i], found ? found : cJSON_CreateNull());
    }
    cJSON_Delete(probe);
}

bool inventory_read(const struct inventory_options *options, cJSON **out, struct error *err)
{
    _cleanup_(destroy_topology) hwloc_topology_t topology = NULL;
    _cleanup_json_ cJSON *made = cJSON_CreateObject();
    *out = NULL;
    if (!load_topology(&topology, err))
        return false;
    json_add_int(made, "version", 1);
    inventory_add_host(made, "");
    add_cpu_model(topology, made);
    int packages = hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PACKAGE);
    json_add_int(made, "packages", packages > 0 ? packages : 1);
    if (!add_cores(topology, made, err))
        return false;
    int64_t memory = add_numa(topology, made);
    bool real = hwloc_topology_is_thissystem(topology);
    int64_t limit = real ? inventory_memory_limit_bytes("") : INT64_MAX;
    /* The kernel's own total: the NUMA nodes' figures in sysfs leave out memory that a virtual machine was
     * given later. */
    if (real || memory <= 0)
        memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    json_add_int(made, "memory_bytes", limit < memory ? limit : memory);
    add_gpus(options, made);
    if (!inventory_check(made, err)) {
        error_wrap(err, "the inventory of this machine");
        return false;
    }
    *out = take_ptr(made);
    return true;
}

/* What a simulated inventory may leave out. */
static void fill_defaults(cJSON *inventory)
{
    static const struct {
        const char *field, *text;
    } texts[] = {{"hostname", "simulated"},
                 {"os", "simulated"},
                 {"kernel", "simulated"},
                 {"cpu_model", "simulated"},
                 {"cgroup", "none"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!json_get(inventory, texts[i].field))
            cJSON_AddStringToObject(inventory, texts[i].field, texts[i].text);
    if (!json_get(inventory, "packages"))
        json_add_int(inventory, "packages", 1);
    static const char *const lists[] = {"numa", "gpus"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        if (!json_get(inventory, lists[i]))
            cJSON_AddArrayToObject(inventory, lists[i]);
    static const char *const nulls[] = {"gpu_driver", "gpu_error"};
    for (size_t i = 0; i < sizeof nulls / sizeof nulls[0]; i++)
        if (!json_get(inventory, nulls[i]))
            cJSON_AddNullToObject(inventory, nulls[i]);
}

bool inventory_from_file(const char *path, cJSON **out, struct error *err)
{
    _cleanup_buf_ struct buf text = {0};
    *out = NULL;
    if (!fs_read_file(AT_FDCWD, path, INVENTORY_FILE_MAX_BYTES, &text, err))
        return false;
    _cleanup_json_ cJSON *read = json_parse(text.data ? text.data : "", text.len, err);
    if (!read) {
        error_wrap(err, "%s", path);
        return false;
    }
    if (cJSON_IsObject(read))
        fill_defaults(read);
    if (!inventory_check(read, err)) {
        error_wrap(err, "%s", path);
        return false;
    }
    *out = take_ptr(read);
    return true;
}
