/* Opening paths that a job chose, never leaving the folder they start from: openat2 with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS. */
#ifndef BERTH_SCHEDULER_BENEATH_H
#define BERTH_SCHEDULER_BENEATH_H

/* As openat(2) with O_CLOEXEC and O_NONBLOCK added; -1 with errno (ELOOP at a link, EXDEV at a way out). */
int beneath_open(int dirfd, const char *path, int flags);

#endif
