/*
 * What of the nodes is kept for somebody: for reservations, for jobs with a promised start, and free capacity
 * that jobs leave to others. Changes nothing.
 */
#include "scheduler/core/step.h"

#define KEPT_CLASSES_MAX 64 /* classes that are looked at for jobs which leave free capacity to others */

uint32_t core_kept_back(const struct core *core, struct core_kept_back *out, uint32_t max)
{
    uint32_t count = 0, looked = 0;
    if (!policy_of(core)->learns)
        return 0;
    for (uint32_t s = core->h->shape_first; s && core->shapes[s].klasses; s = core->shapes[s].next) {
        for (uint32_t k = core->shapes[s].fit ? core->shapes[s].first_klass : 0; k;
             k = core->klasses[k].shape_next) {
            if (!core->klasses[k].ordered)
                continue;
            if (count == max || looked++ == KEPT_CLASSES_MAX)
                return count;
            uint32_t head = core->klasses[k].head;
            uint64_t until = queue_kept_until(core, head);
            if (until)
                out[count++] = (struct core_kept_back){
                    {core->jobs[head].facts.id}, until, queue_plan_start(core, &core->jobs[head].facts) != 0};
        }
    }
    return count;
}

static bool keeps(const struct core *core, const struct job_facts *job, uint32_t node_slot)
{
    struct shape_key key = shape_key_of(job);
    const struct node *node = &core->nodes[node_slot];
    return node_usable(&node->facts) && node_fits(node, &key, false) &&
           !policy_node_open(core, job, node_slot);
}

bool core_node_keeps(const struct core *core, struct node_id node, struct job_id job)
{
    uint32_t node_slot = node_find(core, node.v), slot = job_find(core, job.v);
    return node_slot && slot && keeps(core, &core->jobs[slot].facts, node_slot);
}

uint32_t core_nodes_keep(const struct core *core, struct job_id job)
{
    uint32_t slot = job_find(core, job.v), count = 0, looked = 0;
    if (!slot)
        return 0;
    struct shape_key key = shape_key_of(&core->jobs[slot].facts);
    for (uint32_t n = tree_find(core, &key, 1); n && looked < CORE_KEPT_NODES_MAX;
         n = tree_find(core, &key, n + 1), looked++)
        count += keeps(core, &core->jobs[slot].facts, n);
    return count;
}

static struct core_promise promise_of(const struct core *core, uint32_t slot)
{
    const struct job_facts *job = &core->jobs[slot].facts;
    return (struct core_promise){
        {job->id}, job->hold_ms, job->hold_end_ms == CORE_NEVER ? 0 : job->hold_end_ms, job->instance_count};
}

uint32_t core_promises(const struct core *core, struct core_promise out[CORE_PROMISES_MAX])
{
    for (uint32_t i = 0; i < core->h->promised_count; i++)
        out[i] = promise_of(core, core->h->promised[i]);
    return core->h->promised_count;
}

uint32_t core_node_promises(const struct core *core, struct node_id node, struct core_promise *out,
                            uint32_t max)
{
    uint32_t slot = node_find(core, node.v), count = 0;
    for (uint32_t h = slot ? core->nodes[slot].first_hold : 0; h; h = core->holds[h].node_next) {
        if (count < max)
            out[count] = promise_of(core, core->holds[h].job_slot);
        count++;
    }
    return count;
}

uint32_t core_node_reservations(const struct core *core, struct node_id node, uint32_t *out, uint32_t max)
{
    uint32_t slot = node_find(core, node.v), count = 0;
    for (uint32_t s = slot ? core->nodes[slot].first_seat : 0; s; s = core->seats[s].node_next) {
        if (count < max)
            out[count] = core->resvs[core->seats[s].resv_slot].facts.id;
        count++;
    }
    return count;
}
