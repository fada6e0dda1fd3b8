/* What the generator's files share: drafts, and what the kinds offer. */
#ifndef BERTH_SCHEDULER_SIM_GENERATE_PRIVATE_H
#define BERTH_SCHEDULER_SIM_GENERATE_PRIVATE_H

#include "scheduler/sim/generate.h"
#include "scheduler/sim/random.h"

#define GENERATE_RUN_MAX_S 162755.0 /* e^12, as Lublin and Feitelson: two days */

/* What a kind draws of each job beside its record. */
struct draft {
    double gap;   /* to the submit before it, in any unit: the load decides the scale */
    double ask_s; /* what its user believes it takes, at least */
    double mood;  /* 0..1: how far off the declared time is */
};

/* Each fills jobs[i] (amounts, run_ms, user) and drafts[i], for all of spec->jobs. */
typedef void (*generate_fn)(const struct generate_spec *spec, struct random *r, struct trace_job *jobs,
                            struct draft *drafts);
void generate_lublin(const struct generate_spec *spec, struct random *r, struct trace_job *jobs,
                     struct draft *drafts);
void generate_bags(const struct generate_spec *spec, struct random *r, struct trace_job *jobs,
                   struct draft *drafts);
void generate_bursty(const struct generate_spec *spec, struct random *r, struct trace_job *jobs,
                     struct draft *drafts);
void generate_cluster(const struct generate_spec *spec, struct random *r, struct trace_job *jobs,
                      struct draft *drafts);

/* The cluster's node. */
struct trace_node generate_cluster_node(const struct generate_spec *spec);

/* A user: few send most. The same one as before, about as often as not. */
uint32_t generate_user(const struct generate_spec *spec, struct random *r, uint32_t before);

#endif
