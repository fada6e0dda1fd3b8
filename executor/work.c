/* uv_queue_work with its request allocated and freed here. */
#include "executor/work.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

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

/* ---- in turn ---- */

struct turn {
    struct list link;
    struct work_turns *turns;
    char *principal;
    work_fn *run, *done;
    void *data;
};

void work_turns_init(struct work_turns *turns, uv_loop_t *loop)
{
    turns->loop = loop;
    list_init(&turns->waiting);
    list_init(&turns->running);
}

static void turn_free(struct turn *turn)
{
    list_remove(&turn->link);
    free(turn->principal);
    free(turn);
}

void work_turns_finish(struct work_turns *turns)
{
    struct turn *turn, *next;
    list_for_each(turn, next, &turns->waiting, link) turn_free(turn);
}

static bool may_begin(const struct work_turns *turns, const char *principal)
{
    const struct turn *turn, *next;
    int own = 0;
    bool alone = true;
    list_for_each(turn, next, &turns->running, link)
    {
        bool same = strcmp(turn->principal, principal) == 0;
        own += same;
        alone = alone && same;
    }
    list_for_each(turn, next, &turns->waiting, link) alone = alone && strcmp(turn->principal, principal) == 0;
    return own < (alone ? WORK_OF_ONE_ALONE : WORK_OF_ONE_MAX);
}

static void begin_turns(struct work_turns *turns);

static void run_turn(void *data)
{
    struct turn *turn = data;
    turn->run(turn->data);
}

static void end_turn(void *data)
{
    struct turn *turn = data;
    struct work_turns *turns = turn->turns;
    work_fn *done = turn->done;
    void *of = turn->data;
    turn_free(turn);
    begin_turns(turns);
    done(of);
}

static void begin_turns(struct work_turns *turns)
{
    struct turn *turn, *next;
    list_for_each(turn, next, &turns->waiting, link)
    {
        if (!may_begin(turns, turn->principal))
            continue;
        list_remove(&turn->link);
        list_append(&turns->running, &turn->link);
        work_start(turns->loop, run_turn, end_turn, turn);
    }
}

void work_start_in_turn(struct work_turns *turns, const char *principal, work_fn *run, work_fn *done,
                        void *data)
{
    struct turn *turn = xcalloc(1, sizeof *turn);
    *turn = (struct turn){
        .turns = turns, .principal = xstrdup(principal), .run = run, .done = done, .data = data};
    list_append(&turns->waiting, &turn->link);
    begin_turns(turns);
}
