/*
 * The thread pool, shared between those who ask: what one principal's requests want of it waits behind that
 * principal's own work, so that nobody's flood of questions makes another's wait.
 */
#ifndef BERTH_SCHEDULER_POOL_H
#define BERTH_SCHEDULER_POOL_H

#include "base/list.h"

#include <stdint.h>
#include <uv.h>

#define POOL_RUNNING_MAX 3 /* of libuv's four threads: one is left for what nobody asked for */
#define POOL_OF_ONE_MAX 2  /* of one principal */

struct pool {
    uv_loop_t *loop;
    struct list waiting; /* pool_item, oldest first */
    struct {
        uv_work_t *work; /* NULL: free */
        uint32_t principal;
    } running[POOL_RUNNING_MAX];
};

void pool_init(struct pool *pool, uv_loop_t *loop);
/* Runs `run` on a thread, at once or in turn; `after` on the loop, which calls pool_end first. */
void pool_begin(struct pool *pool, uint32_t principal, uv_work_t *work, uv_work_cb run,
                uv_after_work_cb after);
/* Lets the next one begin; harmless for work that did not begin here. */
void pool_end(struct pool *pool, const uv_work_t *work);

#endif
