/* Turns of the thread pool. */
#include "scheduler/pool.h"

#include "base/alloc.h"

#include <stdlib.h>

struct pool_item {
    struct list link;
    uint32_t principal;
    uv_work_t *work;
    uv_work_cb run;
    uv_after_work_cb after;
};

void pool_init(struct pool *pool, uv_loop_t *loop)
{
    *pool = (struct pool){.loop = loop};
    list_init(&pool->waiting);
}

/* The place where one of that principal's may run now; -1: none. */
static int find_place(const struct pool *pool, uint32_t principal)
{
    int place = -1;
    unsigned own = 0;
    for (int i = 0; i < POOL_RUNNING_MAX; i++) {
        if (!pool->running[i].work)
            place = i;
        else if (pool->running[i].principal == principal)
            own++;
    }
    return own < POOL_OF_ONE_MAX ? place : -1;
}

static void begin_next(struct pool *pool)
{
    struct pool_item *item, *tmp;
    list_for_each(item, tmp, &pool->waiting, link)
    {
        int place = find_place(pool, item->principal);
        if (place < 0)
            continue;
        pool->running[place].work = item->work;
        pool->running[place].principal = item->principal;
        uv_queue_work(pool->loop, item->work, item->run, item->after);
        list_remove(&item->link);
        free(item);
    }
}

void pool_begin(struct pool *pool, uint32_t principal, uv_work_t *work, uv_work_cb run,
                uv_after_work_cb after)
{
    struct pool_item *item = xcalloc(1, sizeof *item);
    *item = (struct pool_item){.principal = principal, .work = work, .run = run, .after = after};
    list_append(&pool->waiting, &item->link);
    begin_next(pool);
}

void pool_end(struct pool *pool, const uv_work_t *work)
{
    for (int i = 0; i < POOL_RUNNING_MAX; i++)
        if (pool->running[i].work == work)
            pool->running[i].work = NULL;
    begin_next(pool);
}
