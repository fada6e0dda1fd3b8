/*
 * A growable byte buffer. It owns its memory; buf_finish gives it back and may be called on a zeroed value.
 * Always followed by a NUL that does not count in `len`, so that text can be read in place. Out of memory
 * aborts the process (as everywhere in Berth): sizes of what comes from outside are limited before they reach
 * a buffer.
 */
#ifndef BERTH_BASE_BUF_H
#define BERTH_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL while nothing was ever added */
    size_t len, cap;
};

void buf_finish(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_add_str(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void buf_consume(struct buf *b, size_t n); /* drops the first n bytes */
/* Hands the bytes (NUL-terminated, caller frees) on and empties the buffer; "" where nothing was added. */
char *buf_take(struct buf *b);

#define _cleanup_buf_ __attribute__((cleanup(buf_finish)))

#endif
