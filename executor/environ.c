/* Environment, command line and places of a task. Pure: nothing is looked up but the order, the user and the
 * node's name. */
#include "executor/environ.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "executor/bundle.h"
#include "executor/substitute.h"
#include "proto/resources.h"

#include <string.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULT_WORKSPACE "default"
#define MIB (1 << 20)

void text_list_add(struct text_list *list, char *text)
{
    if (list->count + 2 > list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 32;
        list->items = xrealloc(list->items, list->capacity * sizeof *list->items);
    }
    list->items[list->count++] = text;
    list->items[list->count] = NULL;
}

void text_list_finish(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    memset(list, 0, sizeof *list);
}

/* `path` with the prefix `from` replaced by `to`, or NULL where it does not lie below it. */
static char *move_prefix(const char *path, const char *from, const char *to)
{
    size_t n = strlen(from);
    while (n > 1 && from[n - 1] == '/')
        n--;
    if (strncmp(path, from, n) != 0 || (path[n] != '/' && path[n] != '\0'))
        return NULL;
    return xasprintf("%s%s", to, path + n);
}

void places_init(struct places *places, const struct order *order)
{
    const struct job_spec *spec = order->spec;
    bool host = spec->image_kind == JOB_IMAGE_HOST;
    memset(places, 0, sizeof *places);
    if (spec->code_path) {
        places->work = xstrdup(host ? spec->code_path : BUNDLE_CODE_IN_IMAGE);
        if (spec->cwd)
            places->cwd = move_prefix(spec->cwd, spec->code_path, places->work);
    } else {
        places->work = xstrdup(host ? ENVIRON_WORK_IN_HOST : BUNDLE_WORK_IN_IMAGE);
        if (host && spec->cwd)
            places->cwd = xstrdup(spec->cwd);
        else if (spec->live_path && spec->cwd)
            places->cwd = move_prefix(spec->cwd, spec->live_path, BUNDLE_CODE_IN_IMAGE);
    }
    if (!places->cwd)
        places->cwd = xstrdup(places->work);
    if (spec->live_path)
        places->code = host ? spec->live_path : BUNDLE_CODE_IN_IMAGE;
    else
        places->code = host && spec->code_path ? BUNDLE_CODE_IN_HOST : places->work;
    places->outputs = xasprintf("%s/outputs", places->work);
}

void places_finish(struct places *places)
{
    free(places->work);
    free(places->cwd);
    free(places->outputs);
    memset(places, 0, sizeof *places);
}

char *places_input(const struct order *order, const struct job_input_item *input)
{
    bool host = order->spec->image_kind == JOB_IMAGE_HOST;
    if (input->kind == JOB_INPUT_LITERAL || (host && input->kind != JOB_INPUT_JOB))
        return xstrdup(input->value);
    return xasprintf("%s/%s", host ? ENVIRON_INPUTS_IN_HOST : ENVIRON_INPUTS_IN_IMAGE, input->name);
}

/* inputs.NAME and outputs.default (the one output that every job has). */
struct bindings {
    struct substitute_value *values;
    size_t count;
};

static void bindings_init(struct bindings *b, const struct order *order, const struct places *places)
{
    const struct job_spec *spec = order->spec;
    b->values = xcalloc(spec->input_count + 2, sizeof *b->values);
    for (b->count = 0; b->count < spec->input_count; b->count++) {
        b->values[b->count].name = xasprintf("inputs.%s", spec->inputs[b->count].name);
        b->values[b->count].value = places_input(order, &spec->inputs[b->count]);
    }
    b->values[b->count++] = (struct substitute_value){xstrdup("outputs.default"), xstrdup(places->outputs)};
    if (spec->array.count)
        b->values[b->count++] = (struct substitute_value){xstrdup("array.index"),
                                                          xasprintf("%lld", (long long)order->array_index)};
}

static void bindings_finish(struct bindings *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free((char *)b->values[i].name);
        free((char *)b->values[i].value);
    }
    free(b->values);
}

bool environ_argv(const struct order *order, const struct places *places, struct text_list *out,
                  struct error *err)
{
    __attribute__((cleanup(bindings_finish))) struct bindings b;
    bindings_init(&b, order, places);
    const struct job_spec *spec = order->spec;
    if (!spec->command) {
        for (size_t i = 0; i < spec->argv.count; i++) {
            char *word = substitute(spec->argv.items[i], b.values, b.count, err);
            if (!word)
                return error_wrap(err, "argv[%zu]", i);
            text_list_add(out, word);
        }
        return true;
    }
    char *command = substitute(spec->command, b.values, b.count, err);
    if (!command)
        return error_wrap(err, "command");
    text_list_add(out, xstrdup("/bin/sh"));
    text_list_add(out, xstrdup("-c"));
    text_list_add(out, command);
    return true;
}

static void set(struct text_list *env, const char *name, const char *value)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < env->count; i++) {
        if (strncmp(env->items[i], name, n) == 0 && env->items[i][n] == '=') {
            free(env->items[i]);
            env->items[i] = xasprintf("%s=%s", name, value);
            return;
        }
    }
    text_list_add(env, xasprintf("%s=%s", name, value));
}

static void set_int(struct text_list *env, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    set(env, name, text);
}

static int64_t leased_cpus(const struct order *order)
{
    size_t n = order->lease.cpu_count ? order->lease.cpu_count : order->lease.core_count;
    return n ? (int64_t)n : 1;
}

/* PYTHONUNBUFFERED: Python buffers into a pipe, and people would see nothing until the end. */
static void set_basics(struct text_list *env, const struct order *order, const struct user *user,
                       bool root_inside)
{
    bool host = order->spec->image_kind == JOB_IMAGE_HOST;
    set(env, "PATH", DEFAULT_PATH);
    set(env, "HOME", root_inside ? "/root" : user->home);
    set(env, "USER", root_inside ? "root" : user->name);
    set(env, "LOGNAME", root_inside ? "root" : user->name);
    set(env, "SHELL", host ? user->shell : "/bin/sh");
    set(env, "LANG", "C.UTF-8");
    set(env, "TMPDIR", "/tmp");
    set(env, "PYTHONUNBUFFERED", "1");
    if (order->spec->wants_tty)
        set(env, "TERM", order->spec->term ? order->spec->term : "xterm");
}

/* Where the tasks of a job find each other. With several processes an instance each gets its own RANK and
 * LOCAL_RANK when it is started (shim/payload.c). */
static void set_gang(struct text_list *env, const struct order *order, const char *node)
{
    const struct order_gang *gang = &order->gang;
    const char *hosts = gang->hosts ? gang->hosts : node;
    set_int(env, "BERTH_RANK", order->id.rank);
    set_int(env, "BERTH_INSTANCES", gang->instances);
    set_int(env, "BERTH_PROCESSES_PER_INSTANCE", gang->processes_per_instance);
    set(env, "BERTH_HOSTS", hosts);
    if (!gang->master_port)
        return;
    _cleanup_free_ char *first = xstrndup(hosts, strcspn(hosts, ","));
    set(env, "MASTER_ADDR", gang->instances > 1 ? first : "127.0.0.1");
    set_int(env, "MASTER_PORT", gang->master_port);
    set_int(env, "WORLD_SIZE", gang->instances * gang->processes_per_instance);
    set_int(env, "NODE_RANK", order->id.rank);
    set_int(env, "LOCAL_WORLD_SIZE", gang->processes_per_instance);
    if (gang->processes_per_instance > 1)
        return;
    set_int(env, "RANK", order->id.rank);
    set_int(env, "LOCAL_RANK", 0);
}

/* Which element of its job's array it is. */
static void set_array(struct text_list *env, const struct order *order)
{
    const struct array_indices *array = &order->spec->array;
    if (!array->count)
        return;
    set_int(env, "BERTH_ARRAY_INDEX", order->array_index);
    set_int(env, "BERTH_ARRAY_COUNT", array->count);
    set_int(env, "BERTH_ARRAY_MIN", array_min(array));
    set_int(env, "BERTH_ARRAY_MAX", array_max(array));
}

/* What MPS, where it runs, gives this task of its GPUs. It knows one percentage for all of a process's GPUs:
 * the least. These are the lease's, so the job can't have others. */
static void set_shares(struct text_list *env, const struct order *order)
{
    _cleanup_buf_ struct buf millis = {0}, memory = {0};
    int least = RESOURCE_GPU_WHOLE;
    for (size_t i = 0; i < order->lease.gpu_count; i++) {
        const struct order_gpu *gpu = &order->lease.gpus[i];
        buf_printf(&millis, "%s%d", i ? "," : "", gpu->milli);
        least = gpu->milli < least ? gpu->milli : least;
        if (gpu->memory_bytes >= MIB) /* devices count as the task sees them: in the lease's order */
            buf_printf(&memory, "%s%zu=%lldM", memory.len ? "," : "", i,
                       (long long)(gpu->memory_bytes / MIB));
    }
    if (millis.len)
        set(env, "BERTH_GPU_MILLI", millis.data);
    if (least < RESOURCE_GPU_WHOLE)
        set_int(env, "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", least < 10 ? 1 : least / 10);
    if (memory.len)
        set(env, "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT", memory.data);
}

static void set_own(struct text_list *env, const struct order *order, const struct places *places,
                    const char *node)
{
    const struct job_spec *spec = order->spec;
    set(env, "BERTH_JOB_NAME", order->job_name);
    set_int(env, "BERTH_JOB_ID", (int64_t)order->id.job.v);
    set_int(env, "BERTH_ATTEMPT", order->id.attempt);
    set(env, "BERTH_NODE", node);
    set_int(env, "BERTH_CPUS", leased_cpus(order));
    set_int(env, "BERTH_MEMORY_BYTES", order->lease.memory_bytes);
    set_int(env, "BERTH_GPUS", (int64_t)order->lease.gpu_count);
    set(env, "BERTH_OUTPUTS", places->outputs);
    set(env, "BERTH_CODE", places->code);
    set(env, "AZUREML_RUN_ID", order->job_name);
    set(env, "AZUREML_ARM_WORKSPACE_NAME", spec->workspace ? spec->workspace : DEFAULT_WORKSPACE);
    set(env, "AZUREML_EXPERIMENT_NAME", spec->experiment_name ? spec->experiment_name : "Default");
}

bool environ_build(const struct order *order, const struct user *user, const struct places *places,
                   const char *node, bool root_inside, struct text_list *out, struct error *err)
{
    __attribute__((cleanup(bindings_finish))) struct bindings b;
    bindings_init(&b, order, places);
    const struct job_spec *spec = order->spec;
    bool host = spec->image_kind == JOB_IMAGE_HOST;
    set_basics(out, order, user, root_inside && !host);
    for (size_t i = 0; host && i < spec->submit_environment.count; i++)
        set(out, spec->submit_environment.items[i].name, spec->submit_environment.items[i].value);
    set_own(out, order, places, node);
    set_gang(out, order, node);
    set_array(out, order);
    for (size_t i = 0; i < spec->environment.count; i++) {
        const struct job_pair *pair = &spec->environment.items[i];
        _cleanup_free_ char *value = substitute(pair->value, b.values, b.count, err);
        if (!value)
            return error_wrap(err, "environment_variables.%s", pair->name);
        set(out, pair->name, value);
    }
    set_shares(out, order);
    return true;
}
