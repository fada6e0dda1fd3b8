/* By inode; the trees that files are put into are the service's alone. */
#include "executor/hard_links.h"

#include "base/alloc.h"
#include "executor/bring.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct copy {
    int place;
    dev_t device;
    char *path;
};

void hard_links_note(struct hard_links *links, const struct stat *st, int place, const char *path)
{
    if (links->by_inode.count == HARD_LINKS_MAX || map_get_num(&links->by_inode, st->st_ino))
        return;
    struct copy *c = xcalloc(1, sizeof *c);
    *c = (struct copy){place, st->st_dev, xstrdup(path)};
    map_put_num(&links->by_inode, st->st_ino, c);
}

bool hard_links_link(const struct hard_links *links, const struct stat *st, int place, int to,
                     const char *name)
{
    const struct copy *c = map_get_num(&links->by_inode, st->st_ino);
    if (!c || c->device != st->st_dev || c->place != place ||
        linkat(place, c->path, to, BRING_PARTIAL, 0) != 0)
        return false;
    if (renameat(to, BRING_PARTIAL, to, name) == 0) {
        unlinkat(to, BRING_PARTIAL,
                 0); /* renaming one name of an inode to another of its names does nothing */
        return true;
    }
    unlinkat(to, BRING_PARTIAL, 0);
    return false;
}

void hard_links_finish(struct hard_links *links)
{
    size_t cursor = 0;
    for (struct map_slot *slot; (slot = map_next(&links->by_inode, &cursor));) {
        struct copy *c = slot->value;
        free(c->path);
        free(c);
    }
    map_finish(&links->by_inode);
}
