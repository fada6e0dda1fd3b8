/*
 * What a step decides about arrays: the next element begins, an array ends with its last element or is
 * canceled. An element that was begun is decided on as any other job.
 */
#include "scheduler/core/step.h"

static void become_job(struct step *step, uint32_t slot, uint64_t id)
{
    struct core_decision d = {.kind = CORE_DECISION_ELEMENT};
    d.as.element.array.v = step->core->jobs[slot].facts.id;
    d.as.element.job.v = id;
    step_emit(step, &d);
}

uint32_t array_begin(struct step *step, uint32_t slot)
{
    struct core *core = step->core;
    const struct job_facts *f = &core->jobs[slot].facts;
    uint64_t id = f->id + f->array_next + 1;
    if (f->hold_ms)
        step->memory->count = 0; /* its promise is kept with this */
    become_job(step, slot, id);
    if (f->state == JOB_QUEUED) {
        /* What is left of it stays in its turn. */
        job_goes(step, slot, JOB_PREPARING, CORE_REASON_WAITING);
        job_goes(step, slot, JOB_STARTING, CORE_REASON_WAITING);
        job_goes(step, slot, JOB_RUNNING, CORE_REASON_WAITING);
    }
    return job_find(core, id);
}

void array_follows(struct step *step, uint32_t slot)
{
    const struct job_facts *f = &step->core->jobs[slot].facts;
    bool asked = f->state == JOB_CANCEL_REQUESTED, all = f->array_completed == f->array_count;
    if (!slot || job_state_is_final(f->state) || f->array_live || (!asked && array_left(f)))
        return;
    const struct core_end canceled = {.kind = END_CANCELED};
    struct core_end end = {f->end_kind, f->end_code, f->end_signal};
    if (f->state == JOB_QUEUED) { /* one by one, before any had begun */
        job_ends(step, slot, JOB_CANCELED, CORE_REASON_CANCEL, canceled);
        return;
    }
    if (asked && f->array_completed + f->array_failed < f->array_count) {
        job_ends(step, slot, JOB_CANCELED, CORE_REASON_CANCEL, canceled);
        return;
    }
    if (!all && end.kind == END_NONE)
        end = canceled; /* some were, on their own */
    if (!asked)
        job_ends(step, slot, JOB_FINALIZING, CORE_REASON_ENDED, end);
    job_ends(step, slot, all ? JOB_COMPLETED : JOB_FAILED, CORE_REASON_ENDED, end);
}

/* Its elements are stirred (apply.c); each is canceled as the step's work allows. */
void array_cancel(struct step *step, uint32_t slot)
{
    const struct job_facts *f = &step->core->jobs[slot].facts;
    if (f->state == JOB_QUEUED)
        job_ends(step, slot, JOB_CANCELED, CORE_REASON_CANCEL, (struct core_end){.kind = END_CANCELED});
    else if (f->state != JOB_CANCEL_REQUESTED)
        job_goes(step, slot, JOB_CANCEL_REQUESTED, CORE_REASON_CANCEL);
    step->want_place = true; /* it may have been the head */
    if (f->state == JOB_CANCEL_REQUESTED)
        array_follows(step, slot);
}

void array_cancel_element(struct step *step)
{
    struct core *core = step->core;
    uint64_t array = step->event->as.cancel.array.v, id = step->event->as.cancel.job.v;
    uint32_t slot = array ? job_find(core, array) : 0;
    const struct job_facts *f = &core->jobs[slot].facts;
    /* One that has begun and isn't a record any more has ended. */
    if (!slot || !job_waits(f) || id <= f->id + f->array_next || id > f->id + f->array_count ||
        core->h->facts.job_count == core->h->capacity.jobs)
        return;
    become_job(step, slot, id);
    job_ends(step, job_find(core, id), JOB_CANCELED, CORE_REASON_CANCEL,
             (struct core_end){.kind = END_CANCELED});
    step->want_place = true;
}
