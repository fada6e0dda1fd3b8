#include "scheduler/why_words.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "proto/units.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void why_say(cJSON *text, const char *fmt, ...)
{
    _cleanup_buf_ struct buf line = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    cJSON_AddItemToArray(text, cJSON_CreateString(line.data ? line.data : ""));
}

const char *why_day(uint64_t at_ms, char out[32])
{
    time_t at = (time_t)(at_ms / 1000);
    struct tm tm;
    if (!localtime_r(&at, &tm) || !strftime(out, 32, "%F %T", &tm))
        snprintf(out, 32, "?");
    return out;
}

/* How long from now. */
static const char *span_to(uint64_t at_ms, char out[32])
{
    int64_t wait = (int64_t)at_ms - clock_wall_ms();
    return units_format_duration(wait > 0 ? wait / 1000 * 1000 : 0, out);
}

const char *why_when(uint64_t at_ms, char out[64])
{
    char span[32], day[32];
    snprintf(out, 64, "in %.24s (%.24s)", span_to(at_ms, span), why_day(at_ms, day));
    return out;
}

const char *why_until(uint64_t at_ms, char out[64])
{
    char span[32], day[32];
    snprintf(out, 64, "%.24s (for %.24s)", why_day(at_ms, day), span_to(at_ms, span));
    return out;
}

void why_add_time(cJSON *o, const char *field, uint64_t ms)
{
    if (ms)
        json_add_int(o, field, (int64_t)ms);
    else
        cJSON_AddNullToObject(o, field);
}
