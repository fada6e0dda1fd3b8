/* Words that several listings share. */
#ifndef BERTH_CLI_SHOW_H
#define BERTH_CLI_SHOW_H

#include "cli/term.h"
#include "proto/json.h"

#include <stdint.h>

/* How its user addresses the job: its name, with its number where a newer one has that name. */
void show_add_address(const cJSON *job, struct buf *out);
/* "3m ago", "2d ago", "just now"; "-" for 0. out holds at least 32 bytes; returns out. */
char *show_ago(int64_t then_ms, int64_t now_ms, char *out);
/* "2026-11-23 18:00:00" in local time. */
char *show_time(int64_t ms, char *out);
/* From start to end, or to now where it has not ended; "-" where it has not started. */
char *show_elapsed(int64_t started_ms, int64_t ended_ms, int64_t now_ms, char *out);
enum term_colour show_state_colour(const char *state);
/* units_format_bytes, with a B where it would be a bare number. out holds at least 32 bytes; returns out. */
char *show_bytes(int64_t bytes, char *out);
/* A whole JSON value on standard output, indented. */
void show_json(const cJSON *json);
/* "title        text\n", the text made safe and on one line; nothing where it is empty. */
void show_add_line(struct buf *out, const char *title, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "[0,1,2,5]" -> "0-2,5". */
void show_add_ranges(struct buf *out, const cJSON *numbers);

#endif
