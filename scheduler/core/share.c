/*
 * Fair share: what a principal uses and has used lately, decayed with a half-life, and the place in the order
 * that this gives to its waiting jobs: use by weight. Owns weight_milli, use, use_at_ms, busy, busy_since and
 * place of principals. What runs counts in full until it ends; time alone changes places, too.
 */
#include "scheduler/core/step.h"

__extension__ typedef unsigned __int128 wide;

#define SHARE_PLACE_MAX 256     /* places, on the order's scale */
#define SHARE_PERIOD_MS 60000   /* places follow the time at the first event of each such period */
#define SHARES_STEP_MAX 64      /* principals whose places one step changes; the next period does the rest */
#define SHARE_LEAST_CORE_S 3600 /* an hour of one core is where it begins to count */
#define FACTOR_BITS 16          /* of fraction that powers of 2 have */

/* 2^(elapsed / half life) and its inverse, for less than one half-life. */
static uint64_t growth(uint64_t elapsed_ms, uint64_t half_life_ms)
{
    int64_t part = (int64_t)((elapsed_ms << FACTOR_BITS) / half_life_ms);
    return order_exp2(((int64_t)FACTOR_BITS << 16) + part);
}

static uint64_t decayed(uint64_t use, uint64_t elapsed_ms, uint64_t half_life_ms)
{
    if (!half_life_ms)
        return use;
    uint64_t halvings = elapsed_ms / half_life_ms, factor = growth(elapsed_ms % half_life_ms, half_life_ms);
    if (halvings >= 64)
        return 0;
    use >>= halvings;
    return (use / factor << FACTOR_BITS) + (use % factor << FACTOR_BITS) / factor;
}

void share_settle(struct core *core, struct tenant *t)
{
    uint64_t now = core->h->facts.now_ms;
    tenant_changes(core, t);
    t->facts.use = decayed(t->facts.use, now - t->facts.use_at_ms, core->h->facts.share_half_life_ms);
    t->facts.use_at_ms = now;
}

/* Within a half-life the sum stays as of use_at_ms, and what is added grows to what decays to it: so nothing
 * is lost by rounding, however often something is added. */
static void charge(struct core *core, const struct job *job, uint64_t core_seconds)
{
    struct tenant *t = &core->tenants[job->tenants[0]];
    uint64_t half_life = core->h->facts.share_half_life_ms;
    tenant_changes(core, t);
    if (!half_life || core->h->facts.now_ms - t->facts.use_at_ms >= half_life)
        share_settle(core, t);
    uint64_t factor = half_life ? growth(core->h->facts.now_ms - t->facts.use_at_ms, half_life)
                                : UINT64_C(1) << FACTOR_BITS;
    t->facts.use += core_seconds * factor >> FACTOR_BITS;
}

uint64_t share_width(const struct task *task)
{
    return task->width + (uint32_t)__builtin_popcount(task->facts.lease.gpus);
}

void share_begin(struct core *core, const struct job *job, const struct task *task)
{
    struct tenant *t = &core->tenants[job->tenants[0]];
    t->busy += share_width(task);
    t->busy_since += share_width(task) * task->facts.began_ms;
}

void share_end(struct core *core, const struct job *job, const struct task *task)
{
    struct tenant *t = &core->tenants[job->tenants[0]];
    t->busy -= share_width(task);
    t->busy_since -= share_width(task) * task->facts.began_ms;
    charge(core, job, share_width(task) * ((core->h->facts.now_ms - task->facts.began_ms) / 1000));
}

/* Core-seconds: what is left of what ended, and what runs. */
static uint64_t used(const struct core *core, const struct tenant *t, uint64_t now_ms)
{
    uint64_t had = decayed(t->facts.use, now_ms - t->facts.use_at_ms, core->h->facts.share_half_life_ms);
    return had + (t->busy * now_ms - t->busy_since) / 1000;
}

void share_weigh(struct core *core, const struct core_weight *weight)
{
    struct tenant *t = &core->tenants[tenant_get(core, CORE_QUOTA_PRINCIPAL, weight->principal.v, 0)];
    tenant_changes(core, t);
    t->facts.weight_milli = weight->milli == CORE_WEIGHT_ONE ? 0 : weight->milli;
}

static uint32_t weight_of(const struct tenant *t)
{
    return t->facts.weight_milli ? t->facts.weight_milli : CORE_WEIGHT_ONE;
}

static uint32_t place_of(const struct core *core, const struct tenant *t, uint64_t used_core_s)
{
    /* At most 2^64 x 1000 / 3600: it fits. */
    uint64_t hours = (uint64_t)((wide)used_core_s * CORE_WEIGHT_ONE / weight_of(t) / SHARE_LEAST_CORE_S);
    uint64_t doublings = hours ? 64 - (uint64_t)__builtin_clzll(hours) : 0;
    uint64_t place = doublings * core->h->facts.share_weight;
    return place < SHARE_PLACE_MAX ? (uint32_t)place : SHARE_PLACE_MAX;
}

uint32_t share_place(const struct core *core, const struct tenant *t)
{
    const struct header_facts *f = &core->h->facts;
    if (!f->share_weight || t->facts.scope != CORE_QUOTA_PRINCIPAL || t->facts.family)
        return 0;
    return place_of(core, t, used(core, t, f->now_ms));
}

/* The jobs of one class that stand at another place than the principal's gives them move to theirs. */
static void move_jobs(struct core *core, uint32_t klass, uint32_t share)
{
    struct treap members = {core, false};
    for (uint32_t next, job = core->klasses[klass].head; job; job = next) {
        next = treap_next(members, core->klasses[klass].root, job);
        if (policy_place(core, &core->jobs[job].facts, share) == core->klasses[klass].key.place)
            continue;
        queue_leave(core, job);
        queue_enter(core, job);
    }
}

const char *share_apply(struct core *core, uint32_t principal, uint32_t place)
{
    uint32_t slot = tenant_find(core, CORE_QUOTA_PRINCIPAL, principal);
    if (!slot)
        return "a share of nobody";
    struct tenant *t = &core->tenants[slot];
    tenant_changes(core, t);
    t->facts.place = place;
    /* Classes that are made meanwhile stand before the others, and hold only jobs that have moved. */
    for (uint32_t next, k = t->first_klass; k; k = next) {
        next = core->klasses[k].tenant_next;
        move_jobs(core, k, place);
    }
    return NULL;
}

bool share_follow(struct step *step, uint32_t tenant_slot)
{
    const struct tenant *t = &step->core->tenants[tenant_slot];
    struct core_decision d = {.kind = CORE_DECISION_SHARE};
    d.as.share.principal.v = t->facts.id;
    d.as.share.place = share_place(step->core, t);
    if (d.as.share.place == t->facts.place)
        return false;
    step_emit(step, &d);
    return true;
}

void shares_follow_time(struct step *step, uint64_t before_ms)
{
    struct core *core = step->core;
    const struct header_facts *f = &core->h->facts;
    if (!f->share_weight || before_ms / SHARE_PERIOD_MS == f->now_ms / SHARE_PERIOD_MS)
        return;
    uint32_t moved = 0;
    for (uint32_t slot = 1; slot <= f->tenant_count && moved < SHARES_STEP_MAX; slot++) {
        const struct tenant *t = &core->tenants[slot];
        if (step->work > CORE_STEP_WORK / 2 && t->first_klass && t->facts.scope == CORE_QUOTA_PRINCIPAL &&
            !t->facts.family)
            moved += share_follow(step, slot);
    }
    step->want_place = step->want_place || moved;
}

bool core_share_next(const struct core *core, uint64_t now_ms, uint32_t *cursor, struct core_share_view *out)
{
    uint64_t at_ms = now_ms > core->h->facts.now_ms ? now_ms : core->h->facts.now_ms;
    while (++*cursor <= core->h->facts.tenant_count) {
        const struct tenant *t = &core->tenants[*cursor];
        if (t->facts.scope != CORE_QUOTA_PRINCIPAL || t->facts.family)
            continue;
        *out = (struct core_share_view){.principal = {t->facts.id},
                                        .core_s = used(core, t, at_ms),
                                        .width = t->busy,
                                        .weight_milli = weight_of(t),
                                        .queued = t->queued};
        out->place = place_of(core, t, out->core_s);
        if (out->core_s || out->width || out->queued)
            return true;
    }
    return false;
}

uint32_t core_weight_get(const struct core *core, struct principal_id principal)
{
    return weight_of(&core->tenants[tenant_find(core, CORE_QUOTA_PRINCIPAL, principal.v)]);
}
