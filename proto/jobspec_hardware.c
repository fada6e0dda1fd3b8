/* What a job asks for by name: a size, a GPU model, labels of nodes; and the workspace that it belongs to.
 * What the names mean is the scheduler's to know. */
#include "proto/jobspec_check.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A word of one line that isn't empty. */
static void read_word(struct spec_reader *r, const cJSON *v, const char *path, char **out)
{
    if (cJSON_IsString(v) && !*v->valuestring)
        spec_problem(r, path, "is empty");
    else
        spec_text(r, v, path, JOB_WORD_MAX, true, out);
}

/* Windows nodes have no meaning here. */
static bool windows(const char *size)
{
    static const char word[] = "windows", end[] = "_win";
    size_t n = strlen(size), tail = sizeof end - 1;
    for (const char *p = size; *p; p++) {
        if (strncasecmp(p, word, sizeof word - 1) == 0)
            return true;
    }
    return n > tail && strcasecmp(size + n - tail, end) == 0;
}

void spec_read_size(struct spec_reader *r, const cJSON *v, const char *path)
{
    read_word(r, v, path, &r->spec->size);
    if (r->spec->size && windows(r->spec->size))
        spec_problem(r, path,
                     "\"%s\" is a Windows size: nodes here run Linux; berth size list shows the sizes",
                     EXCERPT(r->spec->size));
}

void spec_read_gpu_model(struct spec_reader *r, const cJSON *v, const char *path)
{
    read_word(r, v, path, &r->spec->gpu_model);
}

static void add_label(struct spec_reader *r, const cJSON *v, const char *path)
{
    struct job_strings *list = &r->spec->node_labels;
    char *label = NULL;
    read_word(r, v, path, &label);
    for (size_t i = 0; label && i < list->count; i++) {
        if (strcmp(list->items[i], label) == 0) {
            spec_problem(r, path, "\"%s\" is given twice", EXCERPT(label));
            free(label);
            return;
        }
    }
    if (!label)
        return;
    list->items = xrealloc(list->items, (list->count + 2) * sizeof *list->items);
    list->items[list->count++] = label;
    list->items[list->count] = NULL;
}

void spec_read_node_labels(struct spec_reader *r, const cJSON *v, const char *path)
{
    const cJSON *item;
    if (!cJSON_IsArray(v)) {
        add_label(r, v, path);
        return;
    }
    if (cJSON_GetArraySize(v) > JOB_LABELS_MAX) {
        spec_problem(r, path, "has %d labels; at most %d are allowed", cJSON_GetArraySize(v), JOB_LABELS_MAX);
        return;
    }
    cJSON_ArrayForEach(item, v) add_label(r, item, path);
}

void spec_read_workspace(struct spec_reader *r, const cJSON *v, const char *path)
{
    read_word(r, v, path, &r->spec->workspace);
}

void spec_check_hardware(struct spec_reader *r)
{
    if (r->spec->gpu_model && r->spec->gpu_milli == 0)
        spec_problem(r, "resources.gpu_model", "can't stand beside `gpus: 0`: leave one of them out");
}

void spec_free_hardware(struct job_spec *s)
{
    free(s->size);
    free(s->gpu_model);
    free(s->workspace);
    for (size_t i = 0; i < s->node_labels.count; i++)
        free(s->node_labels.items[i]);
    free(s->node_labels.items);
}
