/* Times, states and lists as people read them. */
#include "cli/show.h"

#include "base/cleanup.h"
#include "base/print.h"
#include "proto/array.h"
#include "proto/units.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

void show_add_address(const cJSON *job, struct buf *out)
{
    const char *name = json_str(job, "name", "?");
    size_t n = strcspn(name, (char[]){ARRAY_MARK, '\0'});
    buf_add(out, name, n);
    if (json_bool(job, "superseded", false))
        buf_printf(out, "#%lld", (long long)json_int(job, "number", 1));
    buf_add_str(out, name + n);
}

char *show_ago(int64_t then_ms, int64_t now_ms, char *out)
{
    int64_t s = (now_ms - then_ms) / 1000;
    if (!then_ms)
        snprintf(out, 32, "-");
    else if (s < 5)
        snprintf(out, 32, "just now");
    else if (s < 60)
        snprintf(out, 32, "%llds ago", (long long)s);
    else if (s < 3600)
        snprintf(out, 32, "%lldm ago", (long long)(s / 60));
    else if (s < 48 * 3600)
        snprintf(out, 32, "%lldh ago", (long long)(s / 3600));
    else
        snprintf(out, 32, "%lldd ago", (long long)(s / 86400));
    return out;
}

char *show_time(int64_t ms, char *out)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (!ms || !localtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(out, 32, "-");
    return out;
}

char *show_elapsed(int64_t started_ms, int64_t ended_ms, int64_t now_ms, char *out)
{
    int64_t end = ended_ms ? ended_ms : now_ms;
    if (!started_ms || end < started_ms)
        snprintf(out, 32, "-");
    else
        units_format_duration(end - started_ms >= 10000 ? (end - started_ms) / 1000 * 1000 : end - started_ms,
                              out);
    return out;
}

char *show_bytes(int64_t bytes, char *out)
{
    units_format_bytes(bytes, out);
    size_t n = strlen(out);
    if (n && out[n - 1] >= '0' && out[n - 1] <= '9')
        memcpy(out + n, "B", 2);
    return out;
}

enum term_colour show_state_colour(const char *state)
{
    static const struct {
        const char *state;
        enum term_colour colour;
    } colours[] = {{"Running", TERM_GREEN},     {"Completed", TERM_DIM},   {"Failed", TERM_RED},
                   {"NotResponding", TERM_RED}, {"Canceled", TERM_YELLOW}, {"CancelRequested", TERM_YELLOW},
                   {"Paused", TERM_YELLOW},     {"Preparing", TERM_BLUE},  {"Starting", TERM_BLUE},
                   {"Finalizing", TERM_BLUE},   {"idle", TERM_GREEN},      {"running", TERM_GREEN},
                   {"draining", TERM_YELLOW},   {"unusable", TERM_RED},    {"notresponding", TERM_RED}};
    for (size_t i = 0; i < sizeof colours / sizeof *colours; i++)
        if (strcmp(state, colours[i].state) == 0)
            return colours[i].colour;
    return TERM_PLAIN;
}

void show_json(const cJSON *json)
{
    _cleanup_free_ char *text = json_indented(json);
    print_json(text);
}

void show_add_line(struct buf *out, const char *title, const char *fmt, ...)
{
    _cleanup_buf_ struct buf text = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    if (!text.len)
        return;
    buf_printf(out, "%-12s ", title);
    term_add_safe(out, text.data, false);
    buf_add_char(out, '\n');
}

void show_add_ranges(struct buf *out, const cJSON *numbers)
{
    const cJSON *item;
    int64_t first = -1, last = -2;
    bool any = false;
    for (item = cJSON_IsArray(numbers) ? numbers->child : NULL;; item = item ? item->next : NULL) {
        int64_t n = -1;
        if (item && !json_item_int(item, &n))
            continue;
        if (item && n == last + 1 && first >= 0) {
            last = n;
            continue;
        }
        if (first >= 0) {
            buf_printf(out, "%s%lld", any ? "," : "", (long long)first);
            if (last > first)
                buf_printf(out, "-%lld", (long long)last);
            any = true;
        }
        first = last = n;
        if (!item)
            break;
    }
    if (!any)
        buf_add_char(out, '-');
}
