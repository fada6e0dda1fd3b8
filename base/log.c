/* The daemons' log. One write(2) a line, so that lines of several processes on one descriptor never mix. */
#include "base/log.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096

static const char *const level_names[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};
static enum log_level threshold = LOG_LEVEL_INFO;
static const char *program = "berth";

void log_init(const char *who)
{
    static const char *const words[] = {"debug", "info", "warn", "error"};
    program = who;
    const char *wanted = getenv("BERTH_LOG");
    for (int i = 0; wanted && i < 4; i++)
        if (strcmp(wanted, words[i]) == 0)
            threshold = (enum log_level)i;
}

void log_set_level(enum log_level level)
{
    threshold = level;
}

void log_write(enum log_level level, const char *fmt, ...)
{
    if (level < threshold)
        return;
    char line[LOG_LINE_MAX];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s %s: ", now.tv_nsec / 1000000,
                          level_names[level], program);
    va_list ap;
    va_start(ap, fmt);
    int wrote = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    n += wrote < 0 ? 0 : (size_t)wrote;
    if (n > sizeof line - 2)
        n = sizeof line - 2;
    for (size_t i = 0; i < n; i++)
        if (line[i] == '\n' || line[i] == '\r')
            line[i] = ' ';
    _cleanup_buf_ struct buf safe = {0}; /* `berth up` in the foreground logs to a terminal */
    text_add_safe(&safe, line, n, TEXT_ONE_LINE);
    buf_add_char(&safe, '\n');
    ssize_t ignored = write(STDERR_FILENO, safe.data, safe.len);
    (void)ignored;
}
