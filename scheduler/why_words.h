/* Sentences and times that all of why is made of. */
#ifndef BERTH_SCHEDULER_WHY_WORDS_H
#define BERTH_SCHEDULER_WHY_WORDS_H

#include "proto/json.h"

#include <stdint.h>

/* Adds a sentence. */
void why_say(cJSON *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "2026-11-25 10:42:00"; "in 12m (2026-11-25 10:42:00)"; "2026-11-25 10:42:00 (for 12m)". Return out. */
const char *why_day(uint64_t at_ms, char out[32]);
const char *why_when(uint64_t at_ms, char out[64]);
const char *why_until(uint64_t at_ms, char out[64]);
/* Null for 0. */
void why_add_time(cJSON *o, const char *field, uint64_t ms);

#endif
