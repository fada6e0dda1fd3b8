/*
 * Traces from a seed, for tests, benchmarks and `berth sim --generate`. Floating point is fine here: nothing
 * of this reaches the core but whole numbers.
 *
 * A kind draws sizes, run times, users and the gaps between submits; what is common to all then stretches the
 * gaps until the offered load is the one asked for (the sum of run x processors, or GPUs where there are any,
 * over what the nodes have from the first submit to the last), puts the daily cycle over them, and declares
 * times.
 */
#ifndef BERTH_SCHEDULER_SIM_GENERATE_H
#define BERTH_SCHEDULER_SIM_GENERATE_H

#include "scheduler/sim/trace.h"

enum generate_kind {
    GENERATE_LUBLIN,  /* Lublin and Feitelson, "The workload on parallel supercomputers", JPDC 63 (2003) */
    GENERATE_BAGS,    /* users send bags of jobs that are alike */
    GENERATE_BURSTY,  /* Lublin's jobs, arriving in storms with calm between */
    GENERATE_CLUSTER, /* training jobs on many nodes with GPUs: shares, whole ones, gangs */
    GENERATE_KIND_COUNT
};

enum generate_estimates {
    GENERATE_EXACT, /* declared is what it takes */
    GENERATE_GOOD,  /* up to half too long, on round figures */
    GENERATE_POOR,  /* any multiple, on round figures, often just the longest that is allowed */
    GENERATE_ESTIMATES_COUNT
};

struct generate_spec {
    enum generate_kind kind;
    enum generate_estimates estimates;
    double load; /* offered; 1 keeps everything busy */
    uint64_t seed;
    uint32_t jobs;
    uint32_t procs; /* of the one machine; not for cluster */
    uint32_t users;
    /* cluster only */
    uint32_t nodes;
    uint32_t gpus;   /* of a node */
    uint32_t gangs;  /* percent of the jobs that want several nodes */
    uint32_t shares; /* percent of the jobs that want a part of a GPU */
};

/*
 * "KIND[,key=value]...": lublin, bags, bursty, cluster; load=light|heavy|overloaded or a number,
 * estimates=exact|good|poor, seed, jobs, procs, users, nodes, gpus, gangs, shares. What isn't said has the
 * kind's default. ERROR_INVALID names the word.
 */
bool generate_parse(const char *text, struct generate_spec *spec, struct error *err);
/* Into an empty trace: nodes and jobs. */
bool generate_trace(const struct generate_spec *spec, struct trace *trace, struct error *err);

#endif
