/* Head and tail of long texts. */
#include "proto/excerpt.h"

#include <stdio.h>
#include <string.h>

#define MARK_BYTES 36 /* at most, of "[...N bytes...]" */

static int inside_character(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

struct excerpt excerpt_within(const char *text, size_t whole)
{
    struct excerpt out = {0};
    size_t len = strlen(text), ends = (whole - MARK_BYTES) / 2;
    if (len <= whole) {
        memcpy(out.text, text, len);
        return out;
    }
    size_t head = ends, tail = len - ends;
    while (head && inside_character(text[head]))
        head--;
    while (tail < len && inside_character(text[tail]))
        tail++;
    snprintf(out.text, sizeof out.text, "%.*s[...%zu bytes...]%s", (int)head, text, tail - head, text + tail);
    return out;
}

struct excerpt excerpt_of(const char *text)
{
    return excerpt_within(text, EXCERPT_WHOLE_MAX);
}
