/* Allocation that cannot fail: out of memory ends the process with a message. Sizes from outside are limited
 * by the caller. */
#ifndef BERTH_BASE_ALLOC_H
#define BERTH_BASE_ALLOC_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size); /* zeroed */
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s); /* NULL gives NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
