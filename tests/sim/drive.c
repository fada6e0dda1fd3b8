/*
 * One event through the three cores. Owns the promise "same rows, same state".
 */
#include <stdio.h>
#include <string.h>

#include "sim.h"

static size_t step(struct sim *sim, struct core *core, const struct core_event *event,
                   struct core_decisions *out, unsigned char *row)
{
    core_make_room(core, event);
    core_step(core, sim->now_ms, event, out);
    struct core_row r = {.now_ms = core_now(core),
                         .core_version = CORE_VERSION,
                         .state_hash = core_hash(core),
                         .event = *event};
    size_t length = core_row_encode(&r, out, row, CORE_ROW_MAX_BYTES);
    if (length > CORE_ROW_MAX_BYTES)
        sim_fail(sim, "a row of %zu bytes", length);
    return length;
}

static void apply(struct sim *sim, size_t length)
{
    struct core_row row;
    const char *why = core_row_decode(sim->row, length, &row, sim->decoded);
    if (why)
        sim_fail(sim, "a row doesn't decode: %s", why);
    if (core_row_encode(&row, sim->decoded, sim->row_again, CORE_ROW_MAX_BYTES) != length ||
        memcmp(sim->row, sim->row_again, length) != 0)
        sim_fail(sim, "a decoded row encodes to other bytes");
    core_make_room(sim->applied, &row.event);
    why = core_apply(sim->applied, row.now_ms, &row.event, sim->decoded);
    if (why)
        sim_fail(sim, "recovery refuses a row: %s", why);
    if (core_hash(sim->applied) != row.state_hash)
        sim_fail(sim, "recovery ends in another state");
}

static void restart(struct sim *sim)
{
    if (rng_chance(&sim->rng, 3)) {
        const void *bytes;
        size_t length;
        const char *why;
        core_checkpoint(sim->applied, &bytes, &length);
        core_destroy(sim->main);
        sim->main = core_restore(bytes, length, &why);
        if (!sim->main)
            sim_fail(sim, "a checkpoint is refused: %s", why);
    } else if (!core_copy(sim->main, sim->applied)) {
        sim_fail(sim, "out of memory");
    }
    if (core_hash(sim->main) != core_hash(sim->applied))
        sim_fail(sim, "a copy is another state");
}

/* The events and decisions that touch one job, for whoever looks for a fault: sim_core --trace JOB. */
static void trace(const struct sim *sim, const struct core_event *e, const struct core_decisions *d)
{
    bool task = (e->kind >= CORE_EVENT_TASK_STATE && e->kind <= CORE_EVENT_TASK_COLLECTED) ||
                e->kind == CORE_EVENT_TASK_OVER;
    uint64_t about = task                               ? e->as.task.task.job.v
                     : e->kind == CORE_EVENT_JOB_SUBMIT ? e->as.submit.job.v
                     : e->kind == CORE_EVENT_JOB_CANCEL ? e->as.cancel.job.v
                     : e->kind == CORE_EVENT_JOB_UPDATE ? e->as.update.job.v
                                                        : 0;
    if (about == sim->trace)
        printf("%llu @%llu: event %d, attempt %u rank %u node %u, state or code %d, kind %d%s\n",
               (unsigned long long)sim->steps, (unsigned long long)core_now(sim->main), (int)e->kind,
               task ? e->as.task.task.attempt : 0, task ? e->as.task.task.rank : 0,
               task ? e->as.task.node.v : 0, task ? (int)e->as.task.as.state : 0,
               task ? (int)e->as.task.as.exit.kind : 0, e->defer ? ", deferred" : "");
    for (uint32_t i = 0; i < d->count; i++) {
        const struct core_decision *x = &d->v[i];
        /* Every decision that names a job has its id first. */
        if (x->as.job.job.v != sim->trace || x->kind == CORE_DECISION_TIMER_AT)
            continue;
        printf("%llu: decision %d", (unsigned long long)sim->steps, (int)x->kind);
        if (x->kind == CORE_DECISION_JOB_STATE)
            printf(", %s, reason %d, end %d", job_state_name(x->as.job.state), (int)x->as.job.reason,
                   (int)x->as.job.end.kind);
        if (x->kind == CORE_DECISION_REQUEUE)
            printf(", reason %d", (int)x->as.requeue.reason);
        if (x->kind == CORE_DECISION_START_TASK)
            printf(", attempt %u rank %u node %u", x->as.start.task.attempt, x->as.start.task.rank,
                   x->as.start.node.v);
        printf("\n");
    }
}

void drive(struct sim *sim, const struct core_event *plain)
{
    struct core_event copy = *plain;
    const struct core_event *event = &copy;
    copy.defer = plain->kind != CORE_EVENT_CONTINUE && rng_chance(&sim->rng, 10);
    const char *why = core_event_check(event);
    if (why)
        sim_fail(sim, "the simulator made a bad event: %s", why);
    sim->steps++;
    model_event(sim, event);
    uint64_t timer = core_timer_at(sim->main);
    size_t length = step(sim, sim->main, event, sim->decisions, sim->row);
    size_t again = step(sim, sim->steady, event, sim->again, sim->row_again);
    if (length != again || memcmp(sim->row, sim->row_again, length) != 0)
        sim_fail(sim, "a restarted core decides otherwise than one that wasn't");
    uint64_t hash = core_hash(sim->main);
    apply(sim, length);
    if (core_hash(sim->applied) != hash)
        sim_fail(sim, "applying ends in another state than deciding");
    if (sim->trace)
        trace(sim, event, sim->decisions);
    bool told = false;
    for (uint32_t i = 0; i < sim->decisions->count; i++) {
        const struct core_decision *d = &sim->decisions->v[i];
        model_decision(sim, event, d);
        world_decision(sim, d);
        sim->continues += d->kind == CORE_DECISION_CONTINUE;
        sim->plans += d->kind == CORE_DECISION_QUEUE_PLAN;
        told = told || d->kind == CORE_DECISION_TIMER_AT;
    }
    if (core_timer_at(sim->main) != timer && !told)
        sim_fail(sim, "the timer changed without a word");
    sim->timer_ms = core_timer_at(sim->main);
    if (core_continue_due(sim->main) && !sim->continues)
        sim_fail(sim, "work is left, and no CONTINUE was asked for");
    if (sim->steps % 8 == 0 || sim->node_count <= 3) {
        why = core_check(sim->main);
        if (why)
            sim_fail(sim, "full pass: %s", why);
    }
    model_authority_settled(sim, event);
    model_settled(sim);
    restart(sim);
}
