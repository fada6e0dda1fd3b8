/*
 * The one error type. It is a plain value (no ownership): declare `struct error err = {0};` and pass `&err`
 * last. Every function that can fail returns bool (true = success) or a pointer (NULL = failure) and fills
 * *err on failure. `err` may be NULL where the caller does not want to know.
 */
#ifndef BERTH_BASE_ERROR_H
#define BERTH_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

enum error_code {
    ERROR_NONE = 0,
    ERROR_INVALID,     /* bad input: field names what */
    ERROR_NOT_FOUND,   /* the thing named does not exist */
    ERROR_EXISTS,      /* a thing of that name exists already */
    ERROR_DENIED,      /* not allowed to this principal or node */
    ERROR_CONFLICT,    /* not possible in the present state */
    ERROR_LIMIT,       /* a named limit would be passed */
    ERROR_UNSUPPORTED, /* known, but not honoured here */
    ERROR_UNAVAILABLE, /* try again later: peer down, shutting down */
    ERROR_VERSION,     /* a format or protocol that is newer than this program */
    ERROR_NO_SPACE,    /* disk full or quota */
    ERROR_TIMEOUT,
    ERROR_IO,       /* errno in sys_errno */
    ERROR_INTERNAL, /* a bug */
    ERROR_CODE_COUNT
};

#define ERROR_FIELD_MAX 128
#define ERROR_MESSAGE_MAX 1536
#define ERROR_HINT_MAX 512

struct error {
    enum error_code code;
    int sys_errno;                   /* 0 where no system call failed */
    char field[ERROR_FIELD_MAX];     /* dotted name of the offending field, or "" */
    char message[ERROR_MESSAGE_MAX]; /* what went wrong, and the value */
    char hint[ERROR_HINT_MAX];       /* the next step to try, or "" */
};

/* Each of these returns false, so that `return error_set(...)` reads well. Too long texts are cut with "...".
 */
bool error_set(struct error *err, enum error_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As error_set, and appends ": strerror(e)"; ENOSPC and EDQUOT become ERROR_NO_SPACE, EACCES and EPERM
 * ERROR_DENIED, ENOENT ERROR_NOT_FOUND, others ERROR_IO. */
bool error_errno(struct error *err, int e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* ERROR_INVALID about one field. */
bool error_field(struct error *err, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Sets the next step of an error that is already set. */
bool error_hint(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts "context: " in front of the message. */
bool error_wrap(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Stable lower-case word of a code, as the API shows it ("invalid", "not_found", ...), and back
 * (ERROR_INTERNAL if unknown). */
const char *error_code_name(enum error_code code);
enum error_code error_code_from_name(const char *name);

#endif
