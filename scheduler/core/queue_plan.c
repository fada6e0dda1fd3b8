/*
 * When the queue is planned as a whole (search.h) instead of started by score, and what becomes of such a
 * plan: each waiting job's order_job has its start. A plan is made only where nothing but time and one amount
 * of one node decides who can run; wherever a rule, a promise or a reservation has a word too, the pass by
 * score does.
 */
#include "scheduler/core/search.h"
#include "scheduler/core/step.h"

#include <stdlib.h>

#define WEIGHT_MOST ((UINT64_C(1) << 40) / 10000) /* of a job of ten seconds or less */

struct queue_plan {
    struct search search;
    uint32_t slots[SEARCH_JOBS_MAX]; /* of search.jobs */
    int amount;                      /* which one decides; -1: none yet */
    bool usable;                     /* short jobs could use what is free now */
};

static bool plain(const struct core *core, const struct job_facts *job, int *amount)
{
    const struct resource_request *r = &job->request;
    const struct node *node = &core->nodes[1];
    int which = learn_dominant(core, job);
    /* Cores are leased as a whole, and memory counts in MiB. */
    if (r->cpus &&
        (node->threads_min != node->threads_max || r->cpus % (node->threads_max | !node->threads_max)))
        return false;
    if (r->memory_bytes % (1 << 20))
        return false;
    if (which < 0 || (*amount >= 0 && which != *amount) || r->flags || r->gpu_models ||
        r->gpu_models_closed || r->labels_closed || r->gpu_memory_bytes ||
        r->gpu_milli % RESOURCE_GPU_WHOLE || !job->time_limit_ms)
        return false;
    *amount = which;
    return true;
}

/* As it stands now: people change limits. */
static int64_t limit_of(const struct job_facts *job)
{
    return job->time_limit_ms < (uint64_t)ORDER_EST_MAX_MS ? (int64_t)job->time_limit_ms : ORDER_EST_MAX_MS;
}

/* How long a waiting job is taken to run. */
static int64_t run_of(const struct job_facts *job, bool sure)
{
    int64_t limit = limit_of(job), likely = sure ? limit : order_likely(&job->order);
    return limit < likely ? limit : likely;
}

/* Until when a running one is taken to. */
static uint64_t end_of(const struct core *core, const struct job_facts *job, const struct task_facts *task,
                       bool sure)
{
    uint64_t declared = task->ends_ms - job->grace_ms;
    uint64_t likely = sure ? declared : plan_end(core, task, PLAN_EXPECTED);
    return declared < likely ? declared : likely;
}

/* Rules that know more than a plan does. */
static bool ruled(const struct core *core)
{
    const struct header *h = core->h;
    bool preempts = h->facts.look_at_ms != 0;
    for (int i = 0; i < PRIORITY_CLASS_COUNT && h->facts.preempt; i++)
        preempts = preempts || h->spot_running[i];
    return preempts || h->facts.share_weight || h->promised_count || h->resv_count || h->array_jobs ||
           h->facts.node_count != 1 || !node_usable(&core->nodes[1].facts);
}

static bool add_ends(const struct core *core, struct queue_plan *p)
{
    uint64_t now = core->h->facts.now_ms;
    for (uint32_t t = core->nodes[1].first_task; t; t = core->tasks[t].node_next) {
        const struct task_facts *task = &core->tasks[t].facts;
        const struct job_facts *job = &core->jobs[core->tasks[t].job_slot].facts;
        if (task->released)
            continue;
        if (task->abandoned || task->ends_ms == CORE_NEVER || p->search.end_count == SEARCH_ENDS_MAX ||
            !plain(core, job, &p->amount))
            return false;
        uint64_t at = end_of(core, job, task, p->search.sure);
        p->search.ends[p->search.end_count++] = (struct search_end){
            .at_ms = at > now ? (int64_t)(at - now) : PLAN_SLACK_MS,
            .amount = learn_wants(job, p->amount) / job->instance_count,
        };
    }
    return true;
}

static bool add_job(const struct core *core, uint32_t klass, uint32_t slot, struct queue_plan *p)
{
    const struct job_facts *job = &core->jobs[slot].facts;
    uint64_t now = core->h->facts.now_ms;
    if (p->search.job_count == SEARCH_JOBS_MAX || !plain(core, job, &p->amount) ||
        order_strict(core->order, (int64_t)(now - job->submitted_ms)))
        return false;
    p->slots[p->search.job_count] = slot;
    p->search.jobs[p->search.job_count++] = (struct search_job){
        .run_ms = run_of(job, p->search.sure),
        .wait_ms = (int64_t)(now - job->submitted_ms),
        .after_ms = job->order.after_ms > (int64_t)now ? job->order.after_ms - (int64_t)now : 0,
        .weight = job->order.weight < WEIGHT_MOST ? job->order.weight : WEIGHT_MOST,
        .amount = learn_wants(job, p->amount),
        .kind = klass,
        .turn = job->order.turn,
        .base = job->order.base,
        .pace = job->order.pace,
        .prompt = job->preemptible || !p->usable,
    };
    return true;
}

/* Those in their turn that quotas and licences let run, one after the other of each class. False: one of them
 * isn't plain, or there are too many. */
static bool add_jobs(const struct core *core, struct queue_plan *p)
{
    struct treap classes = {(struct core *)(uintptr_t)core, true}, members = {classes.core, false};
    uint32_t first = treap_first(classes, core->h->klass_root);
    for (uint32_t k = first; k; k = treap_next(classes, core->h->klass_root, k)) {
        const struct klass *klass = &core->klasses[k];
        if (klass->key.tier != core->klasses[first].key.tier || klass->key.licences.amount[0])
            return false;
        for (uint32_t j = tenant_allows(core, klass) ? klass->head : 0; j;
             j = treap_next(members, klass->root, j)) {
            if (core->jobs[j].facts.priority_class >= PRIORITY_HIGH || !add_job(core, k, j, p))
                return false;
        }
    }
    return p->search.job_count != 0;
}

static bool collect(const struct core *core, struct queue_plan *p)
{
    p->search.end_count = p->search.job_count = 0;
    p->search.sure = order_exact(core->learned);
    p->amount = -1;
    p->usable = short_jobs_fit_node(core, &core->nodes[1]);
    return policy_of(core)->learns && order_plans(core->order, core->learned) && !ruled(core) &&
           core->h->in_turn <= SEARCH_JOBS_MAX && add_jobs(core, p) && add_ends(core, p);
}

bool queue_plan_applies(const struct core *core)
{
    struct queue_plan p;
    return collect(core, &p);
}

static int by_end(const void *a, const void *b)
{
    const struct search_end *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return x->amount < y->amount ? -1 : x->amount > y->amount;
}

static void set_pool(const struct core *core, struct queue_plan *p)
{
    qsort(p->search.ends, p->search.end_count, sizeof *p->search.ends, by_end);
    p->search.order = core->order;
    p->search.now_ms = (int64_t)core->h->facts.now_ms;
    p->search.free = learn_idle(core, p->amount);
    p->search.total = learn_pool(core, p->amount);
}

/* By score, then by arrival. */
static void sort_jobs(const struct core *core, struct queue_plan *p)
{
    int64_t scores[SEARCH_JOBS_MAX];
    for (uint32_t i = 0; i < p->search.job_count; i++) {
        struct search_job job = p->search.jobs[i];
        uint32_t slot = p->slots[i], at = i;
        int64_t score = order_score(core->order, job.base, job.pace, job.wait_ms);
        for (; at > 0; at--) {
            bool later = scores[at - 1] > score ||
                         (scores[at - 1] == score && treap_before(core, false, slot, p->slots[at - 1]));
            if (!later)
                break;
            scores[at] = scores[at - 1];
            p->slots[at] = p->slots[at - 1];
            p->search.jobs[at] = p->search.jobs[at - 1];
        }
        scores[at] = score;
        p->slots[at] = slot;
        p->search.jobs[at] = job;
    }
}

/* Those that a quota has taken out of the plan since the last one. */
static void forget(struct core *core)
{
    struct treap classes = {core, true}, members = {core, false};
    for (uint32_t k = treap_first(classes, core->h->klass_root); k;
         k = treap_next(classes, core->h->klass_root, k)) {
        const struct klass *klass = &core->klasses[k];
        for (uint32_t j = tenant_allows(core, klass) ? 0 : klass->head; j;
             j = treap_next(members, klass->root, j)) {
            if (!core->jobs[j].facts.order.start_ms)
                continue;
            job_changes(core, &core->jobs[j]);
            order_unplan(&core->jobs[j].facts.order);
        }
    }
}

const char *queue_plan_make(struct core *core)
{
    struct queue_plan p;
    if (!collect(core, &p))
        return "a plan of a queue that can't be planned";
    int64_t now = (int64_t)core->h->facts.now_ms;
    order_pass(core->order, core->learned, now, true);
    sort_jobs(core, &p);
    set_pool(core, &p);
    search_plan(&p.search);
    forget(core);
    for (uint32_t i = 0; i < p.search.job_count; i++) {
        const struct search_job *found = &p.search.jobs[i];
        struct job *job = &core->jobs[p.slots[i]];
        struct order_job *order = &job->facts.order;
        job_changes(core, job);
        order->start_ms = now + found->start_ms;
        order->after_ms = found->after_ms ? now + found->after_ms : 0;
        order->turn = found->turn;
    }
    return NULL;
}

uint64_t queue_plan_start(const struct core *core, const struct job_facts *job)
{
    return core->order->planned && policy_of(core)->learns ? (uint64_t)job->order.start_ms : 0;
}

bool queue_plan_stands(const struct core *core)
{
    return core->order->planned && queue_plan_applies(core);
}

bool queue_plan_would_start(const struct core *core, uint32_t job_slot, const struct job_facts *like)
{
    struct queue_plan p;
    if (!collect(core, &p) || !plain(core, like, &p.amount))
        return false;
    sort_jobs(core, &p);
    set_pool(core, &p);
    uint32_t at = 0;
    while (at < p.search.job_count && p.slots[at] != job_slot)
        at++;
    if (at == p.search.job_count)
        return false;
    struct search_job *job = &p.search.jobs[at];
    job->run_ms = run_of(like, p.search.sure);
    if (p.search.sure)
        job->weight = (UINT64_C(1) << 40) / (uint64_t)(job->run_ms < 10000 ? 10000 : job->run_ms);
    job->amount = learn_wants(like, p.amount);
    job->kind = UINT32_MAX;
    search_plan(&p.search);
    return job->start_ms == 0;
}
