/* Placeholders: each is looked up when the file is read, since one that names nothing would be found on the
 * node, long after the submit. */
#include "proto/jobspec_check.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "proto/suggest.h"

#include <string.h>

#define SUGGESTED_INPUTS_MAX                                                                                 \
    64 /* inputs among which the nearest name is looked for: each costs microseconds */
#define NAME_FIRST "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
#define NAME_REST NAME_FIRST "0123456789.-"

struct bindings {
    struct spec_reader *r;
    struct map inputs;   /* name -> item of the file, refused ones too */
    struct map reported; /* names that a problem was noted for: once each */
    bool inputs_known;   /* false: `inputs` itself was refused */
};

static bool given(const struct bindings *b, const char *field)
{
    const cJSON *item = json_get(b->r->file, field);
    return item && !cJSON_IsNull(item);
}

static void miss_input(const struct bindings *b, const char *name, const char *path)
{
    const struct job_spec *s = b->r->spec;
    if (!b->inputs_known || map_get_str(&b->inputs, name))
        return; /* refused itself: its uses are no faults of their own */
    bool look = s->input_count <= SUGGESTED_INPUTS_MAX && b->r->problems->count < JOB_ERRORS_MAX;
    const char *near = look ? suggest_nearest(name, s->inputs, s->input_count, sizeof *s->inputs) : NULL;
    if (near)
        spec_problem(b->r, path, "${{inputs.%s}} is not among the inputs; did you mean `%s`?", EXCERPT(name),
                     near);
    else
        spec_problem(b->r, path, "${{inputs.%s}} is not among the inputs: declare it under `inputs`",
                     EXCERPT(name));
}

/* What the service has and Berth does not: refused once, by the field that declares it where there is one. */
static void miss_other(const struct bindings *b, const char *name, const char *path)
{
    static const struct {
        const char *prefix, *field, *why;
    } known[] = {
        {"outputs.", "outputs", "a job has one output, ${{outputs.default}}, which is ./outputs"},
        {"search_space.", "search_space", "sweeps are not honoured yet; give it under `inputs`"},
        {"parent.", "jobs", "pipelines are not honoured yet; give it under `inputs`"},
        {"array.", NULL, "an array has ${{array.index}}"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strncmp(name, known[i].prefix, strlen(known[i].prefix)) != 0)
            continue;
        if (!known[i].field || !given(b, known[i].field))
            spec_problem(b->r, path, "${{%s}} names nothing that this job has: %s", EXCERPT(name),
                         known[i].why);
        return;
    }
    spec_problem(
        b->r, path,
        "${{%s}} names nothing that a job has; there are ${{inputs.NAME}}, ${{outputs.default}} and, in "
        "arrays, ${{array.index}}",
        EXCERPT(name));
}

static void check_name(struct bindings *b, char *name, const char *path)
{
    const struct job_spec *s = b->r->spec;
    bool index = strcmp(name, "array.index") == 0, input = strncmp(name, "inputs.", 7) == 0;
    const cJSON *item = input ? map_get_str(&b->inputs, name + 7) : NULL;
    if (strcmp(name, "outputs.default") == 0 || (index && s->array.count) || item)
        return;
    if (map_put_str(&b->reported, name, name))
        return;
    if (input)
        miss_input(b, name + 7, path);
    else if (!index)
        miss_other(b, name, path);
    else if (!given(b, "array")) /* else it was refused */
        spec_problem(b->r, path, "${{array.index}} is for arrays: give the job an `array`, or --array 1-100");
}

/* $[[NAME]] as the service's older files have it; `$[[:alpha:]]` of a pattern is none. The NAME's length. */
static size_t older_form(const char *p)
{
    p += strspn(p, " \t");
    size_t n = strspn(p, NAME_FIRST) ? strspn(p, NAME_REST) : 0;
    return n && strncmp(p + n + strspn(p + n, " \t"), "]]", 2) == 0 ? n : 0;
}

static const char *find_older_form(const char *text, size_t *len)
{
    for (const char *p = text; (p = strstr(p, "$[[")); p++)
        if ((*len = older_form(p + 3)))
            return p + 3 + strspn(p + 3, " \t");
    return NULL;
}

static void check_text(struct bindings *b, const char *text, const char *path)
{
    size_t len = 0;
    for (const char *p = text; p && (p = strstr(p, "${{"));) {
        const char *end = strstr(p, "}}");
        if (!end) {
            spec_problem(b->r, path, "\"%s\" is not closed by }}", EXCERPT(p));
            break;
        }
        const char *name = p + 3;
        p = end + 2;
        name += strspn(name, " \t");
        while (end > name && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        _cleanup_free_ char *copy = xstrndup(name, end > name ? (size_t)(end - name) : 0);
        check_name(b, copy, path);
    }
    const char *older = text ? find_older_form(text, &len) : NULL;
    if (older)
        spec_problem(b->r, path, "$[[%.*s]] is not replaced: write ${{inputs.NAME}}", (int)len, older);
}

/* Where nothing is replaced. */
static void refuse_in(struct bindings *b, const char *text, const char *path)
{
    size_t len = 0;
    if (text && (strstr(text, "${{") || find_older_form(text, &len)))
        spec_problem(b->r, path,
                     "\"%s\": placeholders are replaced in command, argv and environment_variables alone",
                     EXCERPT(text));
}

static void list_inputs(struct bindings *b)
{
    const cJSON *inputs = json_get(b->r->file, "inputs"), *item;
    b->inputs_known = !inputs || cJSON_IsNull(inputs) ||
                      (cJSON_IsObject(inputs) && cJSON_GetArraySize(inputs) <= JOB_INPUTS_MAX);
    if (b->inputs_known)
        cJSON_ArrayForEach(item, inputs) map_put_str(&b->inputs, item->string, (void *)item);
}

void spec_check_bindings(struct spec_reader *r)
{
    const struct job_spec *s = r->spec;
    struct bindings b = {.r = r};
    char path[SPEC_FIELD_PATH_MAX];
    list_inputs(&b);
    check_text(&b, s->command, "command");
    for (size_t i = 0; i < s->argv.count; i++)
        check_text(&b, s->argv.items[i], "argv");
    for (size_t i = 0; i < s->environment.count; i++) {
        spec_join(path, "environment_variables", s->environment.items[i].name);
        check_text(&b, s->environment.items[i].value, path);
    }
    for (size_t i = 0; i < s->input_count; i++) {
        spec_join(path, "inputs", s->inputs[i].name);
        refuse_in(&b, s->inputs[i].value, path);
    }
    for (size_t i = 0; i < s->mount_count; i++) {
        refuse_in(&b, s->mounts[i].source, "mounts");
        if (strcmp(s->mounts[i].source, s->mounts[i].target) != 0)
            refuse_in(&b, s->mounts[i].target, "mounts");
    }
    refuse_in(&b, s->image, "environment.image");
    map_finish(&b.inputs);
    map_finish(&b.reported);
}
