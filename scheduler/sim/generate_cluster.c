/*
 * Training jobs on many nodes with GPUs, all nodes alike. The shape of the load follows what is published of
 * such clusters (most jobs want one GPU, most GPU time goes to those of eight and more, run times span from
 * seconds to days); the numbers are this file's own.
 */
#include "scheduler/sim/generate_private.h"

#include <math.h>

#define NODE_CPUS_PER_GPU 16
#define NODE_MEMORY_PER_GPU (UINT64_C(128) << 30)
#define RUN_MEDIAN_S 1800.0
#define RUN_SPREAD 1.6 /* of ln */
#define RUN_MAX_S (3 * 86400.0)
#define FAILS_SHARE 0.15 /* of jobs that end early */
#define GANG_NODES_LOG2_MAX 5

struct trace_node generate_cluster_node(const struct generate_spec *spec)
{
    return (struct trace_node){.cpu_milli = spec->gpus * NODE_CPUS_PER_GPU * 1000,
                               .memory_bytes = spec->gpus * NODE_MEMORY_PER_GPU,
                               .gpus = (uint16_t)spec->gpus};
}

/* Whole GPUs of one node, in eighths of what it has. */
static uint32_t draw_gpus(const struct generate_spec *spec, struct random *r)
{
    static const struct {
        double up_to;
        uint32_t eighths;
    } mix[] = {{0.55, 1}, {0.72, 2}, {0.85, 4}, {1, 8}};
    double u = random_unit(r);
    size_t at = 0;
    while (u > mix[at].up_to)
        at++;
    uint32_t gpus = spec->gpus * mix[at].eighths / 8;
    return gpus ? gpus : 1;
}

static void draw_shape(const struct generate_spec *spec, struct random *r, struct trace_job *job)
{
    double u = random_unit(r) * 100;
    uint32_t gpus = 0;
    if (u < spec->shares) {
        job->gpu_milli = 1000 >> (1 + random_below(r, 3)); /* a half, a quarter, an eighth */
    } else if (u < spec->shares + spec->gangs && spec->nodes > 1) {
        uint32_t tasks = 2u << random_below(r, GANG_NODES_LOG2_MAX);
        job->tasks = (uint16_t)(tasks < spec->nodes ? tasks : spec->nodes);
        gpus = spec->gpus;
        job->gpu_milli = gpus * 1000;
    } else {
        gpus = draw_gpus(spec, r);
        job->gpu_milli = gpus * 1000;
    }
    /* CPUs and memory go with the GPUs; people round both */
    uint32_t parts = gpus ? gpus : 1;
    job->cpu_milli = parts * (4 + 4 * random_below(r, 3)) * 1000;
    job->memory_bytes = parts * (UINT64_C(16) << random_below(r, 3)) << 30;
}

void generate_cluster(const struct generate_spec *spec, struct random *r, struct trace_job *jobs,
                      struct draft *drafts)
{
    uint32_t user = 0;
    for (uint32_t i = 0; i < spec->jobs; i++) {
        draw_shape(spec, r, &jobs[i]);
        double meant_s = RUN_MEDIAN_S * exp(RUN_SPREAD * random_normal(r));
        meant_s = fmin(fmax(1, meant_s), RUN_MAX_S);
        double run_s = random_unit(r) < FAILS_SHARE ? meant_s * random_unit(r) : meant_s;
        user = generate_user(spec, r, user);
        jobs[i].run_ms = (uint64_t)fmax(1, run_s) * 1000;
        jobs[i].user = user;
        drafts[i] = (struct draft){random_exponential(r, 1), meant_s, random_unit(r)};
    }
}
