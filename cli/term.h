/* The terminal: its width, colours, and text from elsewhere made harmless. */
#ifndef BERTH_CLI_TERM_H
#define BERTH_CLI_TERM_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

enum term_colour { TERM_PLAIN, TERM_BOLD, TERM_DIM, TERM_RED, TERM_GREEN, TERM_YELLOW, TERM_BLUE };

/* Columns of the terminal on `fd` ($COLUMNS first); 0 (no limit) where it is none. */
int term_width(int fd);
/* Colours only on a terminal that knows them, and never with NO_COLOR set (no-color.org). */
bool term_has_colour(int fd);
/* The escape sequence that switches a colour on ("" for TERM_PLAIN); TERM_RESET ends it. */
const char *term_colour_code(enum term_colour colour);
#define TERM_RESET "\033[0m"
/* Columns that UTF-8 text takes; a byte that is no character counts as one. */
int term_columns(const char *text);
/* text_add_safe() of a string: names, tags, paths and messages come from other people. Newlines stay where
 * `lines` is true. */
void term_add_safe(struct buf *out, const char *text, bool lines);
/* Cuts `text` in place to at most `columns` columns, ending it with "…" where something was left out. Returns
 * the columns it takes now. `size` is that of its memory. */
int term_cut(char *text, size_t size, int columns);

#endif
