/* Options into fields. What a field may hold is jobspec's to check; here only what a shell's words need is
 * done. */
#include "cli/job_options.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/when.h"
#include "proto/jobspec.h"
#include "proto/units.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JOB_PREFIX "job:" /* of an input's value: the outputs of that job */

static void set_item(cJSON *object, const char *field, cJSON *item)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, field);
    cJSON_AddItemToObject(object, field, item);
}

static void set_text(cJSON *object, const char *field, const char *text)
{
    if (!text)
        return;
    cJSON_DeleteItemFromObjectCaseSensitive(object, field);
    json_add_bytes(object, field, text);
}

static void set_number(cJSON *object, const char *field, const struct opt_number *number)
{
    if (number->given)
        set_item(object, field, json_int_item(number->value));
}

/* The member as an object, made where it is absent; NULL where the file has something else there (jobspec
 * refuses that). */
static cJSON *member(cJSON *object, const char *field)
{
    cJSON *found = cJSON_GetObjectItemCaseSensitive(object, field);
    if (cJSON_IsNull(found)) {
        cJSON_DeleteItemFromObjectCaseSensitive(object, field);
        found = NULL;
    }
    if (!found)
        return cJSON_AddObjectToObject(object, field);
    return cJSON_IsObject(found) ? found : NULL;
}

/* An amount may stand at the top or in resources; the option replaces both. */
static void drop_amount(cJSON *file, const char *field)
{
    cJSON_DeleteItemFromObjectCaseSensitive(file, field);
    cJSON *resources = cJSON_GetObjectItemCaseSensitive(file, "resources");
    if (cJSON_IsObject(resources))
        cJSON_DeleteItemFromObjectCaseSensitive(resources, field);
}

static bool apply_pairs(cJSON *file, const char *field, const char *option, const struct opt_list *list,
                        bool from_shell, struct error *err)
{
    cJSON *object = list->count ? member(file, field) : NULL;
    if (list->count > JOB_VARIABLES_MAX)
        return error_set(err, ERROR_LIMIT, "%s is given %zu times; at most %d are allowed", option,
                         (size_t)list->count, JOB_VARIABLES_MAX);
    for (size_t i = 0; object && i < list->count; i++) {
        const char *text = list->items[i], *equals = strchr(text, '=');
        _cleanup_free_ char *name = equals ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);
        const char *value = equals ? equals + 1 : from_shell ? getenv(text) : NULL;
        if (!*name || (!equals && !from_shell))
            return error_set(err, ERROR_INVALID, "%s takes NAME=VALUE; \"%s\" is none", option, text);
        if (!value) {
            error_set(err, ERROR_INVALID, "%s %s: you have no variable of that name", option, text);
            return error_hint(err, "export %s first, or give a value: %s %s=VALUE", text, option, text);
        }
        set_text(object, name, value);
    }
    return true;
}

static bool apply_time(cJSON *file, const char *text, struct error *err)
{
    int64_t ms;
    cJSON *limits = text ? member(file, "limits") : NULL;
    if (!text)
        return true;
    if (!when_read_duration("--time", text, &ms, err))
        return false;
    if (ms == 0) {
        error_set(err, ERROR_INVALID, "--time must be at least a second, not 0");
        return error_hint(err, "leave it out for no limit");
    }
    if (limits)
        set_item(limits, "timeout", json_int_item((ms + 999) / 1000));
    return true;
}

/* A span counts from the submit on; a moment of this machine's clock travels as one of UTC's. */
static bool apply_begin(cJSON *file, const char *text, struct error *err)
{
    int64_t ms;
    char moment[32];
    struct tm tm;
    struct error unread = {0};
    const char *own = text ? NULL : json_str(file, "begin", NULL);
    if (own && *own != '+' && when_read_moment("begin", own, clock_wall_ms(), &ms, &unread))
        text = own; /* else the check of the file says what is wrong, and where */
    if (text && !when_read_moment("--begin", text, clock_wall_ms(), &ms, err))
        return false;
    if (text && strcmp(text, "now") == 0)
        text = "+0";
    if (!text || *text == '+') {
        set_text(file, "begin", text);
        return true;
    }
    time_t seconds = (time_t)(ms / 1000);
    strftime(moment, sizeof moment, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    set_text(file, "begin", moment);
    return true;
}

/* "USR1@5m" or "5m". */
static void apply_warning(cJSON *file, const char *text)
{
    cJSON *limits = text ? member(file, "limits") : NULL;
    if (!limits)
        return;
    const char *at = strchr(text, '@');
    cJSON *warning = cJSON_CreateObject();
    _cleanup_free_ char *signal = at ? xstrndup(text, (size_t)(at - text)) : NULL;
    if (signal)
        cJSON_AddStringToObject(warning, "signal", signal);
    cJSON_AddStringToObject(warning, "before", at ? at + 1 : text);
    set_item(limits, "warning", warning);
}

static void apply_compute(cJSON *file, const char *text)
{
    if (!text)
        return;
    if (!strchr(text, ',')) {
        set_text(file, "compute", text);
        return;
    }
    cJSON *list = cJSON_CreateArray();
    for (const char *p = text;; p++) {
        size_t n = strcspn(p, ",");
        _cleanup_free_ char *name = xstrndup(p, n);
        cJSON_AddItemToArray(list, cJSON_CreateString(name));
        p += n;
        if (!*p)
            break;
    }
    set_item(file, "compute", list);
}

static void apply_image(cJSON *file, const char *image)
{
    if (!image)
        return;
    cJSON *environment = cJSON_CreateObject();
    cJSON_AddStringToObject(environment, "image", image);
    set_item(file, "environment", environment);
}

static bool apply_gpus(cJSON *file, const char *text, struct error *err)
{
    if (!text)
        return true;
    char *end = NULL;
    double n = *text && strspn(text, "0123456789.") == strlen(text) ? strtod(text, &end) : -1;
    if (n < 0 || *end) {
        error_set(err, ERROR_INVALID, "--gpus takes a number, not \"%s\"", text);
        return error_hint(err, "--gpus 2, or --gpus 0.5 for a share of one");
    }
    set_item(file, "gpus", cJSON_CreateNumber(n));
    return true;
}

/* "NAME" or "NAME=N". */
static bool apply_licences(const struct job_options *o, cJSON *file, struct error *err)
{
    cJSON *licences = o->licences.count ? member(file, "licences") : NULL;
    for (size_t i = 0; licences && i < o->licences.count; i++) {
        const char *text = o->licences.items[i], *equals = strchr(text, '=');
        _cleanup_free_ char *name = equals ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);
        char *end = NULL;
        long long n = equals ? strtoll(equals + 1, &end, 10) : 1;
        if (!*name || (equals && (!equals[1] || *end || n < 1))) {
            error_set(err, ERROR_INVALID, "--licence takes NAME or NAME=N; \"%s\" is none", text);
            return error_hint(err, "--licence matlab=2");
        }
        set_item(licences, name, json_int_item(n));
    }
    return true;
}

static void apply_rules(const struct job_options *o, cJSON *file)
{
    if (o->exclusive)
        set_item(file, "exclusive", cJSON_CreateTrue());
    if (o->isolated)
        set_item(file, "isolated", cJSON_CreateTrue());
    if (o->hold)
        set_item(file, "hold", cJSON_CreateTrue());
    set_text(file, "array", o->array);
    set_text(file, "continue", o->continues);
    if (o->privates.count) {
        cJSON *list = cJSON_CreateArray();
        for (size_t i = 0; i < o->privates.count; i++)
            cJSON_AddItemToArray(list, cJSON_CreateString(o->privates.items[i]));
        set_item(file, "private", list);
    }
    set_text(file, "reservation", o->reservation);
    if (o->after.count) {
        cJSON *list = cJSON_CreateArray();
        for (size_t i = 0; i < o->after.count; i++)
            cJSON_AddItemToArray(list, cJSON_CreateString(o->after.items[i]));
        set_item(file, "after", list);
    }
    cJSON *retry = o->retry.given ? member(file, "retry") : NULL;
    if (retry)
        set_number(retry, "count", &o->retry);
}

/* What is asked for by name. */
static void apply_names(const struct job_options *o, cJSON *file)
{
    const char *usual = getenv("BERTH_WORKSPACE");
    set_text(file, "workspace", o->workspace);
    if (usual && *usual && !json_get(file, "workspace"))
        set_text(file, "workspace", usual);
    cJSON *resources = o->size || o->gpu_model || o->labels.count ? member(file, "resources") : NULL;
    if (!resources)
        return;
    set_text(resources, "instance_type", o->size);
    set_text(resources, "gpu_model", o->gpu_model);
    if (!o->labels.count)
        return;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < o->labels.count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(o->labels.items[i]));
    set_item(resources, "node_labels", list);
}

/* --input NAME=job:JOB: the outputs of another job. */
static void apply_job_inputs(cJSON *file, const struct opt_list *list)
{
    cJSON *inputs = cJSON_GetObjectItemCaseSensitive(file, "inputs");
    for (size_t i = 0; cJSON_IsObject(inputs) && i < list->count; i++) {
        const char *equals = strchr(list->items[i], '=');
        if (strncmp(equals + 1, JOB_PREFIX, sizeof JOB_PREFIX - 1) != 0)
            continue;
        _cleanup_free_ char *name = xstrndup(list->items[i], (size_t)(equals - list->items[i]));
        _cleanup_free_ char *path = xasprintf(JOB_INPUT_OF_JOB "%s", equals + 1 + sizeof JOB_PREFIX - 1);
        cJSON *input = cJSON_CreateObject();
        set_text(input, "type", "uri_folder");
        set_text(input, "path", path);
        set_item(inputs, name, input);
    }
}

bool job_options_apply(const struct job_options *o, cJSON *file, struct error *err)
{
    if (o->notify.count) {
        error_set(err, ERROR_UNSUPPORTED, "--notify is not honoured yet");
        return error_hint(err, "berth wait NAME; YOUR-COMMAND");
    }
    if (o->code && o->no_code)
        return error_set(err, ERROR_INVALID, "--code and --no-code can't stand together");
    if (o->live && o->no_code)
        return error_set(err, ERROR_INVALID, "--live and --no-code can't stand together");
    apply_image(file, o->image);
    if (o->gpus)
        drop_amount(file, "gpus");
    if (o->gpu_memory)
        drop_amount(file, "gpu_memory");
    if (o->cpus.given)
        drop_amount(file, "cpus");
    if (o->memory)
        drop_amount(file, "memory");
    set_text(file, "gpu_memory", o->gpu_memory);
    set_number(file, "cpus", &o->cpus);
    set_text(file, "memory", o->memory);
    cJSON *resources = o->nodes.given || o->shm_size ? member(file, "resources") : NULL;
    if (resources) {
        set_number(resources, "instance_count", &o->nodes);
        set_text(resources, "shm_size", o->shm_size);
    }
    cJSON *queue = o->priority || o->spot ? member(file, "queue_settings") : NULL;
    if (queue) {
        set_text(queue, "priority", o->priority);
        set_text(queue, "job_tier", o->spot ? "spot" : NULL);
    }
    apply_rules(o, file);
    apply_names(o, file);
    set_text(file, "name", o->name);
    set_text(file, "display_name", o->display_name);
    set_text(file, "experiment_name", o->experiment);
    set_text(file, "description", o->description);
    set_text(file, "runtime", o->runtime);
    set_text(file, "code", o->no_code ? NULL : o->code);
    if (o->no_code)
        cJSON_DeleteItemFromObjectCaseSensitive(file, "code");
    apply_compute(file, o->compute);
    apply_warning(file, o->warn);
    if (o->interactive)
        set_item(file, "stdin", cJSON_CreateTrue());
    if (o->tty)
        set_item(file, "tty", cJSON_CreateTrue());
    if (o->live)
        set_item(file, "live", cJSON_CreateTrue());
    if (o->read_only)
        set_item(file, "read_only", cJSON_CreateTrue());
    if (o->split_streams)
        set_item(file, "split_streams", cJSON_CreateTrue());
    if (o->mounts.count && !cJSON_IsArray(json_get(file, "mounts")))
        set_item(file, "mounts", cJSON_CreateArray());
    for (size_t i = 0; i < o->mounts.count; i++)
        cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(file, "mounts"),
                             cJSON_CreateString(o->mounts.items[i]));
    return apply_gpus(file, o->gpus, err) && apply_time(file, o->time, err) &&
           apply_begin(file, o->begin, err) && apply_licences(o, file, err) &&
           apply_pairs(file, "environment_variables", "--env", &o->env, true, err) &&
           apply_pairs(file, "tags", "--tag", &o->tags, false, err) &&
           apply_pairs(file, "inputs", "--input", &o->inputs, false, err) &&
           (apply_job_inputs(file, &o->inputs), true);
}

void job_options_command(cJSON *file, int argc, char **argv)
{
    if (argc == 1 && strpbrk(argv[0], " \t\n|&;<>()$`*?\"'")) {
        set_text(file, "command", argv[0]);
        return;
    }
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < argc; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(argv[i]));
    set_item(file, "argv", list);
}
