/* uv_queue_work with its request allocated and freed here. */
#include "executor/work.h"

#include "base/alloc.h"

#include <stdlib.h>

struct work {
    uv_work_t request;
    work_fn *run, *done;
    void *data;
};

static void on_run(uv_work_t *request)
{
    struct work *work = request->data;
    work->run(work->data);
}

static void on_done(uv_work_t *request, int status)
{
    (void)status; /* never cancelled */
    struct work *work = request->data;
    work_fn *done = work->done;
    void *data = work->data;
    free(work);
    done(data);
}

void work_start(uv_loop_t *loop, work_fn *run, work_fn *done, void *data)
{
    struct work *work = xcalloc(1, sizeof *work);
    work->request.data = work;
    work->run = run;
    work->done = done;
    work->data = data;
    if (uv_queue_work(loop, &work->request, on_run, on_done) != 0)
        abort(); /* only for a NULL function */
}
