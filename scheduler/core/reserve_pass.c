/*
 * Before the policy's own order: jobs that have all they want in what is reserved for them start there. They
 * take nothing from anybody else, so that no head has to wait for them; promises are kept all the same. Jobs
 * that name a reservation start here alone.
 */
#include "scheduler/core/step.h"

#include "scheduler/core/reserve.h"

#define CLASSES_MAX 256 /* that are looked at for one reservation in a pass */

struct turn {
    uint64_t tier, place, seq;
    uint32_t klass;
};

static bool goes_before(const struct turn *x, const struct turn *y)
{
    if (x->tier != y->tier)
        return x->tier < y->tier;
    return x->place != y->place ? x->place < y->place : x->seq < y->seq;
}

/* The classes of its users that have room, in order. */
static uint32_t list_turns(const struct core *core, uint32_t slot, struct turn turns[CLASSES_MAX])
{
    const struct resv_facts *f = &core->resvs[slot].facts;
    uint32_t count = 0;
    for (uint32_t u = 0; u < f->user_count; u++) {
        uint32_t tenant = tenant_find(core, CORE_QUOTA_PRINCIPAL, f->users[u]);
        for (uint32_t k = tenant ? core->tenants[tenant].first_klass : 0; k;
             k = core->klasses[k].tenant_next) {
            const struct klass *klass = &core->klasses[k];
            if ((klass->key.reservation && klass->key.reservation != f->id) ||
                !job_permitted(core, &core->jobs[klass->head].facts) || !pass_class_fits(core, klass))
                continue;
            struct turn turn = {klass->key.tier, klass->key.place, core->jobs[klass->head].facts.seq, k};
            if (count == CLASSES_MAX && !goes_before(&turn, &turns[count - 1]))
                continue;
            uint32_t at = count < CLASSES_MAX ? count++ : count - 1;
            for (; at && goes_before(&turn, &turns[at - 1]); at--)
                turns[at] = turns[at - 1];
            turns[at] = turn;
        }
    }
    return count;
}

/* Its seats with room; the fullest first, so that the others stay whole. */
static bool pick_seats(struct step *step, uint32_t resv, uint32_t job_slot, uint64_t end_ms, uint32_t *nodes)
{
    const struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    const struct shape *shape = &core->shapes[core->klasses[core->jobs[job_slot].klass].key.shape];
    uint32_t count = 0, want = job->instance_count;
    for (uint32_t s = core->resvs[resv].first_seat; s; s = core->seats[s].resv_next) {
        uint32_t n = core->seats[s].node_slot, at = count;
        const struct node *node = &core->nodes[n];
        if (!node_usable(&node->facts) || !node_fits(node, &shape->key, false) ||
            !reserve_inside(core, job, n, end_ms, resv) ||
            !plan_allows(step->memory, core, job_slot, n, end_ms, core->resvs[resv].facts.id))
            continue;
        while (at && (core->nodes[nodes[at - 1]].free.cores > node->free.cores ||
                      (core->nodes[nodes[at - 1]].free.cores == node->free.cores && nodes[at - 1] > n)))
            at--;
        if (at == want)
            continue;
        count = count < want ? count + 1 : want;
        for (uint32_t i = count - 1; i > at; i--)
            nodes[i] = nodes[i - 1];
        nodes[at] = n;
    }
    return count == want;
}

static bool try_inside(struct step *step, uint32_t resv, uint32_t job_slot)
{
    const struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    uint32_t nodes[CORE_INSTANCES_MAX];
    uint64_t end = CORE_NEVER;
    if (job->time_limit_ms)
        end = core->h->facts.now_ms + job->time_limit_ms + job->grace_ms;
    if (job->array_count && core->h->facts.job_count == core->h->capacity.jobs)
        return false; /* at CORE_JOBS_MAX */
    if (tasks_room(core) < job->instance_count || !pick_seats(step, resv, job_slot, end, nodes))
        return false;
    pass_start(step, job_slot, nodes, end, core->resvs[resv].facts.id);
    return true;
}

/* Of a class the jobs differ in arrival alone: where the first doesn't start, none does. */
static bool fill(struct step *step, uint32_t resv)
{
    const struct core *core = step->core;
    struct turn turns[CLASSES_MAX];
    uint32_t count = list_turns(core, resv, turns);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t klass = turns[i].klass;
        struct klass_key key = core->klasses[klass].key;
        while (klass && core->klasses[klass].present && pass_class_fits(core, &core->klasses[klass])) {
            if (step->work <= 0)
                return false;
            if (!try_inside(step, resv, core->klasses[klass].head))
                break;
            klass = klass_find(core, &key); /* its last one may have gone */
        }
    }
    return true;
}

bool reserve_pass(struct step *step)
{
    const struct core *core = step->core;
    uint64_t now = core->h->facts.now_ms;
    for (uint32_t slot = 1; core->h->resv_begun && slot <= core->h->resv.high; slot++) {
        const struct resv *resv = &core->resvs[slot];
        if (resv->present && resv->facts.begun && now < resv->facts.end_ms && !fill(step, slot))
            return false;
    }
    return true;
}
