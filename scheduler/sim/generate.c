/* From a kind's drafts to a trace: the load, the days, what users declare. */
#include "scheduler/sim/generate_private.h"

#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/sim/lines.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 48 /* half hours of a day */
#define SLOT_S 1800.0
#define STRETCHES 40 /* rounds until the load is met */
#define LOAD_PRECISION 0.001

/* Lublin and Feitelson's daily cycle: arrivals of a half hour follow this gamma density. Its first day starts
 * at the 11th, in the early morning. */
#define CYCLE_SHAPE 8.1737
#define CYCLE_SCALE 3.9631
#define CYCLE_FIRST 11

static const struct {
    generate_fn draw;
    bool daily;
} kinds[GENERATE_KIND_COUNT] = {
    [GENERATE_LUBLIN] = {generate_lublin, true},
    [GENERATE_BAGS] = {generate_bags, true},
    [GENERATE_BURSTY] = {generate_bursty, true},
    [GENERATE_CLUSTER] = {generate_cluster, true},
};

uint32_t generate_user(const struct generate_spec *spec, struct random *r, uint32_t before)
{
    if (before && random_unit(r) < 0.5)
        return before;
    /* user k about as often as 1/k */
    double u = random_unit(r);
    uint32_t user = (uint32_t)pow((double)spec->users + 1, u);
    return user < 1 ? 1 : user > spec->users ? spec->users : user;
}

/* Weights of the half hours of a day; their mean is 1. */
static void day_weights(double weights[SLOTS])
{
    double sum = 0;
    for (int i = CYCLE_FIRST; i < CYCLE_FIRST + SLOTS; i++) {
        double density = exp((CYCLE_SHAPE - 1) * log(i) - i / CYCLE_SCALE);
        weights[i % SLOTS] = density;
        sum += density;
    }
    for (int i = 0; i < SLOTS; i++)
        weights[i] *= SLOTS / sum;
}

/* Submits at stretch x gaps, through the days; returns the last. */
static double place(const struct draft *drafts, struct trace_job *jobs, uint32_t count, double stretch,
                    const double weights[SLOTS])
{
    uint64_t slot = 0;
    double left = weights[0] * SLOT_S, at_s = 0; /* what of the slot is not used up */
    for (uint32_t i = 0; i < count; i++) {
        double due = i ? drafts[i].gap * stretch : 0;
        while (due > left) {
            due -= left;
            slot++;
            at_s = (double)slot * SLOT_S;
            left = weights[slot % SLOTS] * SLOT_S;
        }
        left -= due;
        at_s += due / weights[slot % SLOTS];
        jobs[i].submit_ms = (uint64_t)at_s * 1000; /* whole seconds, as logs have them */
    }
    return at_s;
}

static double work_of(const struct trace *trace, bool gpus)
{
    double sum = 0;
    for (uint32_t i = 0; i < trace->job_count; i++) {
        const struct trace_job *job = &trace->jobs[i];
        sum += (double)job->run_ms / 1000 * job->tasks * (gpus ? job->gpu_milli : job->cpu_milli);
    }
    return sum;
}

static bool arrive(const struct generate_spec *spec, struct trace *trace, const struct draft *drafts,
                   struct error *err)
{
    double weights[SLOTS], gaps = 0;
    bool gpus = trace_total_gpu_milli(trace) > 0;
    double room = (double)(gpus ? trace_total_gpu_milli(trace) : trace_total_cpu_milli(trace));
    double span_s = work_of(trace, gpus) / room / spec->load;
    if (span_s * 1000 > (double)TRACE_TIME_MAX_MS / 4)
        return error_set(err, ERROR_INVALID, "so much work at so low a load would take %.0f years",
                         span_s / 86400 / 365);
    if (kinds[spec->kind].daily)
        day_weights(weights);
    else
        for (int i = 0; i < SLOTS; i++)
            weights[i] = 1;
    for (uint32_t i = 1; i < trace->job_count; i++)
        gaps += drafts[i].gap;
    /* longer gaps never make a shorter span, so that halving finds it; a cycle makes it differ from the sum
     */
    double low = 0, high = gaps > 0 ? 2 * (span_s + SLOTS * SLOT_S) / gaps : 0;
    for (int round = 0; round < STRETCHES; round++) {
        double stretch = (low + high) / 2;
        double last_s = place(drafts, trace->jobs, trace->job_count, stretch, weights);
        double miss = last_s - (trace->job_count ? (double)trace->jobs[0].submit_ms / 1000 : 0) - span_s;
        if (fabs(miss) <= span_s * LOAD_PRECISION)
            break;
        *(miss > 0 ? &high : &low) = stretch;
    }
    return true;
}

/* The next figure that a person would write. */
static double round_up(double seconds)
{
    static const double minutes[] = {1,   2,   5,   10,  15,  20,  30,   45,   60,   90,   120,
                                     180, 240, 360, 480, 600, 720, 1080, 1440, 2160, 2880, 4320};
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++)
        if (seconds <= minutes[i] * 60)
            return minutes[i] * 60;
    return ceil(seconds / 86400) * 86400;
}

static double declare(enum generate_estimates estimates, const struct draft *draft, double run_s,
                      double longest_s)
{
    double ask_s = draft->ask_s > run_s ? draft->ask_s : run_s, declared = run_s;
    if (estimates == GENERATE_GOOD) {
        declared = round_up(ask_s * (1 + draft->mood / 2));
    } else if (estimates == GENERATE_POOR) {
        /* one in six doesn't think; of the others, what is used of the declared time is as good as uniform */
        bool careless = draft->mood < 1.0 / 6;
        declared = careless ? longest_s : round_up(ask_s / (draft->mood * 6 / 5 - 0.2 + 0.02));
    }
    declared = declared > longest_s ? longest_s : declared;
    return declared < run_s ? run_s : declared;
}

static void declare_all(const struct generate_spec *spec, struct trace *trace, const struct draft *drafts)
{
    double longest_s = 0;
    for (uint32_t i = 0; i < trace->job_count; i++)
        longest_s = fmax(longest_s, (double)trace->jobs[i].run_ms / 1000);
    longest_s = round_up(longest_s);
    for (uint32_t i = 0; i < trace->job_count; i++) {
        struct trace_job *job = &trace->jobs[i];
        job->limit_ms =
            (uint64_t)(declare(spec->estimates, &drafts[i], (double)job->run_ms / 1000, longest_s) * 1000);
    }
}

static bool make_nodes(const struct generate_spec *spec, struct trace *trace, struct error *err)
{
    if (spec->kind != GENERATE_CLUSTER) {
        trace_set_pool(trace, spec->procs);
        return true;
    }
    struct trace_node node = generate_cluster_node(spec);
    uint32_t model = 0;
    if (!trace_model(trace, "G", 1, &model))
        return error_set(err, ERROR_INTERNAL, "no room for a model");
    node.model = (uint8_t)model;
    for (uint32_t i = 0; i < spec->nodes; i++)
        if (!trace_add_node(trace, &node, err))
            return false;
    return true;
}

bool generate_trace(const struct generate_spec *spec, struct trace *trace, struct error *err)
{
    struct random r;
    if (!make_nodes(spec, trace, err))
        return false;
    random_seed(&r, spec->seed);
    _cleanup_free_ struct draft *drafts = xcalloc(spec->jobs ? spec->jobs : 1, sizeof *drafts);
    free(trace->jobs);
    trace->jobs = xcalloc(spec->jobs ? spec->jobs : 1, sizeof *trace->jobs);
    trace->job_count = trace->job_capacity = spec->jobs;
    for (uint32_t i = 0; i < spec->jobs; i++)
        trace->jobs[i] = (struct trace_job){.id = i + UINT64_C(1), .tasks = 1, .priority = TRACE_MEDIUM};
    kinds[spec->kind].draw(spec, &r, trace->jobs, drafts);
    if (!arrive(spec, trace, drafts, err))
        return false;
    declare_all(spec, trace, drafts);
    return true;
}
