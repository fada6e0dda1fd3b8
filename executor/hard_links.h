/* Files of one task that have several names: they are copied once, and linked in their new place as they were
 * in the old one, so that names cost no room. */
#ifndef BERTH_EXECUTOR_HARD_LINKS_H
#define BERTH_EXECUTOR_HARD_LINKS_H

#include "base/map.h"

#include <stdbool.h>
#include <sys/stat.h>

#define HARD_LINKS_MAX 65536 /* inodes that are remembered; names of others are copied */

struct hard_links {
    struct map by_inode; /* of one file system */
};

/* Where the file was put: `path` below the directory `place`, which is borrowed. */
void hard_links_note(struct hard_links *links, const struct stat *st, int place, const char *path);
/* Gives it one more name there, `name` in the directory `to`. false: it isn't known, or can't be linked. */
bool hard_links_link(const struct hard_links *links, const struct stat *st, int place, int to,
                     const char *name);
void hard_links_finish(struct hard_links *links);

#endif
