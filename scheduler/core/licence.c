/*
 * Who holds a licence. A question: it walks the nodes' tasks until all that is in use is accounted for, and
 * changes nothing.
 */
#include "scheduler/core/arena.h"

static uint32_t amount_of(const struct job_facts *job, uint32_t id)
{
    bool holds = job->state != JOB_NOT_STARTED && job->state != JOB_QUEUED && !job_state_is_final(job->state);
    for (uint32_t i = 0; holds && i < RESOURCE_LICENCE_KINDS_MAX && job->licences.amount[i]; i++) {
        if (job->licences.id[i] == id)
            return job->licences.amount[i];
    }
    return 0;
}

uint32_t core_licence_holders(const struct core *core, uint32_t id, struct job_id *out, uint32_t max)
{
    uint32_t left = core->h->licence_used[id], count = 0;
    for (uint32_t n = 1; left && n <= core->h->facts.node_count; n++) {
        for (uint32_t t = core->nodes[n].first_task; left && t; t = core->tasks[t].node_next) {
            const struct job *job = &core->jobs[core->tasks[t].job_slot];
            uint32_t amount = job->first_task == t ? amount_of(&job->facts, id) : 0; /* once, not by task */
            if (!amount)
                continue;
            left -= amount;
            if (count < max)
                out[count].v = job->facts.id;
            count++;
        }
    }
    return count;
}
