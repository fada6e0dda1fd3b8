/* The terminal's manners. */
#include "cli/term.h"

#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define UTF8_BYTES_MAX 4 /* of one character */

int term_width(int fd)
{
    if (!isatty(fd))
        return 0;
    const char *columns = getenv("COLUMNS");
    long n = columns ? strtol(columns, NULL, 10) : 0;
    if (n > 0 && n < 10000)
        return (int)n;
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

bool term_has_colour(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

const char *term_colour_code(enum term_colour colour)
{
    static const char *const codes[] = {
        [TERM_PLAIN] = "",        [TERM_BOLD] = "\033[1m",   [TERM_DIM] = "\033[2m",
        [TERM_RED] = "\033[31m",  [TERM_GREEN] = "\033[32m", [TERM_YELLOW] = "\033[33m",
        [TERM_BLUE] = "\033[34m",
    };
    return codes[colour];
}

/* Bytes of the character at `p` and its columns; a byte that is no character is one of both. */
static size_t next_character(const char *p, int *columns)
{
    wchar_t c;
    mbstate_t state = {0};
    size_t n = mbrtowc(&c, p, strlen(p), &state);
    if (n == 0 || n == (size_t)-1 || n == (size_t)-2) {
        *columns = 1;
        return 1;
    }
    int width = wcwidth(c);
    *columns = width < 0 ? 1 : width;
    return n;
}

int term_columns(const char *text)
{
    int total = 0;
    for (const char *p = text; *p;) {
        int columns;
        p += next_character(p, &columns);
        total += columns;
    }
    return total;
}

void term_add_safe(struct buf *out, const char *text, bool lines)
{
    text_add_safe(out, text, strlen(text), lines ? TEXT_LINES : TEXT_ONE_LINE);
}

int term_cut(char *text, size_t size, int columns)
{
    static const char dots[] = "\xe2\x80\xa6"; /* … */
    int total = term_columns(text);
    if (total <= columns)
        return total;
    const char *mark = MB_CUR_MAX > 1 ? dots : "~";
    int used = 0;
    char *p = text;
    while (*p) {
        int width;
        size_t n = next_character(p, &width);
        if (used + width > columns - 1)
            break;
        used += width;
        p += n;
    }
    snprintf(p, size - (size_t)(p - text), "%s", mark);
    return used + 1;
}
