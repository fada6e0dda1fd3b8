/* A line of the audit in words. Fields are named as the options and `berth show` name them. */
#include "cli/change_words.h"

#include "cli/show.h"
#include "proto/units.h"

#include <string.h>

/* Where the name that the API has, without its unit, is not the command line's. */
static const struct {
    const char *field, *name;
} names[] = {
    {"time_limit_s", "time"},
    {"max_time_s", "max-time"},
    {"max_priority", "max-priority"},
    {"array_limit", "array limit"},
    {"preempt_min_run_s", "min-run"},
    {"share_half_life_s", "half-life"},
    {"share_weight", "share-weight"},
    {"on_node_loss", "on-node-loss"},
    {"fence_after_s", "fence"},
    {"gpu_models", "gpu-model"},
    {"by_operator", "by an administrator"},
    {"drained_by", "drained by"},
    {"given", "granted"},
};

static bool ends_in(const char *text, const char *tail)
{
    size_t n = strlen(text), m = strlen(tail);
    return n > m && strcmp(text + n - m, tail) == 0;
}

static void add_name(const char *field, struct buf *out)
{
    static const char *const units[] = {"_bytes", "_ms", "_s"};
    size_t n = strlen(field);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(field, names[i].field) == 0) {
            buf_printf(out, "%s", names[i].name);
            return;
        }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (ends_in(field, units[i])) {
            n -= strlen(units[i]);
            break;
        }
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%c", field[i] == '_' ? ' ' : field[i]);
}

static void add_value(const cJSON *value, struct buf *out);

/* Nothing, no or 0: of what is new or gone, not worth a word. */
static bool says_nothing(const cJSON *value)
{
    return cJSON_IsNull(value) || cJSON_IsFalse(value) ||
           (cJSON_IsNumber(value) && value->valuedouble == 0) ||
           ((cJSON_IsArray(value) || cJSON_IsObject(value)) && !value->child);
}

static void add_fields(const cJSON *object, struct buf *out)
{
    const cJSON *item;
    bool first = true;
    cJSON_ArrayForEach(item, object)
    {
        if (says_nothing(item))
            continue;
        buf_printf(out, "%s", first ? "" : ", ");
        first = false;
        add_name(item->string, out);
        buf_printf(out, " ");
        add_value(item, out);
    }
}

static void add_list(const cJSON *list, struct buf *out)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        buf_printf(out, "%s", item == list->child ? "" : " ");
        add_value(item, out);
    }
}

static void add_number(const cJSON *value, struct buf *out)
{
    char text[64];
    const char *field = value->string ? value->string : "";
    if (ends_in(field, "_bytes"))
        buf_printf(out, "%s", show_bytes((int64_t)value->valuedouble, text));
    else if (ends_in(field, "_ms"))
        buf_printf(out, "%s", value->valuedouble > 0 ? show_time((int64_t)value->valuedouble, text) : "none");
    else if (ends_in(field, "_s"))
        buf_printf(out, "%s", units_format_exact((int64_t)(value->valuedouble * 1000), text));
    else
        buf_printf(out, "%.10g", value->valuedouble);
}

static void add_value(const cJSON *value, struct buf *out)
{
    if (!value || cJSON_IsNull(value) || ((cJSON_IsArray(value) || cJSON_IsObject(value)) && !value->child))
        buf_printf(out, "none");
    else if (cJSON_IsBool(value))
        buf_printf(out, "%s", cJSON_IsTrue(value) ? "yes" : "no");
    else if (cJSON_IsString(value))
        buf_printf(out, "%s", value->valuestring);
    else if (cJSON_IsNumber(value))
        add_number(value, out);
    else if (cJSON_IsArray(value))
        add_list(value, out);
    else {
        buf_printf(out, "(");
        add_fields(value, out);
        buf_printf(out, ")");
    }
}

static void add_pair(const char *field, const cJSON *was, const cJSON *is, struct buf *out)
{
    buf_printf(out, "%s", out->len ? ", " : "");
    add_name(field, out);
    buf_printf(out, ": ");
    add_value(was, out);
    buf_printf(out, " -> ");
    add_value(is, out);
}

void change_add_words(const cJSON *line, struct buf *out)
{
    const cJSON *before = json_get(line, "before"), *after = json_get(line, "after"), *item;
    if (!cJSON_IsObject(before) || !cJSON_IsObject(after)) {
        if (cJSON_IsObject(before) && before->child)
            buf_printf(out, "was: ");
        add_fields(cJSON_IsObject(before) ? before : after, out);
        return;
    }
    cJSON_ArrayForEach(item, after) add_pair(item->string, json_get(before, item->string), item, out);
    cJSON_ArrayForEach(item, before) if (!json_get(after, item->string))
        add_pair(item->string, item, NULL, out);
}
