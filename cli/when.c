/* The words for durations and moments. */
#include "cli/when.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "proto/excerpt.h"
#include "proto/units.h"

#include <string.h>

bool when_read_duration(const char *option, const char *text, int64_t *ms, struct error *err)
{
    if (units_parse_duration(text, ms))
        return true;
    return error_set(err, ERROR_INVALID,
                     "%s takes a duration such as 90s, 15m, 1h30m, 2d or 1-12:00:00, not \"%s\"", option,
                     EXCERPT(text));
}

/* A clock alone is the next or the last time that it shows that, as the option looks. */
static void next_day(const char *text, bool wrong, const char *day, int64_t now_ms, int64_t *ms)
{
    bool clock = strlen(text) >= 5 && text[2] == ':';
    _cleanup_free_ char *other = wrong && clock ? xasprintf("%s %s", day, text) : NULL;
    if (other)
        units_parse_time(other, now_ms, ms);
}

bool when_read_moment(const char *option, const char *text, int64_t now_ms, int64_t *ms, struct error *err)
{
    if (*text != '-' && units_parse_time(text, now_ms, ms)) {
        next_day(text, *ms < now_ms, "tomorrow", now_ms, ms);
        return true;
    }
    return error_set(err, ERROR_INVALID, "%s takes a time (" WHEN_COMING "), not \"%s\"", option,
                     EXCERPT(text));
}

bool when_read_past(const char *option, const char *text, int64_t now_ms, int64_t *ms, struct error *err)
{
    if (!units_parse_time(text, now_ms, ms))
        return error_set(err, ERROR_INVALID, "%s takes a time (" WHEN_PAST "), not \"%s\"", option,
                         EXCERPT(text));
    next_day(text, *ms > now_ms, "yesterday", now_ms, ms);
    return *ms <= now_ms || error_set(err, ERROR_INVALID, "%s %s is still to come", option, EXCERPT(text));
}
