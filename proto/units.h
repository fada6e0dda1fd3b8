/* Amounts as people write them. */
#ifndef BERTH_PROTO_UNITS_H
#define BERTH_PROTO_UNITS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* "512M", "2G", "1.5G", "2Gi", "2GB", "2 gb", "1073741824": powers of 1024, K M G T P in either case,
 * optional i and B. false where it is not a size, is negative or passes 2^62. */
bool units_parse_bytes(const char *text, int64_t *bytes);
/* A duration, in milliseconds; the one reader of them. "90" (seconds), "90s", "15m", "1h30m", "2d", "1w2d",
 * "250ms": largest unit first, each once; "1h30" (behind a unit a bare number is of the next smaller one, and
 * less than one of the unit before), "HH:MM:SS", "MM:SS", "D-HH[:MM[:SS]]" (as Slurm). false where it is not
 * a duration, is negative or passes 10 years (of 366 days). */
bool units_parse_duration(const char *text, int64_t *ms);
/* A moment, in ms since 1970: RFC 3339 (2026-12-24T18:00:00Z, or with +01:00), the same without an offset or
 * with a blank for the T (this machine's time), seconds or all of the clock left out (2026-12-24 18:00,
 * 2026-12-24); "+2h" and "-2h" from now_ms; "now"; "18:00" (of the day of now_ms, here), "today",
 * "tomorrow" and "yesterday", with a clock behind them or at 00:00. false where it is none, or before 1970.
 */
bool units_parse_time(const char *text, int64_t now_ms, int64_t *ms);
/* "2 GiB"-like text in at most 5 significant characters: 1536 -> "1.5K"; out holds at least 16 bytes; returns
 * out. */
char *units_format_bytes(int64_t bytes, char *out);
/* 5400000 -> "1h30m", 1500 -> "1.5s"; at least 24 bytes; returns out. */
char *units_format_duration(int64_t ms, char *out);
/* As that, but nothing is left out, and units_parse_duration reads it back: 3630000 -> "1h30s"; for limits.
 * At least 24 bytes; returns out. */
char *units_format_exact(int64_t ms, char *out);

#endif
