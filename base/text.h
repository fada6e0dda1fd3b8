/* Text from elsewhere, made harmless for a terminal. */
#ifndef BERTH_BASE_TEXT_H
#define BERTH_BASE_TEXT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Length of the UTF-8 character at `s` (at most `n` bytes left, n > 0), or 0 where there is none (RFC 3629:
 * no surrogates, no overlong forms). */
size_t text_utf8_length(const char *s, size_t n);

enum text_kept {
    TEXT_ONE_LINE, /* no control character stays */
    TEXT_LINES,    /* newlines stay */
    TEXT_LAYOUT,   /* newlines and tabs stay */
};

/* Appends `n` bytes with everything that could command a terminal shown: control characters (C0, DEL, C1) and
 * bytes that are not UTF-8 as \xNN, characters that change the direction of text or break lines as \uNNNN. */
void text_add_safe(struct buf *out, const char *text, size_t n, enum text_kept kept);
/* The same for JSON text, whose value stays as it is: the characters become \uNNNN, which only a string can
 * hold; bytes that are not UTF-8 become \ufffd. */
void text_add_safe_json(struct buf *out, const char *json, size_t n);

#endif
