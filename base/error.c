/* The error value: filled where something fails, wrapped with context on the way up, printed only by main and
 * the log. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[ERROR_CODE_COUNT] = {
    [ERROR_NONE] = "none",       [ERROR_INVALID] = "invalid",         [ERROR_NOT_FOUND] = "not_found",
    [ERROR_EXISTS] = "exists",   [ERROR_DENIED] = "denied",           [ERROR_CONFLICT] = "conflict",
    [ERROR_LIMIT] = "limit",     [ERROR_UNSUPPORTED] = "unsupported", [ERROR_UNAVAILABLE] = "unavailable",
    [ERROR_VERSION] = "version", [ERROR_NO_SPACE] = "no_space",       [ERROR_TIMEOUT] = "timeout",
    [ERROR_IO] = "io",           [ERROR_INTERNAL] = "internal",
};

static void format_cut(char *out, size_t size, const char *fmt, va_list ap)
{
    int n = vsnprintf(out, size, fmt, ap);
    if (n >= (int)size)
        memcpy(out + size - 4, "...", 4);
}

bool error_set(struct error *err, enum error_code code, const char *fmt, ...)
{
    if (!err)
        return false;
    va_list ap;
    va_start(ap, fmt);
    memset(err, 0, sizeof *err);
    err->code = code;
    format_cut(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    return false;
}

bool error_errno(struct error *err, int e, const char *fmt, ...)
{
    if (!err)
        return false;
    char text[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    format_cut(text, sizeof text, fmt, ap);
    va_end(ap);
    enum error_code code = ERROR_IO;
    if (e == ENOSPC || e == EDQUOT)
        code = ERROR_NO_SPACE;
    else if (e == EACCES || e == EPERM)
        code = ERROR_DENIED;
    else if (e == ENOENT)
        code = ERROR_NOT_FOUND;
    error_set(err, code, "%s: %s", text, strerror(e));
    err->sys_errno = e;
    return false;
}

bool error_field(struct error *err, const char *field, const char *fmt, ...)
{
    if (!err)
        return false;
    va_list ap;
    va_start(ap, fmt);
    memset(err, 0, sizeof *err);
    err->code = ERROR_INVALID;
    snprintf(err->field, sizeof err->field, "%s", field);
    format_cut(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    return false;
}

bool error_hint(struct error *err, const char *fmt, ...)
{
    if (!err)
        return false;
    va_list ap;
    va_start(ap, fmt);
    format_cut(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return false;
}

bool error_wrap(struct error *err, const char *fmt, ...)
{
    if (!err)
        return false;
    char context[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    format_cut(context, sizeof context, fmt, ap);
    va_end(ap);
    size_t used = strlen(context);
    if (used + 3 < sizeof context)
        snprintf(context + used, sizeof context - used, ": %s", err->message);
    memcpy(err->message, context, sizeof err->message);
    return false;
}

const char *error_code_name(enum error_code code)
{
    return (unsigned)code < ERROR_CODE_COUNT ? code_names[code] : "internal";
}

enum error_code error_code_from_name(const char *name)
{
    for (int i = 0; name && i < ERROR_CODE_COUNT; i++)
        if (strcmp(name, code_names[i]) == 0)
            return (enum error_code)i;
    return ERROR_INTERNAL;
}
