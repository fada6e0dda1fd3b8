/*
 * simple_orders TRACE...: what orders of one line of arithmetic reach on a trace of one machine, each with
 * EASY's reservation for the first of the queue. TRACE is a log (.swf, .swf.gz) or what `berth sim
 * --generate` takes. Prints a JSON object for each: order -> [mean bounded slowdown (10 s), longest wait in
 * s]. What `berth` is measured against (docs/POLICY.md); shares nothing with the core, whose figures for
 * FCFS, EASY and EASY-SJBF it repeats.
 *
 * e: declared time in s, n: processors, w: wait. WFP3: Tang and others, "Fault-aware, utility-based job
 * scheduling on Blue Gene/P systems", CLUSTER 2009.
 */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "scheduler/sim/generate.h"
#include "scheduler/sim/lines.h"
#include "scheduler/sim/swf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLOOR_S 10.0
#define HOUR_S 3600.0

enum order { FCFS, EASY, EASY_SJBF, SHORTEST, WFP3, LINEAR_WIDE, LINEAR, SQUARE_WIDE, ORDERS };

static const char *const names[ORDERS] = {
    [FCFS] = "fcfs",
    [EASY] = "easy",
    [EASY_SJBF] = "easy-sjbf",
    [SHORTEST] = "shortest first",
    [WFP3] = "WFP3",
    [LINEAR_WIDE] = "ln e + 0.5 ln n - 0.03 w",
    [LINEAR] = "ln e - 0.02 w",
    [SQUARE_WIDE] = "ln e + 0.5 ln n - 0.001 w^2",
};

struct running {
    uint64_t end_ms, declared_end_ms;
    uint32_t procs, job;
};

struct candidate {
    double turn;
    uint32_t job;
};

struct schedule {
    const struct trace *trace;
    enum order order;
    uint64_t now_ms;
    uint32_t free;
    uint32_t *waiting; /* by submit */
    size_t waits;
    struct running *running;
    size_t runs;
    struct candidate *candidates;
    double slowdown, longest_s;
};

static uint32_t procs_of(const struct trace_job *job)
{
    return job->cpu_milli / 1000 * job->tasks;
}

static double turn_of(const struct schedule *s, uint32_t at)
{
    const struct trace_job *job = &s->trace->jobs[at];
    double e = fmax((double)job->limit_ms / 1000, 1), n = procs_of(job);
    double w_s = (double)(s->now_ms - job->submit_ms) / 1000, w = w_s / HOUR_S;
    switch (s->order) {
    case SHORTEST:
        return e;
    case WFP3:
        return -pow(w_s / e, 3) * n;
    case LINEAR_WIDE:
        return log(e) + 0.5 * log(n) - 0.03 * w;
    case LINEAR:
        return log(e) - 0.02 * w;
    case SQUARE_WIDE:
        return log(e) + 0.5 * log(n) - 0.001 * w * w;
    default:
        return 0;
    }
}

static void start(struct schedule *s, uint32_t at)
{
    const struct trace_job *job = &s->trace->jobs[at];
    double wait_s = (double)(s->now_ms - job->submit_ms) / 1000, run_s = (double)job->run_ms / 1000;
    s->slowdown += fmax(1, (wait_s + run_s) / fmax(run_s, FLOOR_S));
    s->longest_s = fmax(s->longest_s, wait_s);
    s->free -= procs_of(job);
    s->running[s->runs++] = (struct running){.end_ms = s->now_ms + job->run_ms,
                                             .declared_end_ms = s->now_ms + job->limit_ms,
                                             .procs = procs_of(job),
                                             .job = at};
    size_t i = 0;
    while (s->waiting[i] != at)
        i++;
    memmove(&s->waiting[i], &s->waiting[i + 1], (--s->waits - i) * sizeof *s->waiting);
}

/* An index into s->waiting, where someone is. */
static size_t first_in_order(const struct schedule *s)
{
    size_t best = 0;
    if (s->order == FCFS || s->order == EASY || s->order == EASY_SJBF)
        return 0;
    double lowest = INFINITY;
    for (size_t i = 0; i < s->waits; i++) {
        double turn = turn_of(s, s->waiting[i]);
        if (turn < lowest) {
            lowest = turn;
            best = i;
        }
    }
    return best;
}

/* At one instant the narrow come first: what ends with the last that the head needs is no spare. */
static int by_declared_end(const void *a, const void *b)
{
    const struct running *x = a, *y = b;
    if (x->declared_end_ms != y->declared_end_ms)
        return x->declared_end_ms < y->declared_end_ms ? -1 : 1;
    if (x->procs != y->procs)
        return x->procs < y->procs ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

static int by_turn(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->turn != y->turn)
        return x->turn < y->turn ? -1 : 1;
    return (x->job > y->job) - (x->job < y->job);
}

/* Others pass the head where it still starts by its shadow time, or on what it leaves then. */
static void backfill(struct schedule *s, uint32_t head)
{
    uint64_t shadow_ms = s->now_ms;
    uint32_t wanted = procs_of(&s->trace->jobs[head]), freed = s->free, spare = 0;
    qsort(s->running, s->runs, sizeof *s->running, by_declared_end);
    for (size_t i = 0; i < s->runs; i++) {
        freed += s->running[i].procs;
        if (freed >= wanted) {
            shadow_ms = s->running[i].declared_end_ms;
            spare = freed - wanted;
            break;
        }
    }
    size_t count = 0;
    for (size_t i = 0; i < s->waits; i++) {
        const struct trace_job *job = &s->trace->jobs[s->waiting[i]];
        if (s->waiting[i] != head && procs_of(job) <= s->free)
            s->candidates[count++] =
                (struct candidate){s->order == EASY ? 0 : (double)job->limit_ms, s->waiting[i]};
    }
    qsort(s->candidates, count, sizeof *s->candidates, by_turn);
    for (size_t i = 0; i < count; i++) {
        const struct trace_job *job = &s->trace->jobs[s->candidates[i].job];
        uint32_t procs = procs_of(job);
        bool in_time = s->now_ms + job->limit_ms <= shadow_ms;
        if (procs > s->free || (!in_time && procs > spare))
            continue;
        if (!in_time)
            spare -= procs;
        start(s, s->candidates[i].job);
    }
}

static void pass(struct schedule *s)
{
    while (s->waits) {
        uint32_t head = s->waiting[first_in_order(s)];
        if (procs_of(&s->trace->jobs[head]) > s->free) {
            if (s->order != FCFS)
                backfill(s, head);
            return;
        }
        start(s, head);
    }
}

static bool anyone_fits(const struct schedule *s)
{
    for (size_t i = 0; i < s->waits; i++)
        if (procs_of(&s->trace->jobs[s->waiting[i]]) <= s->free)
            return true;
    return false;
}

/* At one instant: all ends, all submits, one pass. */
static void play(struct schedule *s)
{
    const struct trace *trace = s->trace;
    for (uint32_t next = 0; next < trace->job_count || s->runs;) {
        uint64_t at_ms = next < trace->job_count ? trace->jobs[next].submit_ms : UINT64_MAX;
        for (size_t i = 0; i < s->runs; i++)
            at_ms = s->running[i].end_ms < at_ms ? s->running[i].end_ms : at_ms;
        s->now_ms = at_ms;
        for (size_t i = s->runs; i-- > 0;) {
            if (s->running[i].end_ms != at_ms)
                continue;
            s->free += s->running[i].procs;
            s->running[i] = s->running[--s->runs];
        }
        while (next < trace->job_count && trace->jobs[next].submit_ms == at_ms)
            s->waiting[s->waits++] = next++;
        if (anyone_fits(s))
            pass(s);
    }
}

static bool read_trace(const char *name, struct trace *trace, struct error *err)
{
    if (strstr(name, ".swf")) {
        _cleanup_lines_ struct lines *lines = lines_open(name, err);
        return lines && swf_read(lines, trace, err);
    }
    struct generate_spec spec;
    return generate_parse(name, &spec, err) && generate_trace(&spec, trace, err);
}

static int measure(const char *name)
{
    struct error err = {0};
    _cleanup_trace_ struct trace trace = {0};
    if (!read_trace(name, &trace, &err)) {
        fprintf(stderr, "simple_orders: %s: %s\n", name, err.message);
        return 1;
    }
    uint32_t procs = (uint32_t)(trace_total_cpu_milli(&trace) / 1000);
    for (uint32_t i = 0; i < trace.job_count; i++) {
        if (procs_of(&trace.jobs[i]) > procs) {
            fprintf(stderr, "simple_orders: %s: job %llu is larger than the machine of %u processors\n", name,
                    (unsigned long long)trace.jobs[i].id, procs);
            return 1;
        }
    }
    size_t n = trace.job_count ? trace.job_count : 1;
    _cleanup_free_ uint32_t *waiting = xcalloc(n, sizeof *waiting);
    _cleanup_free_ struct running *running = xcalloc(n, sizeof *running);
    _cleanup_free_ struct candidate *candidates = xcalloc(n, sizeof *candidates);
    printf("{");
    for (enum order order = 0; order < ORDERS; order++) {
        struct schedule s = {.trace = &trace,
                             .order = order,
                             .free = procs,
                             .waiting = waiting,
                             .running = running,
                             .candidates = candidates};
        play(&s);
        printf("%s\"%s\": [%.6f, %.3f]", order ? ", " : "", names[order], s.slowdown / (double)n,
               s.longest_s);
    }
    printf("}\n");
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: simple_orders TRACE...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        if (measure(argv[i]) != 0)
            return 1;
    return 0;
}
