/* The job file's mounts and inputs: what a job sees of the machine's own files. */
#include "proto/jobspec_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/excerpt.h"
#include "proto/suggest.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* The task's own places; what is a link to one of them is found out when the task starts. */
static bool is_machines(const char *target)
{
    static const char *const names[] = {"dev", "proc", "sys", "run"};
    target += strspn(target, "/");
    for (size_t i = 0; i < COUNT(names); i++) {
        size_t n = strlen(names[i]);
        if (strncmp(target, names[i], n) == 0 && (target[n] == '\0' || target[n] == '/'))
            return true;
    }
    return false;
}

bool job_mount_parse(const char *text, struct job_mount *mount, struct error *err)
{
    char copy[2 * JOB_PATH_MAX + 8];
    memset(mount, 0, sizeof *mount);
    if (strlen(text) >= sizeof copy)
        return error_set(err, ERROR_LIMIT, "is longer than %zu bytes", sizeof copy - 1);
    memcpy(copy, text, strlen(text) + 1);
    char *parts[3] = {copy, NULL, NULL};
    int count = 1;
    for (char *p = copy; (p = strchr(p, ':'));) {
        if (count == 3)
            return error_set(err, ERROR_INVALID, "\"%s\" has more than SRC:DST:MODE", EXCERPT(text));
        *p++ = '\0';
        parts[count++] = p;
    }
    const char *last = parts[count - 1];
    if (count > 1 && *last != '/') {
        if (strcmp(last, "rw") != 0 && strcmp(last, "ro") != 0)
            return error_set(err, ERROR_INVALID, "\"%s\": \"%s\" is neither an absolute path nor ro or rw",
                             EXCERPT(text), EXCERPT(last));
        mount->writable = strcmp(last, "rw") == 0;
        count--;
    } else if (count == 3) {
        return error_set(err, ERROR_INVALID, "\"%s\": the third part must be ro or rw", EXCERPT(text));
    }
    const char *target = count == 2 ? parts[1] : parts[0];
    if (*parts[0] != '/' || *target != '/' || strlen(parts[0]) > JOB_PATH_MAX ||
        strlen(target) > JOB_PATH_MAX)
        return error_set(err, ERROR_INVALID, "\"%s\" must be SRC[:DST][:rw] with absolute paths",
                         EXCERPT(text));
    if (is_machines(target))
        return error_set(
            err, ERROR_INVALID,
            "\"%s\": nothing may be mounted at or below /dev, /proc, /sys and /run; name another "
            "target: SRC:DST",
            EXCERPT(text));
    if (target[strspn(target, "/")] == '\0')
        return error_set(err, ERROR_INVALID, "\"%s\" would stand over the root folder", EXCERPT(text));
    mount->source = xstrdup(parts[0]);
    mount->target = xstrdup(target);
    return true;
}

static void read_mount_object(const cJSON *item, struct job_mount *mount, struct error *err)
{
    static const char *const known[] = {"source", "target", "mode"};
    const cJSON *member;
    cJSON_ArrayForEach(member, item)
    {
        size_t i = 0;
        while (i < COUNT(known) && strcmp(known[i], member->string) != 0)
            i++;
        if (i == COUNT(known)) {
            error_set(err, ERROR_INVALID, "has the unknown field %s; it takes source, target, mode",
                      EXCERPT(member->string));
            return;
        }
    }
    const char *source = json_str(item, "source", ""), *target = json_str(item, "target", source),
               *mode = json_str(item, "mode", "ro");
    _cleanup_free_ char *text = xasprintf("%s:%s:%s", source, target, mode);
    job_mount_parse(text, mount, err);
}

void spec_read_mounts(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (!cJSON_IsArray(v)) {
        spec_problem(r, path, "must be a list, not %s", spec_type_name(v));
        return;
    }
    size_t count = (size_t)cJSON_GetArraySize(v);
    if (count > JOB_MOUNTS_MAX) {
        spec_problem(r, path, "has %zu items; at most %d are allowed", count, JOB_MOUNTS_MAX);
        return;
    }
    r->spec->mounts = xcalloc(count, sizeof *r->spec->mounts);
    const cJSON *item;
    int number = 0;
    cJSON_ArrayForEach(item, v)
    {
        struct error err = {0};
        struct job_mount mount = {0};
        number++;
        if (cJSON_IsString(item))
            job_mount_parse(item->valuestring, &mount, &err);
        else if (cJSON_IsObject(item))
            read_mount_object(item, &mount, &err);
        else
            error_set(&err, ERROR_INVALID, "must be SRC[:DST][:rw], not %s", spec_type_name(item));
        if (err.code)
            spec_problem(r, path, "item %d: %s", number, err.message);
        else
            r->spec->mounts[r->spec->mount_count++] = mount;
    }
}

/* "azureml:jobs/NAME", or as other tools write it "azureml://jobs/NAME/outputs/default[/paths/]": NAME. NULL
 * where it is neither. The caller frees. */
static char *job_of_path(const char *path)
{
    static const char longer[] = "azureml://jobs/", rest[] = "/outputs/default";
    if (strncmp(path, JOB_INPUT_OF_JOB, sizeof JOB_INPUT_OF_JOB - 1) == 0) {
        path += sizeof JOB_INPUT_OF_JOB - 1;
        return *path ? xstrdup(path) : NULL;
    }
    if (strncmp(path, longer, sizeof longer - 1) != 0)
        return NULL;
    path += sizeof longer - 1;
    const char *end = strchr(path, '/');
    if (!end || end == path || strncmp(end, rest, sizeof rest - 1) != 0)
        return NULL;
    const char *after = end + sizeof rest - 1;
    bool whole =
        !*after || strcmp(after, "/") == 0 || strcmp(after, "/paths") == 0 || strcmp(after, "/paths/") == 0;
    return whole ? xstrndup(path, (size_t)(end - path)) : NULL;
}

static void read_input_object(struct spec_reader *r, const cJSON *v, const char *path,
                              struct job_input_item *out)
{
    static const char *const known[] = {"type", "path", "mode"};
    const cJSON *member;
    cJSON_ArrayForEach(member, v)
    {
        size_t i = 0;
        while (i < COUNT(known) && strcmp(known[i], member->string) != 0)
            i++;
        if (i == COUNT(known)) {
            const char *near = suggest_nearest(member->string, known, COUNT(known), sizeof *known);
            spec_problem(r, path,
                         near ? "has the unknown field %s; did you mean `%s`?" : "has the unknown field %s",
                         EXCERPT(member->string), near);
            return;
        }
    }
    const char *type = json_str(v, "type", "uri_folder"), *mode = json_str(v, "mode", "ro_mount"),
               *from = json_str(v, "path", NULL);
    static const char *const literal_types[] = {"string", "number", "integer", "boolean"};
    for (size_t i = 0; i < COUNT(literal_types); i++)
        if (strcmp(type, literal_types[i]) == 0) {
            spec_not_honoured(r, path, "typed literals (type: %s) are not honoured; write the value itself",
                              type);
            return;
        }
    if (strcmp(type, "uri_file") == 0)
        out->kind = JOB_INPUT_FILE;
    else if (strcmp(type, "uri_folder") == 0)
        out->kind = JOB_INPUT_FOLDER;
    else if (strcmp(type, "mltable") == 0 || strcmp(type, "custom_model") == 0 ||
             strcmp(type, "mlflow_model") == 0) {
        spec_not_honoured(r, path, "inputs of type %s are not honoured yet; use uri_file or uri_folder",
                          type);
        return;
    } else {
        spec_problem(r, path, "has the unknown type \"%s\"; it takes uri_file or uri_folder", EXCERPT(type));
        return;
    }
    if (strcmp(mode, "download") == 0 || strcmp(mode, "direct") == 0) {
        spec_not_honoured(r, path, "mode %s is not honoured yet; use ro_mount", mode);
        return;
    }
    if (strcmp(mode, "ro_mount") != 0) {
        spec_problem(r, path, "has the unknown mode \"%s\"; it takes ro_mount", EXCERPT(mode));
        return;
    }
    _cleanup_free_ char *job = from ? job_of_path(from) : NULL;
    if (job && out->kind == JOB_INPUT_FILE) {
        spec_problem(r, path, "path \"%s\": the outputs of a job are a directory; use uri_folder",
                     EXCERPT(from));
        return;
    }
    if (job && strlen(job) > JOB_ADDRESS_MAX) {
        spec_problem(r, path, "path \"%s\": a job's name is at most %d bytes long", EXCERPT(from),
                     JOB_ADDRESS_MAX);
        return;
    }
    if (job) {
        out->kind = JOB_INPUT_JOB;
        out->value = take_ptr(job);
        return;
    }
    if (!from)
        spec_problem(r, path, "has no path");
    else if (strncmp(from, "azureml:", 8) == 0 || strstr(from, "://"))
        spec_not_honoured(r, path,
                          "path \"%s\": data assets and URLs are not honoured yet; give a file or folder "
                          "of this machine, or azureml:jobs/NAME for the outputs of a job",
                          EXCERPT(from));
    else if (*from != '/' || strlen(from) > JOB_PATH_MAX)
        spec_problem(r, path, "path \"%s\" must be absolute here and at most %d bytes", EXCERPT(from),
                     JOB_PATH_MAX);
    else
        out->value = xstrdup(from);
}

/* The CLI, which takes the snapshot, does what it asks for. */
void spec_read_private(struct spec_reader *r, const cJSON *v, const char *path)
{
    spec_strings(r, v, path, JOB_PRIVATE_MAX, JOB_PATH_MAX, &r->spec->privates);
}

void spec_read_inputs(struct spec_reader *r, const cJSON *v, const char *path)
{
    if (!cJSON_IsObject(v)) {
        spec_problem(r, path, "must be a mapping of names to values, not %s", spec_type_name(v));
        return;
    }
    size_t count = (size_t)cJSON_GetArraySize(v);
    if (count > JOB_INPUTS_MAX) {
        spec_problem(r, path, "has %zu items; at most %d are allowed", count, JOB_INPUTS_MAX);
        return;
    }
    r->spec->inputs = xcalloc(count, sizeof *r->spec->inputs);
    const cJSON *item;
    cJSON_ArrayForEach(item, v)
    {
        char full[SPEC_FIELD_PATH_MAX];
        spec_join(full, path, item->string);
        struct job_input_item input = {.kind = JOB_INPUT_LITERAL};
        if (!*item->string ||
            strspn(item->string, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") !=
                strlen(item->string))
            spec_problem(r, path, "the name \"%s\" may have letters, digits and _ only",
                         EXCERPT(item->string));
        else if (cJSON_IsObject(item))
            read_input_object(r, item, full, &input);
        else if (!(input.value = spec_scalar_text(item)))
            spec_problem(r, full, "must be a literal or {type, path, mode}, not %s", spec_type_name(item));
        if (input.value && input.kind == JOB_INPUT_LITERAL && strlen(input.value) > JOB_LITERAL_MAX) {
            spec_problem(r, full, "is %zu bytes long; at most %d are allowed", strlen(input.value),
                         JOB_LITERAL_MAX);
            free(input.value);
            continue;
        }
        if (!input.value)
            continue;
        input.name = xstrdup(item->string);
        r->spec->inputs[r->spec->input_count++] = input;
    }
}
