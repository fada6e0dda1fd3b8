/* A function on libuv's thread pool, and another one on the loop after it. */
#ifndef BERTH_EXECUTOR_WORK_H
#define BERTH_EXECUTOR_WORK_H

#include "base/list.h"

#include <uv.h>

#define WORK_THREADS 8 /* of the pool: collecting outputs of several tasks must not hold up a start */
/* Of them, those that one principal's tasks hold at once by what looks at his own files: while nobody else's
 * want any, and while others do. */
#define WORK_OF_ONE_ALONE 6
#define WORK_OF_ONE_MAX 3

typedef void work_fn(void *data);

/* `run` on a worker thread, then `done` on the loop. Both get `data`. */
void work_start(uv_loop_t *loop, work_fn *run, work_fn *done, void *data);

/* The same for what a file system of the user's may hold up for a minute: it waits behind that principal's
 * own work, so that nobody's hanging directory keeps another's tasks from starting. */
struct work_turns {
    uv_loop_t *loop;
    struct list waiting; /* oldest first */
    struct list running;
};
void work_turns_init(struct work_turns *turns, uv_loop_t *loop);
/* Frees what has not begun. */
void work_turns_finish(struct work_turns *turns);
void work_start_in_turn(struct work_turns *turns, const char *principal, work_fn *run, work_fn *done,
                        void *data);

#endif
