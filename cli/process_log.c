/* Records of several processes, read in pieces of any size. A line that is no record is nobody's. */
#include "cli/process_log.h"

#include "base/fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool put(struct process_log *log, const char *bytes, size_t n)
{
    if (!log->mine || !n || fs_write_all(log->fd, bytes, n))
        return true;
    log->write_error = errno;
    return false;
}

/* "[RANK] " or "[RANK]+" is whole, or can't become one. */
static void take_prefix(struct process_log *log, char c)
{
    log->prefix[log->n++] = c;
    log->prefix[log->n] = '\0';
    size_t digits = strspn(log->prefix + 1, "0123456789"), close = 1 + digits;
    bool fits = log->prefix[0] == '[' && log->n + 1 < sizeof log->prefix;
    if (fits && (log->n <= close || (digits && log->n == close + 1 && log->prefix[close] == ']')))
        return;
    bool whole = fits && digits && log->prefix[close] == ']' && (c == ' ' || c == '+');
    log->body = true;
    log->mine = whole && strtoll(log->prefix + 1, NULL, 10) == log->rank;
    log->own_end = c == ' ';
    log->n = 0;
}

static void end_record(struct process_log *log)
{
    log->body = log->mine = log->returned = false;
}

bool process_log_add(struct process_log *log, const char *bytes, size_t n)
{
    const char *end = bytes + n;
    while (bytes < end) {
        if (log->returned) {
            bool pair = *bytes == '\n';
            if (pair && log->own_end && !put(log, bytes, 1))
                return false;
            bytes += pair;
            end_record(log);
            continue;
        }
        if (!log->body) {
            take_prefix(log, *bytes);
            bytes += !log->body || *bytes == ' ' || *bytes == '+'; /* else it may be the line's end */
            continue;
        }
        const char *at = bytes;
        while (at < end && *at != '\n' && *at != '\r')
            at++;
        if (!put(log, bytes, (size_t)(at - bytes) + (at < end && log->own_end)))
            return false;
        if (at < end && *at == '\r')
            log->returned = true;
        else if (at < end)
            end_record(log);
        bytes = at + (at < end);
    }
    return true;
}
