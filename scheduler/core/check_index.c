/*
 * The second half of the full pass: what follows from the records (classes, shapes, the node tree, sums of
 * tenants) and the records that hang on jobs (dependencies, holds), made anew and compared.
 */
#include <string.h>

#include "scheduler/core/arena.h"

#define TREAP_DEPTH_MAX 512 /* of a million the expected depth is under 60 */

/* In order, without recursion. `klasses`: the order of classes; else the jobs of class `klass`. */
static const char *check_treap(const struct core *core, bool klasses, uint32_t root, uint32_t klass,
                               uint32_t *members)
{
    uint32_t stack[TREAP_DEPTH_MAX], depth = 0, at = root, seen = 0, last = 0;
    uint32_t high = klasses ? core->h->klass.high : core->h->job.high;
    while (at || depth) {
        while (at) {
            if (depth == TREAP_DEPTH_MAX || at > high)
                return "queue: too deep, or a member beyond the records";
            if (klasses ? !core->klasses[at].present || !core->klasses[at].ordered ||
                              !core->klasses[at].head || core->klasses[at].head > core->h->job.high
                        : core->jobs[at].klass != klass)
                return "queue: a member that doesn't belong";
            stack[depth++] = at;
            at = klasses ? core->klasses[at].left : core->jobs[at].left;
        }
        uint32_t slot = stack[--depth];
        uint32_t left = klasses ? core->klasses[slot].left : core->jobs[slot].left;
        uint32_t right = klasses ? core->klasses[slot].right : core->jobs[slot].right;
        uint32_t size = klasses ? core->klasses[slot].size : core->jobs[slot].size;
        uint32_t below = klasses ? core->klasses[left].size + core->klasses[right].size
                                 : core->jobs[left].size + core->jobs[right].size;
        if (last && !treap_before(core, klasses, last, slot))
            return "queue: out of order";
        if (size != 1 + below)
            return "queue: a size is wrong";
        uint64_t weight = treap_weight(core, klasses, slot);
        if ((left && treap_weight(core, klasses, left) > weight) ||
            (right && treap_weight(core, klasses, right) > weight))
            return "queue: a weight is wrong";
        last = slot;
        seen++;
        at = right;
    }
    *members = seen;
    return NULL;
}

static const char *check_klass(const struct core *core, uint32_t slot, uint32_t *jobs)
{
    const struct klass *k = &core->klasses[slot];
    uint32_t first = k->root, count = 0;
    if (!k->root || k->root > core->h->job.high || !k->head || k->head > core->h->job.high || !k->key.shape ||
        k->key.shape > core->h->shape.high || !core->shapes[k->key.shape].present)
        return "class: without jobs or a shape";
    const char *why = check_treap(core, false, k->root, slot, &count);
    if (why)
        return why;
    while (core->jobs[first].left) /* check_treap went this way, so it ends */
        first = core->jobs[first].left;
    const struct job_facts *f = &core->jobs[k->head].facts;
    const struct tenant *t = &core->tenants[tenant_find(core, CORE_QUOTA_PRINCIPAL, k->key.principal)];
    if ((k->tenant_prev ? core->klasses[k->tenant_prev].tenant_next : t->first_klass) != slot)
        return "class: not in its principal's list";
    struct shape_key key = shape_key_of(f);
    if (first != k->head || memcmp(&key, &core->shapes[k->key.shape].key, sizeof key) != 0)
        return "class: another head, or another shape";
    if (k->key.tier != job_tier(f) || k->key.instance_count != f->instance_count ||
        k->key.principal != f->principal || k->key.family != f->family ||
        k->key.reservation != f->reservation || k->key.time_limit_ms < f->time_limit_ms ||
        k->key.over_cap != f->over_cap)
        return "class: its head doesn't belong";
    uint32_t family_tenant = tenant_find_in(core, CORE_QUOTA_PRINCIPAL, f->principal, f->family);
    if (!family_tenant || k->ordered != klass_stands(core, k))
        return "class: in the order, but no node could hold it or it isn't approved, or the other way round";
    if (klass_find(core, &k->key) != slot)
        return "class: not found by its key";
    *jobs += count;
    return NULL;
}

const char *check_queues(const struct core *core)
{
    const struct header *h = core->h;
    uint32_t jobs = 0, klasses = 0, ordered = 0, in_order = 0;
    const char *why = NULL;
    for (uint32_t slot = 1; !why && slot <= h->klass.high; slot++) {
        if (!core->klasses[slot].present)
            continue;
        klasses++;
        ordered += core->klasses[slot].ordered;
        why = check_klass(core, slot, &jobs);
    }
    if (!why)
        why = check_treap(core, true, h->klass_root, 0, &in_order);
    if (why)
        return why;
    return klasses == h->klass_count && ordered == in_order && jobs == h->in_turn ? NULL
                                                                                  : "queue: a count is wrong";
}

static const char *check_shape(const struct core *core, uint32_t slot)
{
    const struct shape *s = &core->shapes[slot];
    uint32_t fit = 0, usable = 0, known = 0, klasses = 0;
    for (uint32_t n = 1; n <= core->h->facts.node_count; n++) {
        const struct node *node = &core->nodes[n];
        bool can = node_fits(node, &s->key, true), up = node_serves(node, &s->key.request);
        known += can;
        usable += can && up;
        fit += can && up && node_fits(node, &s->key, false);
    }
    if (fit != s->fit || usable != s->usable || known != s->known)
        return "shape: a count of nodes is wrong";
    for (uint32_t k = s->first_klass; k; k = core->klasses[k].shape_next) {
        if (k > core->h->klass.high || core->klasses[k].key.shape != slot || klasses++ == s->klasses)
            return "shape: its list of classes is wrong";
    }
    return klasses == s->klasses && shape_find(core, &s->key) == slot ? NULL
                                                                      : "shape: not found, or miscounted";
}

const char *check_shapes(const struct core *core)
{
    uint32_t present = 0, listed = 0, idle = 0, last = 0;
    const char *why = NULL;
    for (uint32_t slot = 1; !why && slot <= core->h->shape.high; slot++) {
        if (!core->shapes[slot].present)
            continue;
        present++;
        idle += !core->shapes[slot].klasses;
        why = check_shape(core, slot);
    }
    if (why)
        return why;
    for (uint32_t s = core->h->shape_first; s; last = s, s = core->shapes[s].next) {
        if (s > core->h->shape.high || core->shapes[s].prev != last || listed++ == present)
            return "shapes: their list is wrong";
        if (last && !core->shapes[last].klasses && core->shapes[s].klasses)
            return "shapes: an idle one before one in use";
    }
    return listed == present && last == core->h->shape_last && idle == core->h->shape_idle
               ? NULL
               : "shapes: their count is wrong";
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

const char *check_tree(const struct core *core)
{
    uint32_t leaves = core->h->leaves;
    struct caps_sum idle = {0};
    for (uint32_t leaf = 0; leaf < leaves; leaf++) {
        struct caps wanted = {0};
        if (leaf && leaf <= core->h->facts.node_count)
            wanted = node_leaf(&core->nodes[leaf]);
        if (memcmp(&core->tree[leaves + leaf], &wanted, sizeof wanted) != 0)
            return "index: a node's leaf is wrong";
        idle.cores += wanted.cores;
        idle.cpus += wanted.cpus;
        idle.gpu_milli += wanted.gpu_milli;
        idle.memory_bytes += wanted.memory_bytes;
    }
    if (memcmp(&idle, &core->h->idle, sizeof idle) != 0)
        return "index: the sum of what is idle is wrong";
    for (uint32_t at = 1; at < leaves; at++) {
        const struct caps *a = &core->tree[2 * at], *b = &core->tree[2 * at + 1], *top = &core->tree[at];
        if (top->cores != larger(a->cores, b->cores) || top->cpus != larger(a->cpus, b->cpus) ||
            top->gpu_milli != larger(a->gpu_milli, b->gpu_milli) ||
            top->share != larger(a->share, b->share) ||
            top->memory_bytes != larger(a->memory_bytes, b->memory_bytes))
            return "index: an inner amount is wrong";
    }
    return NULL;
}

const char *check_needs(const struct core *core, uint64_t *sum)
{
    uint32_t count = 0, waits = 0, stirred = 0, listed = 0;
    for (uint32_t slot = 1; slot <= core->h->need.high; slot++) {
        const struct need *need = &core->needs[slot];
        if (!need->present)
            continue;
        count++;
        if (need->waiter_slot > core->h->job.high || need->on_slot > core->h->job.high ||
            core->jobs[need->waiter_slot].facts.id != need->waiter ||
            core->jobs[need->on_slot].facts.id != need->on || need->kind >= CORE_DEPENDENCY_COUNT)
            return "dependency: of a job that isn't there";
        *sum += need_hash(need);
    }
    for (uint32_t slot = 1; slot <= core->h->job.high; slot++) {
        waits += core->jobs[slot].facts.waits_on;
        stirred += core->jobs[slot].facts.stirred;
    }
    for (uint32_t slot = core->h->stir_first; slot && listed <= stirred; slot = core->jobs[slot].stir_next)
        listed++;
    return count == core->h->need_count && waits == count && listed == stirred
               ? NULL
               : "dependencies: a count is wrong";
}

const char *check_holds(const struct core *core, uint64_t *sum)
{
    uint32_t count = 0, listed = 0, promised = 0;
    for (uint32_t slot = 1; slot <= core->h->hold.high; slot++) {
        const struct hold *hold = &core->holds[slot];
        if (!hold->present)
            continue;
        count++;
        if (!hold->job_slot || hold->job_slot > core->h->job.high || !hold->node_slot ||
            hold->node_slot > core->h->facts.node_count)
            return "hold: of a job or a node that isn't there";
        *sum += hold_hash(core, hold);
    }
    for (uint32_t n = 1; n <= core->h->facts.node_count; n++) {
        uint32_t last = 0;
        for (uint32_t h = core->nodes[n].first_hold; h; last = h, h = core->holds[h].node_next) {
            if (core->holds[h].node_slot != n || core->holds[h].node_prev != last || listed++ == count)
                return "hold: its node's list is wrong";
            if (last && core->jobs[core->holds[last].job_slot].facts.hold_ms >
                            core->jobs[core->holds[h].job_slot].facts.hold_ms)
                return "hold: a node's holds are out of order";
        }
    }
    for (uint32_t slot = 1; slot <= core->h->job.high; slot++)
        promised += core->jobs[slot].facts.hold_ms != 0;
    for (uint32_t i = 0; i < core->h->promised_count; i++) {
        if (!core->jobs[core->h->promised[i]].facts.hold_ms)
            return "promises: one that wasn't made";
    }
    return count == core->h->hold_count && listed == count && promised == core->h->promised_count
               ? NULL
               : "promises: a count is wrong";
}

const char *check_tenants(const struct core *core, uint64_t *sum)
{
    uint32_t used[RESOURCE_LICENCES_MAX] = {0};
    for (uint32_t slot = 1; slot <= core->h->facts.tenant_count; slot++) {
        const struct tenant *t = &core->tenants[slot];
        uint64_t cores = 0, gpus = 0, running = 0, queued = 0;
        for (uint32_t j = 1; j <= core->h->job.high; j++) {
            const struct job_facts *f = &core->jobs[j].facts;
            uint64_t c, g;
            if (!f->present || !job_counts_in(f, &t->facts))
                continue;
            queued += job_waits(f);
            if (!job_runs(f))
                continue;
            tenant_amounts(f, &c, &g);
            running++;
            cores += c;
            gpus += g;
        }
        uint64_t busy = 0, busy_since = 0;
        for (uint32_t k = 1; k <= core->h->task.high; k++) {
            const struct task *task = &core->tasks[k];
            bool counts =
                task->present && !task->facts.released && core->jobs[task->job_slot].tenants[0] == slot;
            busy += counts ? share_width(task) : 0;
            busy_since += counts ? share_width(task) * task->facts.began_ms : 0;
        }
        if (busy != t->busy || busy_since != t->busy_since)
            return "tenant: what its tasks hold is wrong";
        if (cores != t->cores || gpus != t->gpu_milli || running != t->running || queued != t->queued)
            return "tenant: a sum is wrong";
        if (t->hash != tenant_hash(t) ||
            tenant_find_in(core, (enum core_quota_scope)t->facts.scope, t->facts.id, t->facts.family) != slot)
            return "tenant: not found, or its hash differs";
        *sum += t->hash;
    }
    uint32_t spot[PRIORITY_CLASS_COUNT] = {0};
    for (uint32_t j = 1; j <= core->h->job.high; j++) {
        const struct job_facts *f = &core->jobs[j].facts;
        struct job_tenant whose[TENANTS_OF_JOB_MAX];
        uint32_t count = f->present ? job_tenants(f->principal, f->workspace, f->family, whose) : 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t slot = tenant_find_in(core, whose[i].scope, whose[i].id, whose[i].family);
            if (!slot || core->jobs[j].tenants[i] != slot)
                return "tenant: a job's has no record, or it counts for another";
        }
        if (count && count < TENANTS_OF_JOB_MAX && core->jobs[j].tenants[count])
            return "tenant: a job counts for too many";
        if (!f->present || !job_runs(f))
            continue;
        spot[f->priority_class] += f->preemptible;
        for (uint32_t i = 0; i < RESOURCE_LICENCE_KINDS_MAX && f->licences.amount[i]; i++)
            used[f->licences.id[i]] += f->licences.amount[i];
    }
    if (memcmp(spot, core->h->spot_running, sizeof spot) != 0)
        return "preemptible jobs: their number is wrong";
    return memcmp(used, core->h->licence_used, sizeof used) == 0 ? NULL : "licences: their use is wrong";
}
