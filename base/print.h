/*
 * Standard output and standard error of what a person starts. Nothing else writes to them but the log of a
 * job (cli/redraw.c), the daemons' log and the last words of an assertion; tests/integration/test_houserules
 * reads that from the objects. Whatever is printed may hold names and words of others, so every byte passes
 * text_add_safe: newlines and tabs stay, what commands a terminal is shown.
 */
#ifndef BERTH_BASE_PRINT_H
#define BERTH_BASE_PRINT_H

#include "base/buf.h"

enum print_to { PRINT_OUT, PRINT_ERR };

void print_out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What standard output holds back goes first, so that both stay in their order on one terminal. */
void print_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* One line: a newline is added, and those that a name or message has are shown. */
void print_line(enum print_to to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void print_to(enum print_to to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* As print_to; where that stream is a terminal with colours, the sequences of colours (ESC [ digits m) that
 * `text` has stay. What others wrote must have gone through text_add_safe before. */
void print_coloured(enum print_to to, const struct buf *text, bool colours);
/* JSON text, its value unchanged, and a newline. */
void print_json(const char *json);
/* Sends on what standard output holds back. */
void print_flush(void);
/* A line on standard error that the next one replaces; NULL takes it away. */
void print_progress(const char *text);

/* Makes sure that descriptors 0 to 2 are open, so that no file of ours is taken for one of them: writing to
 * one that was closed fails. */
void print_begin(void);
/* The exit code of a program that would exit with `code`: where standard output did not take everything, that
 * is reported and EXIT_FAILURE (1) returned. A reader that went away (EPIPE) is not reported; a `code` of 0
 * then becomes 128 + SIGPIPE. */
int print_finish(int code);

#endif
