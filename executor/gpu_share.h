/*
 * Shares of GPUs among the tasks of one executor. A GPU's lock (gpu_lock.h) excludes other Berths; the tasks
 * of this one that have a share of it hold copies of one and the same lock, so that it stays held until the
 * last of them ends, whichever that is. Here is noted which task holds how many thousandths of what. After a
 * restart of the executor the notes come from the adopted tasks, and the lock from one of their shims.
 *
 * Called from the loop and from worker threads.
 */
#ifndef BERTH_EXECUTOR_GPU_SHARE_H
#define BERTH_EXECUTOR_GPU_SHARE_H

#include "base/error.h"
#include "base/list.h"
#include "executor/order.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define GPU_SHARE_ASK_MS 2000 /* for a shim's answer; it runs, so it has none to wait for */

struct gpu_shares {
    pthread_mutex_t taking; /* one at a time looks for a lock, since two may want the same; workers only */
    pthread_mutex_t lock;   /* over the list; never held over anything that waits */
    struct list held;       /* struct share, one for each GPU of each task */
};

void gpu_shares_init(struct gpu_shares *s);
void gpu_shares_finish(struct gpu_shares *s);

/* Notes what the order's lease holds; `folder` is the task's. ERROR_CONFLICT, and nothing is noted, where a
 * GPU's shares would come to more than the whole. Done again it changes nothing. */
bool gpu_shares_join(struct gpu_shares *s, const struct order *order, const char *folder, struct error *err);
/* The same for a task of before a restart, which has what it has. */
void gpu_shares_adopt(struct gpu_shares *s, const struct order *order, const char *folder);
/* Nothing of the task runs any more, or it was not launched. */
void gpu_shares_leave(struct gpu_shares *s, const char *task);

/* The lock of GPU number `which` of the lease of a task that has joined: of its own, or where it is a share
 * the one that another share has. A descriptor with CLOEXEC, the caller's; -1 and an error as
 * gpu_lock_take's. May wait GPU_SHARE_ASK_MS for each other share, after a restart only: not on the loop. */
int gpu_shares_lock(struct gpu_shares *s, const struct order *order, size_t which, struct error *err);

#endif
