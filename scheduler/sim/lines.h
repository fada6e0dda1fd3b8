/*
 * Text, line by line, from a file (plain or gzip, told apart by its first bytes) or from memory, and the
 * numbers in it. A line too long or with a NUL byte is handed out as such, and reading goes on behind it.
 */
#ifndef BERTH_SCHEDULER_SIM_LINES_H
#define BERTH_SCHEDULER_SIM_LINES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINES_LINE_MAX 4096 /* bytes of one line, without its end */
#define LINES_FIELDS_MAX 64 /* of one line */

struct lines;

/* NULL with *err: no such file, not readable, a folder. */
struct lines *lines_open(const char *path, struct error *err);
/* The bytes are borrowed. */
struct lines *lines_memory(const void *bytes, size_t len);
void lines_close(struct lines *lines); /* takes NULL */

static inline void lines_cleanup_fn(struct lines **lines)
{
    lines_close(*lines);
}
#define _cleanup_lines_ __attribute__((cleanup(lines_cleanup_fn)))

struct line {
    uint64_t number;     /* from 1 */
    char *text;          /* NUL-ended, without \n and \r\n; may be written to; valid until the next call */
    const char *problem; /* NULL, or why this is no line (static text); `text` is then cut */
};

/* False at the end, and on a read error or damaged gzip data: then err->code is set. */
bool lines_next(struct lines *lines, struct line *line, struct error *err);

/* Splits in place at runs of blanks (separator ' ') or at each separator; blanks round a field are cut.
 * Returns how many fields there are, of which the first LINES_FIELDS_MAX are in `fields`. */
size_t lines_split(char *text, char separator, char *fields[LINES_FIELDS_MAX]);

enum number_result { NUMBER_OK, NUMBER_BROKEN, NUMBER_HUGE };
/* A decimal number with sign and fraction, in thousandths (what is below is cut). HUGE: beyond `max`, before
 * the thousandths. */
enum number_result lines_milli(const char *text, int64_t max, int64_t *milli);
/* A whole number; a fraction of zeros is taken too, as some logs have it. */
enum number_result lines_whole(const char *text, int64_t max, int64_t *out);

#endif
