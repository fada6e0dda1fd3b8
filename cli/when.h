/* Durations and moments of options: one reader and one wording for all verbs. */
#ifndef BERTH_CLI_WHEN_H
#define BERTH_CLI_WHEN_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* `option` is as it is typed ("--time"). False with what it takes and what it was given. */
bool when_read_duration(const char *option, const char *text, int64_t *ms, struct error *err);
/* What options that take a moment to come, or a past one, take; for their help. */
#define WHEN_COMING                                                                                          \
    "now, +2h, 18:00, tomorrow, \"tomorrow 09:00\", \"2026-12-24 18:00\" here, or 2026-12-24T18:00:00Z"
#define WHEN_PAST "-2h, 18:00, today, \"yesterday 09:00\", \"2026-12-24 18:00\" here, or 2026-12-24T18:00:00Z"

/* A moment from now on, as proto/units.h has them without "-2h"; a clock alone is of today or tomorrow. */
bool when_read_moment(const char *option, const char *text, int64_t now_ms, int64_t *ms, struct error *err);
/* A moment up to now; a clock alone is of today or yesterday. */
bool when_read_past(const char *option, const char *text, int64_t now_ms, int64_t *ms, struct error *err);

#endif
