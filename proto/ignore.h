/*
 * Ignore files as gitignore(5) describes them: .amlignore where the code folder has one, else .gitignore,
 * those of the folders above it up to the repository's top and those of the folders below it included, and
 * the repository's .git/info/exclude.
 *
 * A stack of rule sets, one a folder: push on entering, pop on leaving. All paths are relative to the top,
 * the folder that the lowest rule set belongs to.
 */
#ifndef BERTH_PROTO_IGNORE_H
#define BERTH_PROTO_IGNORE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

#define IGNORE_FILE_MAX_BYTES (1 << 20)

struct ignore_set;
struct ignore {
    struct ignore_set *deepest; /* owned stack */
    /* Called for each rule set that has any text; NULL: nobody asks. */
    void (*pushed)(void *data, const char *base, const char *text, size_t len);
    void *data;
};

/* Adds the rules of `text` that stand in the folder `base` ("" for the top, else "a/b"). An empty text is a
 * set too. */
void ignore_push(struct ignore *ignore, const char *base, const char *text, size_t len);
/* Reads `name` in the folder dirfd and pushes it; a missing file, or one that is a link (git does not follow
 * it either), is an empty set. */
bool ignore_push_file(struct ignore *ignore, const char *base, int dirfd, const char *name,
                      struct error *err);
void ignore_pop(struct ignore *ignore);
void ignore_finish(struct ignore *ignore);

/* true where the rules leave `path` out. The caller does not ask for what lies below a folder that is left
 * out: nothing there can come back in. */
bool ignore_matches(const struct ignore *ignore, const char *path, bool is_folder);

/* The same, and where they leave out a directory that it lies in. All rule sets of the tree may be on the
 * stack, those of a directory above those of the directories it lies in. */
bool ignore_covers(const struct ignore *ignore, const char *path);

/* One pattern against one path, both split at slashes, "**" standing for any number of folders. For tests. */
bool ignore_glob(const char *pattern, const char *path);

#endif
