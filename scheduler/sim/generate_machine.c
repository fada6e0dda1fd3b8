/*
 * Kinds of load for one parallel machine. Sizes and run times of `lublin` and `bursty` are those of the model
 * of Lublin and Feitelson (JPDC 63, 2003), with its published constants for all jobs together; the other
 * numbers are this file's own.
 */
#include "scheduler/sim/generate_private.h"

#include <math.h>

/* Sizes: some jobs are serial; log2 of the others is uniform in one of two stages, many of them on whole
 * powers.
 */
#define SERIAL_SHARE 0.244
#define POWER_SHARE 0.576
#define SIZE_LOW 0.8          /* log2 */
#define SIZE_MIDDLE_BELOW 2.5 /* the stages meet so far below the machine's own log2 */
#define SIZE_FIRST_SHARE 0.86

/* Run times: e to the power of one of two gammas; large jobs tend to the second. */
#define RUN_SHAPE_1 4.2
#define RUN_SCALE_1 0.94
#define RUN_SHAPE_2 312.0
#define RUN_SCALE_2 0.03
#define RUN_SLOPE (-0.0054) /* of the first one's share, by processors of a machine of 128 */
#define RUN_FIRST 0.78
#define RUN_MACHINE 128.0
#define RUN_LOG_MAX 12.0

/* Gaps: e to the power of a gamma. */
#define GAP_SHAPE (10.2303 * 1.0225)
#define GAP_SCALE 0.4871
#define GAP_LOG_MAX 13.0

static uint32_t draw_size(const struct generate_spec *spec, struct random *r)
{
    if (random_unit(r) < SERIAL_SHARE)
        return 1;
    double high = log2(spec->procs), middle = high - SIZE_MIDDLE_BELOW;
    if (middle < SIZE_LOW)
        middle = SIZE_LOW;
    double power = random_unit(r) < SIZE_FIRST_SHARE ? random_between(r, SIZE_LOW, middle)
                                                     : random_between(r, middle, high);
    if (random_unit(r) < POWER_SHARE)
        power = round(power);
    double size = round(exp2(power));
    return size < 1 ? 1 : size > spec->procs ? spec->procs : (uint32_t)size;
}

static double draw_run_s(const struct generate_spec *spec, struct random *r, uint32_t size)
{
    double first = RUN_SLOPE * size * RUN_MACHINE / spec->procs + RUN_FIRST;
    for (;;) {
        double power = random_unit(r) < first ? random_gamma(r, RUN_SHAPE_1, RUN_SCALE_1)
                                              : random_gamma(r, RUN_SHAPE_2, RUN_SCALE_2);
        if (power <= RUN_LOG_MAX)
            return fmax(1, round(exp(power)));
    }
}

static double draw_gap(struct random *r)
{
    for (;;) {
        double power = random_gamma(r, GAP_SHAPE, GAP_SCALE);
        if (power <= GAP_LOG_MAX)
            return exp(power);
    }
}

static void set(struct trace_job *job, uint32_t procs, double run_s, uint32_t user)
{
    job->cpu_milli = procs * 1000;
    job->run_ms = (uint64_t)run_s * 1000;
    job->user = user;
}

void generate_lublin(const struct generate_spec *spec, struct random *r, struct trace_job *jobs,
                     struct draft *drafts)
{
    uint32_t user = 0;
    for (uint32_t i = 0; i < spec->jobs; i++) {
        uint32_t size = draw_size(spec, r);
        double run_s = draw_run_s(spec, r, size);
        user = generate_user(spec, r, user);
        set(&jobs[i], size, run_s, user);
        drafts[i] = (struct draft){draw_gap(r), run_s, random_unit(r)};
    }
}

/* ---- storms ---- */

#define STORM_JOBS 150.0 /* mean */
#define CALM_JOBS 100.0
#define STORM_RATE 30.0 /* times that of the calm */

void generate_bursty(const struct generate_spec *spec, struct random *r, struct trace_job *jobs,
                     struct draft *drafts)
{
    bool storm = false;
    double left = random_exponential(r, CALM_JOBS);
    generate_lublin(spec, r, jobs, drafts);
    for (uint32_t i = 0; i < spec->jobs; i++, left--) {
        if (left <= 0) {
            storm = !storm;
            left = random_exponential(r, storm ? STORM_JOBS : CALM_JOBS);
        }
        drafts[i].gap = random_exponential(r, storm ? 1 / STORM_RATE : 1);
    }
}

/* ---- bags ---- */

#define BAG_JOBS 15.0 /* mean */
#define BAG_GAP 0.002 /* between jobs of one bag, where bags are 1 apart */
#define BAG_SPREAD 0.15
#define DIES_SHARE 0.08 /* of jobs that end at once, by a mistake */
#define DIES_MAX_S 60.0

void generate_bags(const struct generate_spec *spec, struct random *r, struct trace_job *jobs,
                   struct draft *drafts)
{
    uint32_t user = 0, size = 1, left = 0;
    double usual_s = 1, mood = 0;
    for (uint32_t i = 0; i < spec->jobs; i++, left--) {
        bool first = left == 0;
        if (first) {
            user = generate_user(spec, r, 0);
            left = 1 + (uint32_t)random_exponential(r, BAG_JOBS - 1);
            /* bags are mostly of small jobs */
            size = 1u << random_below(r, (uint32_t)log2(spec->procs) - 1);
            if (random_unit(r) < 0.5)
                size = size > 4 ? size / 4 : 1;
            usual_s = draw_run_s(spec, r, size);
            mood = random_unit(r);
        }
        double run_s = usual_s * random_between(r, 1 - BAG_SPREAD, 1 + BAG_SPREAD);
        if (random_unit(r) < DIES_SHARE)
            run_s = fmin(run_s, random_between(r, 1, DIES_MAX_S));
        set(&jobs[i], size, fmin(fmax(1, round(run_s)), GENERATE_RUN_MAX_S), user);
        drafts[i].gap = random_exponential(r, first ? 1 : BAG_GAP);
        drafts[i].ask_s = usual_s * (1 + BAG_SPREAD);
        drafts[i].mood = mood;
    }
}
