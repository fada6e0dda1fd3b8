/*
 * A disk that fails, to be preloaded: while the file that BERTH_FAKE_DISK names is there, writes (its text is
 * "write N") or syncs ("sync N") of files whose path holds "/journal/" fail with errno N.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAKE_API __attribute__((visibility("default")))

static int failure(int fd, const char *kind)
{
    char link[64], path[4096], text[64] = "", word[16];
    int number = 0;
    const char *control = getenv("BERTH_FAKE_DISK");
    int c = control ? open(control, O_RDONLY | O_CLOEXEC) : -1;
    if (c < 0)
        return 0;
    ssize_t n = read(c, text, sizeof text - 1);
    close(c);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (n <= 0 || length <= 0)
        return 0;
    path[length] = '\0';
    if (!strstr(path, "/journal/") || sscanf(text, "%15s %d", word, &number) != 2 || strcmp(word, kind) != 0)
        return 0;
    return number;
}

#define FAIL(fd, kind)                                                                                       \
    do {                                                                                                     \
        int number = failure(fd, kind);                                                                      \
        if (number) {                                                                                        \
            errno = number;                                                                                  \
            return -1;                                                                                       \
        }                                                                                                    \
    } while (0)

FAKE_API int fsync(int fd)
{
    FAIL(fd, "sync");
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}

FAKE_API int fdatasync(int fd)
{
    FAIL(fd, "sync");
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}

FAKE_API ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    FAIL(fd, "write");
    return ((ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite"))(fd, bytes, n, at);
}

FAKE_API ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
    FAIL(fd, "write");
    return ((ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64"))(fd, bytes, n, at);
}
