/* The words for durations and moments. */
#include "cli/when.h"

#include "proto/excerpt.h"
#include "proto/units.h"

bool when_read_duration(const char *option, const char *text, int64_t *ms, struct error *err)
{
    if (units_parse_duration(text, ms))
        return true;
    return error_set(err, ERROR_INVALID,
                     "%s takes a duration such as 90s, 15m, 1h30m, 2d or 1-12:00:00, not \"%s\"", option,
                     EXCERPT(text));
}

bool when_read_moment(const char *option, const char *text, int64_t now_ms, int64_t *ms, struct error *err)
{
    if (*text != '-' && units_parse_time(text, now_ms, ms))
        return true;
    return error_set(
        err, ERROR_INVALID,
        "%s takes a time such as +2h, 2026-12-24T18:00:00Z or \"2026-12-24 18:00\" (here), not \"%s\"",
        option, EXCERPT(text));
}
