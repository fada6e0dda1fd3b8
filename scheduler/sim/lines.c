/* Lines and their numbers. Owns one buffer of the longest line. */
#include "scheduler/sim/lines.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define READ_BYTES (256u << 10)

struct lines {
    gzFile gz; /* NULL: memory */
    char *path;
    const char *bytes; /* what is read and not handed out */
    size_t at, len;
    char *buffer; /* of READ_BYTES; NULL with memory */
    uint64_t number;
    char line[LINES_LINE_MAX + 1];
};

struct lines *lines_open(const char *path, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0) {
        error_errno(err, errno, "%s", path);
        return NULL;
    }
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        error_set(err, ERROR_INVALID, "%s is a folder", path);
        close(fd);
        return NULL;
    }
    struct lines *lines = xcalloc(1, sizeof *lines);
    lines->path = xstrdup(path);
    lines->gz = gzdopen(fd, "rb");
    if (!lines->gz) {
        close(fd);
        error_set(err, ERROR_INTERNAL, "%s: out of memory", path);
        lines_close(lines);
        return NULL;
    }
    gzbuffer(lines->gz, READ_BYTES);
    lines->bytes = lines->buffer = xmalloc(READ_BYTES);
    return lines;
}

struct lines *lines_memory(const void *bytes, size_t len)
{
    struct lines *lines = xcalloc(1, sizeof *lines);
    lines->bytes = bytes;
    lines->len = len;
    return lines;
}

void lines_close(struct lines *lines)
{
    if (!lines)
        return;
    if (lines->gz)
        gzclose(lines->gz);
    free(lines->path);
    free(lines->buffer);
    free(lines);
}

/* False at the end and on errors. */
static bool refill(struct lines *lines, struct error *err)
{
    if (!lines->gz)
        return false;
    int n = gzread(lines->gz, lines->buffer, READ_BYTES);
    int code = Z_OK;
    const char *why = gzerror(lines->gz, &code);
    if (n < 0 || (n == 0 && code != Z_OK && code != Z_STREAM_END)) {
        if (code == Z_ERRNO)
            error_errno(err, errno, "%s", lines->path);
        else
            error_set(err, ERROR_INVALID, "%s: damaged after line %llu: %s", lines->path,
                      (unsigned long long)lines->number, why);
        return false;
    }
    lines->at = 0;
    lines->len = (size_t)n;
    return n > 0;
}

bool lines_next(struct lines *lines, struct line *line, struct error *err)
{
    size_t used = 0;
    bool any = false, ended = false, too_long = false;
    struct error local = {0};
    while (!ended) {
        if (lines->at == lines->len && !refill(lines, &local))
            break;
        any = true;
        const char *from = lines->bytes + lines->at;
        size_t left = lines->len - lines->at;
        const char *end = memchr(from, '\n', left);
        size_t n = end ? (size_t)(end - from) : left, fits = LINES_LINE_MAX - used;
        lines->at += n + (end != NULL);
        ended = end != NULL;
        too_long = too_long || n > fits;
        memcpy(lines->line + used, from, n < fits ? n : fits);
        used += n < fits ? n : fits;
    }
    if (local.code) {
        if (err)
            *err = local;
        return false;
    }
    if (!any)
        return false;
    if (used && lines->line[used - 1] == '\r')
        used--;
    lines->line[used] = '\0';
    *line = (struct line){.number = ++lines->number, .text = lines->line};
    if (too_long)
        line->problem = "the line is too long";
    else if (memchr(lines->line, '\0', used))
        line->problem = "a NUL byte";
    return true;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

size_t lines_split(char *text, char separator, char *fields[LINES_FIELDS_MAX])
{
    size_t count = 0;
    char *at = text;
    while (blank(*at))
        at++;
    if (!*at)
        return 0;
    for (;;) {
        char *start = at;
        while (*at && (separator == ' ' ? !blank(*at) : *at != separator))
            at++;
        char *end = at;
        bool last = !*at;
        while (end > start && blank(end[-1]))
            end--;
        *end = '\0';
        if (count < LINES_FIELDS_MAX)
            fields[count] = start;
        count++;
        if (last)
            return count;
        at++;
        while (blank(*at))
            at++;
        if (separator == ' ' && !*at)
            return count;
    }
}

enum number_result lines_milli(const char *text, int64_t max, int64_t *milli)
{
    bool negative = *text == '-';
    const char *p = text + (*text == '-' || *text == '+');
    int64_t whole = 0, part = 0;
    bool digits = false, huge = false;
    for (; *p >= '0' && *p <= '9'; p++) {
        digits = true;
        if (whole > (max - (*p - '0')) / 10)
            huge = true;
        else
            whole = whole * 10 + (*p - '0');
    }
    if (*p == '.') {
        int64_t scale = 100;
        for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10) {
            digits = true;
            part += (*p - '0') * scale;
        }
    }
    if (*p || !digits)
        return NUMBER_BROKEN;
    if (huge)
        return NUMBER_HUGE;
    *milli = (whole * 1000 + part) * (negative ? -1 : 1);
    return NUMBER_OK;
}

enum number_result lines_whole(const char *text, int64_t max, int64_t *out)
{
    int64_t milli;
    enum number_result result = lines_milli(text, max, &milli);
    if (result != NUMBER_OK)
        return result;
    if (milli % 1000)
        return NUMBER_BROKEN;
    *out = milli / 1000;
    return NUMBER_OK;
}
