/* Cancels without the journal. */
#include "scheduler/unrecorded.h"

#include "base/alloc.h"
#include "base/log.h"
#include "scheduler/engine.h"

#include <stdlib.h>

static void stop_tasks(struct daemon *d, const struct job *job, bool force)
{
    for (uint32_t i = 0; i < job->task_count; i++) {
        const struct task *task = &job->tasks[i];
        struct node *node = nodes_get(&d->nodes, task->node);
        struct task_id id = {{job->id}, task->attempt, task->rank};
        if (task->attempt == job->attempt && !task->exited && node && node->in_session)
            engine_push_stop(node, id, CORE_STOP_CANCEL, (uint32_t)job->grace_ms, force);
    }
}

static void cancel_one(struct daemon *d, struct job *job, bool force)
{
    job->cancel_due = true;
    job->cancel_force |= force;
    stop_tasks(d, job, force);
}

void unrecorded_cancel(struct daemon *d, struct job *job, bool force, struct error *why)
{
    struct job *other, *tmp;
    uint64_t id = job->id;
    if (!job->unborn && !job_is_final(job))
        cancel_one(d, job, force);
    list_for_each(other, tmp, &d->jobs.live, link) if (other->array_job == id) stop_tasks(d, other, force);
    log_warn("job %s: its tasks are told to end without a record: %s", job->name, why->message);
    error_wrap(why, "job %s is told to end, but that can't be recorded yet", job->name);
}

void unrecorded_cancel_all(struct daemon *d)
{
    struct job *job, *tmp;
    list_for_each(job, tmp, &d->jobs.live, link) cancel_one(d, job, false);
}

void unrecorded_settle(struct daemon *d)
{
    struct job *job, *tmp;
    size_t count = 0;
    struct core_event *events = xcalloc(d->jobs.live_count + 1, sizeof *events);
    list_for_each(job, tmp, &d->jobs.live, link)
    {
        if (!job->cancel_due)
            continue;
        job->cancel_due = false;
        events[count].kind = CORE_EVENT_JOB_CANCEL;
        events[count].as.cancel.job.v = job->id;
        events[count++].as.cancel.force = job->cancel_force;
    }
    for (size_t i = 0; i < count; i++) /* a step moves what ends at once out of the list */
        engine_step(d, &events[i], NULL);
    free(events);
}
