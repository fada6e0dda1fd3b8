/* What POST /v1/jobs makes of a job file before the core sees it: the defaults that are fixed at submit, and
 * the record's fixed part. */
#ifndef BERTH_SCHEDULER_SUBMIT_H
#define BERTH_SCHEDULER_SUBMIT_H

#include "proto/jobspec.h"
#include "scheduler/daemon.h"

/* What the job asks for, with what it left open filled in from a node's inventory: on one with G GPUs 1 GPU,
 * 1/G of its cores and of the memory that jobs get; without GPUs one core and its share. */
struct submit_resources {
    struct resource_request request; /* for the core */
    uint32_t cpus, cores;            /* as shown */
    uint64_t fence_after_ms;         /* submit_life.c: 0: on_node_loss is wait */
};

/* What it asks for by name. */
struct submit_names {
    const struct size *size; /* borrowed from the table; NULL: none */
    uint32_t family;         /* of the size; 0: of none */
    uint32_t workspace;
    uint64_t gpu_models, labels;   /* bits for the core */
    uint64_t after[JOB_AFTER_MAX]; /* ids of the jobs that it waits for (dependency.h) */
    uint64_t continues;            /* id of the job whose changes and outputs it starts from; 0 */
    uint64_t *inputs;              /* ids of the jobs whose outputs it reads (job_inputs.h); owned */
};

void submit_fill_resources(const struct node_table *nodes, const struct job_spec *spec,
                           struct submit_resources *out);
/* The job object's fields that never change, as a JSON object. The caller frees. */
char *submit_fixed(const struct job_spec *spec, const cJSON *file, const char *name, const char *principal,
                   const struct submit_resources *resources, const struct submit_names *names);
/* Why the core refused. */
void submit_refusal(const struct core_decision *decision, struct error *err);

/* submit_names.c */
/* Looks up what the job file names: size, GPU model, labels, workspace. What the file leaves open of the
 * amounts the size gives: the spec is changed accordingly. False, with an error that names the field, the
 * nearest that there is, and what makes one. */
bool submit_take_names(const struct daemon *d, struct job_spec *spec, struct submit_names *out,
                       struct error *err);
/* After submit_refusal: says it of the size, the model or the labels, where it is for them that no node will
 * do, and whose quota it was. */
void submit_refusal_by_name(const struct daemon *d, struct principal_id principal,
                            const struct job_spec *spec, const struct submit_names *names,
                            const struct core_decision *decision, const struct resource_request *request,
                            struct error *err);

#endif
