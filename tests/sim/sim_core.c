/*
 * sim_core --seeds N [--seed S] [--verbose] [--trace JOB]: runs seeds S..S+N-1 and says how many were clean;
 * a seed that fails is printed with the command that runs it again, alone.
 */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

#define HEAL_ROUNDS_MAX 200000

static const char *program;
static char last_words[256];
static size_t last_words_length;
static uint64_t trace_job;

uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->s += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    return rng_next(r) % n;
}

bool rng_chance(struct rng *r, unsigned percent)
{
    return rng_below(r, 100) < percent;
}

_Noreturn void sim_fail(const struct sim *sim, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "seed %llu, step %llu: ", (unsigned long long)sim->seed, (unsigned long long)sim->steps);
    vfprintf(stderr, fmt, args); /* NOLINT(clang-analyzer-valist.Uninitialized): va_start is two lines up */
    va_end(args);
    fprintf(stderr, "\nrun it again: %s --seed %llu --seeds 1\n", program, (unsigned long long)sim->seed);
    exit(1);
}

/* An assertion of the core aborts: the seed must still be seen. */
static void on_abort(int signal)
{
    (void)signal;
    if (write(STDERR_FILENO, last_words, last_words_length) < 0)
        _exit(3);
    _exit(2);
}

static void about_node(struct sim *sim, enum core_event_kind kind, struct wnode *node)
{
    struct core_event event = {.kind = kind};
    event.as.node.node = node->id;
    drive(sim, &event);
}

static void tell_again(struct sim *sim)
{
    if (!sim->old_count)
        return;
    struct core_event event = sim->old[rng_below(&sim->rng, sim->old_count)].event;
    struct core_task_view view;
    bool live = core_task_get(sim->main, event.as.task.task, &view);
    bool impostor = live && sim->node_count > 1 && rng_chance(&sim->rng, 20);
    if (impostor)
        event.as.task.node.v = 1 + event.as.task.node.v % sim->node_count;
    /* What was said in another life of the node must not be taken for what is true now: one that ends a
     * payload which lives would be an executor's lie. */
    if (live && !impostor && event.kind != CORE_EVENT_TASK_STATE && world_task_alive(sim, event.as.task.task))
        return;
    bool due = core_continue_due(sim->main);
    uint64_t hash = core_hash(sim->main);
    uint64_t now = sim->now_ms;
    sim->now_ms = core_now(sim->main);
    drive(sim, &event);
    sim->now_ms = now;
    if (impostor && !due && (hash != core_hash(sim->main) || sim->decisions->count))
        sim_fail(sim, "a node's word about another node's task was believed");
}

static void fire_timer(struct sim *sim)
{
    if (sim->timer_ms && sim->timer_ms <= sim->now_ms) {
        struct core_event event = {.kind = CORE_EVENT_TICK};
        drive(sim, &event);
    }
}

static void go_on(struct sim *sim)
{
    if (sim->continues) {
        sim->continues--;
        struct core_event event = {.kind = CORE_EVENT_CONTINUE};
        drive(sim, &event);
    }
}

static void node_trouble(struct sim *sim, struct wnode *node)
{
    uint64_t dice = rng_below(&sim->rng, 100);
    if (dice < 35)
        world_cut(sim, node);
    else if (dice < 50)
        world_power_off(sim, node, rng_chance(&sim->rng, 40));
    else if (dice < 60 && node->dead)
        about_node(sim, CORE_EVENT_NODE_LOST, node);
    else if (dice < 70)
        about_node(sim, CORE_EVENT_NODE_DRAIN, node);
    else if (dice < 77)
        about_node(sim, CORE_EVENT_NODE_RESUME, node);
    else if (dice < 81)
        about_node(sim, CORE_EVENT_NODE_FAULT, node);
    else if (dice < 85)
        about_node(sim, CORE_EVENT_NODE_HEALED, node);
    else if (node->connected)
        world_connect(sim, node); /* a second hello: the older session ends */
}

/* The wall clock goes ahead, and no other: before the daemon looks at the time it begins the fences of silent
 * nodes afresh. */
static void clock_jumps(struct sim *sim)
{
    uint64_t jump = 1 + rng_below(&sim->rng, 600000);
    sim->now_ms += jump;
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct core_node_view view;
        if (!sim->nodes[i].connected)
            sim->nodes[i].cut_ms += jump;
        if (core_node_get(sim->main, sim->nodes[i].id, &view) && !view.up && !view.lost)
            about_node(sim, CORE_EVENT_NODE_DOWN, &sim->nodes[i]);
    }
}

static void one_thing(struct sim *sim, unsigned trouble)
{
    struct rng *r = &sim->rng;
    struct wnode *node = &sim->nodes[rng_below(r, sim->node_count)];
    uint64_t dice = rng_below(r, 1000);
    sim->now_ms +=
        rng_chance(r, 2) && (!sim->exact || rng_chance(r, 10)) ? rng_below(r, 200000) : rng_below(r, 300);
    world_time(sim);
    if (rng_chance(r, 40))
        fire_timer(sim);
    if (rng_chance(r, 30))
        go_on(sim);
    if (dice < 170) {
        if ((!sim->exact && !sim->mixed) || rng_chance(r, 40)) /* a pool that gets too much isn't planned */
            submit_one(sim);
    } else if (dice < 200 && sim->job_count)
        submit_cancel(sim, (struct job_id){1 + rng_below(r, sim->job_count)}, rng_chance(r, 30));
    else if (dice < 215)
        submit_rules(sim);
    else if (dice < 215 + trouble)
        node_trouble(sim, node);
    else if (dice < 245 + trouble)
        tell_again(sim);
    else if (dice < 295 + trouble && !node->connected)
        world_connect(sim, node);
    else if (dice < 600)
        world_work(sim, node);
    else
        world_deliver(sim, node);
    if (rng_chance(r, 2)) { /* a wall clock that steps back, for the next event */
        uint64_t now = sim->now_ms;
        sim->now_ms -= rng_below(r, 5000);
        fire_timer(sim);
        submit_one(sim);
        sim->now_ms = now;
    }
    if (rng_chance(r, 1) &&
        (!sim->exact || rng_chance(r, 10))) /* who has waited too long is planned no more */
        clock_jumps(sim);
}

/* Everything comes back and nothing new is asked for: what can end must end. */
static void heal(struct sim *sim)
{
    submit_let_go(sim);
    for (uint32_t i = 0; i < sim->node_count; i++) {
        struct wnode *node = &sim->nodes[i];
        node->inventory = node->hardware;
        world_connect(sim, node);
        about_node(sim, CORE_EVENT_NODE_RESUME, node);
    }
    for (uint32_t round = 0;; round++) {
        bool busy = sim->continues != 0 || sim->timer_ms, worked = false;
        sim->now_ms += 1000;
        fire_timer(sim);
        go_on(sim);
        for (uint32_t i = 0; i < sim->node_count; i++) {
            world_work(sim, &sim->nodes[i]);
            world_deliver(sim, &sim->nodes[i]);
            worked = worked || world_busy(&sim->nodes[i]);
            busy = busy || worked;
        }
        if (!busy)
            return;
        if (!worked && !sim->continues && sim->timer_ms > sim->now_ms)
            sim->now_ms = sim->timer_ms - 1000; /* a job may be kept back for days */
        if (round == HEAL_ROUNDS_MAX)
            sim_fail(sim, "the cluster doesn't come to rest");
    }
}

static void check_end(struct sim *sim)
{
    uint32_t waiting = 0;
    for (uint32_t i = 1; i <= sim->job_count; i++) {
        struct mjob *job = &sim->jobs[i];
        const struct mjob *array = job->array ? &sim->jobs[job->array] : NULL;
        if (array && !job->accepted && (array->refused || array->state != JOB_COMPLETED))
            continue;
        if (!job->accepted && !job->refused)
            sim_fail(sim, "job %u was neither accepted nor refused", i);
        if (!job->accepted || job_state_is_final(job->state))
            continue;
        bool by_element =
            job->submit.array_count && model_array(sim, job).live; /* which is looked at itself */
        if (!model_waits(sim, job) && !by_element)
            sim_fail(sim, "job %u is left in %s", i, job_state_name(job->state));
        if (model_waits(sim, job) && job->reason != CORE_REASON_DEPENDENCY && !job->submit.reservation &&
            model_nodes(sim, &job->submit, MODEL_EMPTY) >= job->submit.instance_count)
            sim_fail(sim, "job %u is left waiting on an empty cluster", i);
        waiting += 1 + model_array_kept(sim, job);
    }
    struct core_counts counts;
    core_count(sim->main, &counts);
    if (counts.jobs != waiting || counts.tasks)
        sim_fail(sim, "%u jobs and %u tasks are left, not %u and 0", counts.jobs, counts.tasks, waiting);
    struct core_node_view view;
    for (uint32_t at = 0; core_node_next(sim->main, &at, &view);) {
        if (view.free.cores != view.total.cores || view.free.cpus != view.total.cpus ||
            view.free.gpu_milli != view.total.gpu_milli || view.free.memory_bytes != view.total.memory_bytes)
            sim_fail(sim, "node %u is not free at the end", view.node.v);
    }
    for (uint32_t i = sim->job_count; i; i--) /* none may start because another one ended */
        submit_cancel(sim, (struct job_id){i}, false);
    while (sim->continues)
        go_on(sim);
    core_count(sim->main, &counts);
    if (counts.jobs)
        sim_fail(sim, "%u jobs are left after all were canceled", counts.jobs);
    const char *why = core_check(sim->main);
    if (why)
        sim_fail(sim, "full pass at the end: %s", why);
}

/* Returns how many events there were; adds to *plans how often the queue was planned, and to *kept how often
 * a job was seen that leaves free capacity to short ones, and to *shares the places of fair share. */
static uint64_t run_seed(uint64_t seed, bool verbose, uint64_t *plans, uint64_t *kept, uint64_t *shares)
{
    /* Small capacities that differ: growth and the arena's size must change nothing. */
    static const struct core_capacity small = {4, 1, 8}, large = {3000, 64, 2048};
    struct sim *sim = calloc(1, sizeof *sim);
    sim->seed = seed;
    last_words_length = (size_t)snprintf(last_words, sizeof last_words,
                                         "the core aborted\nrun it again: %.100s --seed %llu --seeds 1\n",
                                         program, (unsigned long long)seed);
    sim->rng.s = seed * UINT64_C(0xd1342543de82ef95) + 1;
    sim->exact = seed % 4 == 0;
    sim->mixed = seed % 8 == 1;
    sim->verbose = verbose;
    sim->trace = trace_job;
    sim->now_ms = UINT64_C(1790000000000);
    sim->main = core_create(&small);
    sim->applied = core_create(&small);
    sim->steady = core_create(&large);
    sim->decisions = core_decisions_create();
    sim->again = core_decisions_create();
    sim->decoded = core_decisions_create();
    sim->row = malloc(CORE_ROW_MAX_BYTES);
    sim->row_again = malloc(CORE_ROW_MAX_BYTES);
    sim->jobs = calloc(SIM_JOBS_MAX, sizeof *sim->jobs);
    world_create(sim);
    uint64_t things = (sim->exact ? 2500 : sim->mixed ? 2000 : 200) + rng_below(&sim->rng, 1500);
    unsigned trouble = (unsigned)rng_below(&sim->rng, 60);
    for (uint64_t i = 0; i < things; i++)
        one_thing(sim, trouble);
    heal(sim);
    check_end(sim);
    uint64_t steps = sim->steps;
    *plans += sim->plans;
    *kept += sim->kept;
    *shares += sim->shares;
    if (verbose)
        printf("seed %llu: %u nodes, %u jobs, %llu events, hash %016llx\n", (unsigned long long)seed,
               sim->node_count, sim->job_count, (unsigned long long)steps,
               (unsigned long long)core_hash(sim->main));
    world_finish(sim);
    core_destroy(sim->main);
    core_destroy(sim->applied);
    core_destroy(sim->steady);
    core_decisions_destroy(sim->decisions);
    core_decisions_destroy(sim->again);
    core_decisions_destroy(sim->decoded);
    free(sim->row);
    free(sim->row_again);
    free(sim->jobs);
    free(sim->leases);
    free(sim);
    return steps;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seeds", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"trace", required_argument, NULL, 't'},
                                            {0}};
    uint64_t seeds = 100, first = 1, steps = 0, plans = 0, kept = 0, shares = 0;
    bool verbose = false;
    program = argv[0];
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'n') {
            seeds = strtoull(optarg, NULL, 10);
        } else if (option == 's') {
            first = strtoull(optarg, NULL, 10);
        } else if (option == 'v') {
            verbose = true;
        } else if (option == 't') {
            trace_job = strtoull(optarg, NULL, 10);
        } else {
            fprintf(stderr, "usage: %s [--seeds N] [--seed FIRST] [--verbose] [--trace JOB]\n", argv[0]);
            return 64;
        }
    }
    signal(SIGABRT, on_abort);
    for (uint64_t i = 0; i < seeds; i++)
        steps += run_seed(first + i, verbose, &plans, &kept, &shares);
    printf("%llu seeds clean, %llu events, the queue planned %llu times, capacity kept %llu times, %llu "
           "places of fair share\n",
           (unsigned long long)seeds, (unsigned long long)steps, (unsigned long long)plans,
           (unsigned long long)kept, (unsigned long long)shares);
    if (seeds >= 100 && (!plans || !kept || !shares)) {
        fprintf(stderr, "the queue was never planned, nothing kept, or no share decided: the seeds miss a "
                        "part of the core\n");
        return 1;
    }
    return 0;
}
