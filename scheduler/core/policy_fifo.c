/*
 * First in, first out by class and priority: the head of the queue starts on the first node that has room,
 * and blocks all behind it until it does. A job that no usable node could hold even if empty is set aside, so
 * it blocks nobody.
 */
#include "scheduler/core/step.h"

static void start(struct step *step, uint32_t job_slot, uint32_t node_slot)
{
    const struct job_facts *job = &step->core->jobs[job_slot].facts;
    const struct node *node = &step->core->nodes[node_slot];
    struct core_decision d = {.kind = CORE_DECISION_START_TASK};
    CORE_ASSERT(job->instance_count == 1);
    d.as.start.task = (struct task_id){{job->id}, job->attempt + 1, 0};
    d.as.start.node.v = node->facts.id;
    place_pick(node, job, &d.as.start.lease);
    step->work -= CORE_WORK_START - 2; /* the two decisions pay for themselves */
    step_emit(step, &d);
    step_job_state(step, job_slot, JOB_PREPARING, CORE_REASON_LEASED);
}

static bool fifo_place(struct step *step, struct cursor *c)
{
    struct core *core = step->core;
    for (uint32_t slot; (slot = queue_first(core, core->h->queue_root)) != 0;) {
        const struct job_facts *job = &core->jobs[slot].facts;
        struct caps want = request_caps(job);
        uint32_t node;
        if (c->place == PLACE_START || c->place_job != job->id) {
            c->place = PLACE_FREE;
            c->place_node = 1;
            c->place_job = job->id;
        }
        if (step->work < CORE_WORK_START)
            return false;
        if (tasks_room(core) == 0)
            return true; /* blocked until a task ends */
        if (c->place == PLACE_FREE) {
            enum find found = tree_find(core, TREE_FREE, &want, c->place_node, &step->work, &node);
            if (found == FIND_SLOT) {
                start(step, slot, node);
                c->place = PLACE_START;
                continue;
            }
            c->place_node = found == FIND_OUT ? node : 1;
            if (found == FIND_OUT)
                return false;
            c->place = PLACE_USABLE;
        }
        enum standing standing = step_standing(core, &want, c->place_node, &step->work, &node);
        if (standing == STANDING_FITS)
            return true; /* the head waits, and all behind it */
        if (standing == STANDING_OUT) {
            c->place_node = node;
            return false;
        }
        step_job_state(step, slot, JOB_QUEUED, step_standing_reason(standing));
        c->place = PLACE_START;
    }
    return true;
}

const struct policy policy_fifo = {.place = fifo_place};
