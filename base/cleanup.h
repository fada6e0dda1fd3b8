/* Cleanup attributes for locals: memory, descriptors and streams are given back on every way out of a scope.
 */
#ifndef BERTH_BASE_CLEANUP_H
#define BERTH_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_fn(void *p)
{
    int saved = errno;
    free(*(void **)p);
    errno = saved;
}

static inline void cleanup_close_fn(const int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

static inline void cleanup_file_fn(FILE **f)
{
    int saved = errno;
    if (*f)
        fclose(*f);
    errno = saved;
}

static inline void cleanup_dir_fn(DIR **d)
{
    int saved = errno;
    if (*d)
        closedir(*d);
    errno = saved;
}

#define _cleanup_free_ __attribute__((cleanup(cleanup_free_fn)))
#define _cleanup_close_ __attribute__((cleanup(cleanup_close_fn)))
#define _cleanup_file_ __attribute__((cleanup(cleanup_file_fn)))
#define _cleanup_dir_ __attribute__((cleanup(cleanup_dir_fn)))
#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* Hands the pointer or descriptor on to the caller and disarms the cleanup. */
#define take_ptr(p)                                                                                          \
    ({                                                                                                       \
        __typeof__(p) taken_ = (p);                                                                          \
        (p) = NULL;                                                                                          \
        taken_;                                                                                              \
    })
static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#endif
