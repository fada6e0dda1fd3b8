/*
 * What of the nodes keeps a waiting job back other than amounts: nodes that would do and can't be used now,
 * nodes whose free amounts it may not share, labels that no node has. Changes nothing; looks at every node.
 */
#include "scheduler/core/step.h"

static bool has_amounts(const struct node *node, const struct shape_key *key)
{
    struct resource_request alone = key->request;
    alone.flags &= ~(uint32_t)RESOURCE_EXCLUSIVE; /* else the whole node, which no leased one has free */
    struct caps want = caps_of(node, &alone);
    return caps_fit(&want, &node->free);
}

bool core_why_nodes(const struct core *core, struct job_id id, struct core_why_nodes *out)
{
    uint32_t slot = job_find(core, id.v);
    *out = (struct core_why_nodes){0};
    if (!slot || !job_waits(&core->jobs[slot].facts))
        return false;
    const struct job_facts *job = &core->jobs[slot].facts;
    struct shape_key key = shape_key_of(job);
    uint64_t labels = 0;
    for (uint32_t n = 1; n <= core->h->facts.node_count; n++) {
        const struct node *node = &core->nodes[n];
        labels |= node->facts.lost ? 0 : node->labels;
        if (!node_fits(node, &key, true))
            continue;
        if (!node_serves(node, &job->request)) {
            if (out->away_listed < CORE_WHY_JOBS_MAX)
                out->away[out->away_listed++].v = node->facts.id;
            out->away_count++;
        } else if (!node_fits(node, &key, false) && has_amounts(node, &key) && node->lease_count &&
                   (node->facts.tenant || job->request.flags)) {
            out->apart = out->apart.v ? out->apart : (struct node_id){node->facts.id};
            out->apart_count++;
        }
    }
    out->labels_missing = job->request.labels & ~labels & ~RESOURCE_ABILITIES;
    return true;
}
