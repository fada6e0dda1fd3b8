/* The parts of building a root that the host's and an image's have in common. */
#ifndef BERTH_SHIM_ROOT_H
#define BERTH_SHIM_ROOT_H

#include "executor/shim/mount.h"
#include "executor/shim/shim.h"

/* The people's socket of a service lies below; the task's own directory of that name hides it. */
#define BERTH_RUN_DIR "/run/berth"

/* Detached trees of what the user named, opened with his rights; -1 where an optional one is missing. */
struct sources {
    int *binds;                   /* as many as the spec has */
    char **bind_paths;            /* where each really lies on this machine */
    int *placed;                  /* root directories of those that were mounted, -1 */
    int image;                    /* directory image, -1 */
    int64_t image_type;           /* its file system (statfs(2)) */
    int cache;                    /* -1 */
    int home;                     /* of a writable home in a read-only `host`; -1 */
    int work, code, tmp, var_tmp; /* from the task's own directory; code: work a second time, -1 */
    int sys;
};

/* sources.c */
/* The task's user, to the path agent. */
struct agent_user source_user(const struct shim *s);
bool sources_open(struct shim *s, struct path_agent *agent, struct sources *src, struct error *err);
/* A directory of the task's own, made where the executor made none, as a detached tree. */
int source_own(const struct shim *s, const char *name, mode_t mode, struct error *err);

/* Whether `host` is the machine as it is, but read-only: where it was asked for, and for uid 0, whose rights
 * would reach all of it. */
bool root_is_read_only(const struct spec *spec);
/* root_user.c: the home that stays writable where a task of uid 0 sees a read-only machine; before
 * root_put_user. */
bool root_put_home(struct shim *s, struct new_root *r, struct sources *src, struct error *err);
/* root_user.c: the working directory and what the user named; before root_put_machine. */
bool root_put_user(struct shim *s, struct new_root *r, struct sources *src, int idmap_fd, struct error *err);
/* What of that Berth itself places below its own /run; after root_put_machine. */
bool root_put_own(struct shim *s, struct new_root *r, struct sources *src, int idmap_fd, struct error *err);
/* root_machine.c: /proc (still empty), /sys and /dev; /run as well in `host`. */
bool root_put_machine(struct shim *s, struct new_root *r, struct sources *src, struct error *err);
/* driver.c */
bool root_put_driver(struct shim *s, struct new_root *r, struct error *err);
/* cover.c */
bool root_put_covers(struct shim *s, struct new_root *r, const struct sources *src, struct error *err);
bool root_cover_sockets(struct shim *s, struct new_root *r, struct error *err);
bool path_is_below(const char *path, const char *directory); /* or the same */
/* What root_put_machine keeps below /run: a socket there is wanted. */
bool root_keeps_run(const char *path);
/* root_image.c; decides s->map, s->inside_uid and so on as well. */
bool root_build_image(struct shim *s, struct new_root *r, struct sources *src, struct error *err);

#endif
