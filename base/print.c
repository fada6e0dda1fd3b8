/* The streams that people read. The first error of standard output is kept until the end. */
#include "base/print.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int out_error; /* errno of the first write to standard output that failed */

void print_flush(void)
{
    if (fflush(stdout) != 0 && !out_error)
        out_error = errno;
}

static void put(enum print_to to, const char *bytes, size_t n)
{
    FILE *file = to == PRINT_OUT ? stdout : stderr;
    if (to == PRINT_ERR)
        print_flush();
    errno = 0;
    if (n && fwrite(bytes, 1, n, file) != n && to == PRINT_OUT && !out_error)
        out_error = errno ? errno : EIO;
}

static void put_safe(enum print_to to, const char *text, size_t n)
{
    _cleanup_buf_ struct buf safe = {0};
    text_add_safe(&safe, text, n, TEXT_LAYOUT);
    put(to, safe.data, safe.len);
}

static void vprint(enum print_to to, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void vprint(enum print_to to, const char *fmt, va_list ap)
{
    _cleanup_buf_ struct buf text = {0};
    buf_vprintf(&text, fmt, ap);
    put_safe(to, text.data, text.len);
}

void print_line(enum print_to to, const char *fmt, ...)
{
    _cleanup_buf_ struct buf text = {0}, safe = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    text_add_safe(&safe, text.data, text.len, TEXT_ONE_LINE);
    buf_add_char(&safe, '\n');
    put(to, safe.data, safe.len);
}

void print_to(enum print_to to, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprint(to, fmt, ap);
    va_end(ap);
}

void print_out(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprint(PRINT_OUT, fmt, ap);
    va_end(ap);
}

void print_err(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprint(PRINT_ERR, fmt, ap);
    va_end(ap);
}

/* Length of a sequence that switches a colour, "\033[31m", at the front of `text`; 0: none. */
static size_t colour_length(const char *text, size_t n)
{
    if (n < 4 || text[0] != '\033' || text[1] != '[')
        return 0;
    size_t digits = strspn(text + 2, "0123456789");
    return digits && digits <= 2 && text[2 + digits] == 'm' ? digits + 3 : 0;
}

void print_coloured(enum print_to to, const struct buf *text, bool colours)
{
    size_t begun = 0;
    for (size_t i = 0; colours && i < text->len; i++) {
        size_t len = colour_length(text->data + i, text->len - i);
        if (!len)
            continue;
        put_safe(to, text->data + begun, i - begun);
        put(to, text->data + i, len);
        begun = i + len;
        i = begun - 1;
    }
    if (text->len > begun)
        put_safe(to, text->data + begun, text->len - begun);
}

void print_json(const char *json)
{
    _cleanup_buf_ struct buf safe = {0};
    text_add_safe_json(&safe, json, strlen(json));
    buf_add_char(&safe, '\n');
    put(PRINT_OUT, safe.data, safe.len);
}

void print_progress(const char *text)
{
    static const char clear[] = "\r\033[K";
    put(PRINT_ERR, clear, sizeof clear - 1);
    if (text)
        put_safe(PRINT_ERR, text, strlen(text));
}

void print_begin(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        /* the lowest free descriptor is this one; reading from 1 and 2 or writing to 0 fails as before */
        int opened = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
        (void)opened;
    }
}

/* A file system that reports a full disk late does so when a descriptor is closed. */
static bool close_takes_all(void)
{
    int fd = dup(STDOUT_FILENO);
    return fd < 0 || close(fd) == 0;
}

int print_finish(int code)
{
    bool used = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0 && !out_error)
        out_error = errno ? errno : EIO;
    if (used && !out_error)
        out_error = EIO;
    if (!out_error && !close_takes_all())
        out_error = errno;
    if (!out_error)
        return code;
    if (out_error == EPIPE)
        return code ? code : 128 + SIGPIPE;
    print_err("berth: can't write to standard output: %s\n", strerror(out_error));
    return EXIT_FAILURE;
}
