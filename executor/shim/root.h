/* The parts of building a root that the host's and an image's have in common. */
#ifndef BERTH_SHIM_ROOT_H
#define BERTH_SHIM_ROOT_H

#include "executor/shim/mount.h"
#include "executor/shim/shim.h"

/* Detached trees of what the user named, opened with his rights; -1 where an optional one is missing. */
struct sources {
    int *binds;             /* as many as the spec has */
    int image;              /* folder image, -1 */
    int cache;              /* -1 */
    int work, tmp, var_tmp; /* from the task's own folder */
};

bool sources_open(struct shim *s, struct sources *src, struct error *err);
bool root_put_dev(struct shim *s, struct new_root *r, struct error *err);
bool root_put_work(struct shim *s, struct new_root *r, struct sources *src, int idmap_fd, struct error *err);
/* driver.c */
bool root_put_driver(struct shim *s, struct new_root *r, struct error *err);
bool root_put_covers(struct shim *s, struct new_root *r, struct error *err);
bool root_cover_sockets(struct shim *s, struct new_root *r, struct error *err);
/* root_image.c; decides s->map, s->inside_uid and so on as well. */
bool root_build_image(struct shim *s, struct new_root *r, struct sources *src, struct error *err);

#endif
