/* A forecast is a virtual run in which attempts end when the core expects them to. */
#include "scheduler/forecast.h"

#include "base/alloc.h"
#include "base/map.h"
#include "scheduler/virtual_run.h"

#include <stdlib.h>

#define FINALIZING_MS 1000 /* what collecting outputs is taken to last */

struct forecast {
    struct virtual_run *run;
    struct map arrays; /* mean run times in ms, owned, by array */
    struct forecast_job *jobs;
    uint32_t count, open; /* open: not yet started */
};

static void note_start(struct forecast *f, struct job_id job, uint64_t now_ms)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (f->jobs[i].job.v == job.v && !f->jobs[i].start_ms) {
            f->jobs[i].start_ms = now_ms;
            f->open--;
        }
    }
}

/* Of an element of an array that is known; 0: it is none. One that runs longer than the others is taken to
 * last for a quarter of the mean. */
static uint64_t end_by_others(const struct forecast *f, const struct core_job_view *job, uint64_t now_ms)
{
    const uint64_t *mean = job->array.v ? map_get_num(&f->arrays, job->array.v) : NULL;
    if (!mean)
        return 0;
    uint64_t since = job->state == JOB_RUNNING && job->state_since_ms < now_ms ? job->state_since_ms : now_ms;
    return since + *mean > now_ms ? since + *mean : now_ms + *mean / 4 + 1;
}

static uint64_t begins(void *data, const struct core *core, struct job_id id, uint64_t now_ms)
{
    struct core_job_view job;
    uint64_t declared, expected;
    note_start(data, id, now_ms);
    if (!core_job_get(core, id, &job))
        return VIRTUAL_NEVER;
    if (job.array.v)
        note_start(data, job.array, now_ms); /* its next element */
    if (job.state == JOB_FINALIZING)
        return now_ms + FINALIZING_MS;
    if (job.state == JOB_CANCEL_REQUESTED)
        return now_ms + job.grace_ms;
    core_job_ends(core, id, &declared, &expected);
    if (!expected && !declared)
        expected = end_by_others(data, &job, now_ms);
    return expected ? expected : declared ? declared : VIRTUAL_NEVER;
}

void forecast_run(struct forecast *f, struct forecast_job *jobs, uint32_t count)
{
    uint64_t *promised = xcalloc(count ? count : 1, sizeof *promised);
    struct core_job_view job;
    f->jobs = jobs;
    f->count = f->open = count;
    for (uint32_t i = 0; i < count; i++) {
        jobs[i].start_ms = 0;
        promised[i] = core_job_get(forecast_core(f), jobs[i].job, &job) ? job.promised_ms : 0;
    }
    while (f->open && virtual_run_steps(f->run) < FORECAST_STEPS_MAX && virtual_run_next(f->run))
        ;
    for (uint32_t i = 0; i < count; i++) {
        if (promised[i] && (!jobs[i].start_ms || promised[i] < jobs[i].start_ms))
            jobs[i].start_ms = promised[i];
    }
    free(promised);
}

void forecast_array(struct forecast *f, struct job_id array, uint64_t mean_run_ms)
{
    uint64_t *mean = xcalloc(1, sizeof *mean);
    *mean = mean_run_ms;
    free(map_put_num(&f->arrays, array.v, mean));
}

static unsigned alive; /* on the loop alone */

struct forecast *forecast_begin(const struct core *core, uint64_t now_ms)
{
    if (alive == FORECASTS_MAX)
        return NULL;
    static const struct core_capacity small = {0};
    struct core_counts counts;
    core_count(core, &counts);
    if (counts.arena_bytes > FORECAST_ARENA_MAX_BYTES)
        return NULL;
    struct core *copy = core_create(&small);
    if (!copy || !core_copy(copy, core)) {
        core_destroy(copy);
        return NULL;
    }
    struct forecast *f = xcalloc(1, sizeof *f);
    f->run = virtual_run_begin(copy, now_ms, &(struct virtual_hooks){.begins = begins, .data = f});
    if (f->run) {
        alive++;
        return f;
    }
    free(f);
    return NULL;
}

const struct core *forecast_core(const struct forecast *f)
{
    return virtual_run_core(f->run);
}

void forecast_end(struct forecast *f)
{
    if (!f)
        return;
    virtual_run_end(f->run);
    map_finish_free(&f->arrays);
    alive--;
    free(f);
}
