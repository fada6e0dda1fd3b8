/*
 * What starts next. The head (the first of all waiting jobs, by the policy) starts as soon as it has room;
 * while it waits it has a reservation, and others may pass it where they don't delay it. What is left over
 * when the step's work is used up is done by the next event that isn't deferred: a pass always begins anew.
 */
#include "scheduler/core/step.h"

#include "scheduler/core/reserve.h"
#include "scheduler/core/search.h"

#define CANDIDATES_MAX 4096

/* The head's place in a plan on expected times, where no promise can be made. */
struct shadow {
    uint32_t job; /* slot; 0: there is none */
    uint64_t at_ms;
    uint32_t count;
    uint32_t nodes[CORE_INSTANCES_MAX];
    struct caps spare[CORE_INSTANCES_MAX]; /* what it leaves to those that stay longer */
};

struct asks {
    const struct core *core;
    struct plan_memory *memory;
    uint32_t job;
    uint64_t end_ms;        /* by its declared limit */
    uint64_t shadow_end_ms; /* what counts against a shadow: declared, or without that expected */
    const struct shadow *shadow;
    bool kept; /* it leaves to short jobs what they could use */
};

bool pass_class_fits(const struct core *core, const struct klass *k)
{
    return core->shapes[k->key.shape].fit >= k->key.instance_count && tenant_allows(core, k) &&
           licences_free(core, &k->key.licences);
}

static uint32_t shadow_place(const struct shadow *s, uint32_t node_slot)
{
    uint32_t i = 0;
    while (i < s->count && s->nodes[i] != node_slot)
        i++;
    return i;
}

static bool spares_shadow(const struct asks *a, uint32_t node_slot)
{
    const struct shadow *s = a->shadow;
    /* What is only expected never breaks what was promised. */
    if (!s->job || a->shadow_end_ms <= s->at_ms || a->core->jobs[a->job].facts.hold_ms)
        return true;
    uint32_t place = shadow_place(s, node_slot);
    if (place == s->count)
        return true;
    struct caps mine = caps_of(&a->core->nodes[node_slot], &a->core->jobs[a->job].facts.request);
    struct caps left = s->spare[place];
    if (caps_take(&left, &mine))
        return true;
    /* What the head would lose against what the other one gains. */
    return policy_of(a->core)->learns &&
           order_passes(&a->core->jobs[a->job].facts.order, &a->core->jobs[s->job].facts.order,
                        (int64_t)(s->at_ms - a->core->h->facts.now_ms));
}

static bool may_begin(const void *context, uint32_t node_slot)
{
    const struct asks *a = context;
    uint32_t counts_for;
    return reserve_allows(a->core, &a->core->jobs[a->job].facts, node_slot, a->end_ms, &counts_for) &&
           plan_allows(a->memory, a->core, a->job, node_slot, a->end_ms, counts_for) &&
           spares_shadow(a, node_slot) &&
           (!a->kept || policy_node_open(a->core, &a->core->jobs[a->job].facts, node_slot));
}

void pass_start(struct step *step, uint32_t job_slot, const uint32_t *nodes, uint64_t end_ms, uint32_t inside)
{
    struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    uint64_t tier = job_tier(job);
    bool promised = job->hold_ms != 0;
    if (job->array_count) {
        job_slot = array_begin(step, job_slot);
        job = &core->jobs[job_slot].facts;
    }
    uint32_t count = job->instance_count, attempt = job->attempt + 1;
    for (uint32_t rank = 0; rank < count; rank++) {
        const struct node *node = &core->nodes[nodes[rank]];
        struct core_decision d = {.kind = CORE_DECISION_START_TASK};
        d.as.start.task = (struct task_id){{job->id}, attempt, rank};
        d.as.start.node.v = node->facts.id;
        place_units(node, job, &d.as.start.lease);
        d.as.start.reservation = inside;
        if (!inside)
            reserve_allows(core, job, nodes[rank], end_ms, &d.as.start.reservation);
        step->work -= CORE_WORK_START - 2; /* the decisions pay for themselves */
        step_emit(step, &d);
    }
    job_goes(step, job_slot, JOB_PREPARING, CORE_REASON_LEASED);
    if (promised) {
        step->memory->count = 0;
        step->unheld = true;
    }
    for (uint32_t rank = 0; rank < count; rank++) {
        if (!promised)
            plan_began(step->memory, core, nodes[rank], &job->request, end_ms);
        promises_yield(step, nodes[rank], tier);
    }
}

static bool try_start(struct step *step, uint32_t job_slot, struct shadow *shadow)
{
    const struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    uint64_t now = core->h->facts.now_ms;
    uint32_t nodes[CORE_INSTANCES_MAX];
    struct asks a = {.core = core, .memory = step->memory, .job = job_slot, .shadow = shadow};
    a.end_ms = job->time_limit_ms ? now + job->time_limit_ms + job->grace_ms : CORE_NEVER;
    uint64_t guess = (uint64_t)job->order.mean_ms;
    a.kept = policy_keeps_until(core, job) != 0;
    bool declared = job->time_limit_ms || policy_of(core)->learns;
    a.shadow_end_ms = now + (declared ? (uint64_t)job->order.est_ms : guess);
    if (job->array_count && core->h->facts.job_count == core->h->capacity.jobs)
        return false; /* at CORE_JOBS_MAX */
    if (tasks_room(core) < job->instance_count || !pick_nodes(step, job_slot, may_begin, &a, nodes))
        return false;
    for (uint32_t i = 0; shadow->job && a.shadow_end_ms > shadow->at_ms && i < job->instance_count; i++) {
        uint32_t place = shadow_place(shadow, nodes[i]);
        struct caps mine = caps_of(&core->nodes[nodes[i]], &job->request);
        if (place < shadow->count)
            (void)caps_take(&shadow->spare[place], &mine);
    }
    pass_start(step, job_slot, nodes, a.end_ms, 0);
    return true;
}

/* The head waits: when will it start at the latest, or else presumably. */
static void reserve(struct step *step, uint32_t job_slot, struct shadow *shadow)
{
    const struct core *core = step->core;
    const struct job_facts *job = &core->jobs[job_slot].facts;
    struct plan_start plan;
    shadow->job = 0;
    if (!licences_free(core, &job->licences) ||
        !tenant_allows(core, &core->klasses[core->jobs[job_slot].klass]))
        return; /* nobody knows when */
    if (policy_strict(core, job_slot))
        plan_reserve(core, job_slot, PLAN_DECLARED, &plan);
    else
        plan.at_ms = CORE_NEVER;
    if (plan.at_ms != CORE_NEVER && !job->licences.amount[0] && !wants_share(&job->request)) {
        bool better = !job->hold_ms || plan.at_ms < job->hold_ms;
        if (better && (job->hold_ms || core->h->promised_count < CORE_PROMISES_MAX)) {
            promise_make(step, job_slot, &plan);
            return;
        }
    }
    if (job->hold_ms)
        return;
    plan_reserve(core, job_slot, PLAN_EXPECTED, &plan);
    if (plan.at_ms == CORE_NEVER)
        return;
    shadow->job = job_slot;
    shadow->at_ms = plan.at_ms;
    shadow->count = plan.count;
    for (uint32_t i = 0; i < plan.count; i++) {
        shadow->nodes[i] = plan.nodes[i];
        if (!plan_spare(core, job_slot, plan.nodes[i], plan.at_ms, PLAN_EXPECTED, &shadow->spare[i]))
            shadow->spare[i] = (struct caps){0};
    }
}

/* ---- those that may pass the head ---- */

struct candidate {
    uint64_t tier;
    uint64_t key; /* place, or time limit where the shortest goes first */
    uint64_t seq;
    uint32_t klass;
};

static bool goes_before(const struct candidate *x, const struct candidate *y)
{
    if (x->tier != y->tier)
        return x->tier < y->tier;
    return x->key != y->key ? x->key < y->key : x->seq < y->seq;
}

/* A heap, smallest first, from 0. */
static void sift(struct candidate *heap, uint32_t count, uint32_t at)
{
    struct candidate c = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && goes_before(&heap[child + 1], &heap[child]))
            child++;
        if (!goes_before(&heap[child], &c))
            break;
        heap[at] = heap[child];
    }
    heap[at] = c;
}

/* The first of a class that may pass: its head, or the next where that is the head of all. */
static uint32_t first_of(const struct core *core, uint32_t klass, uint32_t head_job)
{
    const struct klass *k = &core->klasses[klass];
    if (!k->present || !k->ordered || !pass_class_fits(core, k))
        return 0;
    struct treap members = {(struct core *)(uintptr_t)core, false};
    return k->head == head_job ? treap_next(members, k->root, k->head) : k->head;
}

static struct candidate candidate_of(const struct core *core, const struct policy *policy, uint32_t klass,
                                     uint32_t job)
{
    const struct klass_key *key = &core->klasses[klass].key;
    uint64_t limit = key->time_limit_ms ? key->time_limit_ms : CORE_NEVER;
    uint64_t turn = policy->shortest ? limit : key->place;
    if (policy->learns)
        turn = (uint64_t)policy_score(core, key, job) ^ (UINT64_C(1) << 63); /* signed, as unsigned */
    return (struct candidate){
        .tier = key->tier, .key = turn, .seq = core->jobs[job].facts.seq, .klass = klass};
}

static uint32_t list_candidates(const struct core *core, const struct policy *policy, uint32_t head_job,
                                struct candidate *out)
{
    uint32_t count = 0;
    for (uint32_t s = core->h->shape_first; s && core->shapes[s].klasses; s = core->shapes[s].next) {
        if (!core->shapes[s].fit)
            continue;
        for (uint32_t k = core->shapes[s].first_klass; k; k = core->klasses[k].shape_next) {
            uint32_t job = first_of(core, k, head_job);
            if (job && count < CANDIDATES_MAX)
                out[count++] = candidate_of(core, policy, k, job);
        }
    }
    for (uint32_t at = count / 2; at-- > 0;)
        sift(out, count, at);
    return count;
}

/* Jobs of a class differ in arrival alone: where the first may not start, none may. */
static void backfill(struct step *step, const struct policy *policy, uint32_t head_job, struct shadow *shadow)
{
    struct candidate heap[CANDIDATES_MAX];
    struct core *core = step->core;
    uint32_t count = list_candidates(core, policy, head_job, heap);
    while (count && step->work > 0) {
        uint32_t klass = heap[0].klass, job = first_of(core, klass, head_job);
        bool may = job && !policy_kept_until(core, &core->jobs[job].facts);
        bool started = may && try_start(step, job, shadow);
        step->work--;
        job = started ? first_of(core, klass, head_job) : 0;
        heap[0] = job ? candidate_of(core, policy, klass, job) : heap[--count];
        if (count)
            sift(heap, count, 0);
    }
}

/* ---- the first of all, each with a promise ---- */

/* The first jobs in order, of all classes: each class has its own order already. */
static uint32_t list_first(const struct core *core, uint32_t jobs[CORE_PROMISES_MAX])
{
    struct treap classes = {(struct core *)(uintptr_t)core, true}, members = {classes.core, false};
    uint32_t klass[CORE_PROMISES_MAX], next[CORE_PROMISES_MAX], classes_count = 0, count = 0;
    for (uint32_t k = treap_first(classes, core->h->klass_root); k && classes_count < CORE_PROMISES_MAX;
         k = treap_next(classes, core->h->klass_root, k)) {
        klass[classes_count] = k;
        next[classes_count++] = core->klasses[k].head;
    }
    while (count < CORE_PROMISES_MAX) {
        uint32_t best = classes_count;
        for (uint32_t i = 0; i < classes_count; i++) {
            if (!next[i])
                continue;
            if (best == classes_count) {
                best = i;
                continue;
            }
            const struct klass_key *a = &core->klasses[klass[i]].key, *b = &core->klasses[klass[best]].key;
            bool same = a->tier == b->tier && a->place == b->place;
            if (same ? treap_before(core, false, next[i], next[best])
                     : a->tier < b->tier || (a->tier == b->tier && a->place < b->place))
                best = i;
        }
        if (best == classes_count)
            break;
        jobs[count++] = next[best];
        next[best] = treap_next(members, core->klasses[klass[best]].root, next[best]);
    }
    return count;
}

static void promise_first(struct step *step)
{
    struct shadow none;
    none.job = 0;
    struct core *core = step->core;
    uint32_t jobs[CORE_PROMISES_MAX];
    uint64_t ids[CORE_PROMISES_MAX];
    uint32_t count = list_first(core, jobs);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = core->jobs[jobs[i]].facts.id;
    for (uint32_t i = 0; i < count && step->work > 0; i++) {
        const struct job *job = &core->jobs[jobs[i]];
        struct shadow ignored;
        if (job->facts.id != ids[i] || !job->klass)
            continue;
        if (pass_class_fits(core, &core->klasses[job->klass]) && try_start(step, jobs[i], &none))
            continue;
        reserve(step, jobs[i], &ignored);
    }
}

/* ---- the pass ---- */

/* Starts heads while they have room. Returns the head that waits; 0: none does, or the work is used up. */
static uint32_t start_heads(struct step *step, bool *left_over)
{
    struct shadow none;
    none.job = 0;
    struct core *core = step->core;
    for (uint32_t head; (head = policy_head(core)) != 0;) {
        uint32_t job = core->klasses[head].head;
        if (!pass_class_fits(core, &core->klasses[head]))
            return job;
        if (step->work <= 0) {
            *left_over = true;
            return 0;
        }
        if (!try_start(step, job, &none))
            return job;
    }
    return 0;
}

/* Who was promised a start begins, though others may have come before it in the order since: the promise
 * keeps its nodes from them, too. Where the first of all are promised one, they are tried in order later on,
 * and this is for those alone whose time has come. */
static void start_promised(struct step *step, uint32_t head_job)
{
    struct shadow none;
    none.job = 0;
    struct core *core = step->core;
    bool all = !policy_of(core)->promises_all;
    uint64_t ids[CORE_PROMISES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < core->h->promised_count; i++) {
        const struct job_facts *f = &core->jobs[core->h->promised[i]].facts;
        if ((all || f->hold_ms <= core->h->facts.now_ms) && core->h->promised[i] != head_job)
            ids[count++] = f->id;
    }
    for (uint32_t i = 0; i < count && step->work > 0; i++) {
        uint32_t job = job_find(core, ids[i]), klass = job ? core->jobs[job].klass : 0;
        if (klass && core->klasses[klass].ordered && core->jobs[job].facts.hold_ms &&
            pass_class_fits(core, &core->klasses[klass]))
            try_start(step, job, &none);
    }
}

static bool anything_fits(const struct core *core)
{
    for (uint32_t s = core->h->shape_first; s && core->shapes[s].klasses; s = core->shapes[s].next) {
        for (uint32_t k = core->shapes[s].fit ? core->shapes[s].first_klass : 0; k;
             k = core->klasses[k].shape_next) {
            if (core->klasses[k].ordered && pass_class_fits(core, &core->klasses[k]))
                return true;
        }
    }
    return false;
}

static void leave(struct step *step)
{
    struct core_decision d = {.kind = CORE_DECISION_CONTINUE};
    step_emit(step, &d);
}

/* While room is kept for short jobs, time alone may let others start: no event would tell. */
static void look_again(struct step *step)
{
    const struct core *core = step->core;
    uint64_t first = 0, now = core->h->facts.now_ms, due = (uint64_t)core->order->look_ms;
    for (uint32_t s = core->h->shape_first; s && core->shapes[s].klasses; s = core->shapes[s].next) {
        for (uint32_t k = core->shapes[s].fit ? core->shapes[s].first_klass : 0; k;
             k = core->klasses[k].shape_next) {
            const struct klass *klass = &core->klasses[k];
            uint64_t until = klass->ordered ? policy_keeps_until(core, &core->jobs[klass->head].facts) : 0;
            if (until && (!first || until < first) && pass_class_fits(core, klass))
                first = until;
        }
    }
    /* A look that comes early does no harm: it costs less than a decision whenever something starts. */
    if (first ? due > now && due <= first : !due)
        return;
    struct core_decision d = {.kind = CORE_DECISION_ROOM};
    d.as.timer.at_ms = first;
    step_emit(step, &d);
}

/* Plans the queue and starts what begins now by that. False: not all of it could. */
static bool start_planned(struct step *step)
{
    struct core *core = step->core;
    struct core_decision d = {.kind = CORE_DECISION_QUEUE_PLAN};
    struct shadow none;
    uint64_t due[SEARCH_JOBS_MAX];
    uint32_t count = 0;
    none.job = 0;
    step_emit(step, &d);
    for (uint32_t k = treap_first((struct treap){core, true}, core->h->klass_root); k;
         k = treap_next((struct treap){core, true}, core->h->klass_root, k)) {
        const struct klass *klass = &core->klasses[k];
        for (uint32_t j = klass->head; j; j = treap_next((struct treap){core, false}, klass->root, j)) {
            uint64_t at = queue_plan_start(core, &core->jobs[j].facts);
            if (at && at <= core->h->facts.now_ms && count < SEARCH_JOBS_MAX)
                due[count++] = core->jobs[j].facts.id;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (step->work <= 0) {
            leave(step);
            return true;
        }
        uint32_t job = job_find(core, due[i]);
        if (pass_class_fits(core, &core->klasses[core->jobs[job].klass]) && try_start(step, job, &none))
            continue;
        /* Who began may have used up its quota. Else the plan took something for what it isn't. */
        if (i)
            leave(step);
        return i != 0;
    }
    return true;
}

static void place(struct step *step)
{
    struct core *core = step->core;
    const struct policy *policy = policy_of(core);
    struct shadow shadow;
    bool left_over = false;
    shadow.job = 0;
    promises_check(step);
    if (!reserve_pass(step)) {
        leave(step);
        return;
    }
    bool fits = policy->learns && anything_fits(core);
    if (queue_plan_applies(core) && (!fits || start_planned(step)))
        return;
    if (fits) {
        struct core_decision d = {.kind = CORE_DECISION_PATIENCE};
        step_emit(step, &d);
    }
    uint32_t job = start_heads(step, &left_over);
    if (left_over) {
        leave(step);
        return;
    }
    if (!job || policy->strict)
        return;
    step->unheld = false; /* nobody is before a head */
    start_promised(step, job);
    if (policy->learns && !anything_fits(core) && !core->jobs[job].facts.preemptible &&
        !core->h->facts.preempt && !policy_strict(core, job))
        return; /* nobody asks for the head's place */
    /* A head that fits, but must leave that to short jobs, claims nothing: they couldn't use it. */
    bool kept = policy_keeps_until(core, &core->jobs[job].facts) &&
                pass_class_fits(core, &core->klasses[core->jobs[job].klass]);
    if (policy->promises_all)
        promise_first(step);
    else if (!kept)
        reserve(step, job, &shadow);
    bool stopped = !kept && preempt_for(step, job);
    backfill(step, policy, job, &shadow);
    uint32_t head = policy_head(core); /* what started may have used up the quota of the one before */
    if (head)
        preempt_wake(step, core->klasses[head].head, job, stopped);
    if (step->unheld && head)
        leave(step); /* what was kept for those that began may now let those before them begin */
}

void pass_run(struct step *step)
{
    if (!step->want_place && !step->due)
        return;
    if (step->event->defer || !stirred_settle(step) || !reserve_refill(step)) {
        leave(step);
        return;
    }
    place(step);
    if (step->core->h->stir_first && !step->core->h->facts.pass_due)
        leave(step); /* what began has met what others waited for */
    if (policy_of(step->core)->learns && !step->core->h->facts.pass_due)
        look_again(step);
}
