/*
 * Nobody of a higher class waits for an event that may never come: where the first job could preempt from
 * some time on, by what the model's own books of leases say, the core has asked to be woken by then.
 */
#include <stdlib.h>

#include "sim.h"

static bool stoppable(const struct sim *sim, const struct mlease *lease, const struct mjob *winner)
{
    struct core_task_view task;
    struct core_job_view job;
    const struct mjob *owner = &sim->jobs[lease->task.job.v];
    return lease->held && owner->submit.preemptible &&
           owner->submit.priority_class < winner->submit.priority_class &&
           core_task_get(sim->main, lease->task, &task) && core_job_get(sim->main, lease->task.job, &job) &&
           !task.released && !task.abandoned && !task.stopping && task.state != TASK_EXITED &&
           lease->task.attempt == job.attempt && owner->state != JOB_CANCEL_REQUESTED;
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* When the node could be cleared for the job: 1 where it has room; UINT64_MAX: never by time alone. */
static uint64_t clear_at(struct sim *sim, uint32_t n, const struct mjob *winner)
{
    static struct mnode node;
    const struct mlease *mine[SIM_CORES_MAX];
    uint32_t count = 0;
    uint64_t at = 1;
    node = sim->mnodes[n];
    for (uint32_t i = 0; i < sim->lease_count; i++) {
        const struct mlease *l = &sim->leases[i];
        if (l->node.v != n + 1 || !stoppable(sim, l, winner))
            continue;
        uint32_t place = count++;
        for (; place && mine[place - 1]->began_ms > l->began_ms; place--)
            mine[place] = mine[place - 1];
        mine[place] = l;
    }
    for (uint32_t i = 0; !model_fits(&node, &winner->submit, false); i++) {
        if (i == count)
            return UINT64_MAX;
        at = mine[i]->began_ms + sim->config.preempt_min_run_ms;
        (void)model_lease_lift(sim, &node, mine[i]);
    }
    return at;
}

/* Rooms that are kept for others: whether one may be had is not in these books. */
static bool others_promised(const struct sim *sim, const struct mjob *but)
{
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        if (&sim->jobs[i] != but && sim->jobs[i].promised_ms)
            return true;
    }
    return false;
}

void model_preempt_check(struct sim *sim)
{
    struct mjob *first =
        sim->config.preempt && sim->node_count <= CORE_PREEMPT_NODES ? model_first(sim) : NULL;
    uint64_t times[SIM_NODES_MAX], timer = core_timer_at(sim->main), now = core_now(sim->main);
    uint32_t count = 0;
    if (!first || first->submit.preemptible || model_any_reserved(sim) || others_promised(sim, first))
        return;
    for (uint32_t n = 0; n < sim->node_count; n++) {
        const struct mnode *node = &sim->mnodes[n];
        if (!model_serves(node, &first->submit.request) || !model_fits(node, &first->submit, true))
            continue;
        uint64_t at = clear_at(sim, n, first);
        if (at != UINT64_MAX)
            times[count++] = at;
    }
    if (count < first->submit.instance_count)
        return;
    qsort(times, count, sizeof *times, by_time);
    uint64_t at = times[first->submit.instance_count - 1];
    if (at == 1)
        return; /* there is room: something else holds it back */
    if (at < first->preempting_ms)
        at = first->preempting_ms;
    if (!timer || timer > (at > now ? at : now))
        sim_fail(sim, "job %llu could preempt at %llu, and nobody wakes the core then",
                 (unsigned long long)first->submit.job.v, (unsigned long long)at);
}
