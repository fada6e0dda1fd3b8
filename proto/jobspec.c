/*
 * The tables of the job file's fields and what each means. To honour one more field of the service, give its
 * row a reader; the CLI, the scheduler and the executor follow.
 */
#include "proto/jobspec.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/excerpt.h"
#include "proto/jobspec_check.h"
#include "proto/units.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define PATH_VALUE_SHOWN 200

static const char *const priority_names[] = {"low", "medium", "high"};
static const char *const runtime_names[] = {"auto", "crun", "runc", "process"};

const char *job_priority_name(enum job_priority p)
{
    return priority_names[p];
}

const char *job_runtime_name(enum job_runtime r)
{
    return runtime_names[r];
}

/* ---- simple fields ---- */

static void read_schema(struct spec_reader *r, const cJSON *v, const char *path)
{
    _cleanup_free_ char *ignored = NULL;
    spec_text(r, v, path, JOB_PATH_MAX, true, &ignored);
}

static void read_type(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (!cJSON_IsString(v))
        spec_problem(r, path, "must be text, not %s", spec_type_name(v));
    else if (strcmp(v->valuestring, "sweep") == 0 || strcmp(v->valuestring, "pipeline") == 0)
        spec_not_honoured(r, path, "%s jobs are not honoured yet; this version runs `type: command`",
                          v->valuestring);
    else if (strcmp(v->valuestring, "command") != 0)
        spec_problem(r, path, "must be command, not \"%s\"", EXCERPT(v->valuestring));
}

static void read_name(struct spec_reader *r, const cJSON *v, const char *path)
{
    struct error err = {0};
    if (!cJSON_IsString(v))
        spec_problem(r, path, "must be text, not %s", spec_type_name(v));
    else if (!job_name_valid(v->valuestring, &err))
        spec_problem(r, path, "%s", err.message);
    else
        r->spec->name = xstrdup(v->valuestring);
}

static void read_display_name(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_text(r, v, path, JOB_TEXT_MAX, true, &r->spec->display_name);
}

static void read_experiment_name(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_text(r, v, path, JOB_TEXT_MAX, true, &r->spec->experiment_name);
}

static void read_description(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_text(r, v, path, JOB_DESCRIPTION_MAX, false, &r->spec->description);
}

static void read_tags(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_pairs(r, v, path, JOB_TAGS_MAX, JOB_TEXT_MAX, &r->spec->tags);
}

static void read_command(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (!cJSON_IsString(v))
        spec_problem(r, path, "must be text, not %s", spec_type_name(v));
    else if (strspn(v->valuestring, " \t\r\n") == strlen(v->valuestring))
        spec_problem(r, path, "is empty");
    else if (strlen(v->valuestring) > JOB_COMMAND_MAX)
        spec_problem(r, path,
                     "is %zu bytes long; at most %d are allowed (put it in a script in the code folder)",
                     strlen(v->valuestring), JOB_COMMAND_MAX);
    else
        r->spec->command = xstrdup(v->valuestring);
}

static void read_argv(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_strings(r, v, path, JOB_ARGS_MAX, JOB_COMMAND_MAX, &r->spec->argv);
    if (cJSON_IsArray(v) && cJSON_GetArraySize(v) == 0)
        spec_problem(r, path, "is empty");
    else if (r->spec->argv.count && !*r->spec->argv.items[0])
        spec_problem(r, path, "the program's name is empty");
}

static void read_code(struct spec_reader *r, const cJSON *v, const char *path)
{
    /* The CLI has read the folder; what travels is submission.code. */
    if (cJSON_IsString(v) && strncmp(v->valuestring, "azureml:", 8) == 0)
        spec_not_honoured(r, path, "registered code (\"%s\") is not honoured yet; give a folder",
                          EXCERPT(v->valuestring));
    else if (!cJSON_IsString(v))
        spec_problem(r, path, "must be a folder, not %s", spec_type_name(v));
}

static void read_variables(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_pairs(r, v, path, JOB_VARIABLES_MAX, JOB_VARIABLE_MAX_BYTES, &r->spec->environment);
}

static void read_runtime(struct spec_reader *r, const cJSON *v, const char *path)
{
    int n = (int)r->spec->runtime;
    spec_word(r, v, path, runtime_names, COUNT(runtime_names), &n);
    r->spec->runtime = (enum job_runtime)n;
}

static void read_split_streams(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bool(r, v, path, &r->spec->split_streams);
}

static void read_stdin(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bool(r, v, path, &r->spec->wants_stdin);
}

static void read_read_only(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bool(r, v, path, &r->spec->read_only);
}

static void read_tty(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bool(r, v, path, &r->spec->wants_tty);
}

static void read_cpus(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_int(r, v, path, 1, JOB_CPUS_MAX, &r->spec->cpus);
}

static void read_gpu_memory(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bytes(r, v, path, JOB_MEMORY_MIN_BYTES, JOB_MEMORY_MAX_BYTES, &r->spec->gpu_memory_bytes);
}

static void read_exclusive(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bool(r, v, path, &r->spec->exclusive);
}

static void read_isolated(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bool(r, v, path, &r->spec->isolated);
}

static void read_memory(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bytes(r, v, path, JOB_MEMORY_MIN_BYTES, JOB_MEMORY_MAX_BYTES, &r->spec->memory_bytes);
}

/* ---- image ---- */

static void free_pairs(struct job_pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].name);
        free(pairs->items[i].value);
    }
    free(pairs->items);
}

static void read_image(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (!cJSON_IsString(v)) {
        spec_problem(r, path, "must be text, not %s", spec_type_name(v));
        return;
    }
    const char *image = v->valuestring;
    if (strcmp(image, "host") == 0) {
        r->spec->image_kind = JOB_IMAGE_HOST;
        free(r->spec->image);
        r->spec->image = xstrdup("host");
    } else if (*image == '/') {
        r->spec->image_kind = JOB_IMAGE_FOLDER;
        spec_path(r, v, path, &r->spec->image);
    } else if (*image == '.') {
        spec_problem(r, path, "\"%s\" is relative: the API takes absolute folders", EXCERPT(image));
    } else if (!*image) {
        spec_problem(r, path, "is empty; give host, or a root filesystem folder that starts with / or ./");
    } else {
        spec_not_honoured(r, path,
                          "image references (\"%s\") are not honoured yet; give host, or a root "
                          "filesystem folder that starts with / or ./",
                          EXCERPT(image));
    }
}

static void check_image_name(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_note(r, v, path, JOB_TEXT_MAX);
}

static void check_image_description(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_note(r, v, path, JOB_DESCRIPTION_MAX);
}

static void check_image_tags(struct spec_reader *r, const cJSON *v, const char *path)
{
    struct job_pairs ignored = {0};
    spec_pairs(r, v, path, JOB_TAGS_MAX, JOB_TEXT_MAX, &ignored);
    free_pairs(&ignored);
}

static const struct spec_field environment_fields[] = {
    {"image", read_image},
    {"name", check_image_name},
    {"version", check_image_name},
    {"description", check_image_description},
    {"tags", check_image_tags},
    {"$schema", read_schema},
    {"build", NULL},
    {"conda_file", NULL},
    {"os_type", NULL},
    {"inference_config", NULL},
};

static void read_environment(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (cJSON_IsString(v) && strncmp(v->valuestring, "azureml:", 8) == 0)
        spec_not_honoured(
            r, path,
            "registered environments (\"%s\") are not honoured yet; write `environment: {image: host}`",
            EXCERPT(v->valuestring));
    else if (cJSON_IsString(v))
        read_image(r, v, path);
    else
        spec_read_object(r, v, path, environment_fields, COUNT(environment_fields));
}

/* ---- compute and resources ---- */

static void add_string(struct job_strings *list, const char *text)
{
    list->items = xrealloc(list->items, (list->count + 2) * sizeof *list->items);
    list->items[list->count++] = xstrdup(text);
    list->items[list->count] = NULL;
}

static void read_one_compute(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (!cJSON_IsString(v)) {
        spec_problem(r, path, "must be the name of a compute target, not %s", spec_type_name(v));
        return;
    }
    const char *name = v->valuestring;
    if (strncmp(name, "azureml:", 8) == 0)
        name += 8;
    if (strcmp(name, "local") == 0 || strcmp(name, "any") == 0)
        add_string(&r->spec->compute, name);
    else
        spec_problem(r, path, "there is no compute target \"%s\" here; this version has `local`",
                     EXCERPT(name));
}

static void read_compute(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (!cJSON_IsArray(v)) {
        read_one_compute(r, v, path);
        return;
    }
    const cJSON *item;
    int count = cJSON_GetArraySize(v);
    if (count == 0 || count > JOB_COMPUTE_MAX)
        spec_problem(r, path, "must be a list of 1 to %d names, not of %d", JOB_COMPUTE_MAX, count);
    else
        cJSON_ArrayForEach(item, v) read_one_compute(r, item, path);
}

static void read_instance_count(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_int(r, v, path, 1, JOB_INSTANCES_MAX, &r->spec->instance_count);
}

static void read_shm_size(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bytes(r, v, path, 4096, JOB_MEMORY_MAX_BYTES, &r->spec->shm_size_bytes);
}

static const struct spec_field resource_fields[] = {
    {"instance_count", read_instance_count},
    {"shm_size", read_shm_size},
    {"cpus", read_cpus},
    {"memory", read_memory},
    {"gpus", spec_read_gpus},
    {"gpu_memory", read_gpu_memory},
    {"exclusive", read_exclusive},
    {"isolated", read_isolated},
    {"instance_type", spec_read_size},
    {"docker_args", NULL},
    {"locations", NULL},
    {"max_instance_count", NULL},
    {"properties", NULL},
    {"gpu_model", spec_read_gpu_model},
    {"node_labels", spec_read_node_labels},
};

static void read_resources(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, resource_fields, COUNT(resource_fields));
}

/* ---- limits and queue ---- */

static void read_timeout(struct spec_reader *r, const cJSON *v, const char *path)
{
    int64_t ms = 0;
    size_t before = r->problems->total;
    spec_duration(r, v, path, JOB_TIME_LIMIT_MAX_MS, &ms);
    if (r->problems->total == before && ms < JOB_TIME_LIMIT_MIN_MS)
        spec_problem(r, path, "must be at least 1 second, not %s; leave it out for no limit",
                     spec_shown_scalar(v).text);
    r->spec->time_limit_ms = ms;
}

static void read_log_limit(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_bytes(r, v, path, 4096, JOB_MEMORY_MAX_BYTES, &r->spec->log_limit_bytes);
}

static void read_grace(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_duration(r, v, path, JOB_GRACE_MAX_MS, &r->spec->grace_ms);
}

static const struct spec_field limit_fields[] = {{"timeout", read_timeout},
                                                 {"log", read_log_limit},
                                                 {"grace", read_grace},
                                                 {"warning", spec_read_warning}};

static void read_limits(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, limit_fields, COUNT(limit_fields));
}

static void read_priority(struct spec_reader *r, const cJSON *v, const char *path)
{
    int n = (int)r->spec->priority;
    spec_word(r, v, path, priority_names, COUNT(priority_names), &n);
    r->spec->priority = (enum job_priority)n;
}

static const struct spec_field queue_fields[] = {{"priority", read_priority},
                                                 {"job_tier", spec_read_job_tier}};

static void read_queue_settings(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_read_object(r, v, path, queue_fields, COUNT(queue_fields));
}

/* ---- the whole file ---- */

static const struct spec_field job_fields[] = {
    {"$schema", read_schema},
    {"type", read_type},
    {"name", read_name},
    {"display_name", read_display_name},
    {"experiment_name", read_experiment_name},
    {"description", read_description},
    {"tags", read_tags},
    {"command", read_command},
    {"argv", read_argv},
    {"code", read_code},
    {"environment", read_environment},
    {"environment_variables", read_variables},
    {"compute", read_compute},
    {"resources", read_resources},
    {"limits", read_limits},
    {"inputs", spec_read_inputs},
    {"queue_settings", read_queue_settings},
    {"cpus", read_cpus},
    {"memory", read_memory},
    {"gpus", spec_read_gpus},
    {"gpu_memory", read_gpu_memory},
    {"exclusive", read_exclusive},
    {"isolated", read_isolated},
    {"distribution", spec_read_distribution},
    {"hold", spec_read_hold},
    {"begin", spec_read_begin},
    {"live", spec_read_live},
    {"continue", spec_read_continue},
    {"private", spec_read_private},
    {"reservation", spec_read_reservation},
    {"after", spec_read_after},
    {"retry", spec_read_retry},
    {"mounts", spec_read_mounts},
    {"runtime", read_runtime},
    {"read_only", read_read_only},
    {"split_streams", read_split_streams},
    {"stdin", read_stdin},
    {"tty", read_tty},
    {"submission", spec_read_submission},
    {"array", spec_read_array},
    {"licences", spec_read_licences},
    {"on_node_loss", spec_read_on_node_loss},
    {"fence_after", spec_read_fence_after},
    /* of the service, not honoured yet */
    {"outputs", NULL},
    {"services", NULL},
    {"identity", NULL},
    {"properties", NULL},
    {"parameters", NULL},
    {"secrets", NULL},
    {"component", NULL},
    {"schedule", NULL},
    {"notification_setting", NULL},
    {"parent_job_name", NULL},
    {"trial", NULL},
    {"sampling_algorithm", NULL},
    {"search_space", NULL},
    {"objective", NULL},
    {"early_termination", NULL},
    {"jobs", NULL},
    {"settings", NULL},
    {"workspace", spec_read_workspace},
};

static void check_together(struct spec_reader *r, const cJSON *file)
{
    struct job_spec *s = r->spec;
    static const char *const amounts[] = {"cpus", "memory", "gpus", "gpu_memory", "exclusive", "isolated"};
    const cJSON *type = json_get(file, "type"), *resources = json_get(file, "resources");
    bool command_job = !type || !cJSON_IsString(type) || strcmp(type->valuestring, "command") == 0;
    bool has_command = json_get(file, "command"), has_argv = json_get(file, "argv");
    if (has_command && has_argv)
        spec_problem(r, "argv", "can't stand beside `command`: give one of them");
    else if (!has_command && !has_argv && command_job)
        spec_problem(r, "command", "is missing: the command line that the job runs");
    for (size_t i = 0; i < COUNT(amounts); i++)
        if (json_get(file, amounts[i]) && json_get(resources, amounts[i]))
            spec_problem(r, amounts[i], "is given twice: here and in resources");
    if (s->gpu_memory_bytes && s->gpu_milli == 0)
        spec_problem(r, "gpu_memory", "can't stand beside `gpus: 0`: leave one of them out");
    if (s->distributed && s->instance_count == 1 && s->processes_per_instance == 1 &&
        !json_get(resources, "instance_count"))
        spec_problem(r, "distribution", "needs `resources.instance_count`: how many nodes take part");
    if (s->privates.count && s->live)
        spec_problem(r, "private", "can't stand beside `live`: the job runs in the directory itself");
    else if (s->privates.count && !json_get(file, "code"))
        spec_problem(r, "private", "needs `code`: its directories are those that the snapshot leaves out");
    if (s->instance_count > 1 && s->wants_stdin)
        spec_problem(r, "resources.instance_count",
                     "a job of several nodes has no standard input and no terminal");
    spec_check_hardware(r);
    spec_check_array(r);
    if (s->processes_per_instance > 1 && s->wants_stdin)
        spec_problem(r, "distribution.process_count_per_instance",
                     "several processes have no standard input and no terminal");
    spec_check_life(r);
    if (!r->accepted)
        spec_check_bindings(r);
    size_t used = 0;
    spec_check_environment(r, &s->environment, "environment_variables", &used);
    spec_check_environment(r, &s->submit_environment, "submission.environment", &used);
    size_t argument_bytes = 0;
    for (size_t i = 0; i < s->argv.count; i++)
        argument_bytes += strlen(s->argv.items[i]) + 1;
    if (argument_bytes > JOB_ENVIRONMENT_MAX_BYTES)
        spec_problem(r, "argv", "all arguments together pass %d bytes", JOB_ENVIRONMENT_MAX_BYTES);
    if (s->wants_tty)
        s->wants_stdin = true;
    if (s->read_only && s->image_kind != JOB_IMAGE_HOST)
        spec_problem(r, "read_only", "is for `host`; what a job changes of an image is its own anyway");
    if (s->wants_tty && s->split_streams)
        spec_problem(r, "split_streams", "can't stand beside `tty`: a terminal has one stream");
    if (s->runtime == JOB_RUNTIME_PROCESS && s->image_kind != JOB_IMAGE_HOST)
        spec_problem(r, "runtime", "process runs the machine as it is: it can't stand beside an image");
}

/* One message for all problems: those that are plain wrong, then what is not honoured yet. */
static void summarise(const struct job_spec_problems *p, struct error *err)
{
    const struct job_spec_problem *first = &p->items[0];
    if (p->total == 1) {
        error_field(err, first->field, "%s%s%s", first->field, *first->field ? ": " : "", first->message);
    } else {
        struct buf text = {0};
        buf_printf(&text, "%zu fields can't be taken", p->total);
        for (size_t i = 0; i < p->count; i++)
            buf_printf(&text, "\n  %s: %s", p->items[i].field, p->items[i].message);
        if (p->total > p->count)
            buf_printf(&text, "\n  and %zu more", p->total - p->count);
        error_field(err, first->field, "%s", text.data);
        buf_finish(&text);
    }
    bool all_unsupported = true;
    for (size_t i = 0; i < p->count; i++)
        all_unsupported = all_unsupported && p->items[i].unsupported;
    if (err && all_unsupported)
        err->code = ERROR_UNSUPPORTED;
}

static struct job_spec *parse(const cJSON *file, bool accepted, struct job_spec_problems *problems,
                              struct error *err)
{
    struct job_spec_problems own = {0};
    struct job_spec *s = xcalloc(1, sizeof *s);
    s->image = xstrdup("host");
    s->gpu_milli = -1;
    s->instance_count = s->processes_per_instance = 1;
    s->umask = JOB_UMASK_DEFAULT;
    s->grace_ms = JOB_GRACE_DEFAULT_MS;
    s->priority = JOB_PRIORITY_MEDIUM;
    struct spec_reader r = {s, problems ? problems : &own, file, accepted};
    _Static_assert(COUNT(job_fields) <= 64, "spec_read_object keeps one bit a field");
    spec_read_object(&r, file, "", job_fields, COUNT(job_fields));
    if (cJSON_IsObject(file)) {
        check_together(&r, file);
        if (!accepted)
            spec_check_size(&r, file);
    }
    if (!s->compute.count)
        add_string(&s->compute, "local");
    if (r.problems->total) {
        summarise(r.problems, err);
        job_spec_destroy(s);
        s = NULL;
    }
    job_spec_problems_finish(&own);
    return s;
}

struct job_spec *job_spec_parse(const cJSON *file, struct job_spec_problems *problems, struct error *err)
{
    return parse(file, false, problems, err);
}

struct job_spec *job_spec_parse_accepted(const cJSON *file, struct error *err)
{
    return parse(file, true, NULL, err);
}

static void free_strings(struct job_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
}

void job_spec_destroy(struct job_spec *s)
{
    if (!s)
        return;
    char *const texts[] = {s->name,        s->display_name, s->experiment_name, s->description,   s->command,
                           s->image,       s->cwd,          s->code_path,       s->code_manifest, s->term,
                           s->reservation, s->ignore_above, s->continues,       s->live_path};
    for (size_t i = 0; i < COUNT(texts); i++)
        free(texts[i]);
    free_pairs(&s->tags);
    free_pairs(&s->environment);
    free_pairs(&s->submit_environment);
    free_strings(&s->argv);
    free_strings(&s->compute);
    free_strings(&s->left_out);
    free_strings(&s->privates);
    free_strings(&s->ignore_rules);
    for (size_t i = 0; i < s->mount_count; i++) {
        free(s->mounts[i].source);
        free(s->mounts[i].target);
    }
    free(s->mounts);
    for (size_t i = 0; i < s->input_count; i++) {
        free(s->inputs[i].name);
        free(s->inputs[i].value);
    }
    free(s->inputs);
    for (size_t i = 0; i < s->after_count; i++)
        free(s->after[i].job);
    free(s->after);
    spec_free_hardware(s);
    array_finish(&s->array);
    for (size_t i = 0; i < s->licence_count; i++)
        free(s->licences[i].name);
    free(s);
}

void job_spec_problems_finish(struct job_spec_problems *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].field);
        free(p->items[i].message);
    }
    memset(p, 0, sizeof *p);
}

bool job_name_valid(const char *name, struct error *err)
{
    size_t len = strlen(name);
    if (len == 0 || len > JOB_NAME_MAX)
        return error_field(err, "name", "must have 1 to %d characters, not %zu", JOB_NAME_MAX, len);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && (i == 0 || !strchr("._-", name[i])))
            return error_field(
                err, "name",
                "may have letters, digits, . _ and - only, a letter or digit first; character %zu is %s",
                i + 1, isprint((unsigned char)name[i]) ? (char[]){'"', name[i], '"', '\0'} : "not printable");
    if (strspn(name, "0123456789") == len)
        return error_field(err, "name", "\"%s\" has digits alone: those are ids; put a letter in it", name);
    return true;
}
