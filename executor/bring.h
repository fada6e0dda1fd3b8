/* Brings one regular file from a tree that a user owns into a directory that only the service can change. */
#ifndef BERTH_EXECUTOR_BRING_H
#define BERTH_EXECUTOR_BRING_H

#include <stdbool.h>
#include <sys/stat.h>

#define BRING_PARTIAL                                                                                        \
    ".berth-partial" /* the name of what is not whole yet, in the directory that it goes to */

/* What was opened as `from`, `from_name` in `from_folder`, becomes `name` in the directory `to`, without
 * setuid bits. false with errno set. */
bool bring_file(int from_folder, const char *from_name, int from, const struct stat *st, int to,
                const char *name);

#endif
