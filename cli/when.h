/* Durations and moments of options: one reader and one wording for all verbs. */
#ifndef BERTH_CLI_WHEN_H
#define BERTH_CLI_WHEN_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* `option` is as it is typed ("--time"). False with what it takes and what it was given. */
bool when_read_duration(const char *option, const char *text, int64_t *ms, struct error *err);
/* A moment from now on, as proto/units.h has them without "-2h". */
bool when_read_moment(const char *option, const char *text, int64_t now_ms, int64_t *ms, struct error *err);

#endif
