/*
 * What lies in a tree that a job wrote: files, links that stay inside, empty directories, and what is left
 * out with the reason. Directories are opened without following links or leaving the file system. Blocks.
 */
#ifndef BERTH_PROTO_LISTING_H
#define BERTH_PROTO_LISTING_H

#include "proto/json.h"

#include <sys/types.h>

/* Begins the names, in a task's directory of outputs, of what its node brings while it runs. */
#define OUTPUTS_NOW_PREFIX ".now-"
#define LISTING_ENTRIES_MAX 100000
#define LISTING_DEPTH_MAX 128

struct listing {
    cJSON *files, *links, *directories, *skipped; /* arrays, as in docs/PROTOCOL.md, GET outputs */
    uint32_t count;
    dev_t device;
};

void listing_init(struct listing *l);
/* All below the directory `fd`, which is taken. */
void listing_walk(struct listing *l, int fd);
/* Moves the four arrays into `object`. */
void listing_give(struct listing *l, cJSON *object);

#endif
