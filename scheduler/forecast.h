/*
 * When waiting jobs will presumably start: a copy of the core runs forward, in which every task ends when it
 * is expected to and nobody submits anything. Those ahead in the queue, begin times, dependencies, quotas and
 * promises so have their effect, by the policy's own rules.
 */
#ifndef BERTH_SCHEDULER_FORECAST_H
#define BERTH_SCHEDULER_FORECAST_H

#include "scheduler/core/core.h"

#define FORECAST_ARENA_MAX_BYTES                                                                             \
    (UINT64_C(64) << 20)         /* a larger core isn't copied on the loop for a question */
#define FORECASTS_MAX 4          /* copies of the core at a time */
#define FORECAST_STEPS_MAX 20000 /* what hasn't started by then is not foreseen */

struct forecast_job {
    struct job_id job;
    uint64_t start_ms; /* out: 0 where nobody can say */
};

struct forecast;

/* A copy of the core as it is, at the cost of a memcpy; NULL: it is too large, or there are as many copies
 * as may be. Called, as forecast_end, on the loop alone. */
struct forecast *forecast_begin(const struct core *core, uint64_t now_ms);
/* How long the elements of that array run: taken for those that declare no time limit. On the loop. */
void forecast_array(struct forecast *f, struct job_id array, uint64_t mean_run_ms);
/* Fills in the starts; a job that was promised a start has that at the latest. On any thread. A task whose
 * length was neither declared nor told is taken to last for ever, so what rests on its end is 0. */
void forecast_run(struct forecast *f, struct forecast_job *jobs, uint32_t count);
/* The copy; as the core was until forecast_run. Borrowed. */
const struct core *forecast_core(const struct forecast *f);
void forecast_end(struct forecast *f); /* takes NULL */

#endif
