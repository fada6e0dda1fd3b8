/* Start orders. What is not understood is refused whole: a task with half an order never starts. */
#include "executor/order.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "proto/resources.h"
#include "proto/signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take_ints(const cJSON *lease, const char *field, int64_t **out, size_t *count, struct error *err)
{
    const cJSON *list = json_get(lease, field);
    if (!list || cJSON_IsNull(list))
        return true;
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1;
    if (n < 0 || n > ORDER_CPUS_MAX)
        return error_field(err, field, "lease.%s is not a list of at most %d numbers", field, ORDER_CPUS_MAX);
    *out = xcalloc((size_t)n + 1, sizeof **out);
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        int64_t value;
        if (!json_item_int(item, &value) || value < 0 || value > INT32_MAX)
            return error_field(err, field, "lease.%s holds something that is no index", field);
        (*out)[(*count)++] = value;
    }
    return true;
}

static bool take_gpus(const cJSON *lease, struct order *order, struct error *err)
{
    const cJSON *list = json_get(lease, "gpus"), *item;
    int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (n > ORDER_GPUS_MAX)
        return error_field(err, "lease.gpus", "more than %d GPUs in one lease", ORDER_GPUS_MAX);
    order->lease.gpus = xcalloc((size_t)n + 1, sizeof *order->lease.gpus);
    cJSON_ArrayForEach(item, list)
    {
        const char *uuid = json_str(item, "uuid", NULL);
        if (!uuid || !*uuid || strlen(uuid) > 95)
            return error_field(err, "lease.gpus", "a GPU without a UUID");
        for (size_t i = 0; i < order->lease.gpu_count; i++)
            if (strcmp(order->lease.gpus[i].uuid, uuid) == 0)
                return error_field(err, "lease.gpus", "GPU %s is leased twice to one task", uuid);
        int64_t milli = json_int(item, "milli", RESOURCE_GPU_WHOLE),
                memory = json_int(item, "memory_bytes", 0);
        if (milli < 1 || milli > RESOURCE_GPU_WHOLE || memory < 0)
            return error_field(err, "lease.gpus", "a share of GPU %s is not from 1 to %d thousandths", uuid,
                               RESOURCE_GPU_WHOLE);
        order->lease.gpus[order->lease.gpu_count++] = (struct order_gpu){.uuid = xstrdup(uuid),
                                                                         .index = json_int(item, "index", -1),
                                                                         .milli = (int)milli,
                                                                         .memory_bytes = memory};
    }
    return true;
}

/* A signal by name or number; 0 where the field is absent. */
static bool take_signal(const cJSON *json, const char *field, int *out, struct error *err)
{
    const cJSON *item = json_get(json, field);
    char text[24];
    int64_t number;
    *out = 0;
    if (!item || cJSON_IsNull(item))
        return true;
    if (json_item_int(item, &number))
        snprintf(text, sizeof text, "%lld", (long long)number);
    else
        snprintf(text, sizeof text, "%s", cJSON_IsString(item) ? item->valuestring : "");
    *out = signal_by_name(text);
    return *out || error_field(err, field, "%s is no signal that a task can be sent", field);
}

static bool take_times(const cJSON *json, struct order *order, struct error *err)
{
    order->time_limit_ms = json_int(json, "time_limit_ms", 0);
    order->grace_ms = json_int(json, "grace_ms", JOB_GRACE_DEFAULT_MS);
    order->warn_ms = json_int(json, "warn_ms", 0);
    order->submitted_ms = json_int(json, "submitted_ms", 0);
    if (order->time_limit_ms < 0 || order->grace_ms < 0 || order->warn_ms < 0)
        return error_set(err, ERROR_INVALID, "the order of %s has a negative time", order->task);
    return take_signal(json, "stop_signal", &order->stop_signal, err) &&
           take_signal(json, "warn_signal", &order->warn_signal, err);
}

static bool take_fence(const cJSON *json, struct order *order, struct error *err)
{
    const cJSON *fence = json_get(json, "fence");
    const char *rule = json_str(fence, "rule", "wait");
    order->fence_after_ms = 0;
    if (strcmp(rule, "wait") == 0)
        return true;
    order->fence_after_ms = json_int(fence, "after_ms", 0);
    if (strcmp(rule, "requeue") != 0 || order->fence_after_ms <= 0)
        return error_field(err, "fence", "the order of %s has a fence that is not understood", order->task);
    return true;
}

static bool take_hosts(const cJSON *gang, struct order *order, struct error *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const cJSON *hosts = json_get(gang, "hosts"), *host;
    struct buf names = {0};
    if (!cJSON_IsArray(hosts) || cJSON_GetArraySize(hosts) != order->gang.instances)
        return error_field(err, "gang.hosts", "a gang of %lld names not as many hosts",
                           (long long)order->gang.instances);
    cJSON_ArrayForEach(host, hosts)
    {
        const char *name = cJSON_IsString(host) ? host->valuestring : "";
        size_t n = strlen(name);
        if (n < 1 || n > ORDER_NAME_MAX || name[strspn(name, allowed)]) {
            buf_finish(&names);
            return error_field(err, "gang.hosts", "a host of a gang has no name that a node could have");
        }
        buf_printf(&names, "%s%s", names.len ? "," : "", name);
    }
    order->gang.hosts = buf_take(&names);
    return true;
}

static bool take_gang(const cJSON *json, struct order *order, struct error *err)
{
    const cJSON *gang = json_get(json, "gang");
    int64_t port = json_int(json, "master_port", 0);
    if (port < 0 || port > UINT16_MAX)
        return error_field(err, "master_port", "%lld is no port", (long long)port);
    order->gang = (struct order_gang){.instances = 1, .processes_per_instance = 1, .master_port = (int)port};
    if (!gang || cJSON_IsNull(gang))
        return order->id.rank == 0 || error_field(err, "gang", "%s has a rank and no gang", order->task);
    order->gang.instances = json_int(gang, "instances", 0);
    order->gang.processes_per_instance = json_int(gang, "processes_per_instance", 1);
    if (order->gang.instances < 1 || order->gang.instances > ORDER_INSTANCES_MAX)
        return error_field(err, "gang.instances", "a gang has 1 to %d instances", ORDER_INSTANCES_MAX);
    if (order->gang.processes_per_instance < 1 || order->gang.processes_per_instance > ORDER_PROCESSES_MAX)
        return error_field(err, "gang.processes_per_instance", "an instance has 1 to %d processes",
                           ORDER_PROCESSES_MAX);
    if (json_int(gang, "rank", order->id.rank) != order->id.rank || order->id.rank >= order->gang.instances)
        return error_field(err, "gang.rank", "%s is no member of a gang of %lld", order->task,
                           (long long)order->gang.instances);
    return take_hosts(gang, order, err);
}

static bool clean_absolute(const char *path)
{
    size_t n = path ? strlen(path) : 0;
    return n > 1 && n <= JOB_PATH_MAX && path[0] == '/' && !strstr(path, "/../") &&
           (n < 3 || strcmp(path + n - 3, "/..") != 0);
}

static bool take_job_inputs(const cJSON *json, struct order *order, struct error *err)
{
    const cJSON *paths = json_get(json, "job_inputs"), *continues = json_get(json, "continues"), *item;
    if (continues) {
        const char *path = json_str(continues, "path", NULL);
        if (!clean_absolute(path))
            return error_field(err, "continues", "the order of %s has no clean absolute path of continues",
                               order->task);
        order->continue_path = xstrdup(path);
        order->continues = xstrdup(json_str(continues, "job", "?"));
    }
    if (!paths)
        return true;
    int count = cJSON_GetArraySize(paths);
    if (!cJSON_IsObject(paths) || count > JOB_INPUTS_MAX)
        return error_field(err, "job_inputs", "the order of %s has job_inputs that can't be read",
                           order->task);
    order->job_inputs.items = xcalloc((size_t)count + 1, sizeof *order->job_inputs.items);
    cJSON_ArrayForEach(item, paths)
    {
        if (!cJSON_IsString(item) || !clean_absolute(item->valuestring))
            return error_field(err, "job_inputs", "the order of %s has no clean absolute path for %s",
                               order->task, item->string);
        order->job_inputs.items[order->job_inputs.count++] =
            (struct job_pair){xstrdup(item->string), xstrdup(item->valuestring)};
    }
    return true;
}

static bool fill(const cJSON *json, struct order *order, struct error *err)
{
    const char *task = json_str(json, "task", NULL), *principal = json_str(json, "principal", NULL);
    if (!task || !task_id_parse(task, &order->id))
        return error_field(err, "task", "the order names no task");
    task_id_format(order->id, order->task);
    if (!principal || !*principal)
        return error_field(err, "principal", "the order of %s names no principal", task);
    order->principal = xstrdup(principal);
    order->uid_hint = json_int(json, "uid_hint", -1);
    int64_t epoch = json_int(json, "epoch", -1);
    if (epoch < 0)
        return error_field(err, "epoch", "the order of %s has no epoch", task);
    order->epoch = (uint64_t)epoch;
    const cJSON *lease = json_get(json, "lease");
    if (!cJSON_IsObject(lease))
        return error_field(err, "lease", "the order of %s has no lease", task);
    if (!take_ints(lease, "cores", &order->lease.cores, &order->lease.core_count, err) ||
        !take_ints(lease, "cpus", &order->lease.cpus, &order->lease.cpu_count, err) ||
        !take_ints(lease, "mems", &order->lease.mems, &order->lease.mem_count, err) ||
        !take_gpus(lease, order, err))
        return false;
    order->lease.memory_bytes = json_int(lease, "memory_bytes", 0);
    if (order->lease.memory_bytes < 0)
        return error_set(err, ERROR_INVALID, "the order of %s has a negative amount", task);
    if (!take_times(json, order, err) || !take_fence(json, order, err) || !take_gang(json, order, err))
        return false;
    order->job_name = xstrdup(json_str(json, "job_name", task));
    const char *log_path = json_str(json, "log_path", NULL),
               *outputs_path = json_str(json, "outputs_path", NULL);
    if (!clean_absolute(log_path) || !clean_absolute(outputs_path))
        return error_field(err, "log_path", "the order of %s has no clean absolute log_path and outputs_path",
                           task);
    order->log_path = xstrdup(log_path);
    order->outputs_path = xstrdup(outputs_path);
    if (!take_job_inputs(json, order, err))
        return false;
    order->spec = job_spec_parse_accepted(json_get(json, "spec"), err);
    if (!order->spec)
        return error_wrap(err, "the job file of %s", task);
    order->array_index = json_int(json, "array_index", -1);
    if (order->spec->array.count && (order->array_index < 0 || order->array_index > ARRAY_INDEX_MAX ||
                                     !array_element(&order->spec->array, (uint32_t)order->array_index)))
        return error_field(err, "array_index", "%s is no element of its array", task);
    if (!json_get(json, "gang")) /* of one node, and its own matter */
        order->gang.processes_per_instance = order->spec->processes_per_instance;
    if (!order->warn_ms) { /* the job's own */
        order->warn_ms = order->spec->warning_before_ms;
        order->warn_signal = order->spec->warning_signal;
    }
    order->text = json_text(json);
    return true;
}

struct order *order_parse(const cJSON *json, struct error *err)
{
    struct order *order = xcalloc(1, sizeof *order);
    if (fill(json, order, err))
        return order;
    order_destroy(order);
    return NULL;
}

void order_destroy(struct order *order)
{
    if (!order)
        return;
    for (size_t i = 0; i < order->lease.gpu_count; i++)
        free(order->lease.gpus[i].uuid);
    free(order->lease.gpus);
    free(order->gang.hosts);
    free(order->lease.cores);
    free(order->lease.cpus);
    free(order->lease.mems);
    free(order->principal);
    free(order->job_name);
    free(order->log_path);
    free(order->outputs_path);
    free(order->continues);
    free(order->continue_path);
    for (size_t i = 0; i < order->job_inputs.count; i++) {
        free(order->job_inputs.items[i].name);
        free(order->job_inputs.items[i].value);
    }
    free(order->job_inputs.items);
    job_spec_destroy(order->spec);
    free(order->text);
    free(order);
}
