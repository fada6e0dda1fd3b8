/* Why a job that has begun gets no further, and how one ended. */
#include "scheduler/why_begun.h"

#include "scheduler/why_words.h"

/* When the first task that is silent is given up. */
static void explain_fence(const struct daemon *d, const struct job *job, cJSON *text)
{
    uint64_t first = 0;
    struct core_job_view rules;
    char at[64];
    for (uint32_t i = 0; i < job->task_count; i++) {
        struct core_task_view view;
        struct task_id id = {{job->id}, job->tasks[i].attempt, job->tasks[i].rank};
        if (core_task_get(d->core, id, &view) && view.given_up_ms && (!first || view.given_up_ms < first))
            first = view.given_up_ms;
    }
    if (first)
        why_say(text, "if nothing is heard of it, it runs again elsewhere %s", why_when(first, at));
    else if (core_job_get(d->core, (struct job_id){job->id}, &rules) && rules.on_node_loss == CORE_LOSS_WAIT)
        why_say(text, "it waits for its node, however long that takes (on_node_loss: wait); berth node lost "
                      "gives it up");
}

/* The last of what befell it since it runs: that may be why it gets no further. */
static void explain_note(const struct job *job, cJSON *text)
{
    const char *note = job_last_note(job);
    if (note && job->started_ms && job->notes[job->note_count - 1].at_ms >= job->started_ms)
        why_say(text, "%s", note);
}

void why_begun(const struct daemon *d, const struct job *job, cJSON *text)
{
    const struct task *task = job_task(job, job->attempt, 0);
    const struct node *node = task ? nodes_get(&d->nodes, task->node) : NULL;
    if (job_is_final(job)) {
        why_say(text, "it has ended: %s%s%s", job_state_name(job->state), job->cause_text ? ", " : "",
                job->cause_text ? job->cause_text : "");
        return;
    }
    switch (job->state) {
    case JOB_PREPARING:
        why_say(text, "node %s fetches its code and image%s%s", node ? node->name : "?",
                job_last_note(job) ? ": " : "", job_last_note(job) ? job_last_note(job) : "");
        break;
    case JOB_STARTING:
        why_say(text, "node %s starts it", node ? node->name : "?");
        break;
    case JOB_RUNNING:
        why_say(text, "it runs on node %s", node ? node->name : "?");
        explain_note(job, text);
        break;
    case JOB_FINALIZING:
        why_say(text, "it has exited; node %s collects its outputs", node ? node->name : "?");
        break;
    case JOB_NOT_RESPONDING:
        why_say(text, "node %s has not been heard of for a while; the job goes on there as far as is known",
                node ? node->name : "?");
        explain_fence(d, job, text);
        break;
    case JOB_CANCEL_REQUESTED:
        why_say(text, "it was asked to end%s%s and has not yet", job->canceled_by ? " by " : "",
                job->canceled_by ? job->canceled_by : "");
        break;
    default:
        break;
    }
}
