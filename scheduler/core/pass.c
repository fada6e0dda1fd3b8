/*
 * What follows an event that may let something start: jobs set aside that fit again go back to their turn,
 * then the policy places. Both stop when the step's work is used up and leave a cursor; the event CONTINUE
 * goes on from it. While a cursor is left, other events only note in it what must be looked at again, so that
 * a pass comes to its end however busy it is.
 */
#include <string.h>

#include "scheduler/core/step.h"

static const struct policy *const policies[CORE_POLICY_COUNT] = {
    [CORE_POLICY_FIFO] = &policy_fifo,
};

enum standing step_standing(const struct core *core, const struct caps *want, uint32_t from, int64_t *work,
                            uint32_t *at)
{
    if (core->h->facts.node_count == 0)
        return STANDING_NO_NODE;
    enum find usable = tree_find(core, TREE_USABLE, want, from, work, at);
    if (usable != FIND_NONE)
        return usable == FIND_SLOT ? STANDING_FITS : STANDING_OUT;
    uint32_t ignored;
    /* Only the wording of the reason hangs on this one: out of work, the milder one is given. */
    return tree_find(core, TREE_KNOWN, want, 1, work, &ignored) == FIND_NONE ? STANDING_NEVER : STANDING_AWAY;
}

enum core_reason step_standing_reason(enum standing standing)
{
    static const enum core_reason reasons[] = {
        [STANDING_FITS] = CORE_REASON_WAITING,    [STANDING_OUT] = CORE_REASON_WAITING,
        [STANDING_AWAY] = CORE_REASON_NODE_AWAY,  [STANDING_NEVER] = CORE_REASON_FITS_NO_NODE,
        [STANDING_NO_NODE] = CORE_REASON_NO_NODE,
    };
    return reasons[standing];
}

/* One pass over the jobs set aside, in order. True: through. */
static bool recheck(struct step *step, struct cursor *c)
{
    struct core *core = step->core;
    if (c->recheck == RECHECK_START) {
        memset(c->recheck_key, 0, sizeof c->recheck_key);
        c->recheck_node = 1;
        c->recheck = RECHECK_AT;
    }
    for (uint32_t slot; (slot = queue_from(core, core->h->aside_root, c->recheck_key)) != 0;) {
        const struct job_facts *job = &core->jobs[slot].facts;
        struct caps want = request_caps(job);
        uint64_t key[3];
        uint32_t node;
        queue_key(job, key);
        if (queue_compare(key, c->recheck_key) != 0)
            c->recheck_node = 1;
        memcpy(c->recheck_key, key, sizeof key);
        if (step->work <= 0)
            return false;
        enum standing standing = step_standing(core, &want, c->recheck_node, &step->work, &node);
        if (standing == STANDING_OUT) {
            c->recheck_node = node;
            return false;
        }
        enum core_reason reason = step_standing_reason(standing);
        c->recheck_key[2]++; /* ids are the last part of the key */
        if (reason != (enum core_reason)job->reason)
            step_job_state(step, slot, JOB_QUEUED, reason);
    }
    return true;
}

static void leave(struct step *step, const struct cursor *c)
{
    struct core_decision d = {.kind = CORE_DECISION_CONTINUE};
    d.as.cursor.recheck = c->recheck;
    d.as.cursor.place = c->place;
    d.as.cursor.again = c->again;
    d.as.cursor.recheck_node = c->recheck_node;
    d.as.cursor.place_node = c->place_node;
    d.as.cursor.place_job = c->place_job;
    memcpy(d.as.cursor.recheck_key, c->recheck_key, sizeof c->recheck_key);
    step_emit(step, &d);
}

void pass_run(struct step *step)
{
    struct core *core = step->core;
    const struct policy *policy = policies[core->h->facts.policy];
    struct cursor c = step->event->kind == CORE_EVENT_CONTINUE ? step->saved : core->h->facts.cursor;
    uint8_t want = (uint8_t)((step->want_recheck ? AGAIN_RECHECK : 0) | (step->want_place ? AGAIN_PLACE : 0));
    if (core_continue_due(core)) {
        if (want & ~c.again) {
            c.again |= want;
            leave(step, &c);
        }
        return;
    }
    c.again |= want;
    while (c.recheck || c.place || c.again) {
        if (!c.recheck && !c.place) {
            c.recheck = c.again & AGAIN_RECHECK ? RECHECK_START : RECHECK_NONE;
            c.place = PLACE_START;
            c.again = 0;
        }
        if (c.recheck) {
            if (!recheck(step, &c)) {
                leave(step, &c);
                return;
            }
            c.recheck = RECHECK_NONE;
            c.place = PLACE_START;
        }
        if (!policy->place(step, &c)) {
            leave(step, &c);
            return;
        }
        c.place = PLACE_NONE;
    }
}
