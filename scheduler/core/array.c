/*
 * Arrays: one job record stands for many jobs that are alike. It waits in its class as any job while elements
 * are left; an element becomes a record of its own when it begins (or is canceled before that), and is an
 * ordinary job from then on. Owns the counts of arrays and their lists of elements.
 *
 * Invariant: array_next + array_ahead elements have become records, and those are counted as live, completed,
 * failed or canceled. Elements 1..array_next are among them, and element array_next + 1 is not. One that was
 * canceled beyond stays as a record, so that it is known, until array_next passes it or the array ends.
 */
#include <string.h>

#include "scheduler/core/arena.h"

uint32_t array_left(const struct job_facts *f)
{
    return f->array_count - f->array_next - f->array_ahead;
}

bool array_full(const struct job_facts *f)
{
    return f->array_count && (!array_left(f) || f->array_live >= f->array_limit);
}

bool job_waits_as(const struct job_facts *f, enum job_state state)
{
    if (!f->array_count)
        return state == JOB_QUEUED;
    return array_left(f) &&
           (state == JOB_QUEUED || state == JOB_PREPARING || state == JOB_STARTING || state == JOB_RUNNING);
}

bool job_waits(const struct job_facts *f)
{
    return job_waits_as(f, f->state);
}

bool job_runs(const struct job_facts *f)
{
    return !f->array_count && f->state != JOB_NOT_STARTED && f->state != JOB_QUEUED &&
           !job_state_is_final(f->state);
}

enum core_reason array_standing(const struct job_facts *f)
{
    bool turn = f->reason == CORE_REASON_WAITING;
    if (job_waits(f))
        return turn && array_full(f) ? CORE_REASON_ARRAY : (enum core_reason)f->reason;
    return f->state == JOB_RUNNING ? CORE_REASON_REPORTED : (enum core_reason)f->reason;
}

void array_enter(struct core *core, struct job_facts *f, const struct core_submit *s)
{
    if (!s->array_count)
        return;
    f->array_count = s->array_count;
    f->array_limit = s->array_limit ? s->array_limit : s->array_count;
    f->array_turn_ms = f->submitted_ms;
    core->h->array_jobs++;
}

void array_limit(struct core *core, struct job_facts *f, uint32_t limit)
{
    bool full = array_full(f);
    f->array_limit = limit && limit < f->array_count ? limit : f->array_count;
    if (full && !array_full(f))
        f->array_turn_ms = core->h->facts.now_ms;
}

/* ---- the list of elements ---- */

static void link_element(struct core *core, uint32_t array, uint32_t element)
{
    struct job *a = &core->jobs[array], *e = &core->jobs[element];
    e->element_prev = 0;
    e->element_next = a->first_element;
    if (a->first_element)
        core->jobs[a->first_element].element_prev = element;
    a->first_element = element;
}

static void unlink_element(struct core *core, uint32_t array, uint32_t element)
{
    struct job *e = &core->jobs[element];
    *(e->element_prev ? &core->jobs[e->element_prev].element_next : &core->jobs[array].first_element) =
        e->element_next;
    if (e->element_next)
        core->jobs[e->element_next].element_prev = e->element_prev;
    e->element_prev = e->element_next = 0;
}

bool array_keeps(const struct core *core, uint32_t element)
{
    const struct job_facts *f = &core->jobs[element].facts;
    uint32_t array = f->array ? job_find(core, f->array) : 0;
    return array && f->id - f->array > core->jobs[array].facts.array_next;
}

void array_forget(struct core *core, uint32_t slot)
{
    for (uint32_t e; (e = core->jobs[slot].first_element) != 0;) {
        unlink_element(core, slot, e);
        job_give(core, e);
    }
}

/* The array must be open. Those that were canceled ahead of their turn are through when it comes. */
static void pass_over(struct core *core, uint32_t slot)
{
    struct job_facts *f = &core->jobs[slot].facts;
    for (uint32_t e; f->array_ahead && (e = job_find(core, f->id + f->array_next + 1)) != 0;) {
        f->array_next++;
        f->array_ahead--;
        if (!job_state_is_final(core->jobs[e].facts.state))
            continue; /* it is on its way: its end comes with this event */
        unlink_element(core, slot, e);
        job_give(core, e);
    }
}

void array_stir(struct core *core, uint32_t slot, bool force)
{
    struct job *array = &core->jobs[slot];
    if (!slot || !array->facts.array_count)
        return;
    if (force) {
        job_changes(core, array);
        array->facts.forced = 1;
    }
    for (uint32_t e = array->first_element; e; e = core->jobs[e].element_next) {
        if (!job_state_is_final(core->jobs[e].facts.state))
            stir(core, e);
    }
}

void array_count_end(struct core *core, uint32_t element)
{
    const struct job_facts *e = &core->jobs[element].facts;
    uint32_t slot = job_find(core, e->array);
    if (!slot)
        return;
    struct job *array = &core->jobs[slot];
    struct job_facts *f = &array->facts;
    bool full = array_full(f);
    job_changes(core, array);
    f->array_live--;
    f->array_completed += e->state == JOB_COMPLETED;
    f->array_failed += e->state == JOB_FAILED;
    f->array_canceled += e->state == JOB_CANCELED;
    if (e->state == JOB_FAILED && f->end_kind == END_NONE) { /* the first one's is the array's */
        f->ended = 1;
        f->end_kind = e->end_kind;
        f->end_code = e->end_code;
        f->end_signal = e->end_signal;
    }
    if (full && !array_full(f))
        f->array_turn_ms = core->h->facts.now_ms;
    if (!array_keeps(core, element))
        unlink_element(core, slot, element);
    queue_enter(core, slot);
}

/* ---- an element becomes a job ---- */

static uint32_t make(struct core *core, uint32_t slot, uint64_t id)
{
    uint32_t element = job_take(core, id);
    if (!element)
        return 0;
    const struct job_facts *a = &core->jobs[slot].facts;
    struct job_facts *f = &core->jobs[element].facts;
    *f = *a;
    f->id = f->seq = id;
    f->array = a->id;
    /* It has waited since the array's limit let it in: what came before says nothing of the pool. */
    f->submitted_ms = a->array_turn_ms;
    f->state_since_ms = core->h->facts.now_ms;
    f->state = JOB_QUEUED;
    f->reason = CORE_REASON_ARRAY; /* in no queue */
    f->order.load = 0;
    f->wake_ms = f->begin_ms = f->hold_ms = f->hold_end_ms = f->preempted_ms = f->array_turn_ms = 0;
    f->end_code = f->end_signal = 0;
    f->ended = f->end_kind = f->forced = f->held = f->stirred = f->forlorn = 0;
    f->waits_on = 0;
    f->array_count = f->array_limit = f->array_next = f->array_ahead = 0;
    f->array_live = f->array_completed = f->array_failed = f->array_canceled = 0;
    tenant_enter(core, &core->jobs[element]);
    tenant_count(core, &core->jobs[element], TENANT_PART_NONE);
    link_element(core, slot, element);
    return element;
}

const char *apply_element(struct core *core, const struct core_event *event, const struct core_decision *d)
{
    uint64_t id = d->as.element.job.v;
    uint32_t slot = job_find(core, d->as.element.array.v);
    struct job *array = &core->jobs[slot];
    struct job_facts *f = &array->facts;
    bool canceled = event->kind == CORE_EVENT_JOB_CANCEL && event->as.cancel.job.v == id;
    if (!slot || !job_waits(f) || (!canceled && !job_ready(f)) || id <= f->id + f->array_next ||
        id > f->id + f->array_count || job_find(core, id) || (!canceled && id != f->id + f->array_next + 1))
        return "an element that can't follow";
    if (!make(core, slot, id))
        return "no room for another job";
    holds_drop(core, slot); /* the promise was to the next element */
    enum tenant_part part = tenant_part(f);
    job_changes(core, array);
    f->array_live++;
    f->preempted_ms = 0;
    if (id == f->id + f->array_next + 1)
        f->array_next++;
    else
        f->array_ahead++;
    pass_over(core, slot);
    learn_rescale(core, f);
    tenant_count(core, array, part);
    if (!job_waits(f))
        job_forget_waiting(core, slot);
    else if (!job_ready(f))
        queue_leave(core, slot);
    return NULL;
}

/* ---- the full pass ---- */

static const char *check_array(const struct core *core, uint32_t slot)
{
    const struct job *array = &core->jobs[slot];
    const struct job_facts *f = &array->facts;
    uint64_t made = (uint64_t)f->array_next + f->array_ahead;
    uint64_t ended = (uint64_t)f->array_completed + f->array_failed + f->array_canceled;
    uint32_t live = 0, ahead = 0, last = 0;
    if (f->array || f->attempt || f->instance_count == 0 || f->array_count > CORE_ARRAY_MAX ||
        made > f->array_count || f->array_limit < 1 || f->array_limit > f->array_count)
        return "array: a value is out of range";
    if (made != f->array_live + ended)
        return "array: its counts don't make up what has begun";
    for (uint32_t e = array->first_element; e; last = e, e = core->jobs[e].element_next) {
        const struct job_facts *x = &core->jobs[e].facts;
        if (live + ahead > made || x->array != f->id || core->jobs[e].element_prev != last)
            return "array: its list of elements is wrong";
        bool over = job_state_is_final(x->state);
        live += !over;
        ahead += x->id - f->id > f->array_next;
        if (over != array_keeps(core, e))
            return "array: an element ahead of its turn that isn't canceled";
    }
    if (live != f->array_live || ahead != f->array_ahead)
        return "array: an element is missing";
    if (f->array_ahead && job_find(core, f->id + f->array_next + 1))
        return "array: an element that should have been passed over";
    if (f->order.load != (job_waits(f) ? learn_load(f) : 0))
        return "array: its load is not that of what is left";
    return NULL;
}

const char *check_arrays(const struct core *core)
{
    uint64_t arrays = 0;
    for (uint32_t slot = 1; slot <= core->h->job.high; slot++) {
        const struct job *job = &core->jobs[slot];
        const struct job_facts *f = &job->facts;
        if (!f->present)
            continue;
        if (!f->array_count && (job->first_element || f->array_next || f->array_ahead || f->array_live))
            return "array: elements of none";
        uint32_t array = f->array ? job_find(core, f->array) : 0;
        bool over = job_state_is_final(f->state);
        if (f->array && !over &&
            (!array || f->id <= f->array || f->id - f->array > core->jobs[array].facts.array_count))
            return "array: an element without its array";
        const char *why = f->array_count ? check_array(core, slot) : NULL;
        if (why)
            return why;
        arrays += f->array_count != 0;
    }
    return arrays == core->h->array_jobs ? NULL : "array: their count is wrong";
}
