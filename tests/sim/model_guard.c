/*
 * The model's books of what restricted families guard: GPUs of some models and nodes with some labels are for
 * those alone who are approved, however they ask for them.
 */
#include "sim.h"

static void close_to(const struct sim *sim, struct mjob *job)
{
    struct resource_request *r = &job->submit.request;
    r->gpu_models_closed = r->labels_closed = 0;
    for (uint32_t f = 1; f < SIM_FAMILIES; f++) {
        if (!sim->restricted[f] || sim->quotas[CORE_QUOTA_PRINCIPAL][job->submit.principal.v][f].approved)
            continue;
        r->gpu_models_closed |= sim->guards[f].gpu_models;
        r->labels_closed |= sim->guards[f].labels;
    }
}

void model_guards_follow(struct sim *sim)
{
    for (uint32_t i = 1; i <= sim->job_count; i++)
        close_to(sim, &sim->jobs[i]);
}

bool model_guards_keep(const struct sim *sim, const struct mjob *job)
{
    struct core_submit open = job->submit;
    open.request.gpu_models_closed = open.request.labels_closed = 0;
    return model_nodes(sim, &job->submit, MODEL_KNOWN) < job->submit.instance_count &&
           model_nodes(sim, &open, MODEL_KNOWN) >= job->submit.instance_count;
}
