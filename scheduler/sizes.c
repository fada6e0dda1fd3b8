/* The table of sizes. Owns its entries; those that the site changed are written to the journal as they come
 * about, and stand over what Berth brings. */
#include "scheduler/sizes.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/jobspec.h"
#include "proto/suggest.h"
#include "proto/units.h"
#include "scheduler/daemon.h"
#include "scheduler/hardware.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define GIB (UINT64_C(1) << 30)
#define GONE "{\"removed\":true}" /* of a size that Berth brings */

static const char *const category_names[SIZE_CATEGORY_COUNT] = {
    [SIZE_GENERAL] = "general", [SIZE_MEMORY] = "memory", [SIZE_COMPUTE] = "compute",
    [SIZE_HPC] = "hpc",         [SIZE_GPU] = "gpu",
};

const char *size_category_name(enum size_category category)
{
    return category_names[category];
}

bool size_category_parse(const char *text, enum size_category *out)
{
    for (int i = 0; i < SIZE_CATEGORY_COUNT; i++) {
        if (strcasecmp(text, category_names[i]) == 0) {
            *out = (enum size_category)i;
            return true;
        }
    }
    return false;
}

/* ---- the table ---- */

static struct size *find(const struct size_table *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcasecmp(t->items[i].name, name) == 0)
            return &t->items[i];
    }
    return NULL;
}

const struct size *sizes_find(const struct size_table *t, const char *name)
{
    return find(t, name);
}

static void put(struct size_table *t, const struct size *size)
{
    struct size *there = find(t, size->name);
    if (!there) {
        t->items = xrealloc(t->items, (t->count + 1) * sizeof *t->items);
        there = &t->items[t->count++];
    }
    *there = *size;
}

static void drop(struct size_table *t, struct size *size)
{
    size_t at = (size_t)(size - t->items);
    memmove(size, size + 1, (--t->count - at) * sizeof *size);
}

static const struct size_builtin *brought(const char *name)
{
    for (size_t i = 0; i < sizes_builtin_count; i++) {
        if (strcasecmp(sizes_builtin[i].name, name) == 0)
            return &sizes_builtin[i];
    }
    return NULL;
}

void sizes_init(struct size_table *t)
{
    *t = (struct size_table){0};
    for (size_t i = 0; i < sizes_builtin_count; i++) {
        const struct size_builtin *b = &sizes_builtin[i];
        struct size size = {.category = b->category,
                            .cpus = b->cpus,
                            .gpus = b->gpus,
                            .memory_bytes = (uint64_t)(b->memory_gib * (double)GIB),
                            .isolated = b->isolated,
                            .price_hour = -1};
        snprintf(size.name, sizeof size.name, "%s", b->name);
        snprintf(size.family, sizeof size.family, "%s", b->family);
        put(t, &size);
    }
}

void sizes_finish(struct size_table *t)
{
    free(t->items);
    *t = (struct size_table){0};
}

/* ---- documents ---- */

static cJSON *document(const struct size *size)
{
    cJSON *o = cJSON_CreateObject();
    json_add_str(o, "name", size->name);
    json_add_str(o, "family", size->family);
    cJSON_AddStringToObject(o, "category", category_names[size->category]);
    json_add_int(o, "cpus", size->cpus);
    json_add_int(o, "memory_bytes", (int64_t)size->memory_bytes);
    json_add_int(o, "gpus", size->gpus);
    json_add_str(o, "gpu_model", *size->gpu_model ? size->gpu_model : NULL);
    cJSON_AddBoolToObject(o, "isolated", size->isolated);
    if (size->price_hour >= 0)
        cJSON_AddNumberToObject(o, "price_hour", size->price_hour);
    else
        cJSON_AddNullToObject(o, "price_hour");
    return o;
}

void sizes_load(struct size_table *t, const char *key, const char *doc)
{
    struct error err = {0};
    _cleanup_json_ cJSON *o = json_parse(doc, strlen(doc), &err);
    struct size *there = find(t, key), size = {.price_hour = -1, .changed = true};
    if (json_bool(o, "removed", false)) {
        if (there)
            drop(t, there);
        return;
    }
    snprintf(size.name, sizeof size.name, "%s", json_str(o, "name", key));
    snprintf(size.family, sizeof size.family, "%s", json_str(o, "family", ""));
    snprintf(size.gpu_model, sizeof size.gpu_model, "%s", json_str(o, "gpu_model", ""));
    size_category_parse(json_str(o, "category", ""), &size.category);
    size.cpus = (uint32_t)json_int(o, "cpus", 1);
    size.gpus = (uint32_t)json_int(o, "gpus", 0);
    size.memory_bytes = (uint64_t)json_int(o, "memory_bytes", 0);
    size.isolated = json_bool(o, "isolated", false);
    if (cJSON_IsNumber(json_get(o, "price_hour")))
        size.price_hour = json_get(o, "price_hour")->valuedouble;
    put(t, &size);
}

/* The journal's key of a name: its case doesn't tell two sizes apart. */
static void key_of(const char *name, char out[SIZE_NAME_MAX + 1])
{
    size_t n = 0;
    for (; name[n] && n < SIZE_NAME_MAX; n++)
        out[n] = (char)tolower((unsigned char)name[n]);
    out[n] = '\0';
}

void sizes_put(struct daemon *d, const struct size *size)
{
    char key[SIZE_NAME_MAX + 1];
    struct size mine = *size;
    mine.changed = true;
    put(&d->sizes, &mine);
    key_of(size->name, key);
    _cleanup_json_ cJSON *o = document(&mine);
    _cleanup_free_ char *text = json_text(o);
    journal_add_record(d->journal, JOURNAL_SIZE, key, text);
}

void sizes_remove(struct daemon *d, const struct size *size)
{
    char key[SIZE_NAME_MAX + 1];
    key_of(size->name, key);
    journal_add_record(d->journal, JOURNAL_SIZE, key, brought(size->name) ? GONE : NULL);
    struct size *there = find(&d->sizes, size->name);
    if (there)
        drop(&d->sizes, there);
}

void sizes_settle(struct daemon *d)
{
    for (size_t i = 0; i < sizes_builtin_count; i++) {
        const char *family = sizes_builtin[i].family;
        uint32_t id;
        struct error err = {0};
        if (names_find(d, NAME_FAMILY, family, &id))
            continue;
        if (names_intern(d, NAME_FAMILY, family, &id, &err) && family_builtin_restricted(family))
            family_restrict(d, id, true, &err);
    }
}

/* ---- what people write and see ---- */

bool size_name_valid(const char *name, struct error *err)
{
    size_t n = strlen(name);
    bool ok = n && n <= SIZE_NAME_MAX && isalpha((unsigned char)*name);
    for (size_t i = 0; ok && i < n; i++)
        ok = isalnum((unsigned char)name[i]) || strchr("._-", name[i]);
    return ok || error_field(err, "name",
                             "\"%.80s\" is no name of a size: 1 to %d letters, digits, '.', '_' and '-', a "
                             "letter first",
                             name, SIZE_NAME_MAX);
}

static bool read_family(const cJSON *body, struct size *size, struct error *err)
{
    const cJSON *item = json_get(body, "family");
    const char *text = cJSON_IsString(item) ? item->valuestring : NULL;
    if (!item)
        return *size->family || error_field(err, "family", "family is missing: the sizes that share quotas");
    size_t n = text ? strlen(text) : 0;
    bool ok = n && n <= SIZE_FAMILY_MAX && isalnum((unsigned char)*text) && text[n - 1] != ' ';
    for (size_t i = 0; ok && i < n; i++)
        ok = isalnum((unsigned char)text[i]) || strchr(" ._-", text[i]);
    if (!ok)
        return error_field(err, "family",
                           "a family has a name of 1 to %d letters, digits, blanks, '.', '_' and '-'",
                           SIZE_FAMILY_MAX);
    snprintf(size->family, sizeof size->family, "%s", text);
    return true;
}

static bool read_whole(const cJSON *body, const char *field, int64_t least, int64_t most, uint32_t *out,
                       struct error *err)
{
    const cJSON *item = json_get(body, field);
    int64_t value;
    if (!item)
        return *out >= (uint32_t)least || error_field(err, field, "%s is missing", field);
    if (!json_item_int(item, &value) || value < least || value > most)
        return error_field(err, field, "%s must be a whole number from %lld to %lld", field, (long long)least,
                           (long long)most);
    *out = (uint32_t)value;
    return true;
}

static bool read_memory(const cJSON *body, struct size *size, struct error *err)
{
    const cJSON *item = json_get(body, "memory");
    int64_t bytes = 0;
    if (!item)
        return size->memory_bytes || error_field(err, "memory", "memory is missing, such as 56G");
    bool ok =
        cJSON_IsString(item) ? units_parse_bytes(item->valuestring, &bytes) : json_item_int(item, &bytes);
    if (!ok || bytes < JOB_MEMORY_MIN_BYTES || bytes > JOB_MEMORY_MAX_BYTES)
        return error_field(err, "memory", "memory must be a size such as 56G, from 16M to 1024T");
    size->memory_bytes = (uint64_t)bytes;
    return true;
}

static bool read_rest(const cJSON *body, struct size *size, struct error *err)
{
    const cJSON *model = json_get(body, "gpu_model"), *isolated = json_get(body, "isolated"),
                *price = json_get(body, "price_hour"), *category = json_get(body, "category");
    if (model && !cJSON_IsNull(model) &&
        (!cJSON_IsString(model) || strlen(model->valuestring) > NAME_MAX_BYTES))
        return error_field(err, "gpu_model", "gpu_model must be text of at most %d bytes", NAME_MAX_BYTES);
    if (model)
        snprintf(size->gpu_model, sizeof size->gpu_model, "%s",
                 cJSON_IsString(model) ? model->valuestring : "");
    if (isolated && !cJSON_IsBool(isolated))
        return error_field(err, "isolated", "isolated must be true or false");
    if (isolated)
        size->isolated = cJSON_IsTrue(isolated);
    if (price && !cJSON_IsNull(price) &&
        !(cJSON_IsNumber(price) && price->valuedouble >= 0 && price->valuedouble <= SIZE_PRICE_MAX))
        return error_field(err, "price_hour", "price_hour must be a number from 0 to %g", SIZE_PRICE_MAX);
    if (price)
        size->price_hour = cJSON_IsNumber(price) ? price->valuedouble : -1;
    if (category &&
        !size_category_parse(cJSON_IsString(category) ? category->valuestring : "", &size->category))
        return error_field(err, "category", "category is general, memory, compute, hpc or gpu");
    if (!category && !size->changed && size->gpus)
        size->category = SIZE_GPU;
    if (*size->gpu_model && !size->gpus)
        return error_field(err, "gpu_model", "a size without GPUs has no GPU model");
    return true;
}

bool size_read(const cJSON *body, struct size *size, struct error *err)
{
    return read_family(body, size, err) && read_whole(body, "cpus", 1, JOB_CPUS_MAX, &size->cpus, err) &&
           read_memory(body, size, err) && read_whole(body, "gpus", 0, RESOURCE_GPUS_MAX, &size->gpus, err) &&
           read_rest(body, size, err);
}

cJSON *size_object(const struct daemon *d, const struct size *size)
{
    uint32_t family;
    cJSON *o = document(size);
    bool restricted = family_find(d, size->family, &family) && core_family_restricted(d->core, family);
    cJSON_AddBoolToObject(o, "restricted", restricted);
    cJSON_AddBoolToObject(o, "fits", size_fits(d, size));
    cJSON_AddBoolToObject(o, "changed", size->changed);
    return o;
}

const char *size_words(const struct size *size, char out[96])
{
    char memory[32];
    int n = snprintf(out, 96, "%u CPU%s, %s memory", size->cpus, size->cpus == 1 ? "" : "s",
                     units_format_bytes((int64_t)size->memory_bytes, memory));
    if (size->gpus)
        snprintf(out + n, 96 - (size_t)n, ", %u GPU%s", size->gpus, size->gpus == 1 ? "" : "s");
    return out;
}

/* ---- which fit, and which of them comes nearest ---- */

bool size_fits(const struct daemon *d, const struct size *size)
{
    struct core_counts counts;
    struct resource_request request = {
        .cpus = size->cpus, .gpu_milli = size->gpus * RESOURCE_GPU_WHOLE, .memory_bytes = size->memory_bytes};
    core_count(d->core, &counts);
    if (!counts.nodes)
        return true;
    if (*size->gpu_model && !hardware_models(d, size->gpu_model, &request.gpu_models, NULL))
        return false;
    return core_could_fit(d->core, &request);
}

/* How far two amounts are apart, 0 to 1. */
static double apart(double a, double b)
{
    double most = a > b ? a : b;
    return most > 0 ? (a > b ? a - b : b - a) / most : 0;
}

const struct size *sizes_nearest(const struct daemon *d, const struct size *like)
{
    const struct size *best = NULL;
    double least = 0;
    for (size_t i = 0; i < d->sizes.count; i++) {
        const struct size *s = &d->sizes.items[i];
        double far = 2 * apart(s->gpus, like->gpus) + apart(s->cpus, like->cpus) +
                     apart((double)s->memory_bytes, (double)like->memory_bytes) +
                     (strcmp(s->family, like->family) != 0) + (s->category != like->category);
        if ((best && far >= least) || !size_fits(d, s))
            continue;
        best = s;
        least = far;
    }
    return best;
}

const struct size *sizes_nearest_name(const struct daemon *d, const char *name)
{
    const struct size *best = NULL;
    unsigned least = UINT_MAX;
    for (size_t i = 0; i < d->sizes.count; i++) {
        const struct size *s = &d->sizes.items[i];
        unsigned far = suggest_distance(name, s->name);
        if (far >= least)
            continue;
        best = s;
        least = far;
    }
    return best;
}
