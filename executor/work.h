/* A function on libuv's thread pool, and another one on the loop after it. */
#ifndef BERTH_EXECUTOR_WORK_H
#define BERTH_EXECUTOR_WORK_H

#include <uv.h>

typedef void work_fn(void *data);

/* `run` on a worker thread, then `done` on the loop. Both get `data`. */
void work_start(uv_loop_t *loop, work_fn *run, work_fn *done, void *data);

#endif
