/* The driver in virtual time, and the figures of a run: small traces whose schedule is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "proto/json.h"
#include "scheduler/sim/drive.h"
#include "scheduler/sim/generate.h"
#include "scheduler/sim/metrics.h"

#include <stdlib.h>
#include <string.h>

#define S UINT64_C(1000)

static enum core_policy policy_named(const char *name)
{
    enum core_policy policy;
    struct error err = {0};
    if (!drive_policy(name, &policy, &err))
        fail_msg("%s", err.message);
    return policy;
}

static void add(struct trace *trace, uint64_t submit_s, uint64_t run_s, uint32_t procs)
{
    struct trace_job job = {.id = trace->job_count + UINT64_C(1),
                            .submit_ms = submit_s * S,
                            .run_ms = run_s * S,
                            .limit_ms = run_s ? run_s * S : 1,
                            .cpu_milli = procs * 1000,
                            .user = 1,
                            .tasks = 1,
                            .priority = TRACE_MEDIUM};
    assert_true(trace_add_job(trace, &job, NULL));
}

static void run(const struct trace *trace, struct drive_result *result)
{
    struct error err = {0};
    struct drive_options options = {.policy = policy_named("fcfs")};
    if (!drive_run(trace, &options, result, &err))
        fail_msg("%s", err.message);
}

static void the_head_of_the_queue_blocks_under_fcfs(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    trace_set_pool(&trace, 10);
    add(&trace, 0, 100, 6);
    add(&trace, 1, 50, 6); /* waits for the first */
    add(&trace, 2, 10, 4); /* fits at once, and waits behind it all the same */
    run(&trace, &result);
    assert_int_equal(result.done, 3);
    assert_int_equal(result.start_ms[0], 0);
    assert_int_equal(result.start_ms[1], 100 * S);
    assert_int_equal(result.start_ms[2], 100 * S);
    assert_int_equal(result.end_ms[1], 150 * S);
    assert_int_equal(result.end_ms[2], 110 * S);
}

static void ends_come_before_submits_of_the_same_instant(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    trace_set_pool(&trace, 4);
    add(&trace, 0, 60, 4);
    add(&trace, 60, 5, 4);
    run(&trace, &result);
    assert_int_equal(result.start_ms[1], 60 * S);
}

static void jobs_that_take_no_time_end_when_they_start(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    trace_set_pool(&trace, 4);
    for (int i = 0; i < 5; i++)
        add(&trace, 7, 0, 4);
    run(&trace, &result);
    assert_int_equal(result.done, 5);
    assert_int_equal(result.start_ms[4], 7 * S);
    assert_int_equal(result.end_ms[4], 7 * S);
}

static void a_job_larger_than_the_pool_is_refused_and_holds_nobody_up(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    trace_set_pool(&trace, 4);
    add(&trace, 0, 10, 5);
    add(&trace, 0, 10, 4);
    add(&trace, 0, 10, TRACE_CPUS_MAX);
    run(&trace, &result);
    assert_int_equal(result.refused, 2);
    assert_int_equal(result.done, 1);
    assert_int_equal(result.start_ms[0], DRIVE_NEVER);
    assert_int_equal(result.start_ms[1], 0);
}

static void nodes_hold_cpus_memory_and_gpus(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    struct trace_node node = {.cpu_milli = 8000, .memory_bytes = UINT64_C(64) << 30, .gpus = 2};
    uint32_t model;
    assert_true(trace_model(&trace, "T4", 2, &model));
    assert_true(trace_add_node(&trace, &node, NULL));
    assert_true(trace_add_node(&trace, &node, NULL));
    for (int i = 0; i < 5; i++) {
        add(&trace, 0, 100, 1);
        trace.jobs[i].gpu_milli = 1000;
    }
    trace.jobs[0].gpu_milli = 2000;
    trace.jobs[3].gpu_milli = 2000; /* waits: a GPU is free on one node alone */
    trace.jobs[4].gpu_milli = 0;
    trace.jobs[4].memory_bytes = UINT64_C(65) << 30; /* more than any node has */
    run(&trace, &result);
    assert_int_equal(result.start_ms[1], 0);
    assert_int_equal(result.start_ms[2], 0);
    assert_int_equal(result.start_ms[3], 100 * S);
    assert_int_equal(result.refused, 1);
}

static void a_trace_without_nodes_is_an_error_and_one_without_jobs_is_not(void **state)
{
    (void)state;
    struct error err = {0};
    struct drive_options options = {.policy = policy_named("fcfs")};
    struct drive_result none;
    _cleanup_trace_ struct trace trace = {0};
    add(&trace, 0, 1, 1);
    assert_false(drive_run(&trace, &options, &none, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_null(none.start_ms);
    _cleanup_trace_ struct trace idle = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    trace_set_pool(&idle, 1);
    run(&idle, &result);
    struct metrics m;
    metrics_of(&idle, &result, &m);
    assert_int_equal(m.jobs, 0);
    assert_true(m.mean_wait_s == 0 && m.utilisation == 0 && m.makespan_s == 0);
}

static void unknown_policies_are_named_with_those_that_there_are(void **state)
{
    (void)state;
    struct error err = {0};
    enum core_policy policy;
    assert_false(drive_policy("quickest", &policy, &err));
    assert_non_null(strstr(err.message, "\"quickest\""));
    assert_non_null(strstr(err.hint, "fcfs"));
    assert_string_equal(drive_policy_name(policy_named("fcfs")), "fcfs");
}

static void the_same_trace_gives_the_same_schedule(void **state)
{
    (void)state;
    struct error err = {0};
    struct generate_spec spec;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result a = {0}, b = {0};
    assert_true(generate_parse("lublin,jobs=2000,procs=64,load=heavy,estimates=poor,seed=3", &spec, &err));
    assert_true(generate_trace(&spec, &trace, &err));
    run(&trace, &a);
    run(&trace, &b);
    assert_int_equal(a.events, b.events);
    assert_memory_equal(a.start_ms, b.start_ms, trace.job_count * sizeof *a.start_ms);
}

/* ---- nothing is known before its time ---- */

struct starts {
    uint64_t until_ms;
    size_t count;
    struct {
        uint64_t at_ms;
        uint32_t job, node;
    } v[4096];
};

static void note_start(void *data, uint64_t at_ms, uint32_t job, uint32_t node)
{
    struct starts *s = data;
    if (at_ms >= s->until_ms)
        return;
    assert_true(s->count < sizeof s->v / sizeof *s->v);
    s->v[s->count].at_ms = at_ms;
    s->v[s->count].job = job;
    s->v[s->count++].node = node;
}

static void note_end(void *data, uint64_t at_ms, uint32_t job)
{
    (void)data;
    (void)at_ms;
    (void)job;
}

static void run_until(const struct trace *trace, enum core_policy policy, struct starts *starts,
                      struct drive_result *result)
{
    struct error err = {0};
    struct drive_watch watch = {starts, note_start, note_end};
    struct drive_options options = {.policy = policy, .watch = &watch};
    starts->count = 0;
    if (!drive_run(trace, &options, result, &err))
        fail_msg("%s", err.message);
}

/* Of every policy: run times of jobs that are not over don't change what was decided so far. */
static void run_times_are_not_known_before_the_end(void **state)
{
    (void)state;
    struct error err = {0};
    struct generate_spec spec;
    static struct starts before, after;
    _cleanup_trace_ struct trace trace = {0};
    assert_true(generate_parse("lublin,jobs=1000,procs=64,load=heavy,estimates=poor,seed=5", &spec, &err));
    assert_true(generate_trace(&spec, &trace, &err));
    for (unsigned policy = 0; policy < CORE_POLICY_COUNT; policy++) {
        for (int part = 1; part < 5; part++) {
            _cleanup_drive_result_ struct drive_result whole = {0}, altered = {0};
            _cleanup_free_ uint64_t *kept = malloc(trace.job_count * sizeof *kept);
            assert_non_null(kept);
            before.until_ms = after.until_ms =
                trace.jobs[0].submit_ms +
                (trace.jobs[trace.job_count - 1].submit_ms - trace.jobs[0].submit_ms) * (uint64_t)part / 5;
            run_until(&trace, (enum core_policy)policy, &before, &whole);
            for (uint32_t i = 0; i < trace.job_count; i++) {
                struct trace_job *job = &trace.jobs[i];
                kept[i] = job->run_ms;
                if (whole.end_ms[i] < before.until_ms)
                    continue;
                /* it has run for a while, and takes some time yet within what it declared */
                uint64_t ran = whole.start_ms[i] < before.until_ms ? before.until_ms - whole.start_ms[i] : 0;
                uint64_t most = job->limit_ms > ran ? job->limit_ms : ran + 1;
                job->run_ms = ran + (most - ran) * (i % 7 + 1) / 7;
            }
            run_until(&trace, (enum core_policy)policy, &after, &altered);
            for (uint32_t i = 0; i < trace.job_count; i++)
                trace.jobs[i].run_ms = kept[i];
            assert_true(before.count > 0);
            assert_int_equal(before.count, after.count);
            assert_memory_equal(before.v, after.v, before.count * sizeof *before.v);
        }
    }
}

/* ---- figures ---- */

static void figures_follow_their_definitions(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    struct metrics m;
    trace_set_pool(&trace, 10);
    add(&trace, 5, 100, 10);
    add(&trace, 5, 2, 10);  /* waits 100: bounded slowdown 102 / 10 */
    add(&trace, 5, 50, 5);  /* waits 102: 152 / 50 */
    add(&trace, 300, 3, 1); /* waits for nothing: 1, not 3 / 10 */
    run(&trace, &result);
    metrics_of(&trace, &result, &m);
    assert_int_equal(m.jobs, 4);
    assert_float_equal(m.mean_wait_s, (100 + 102) / 4.0, 1e-9);
    assert_float_equal(m.mean_bounded_slowdown, (1 + 10.2 + 3.04 + 1) / 4, 1e-9);
    assert_float_equal(m.p95_wait_s, 102, 1e-9);
    assert_float_equal(m.max_wait_s, 102, 1e-9);
    assert_float_equal(m.makespan_s, 298, 1e-9);
    assert_float_equal(m.utilisation, (1000 + 20 + 250 + 3) / (10.0 * 298), 1e-9);
    assert_float_equal(m.gpu_allocation_ratio, 0, 1e-9);
}

static void the_95th_percentile_is_at_floor_of_95_hundredths(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    struct metrics m;
    trace_set_pool(&trace, 1);
    for (int i = 0; i < 20; i++)
        add(&trace, 0, 1, 1); /* waits of 0, 1, .. 19 s */
    run(&trace, &result);
    metrics_of(&trace, &result, &m);
    assert_float_equal(m.p95_wait_s, 19, 1e-9);
    assert_float_equal(m.mean_wait_s, 9.5, 1e-9);
}

static void the_report_is_one_json_object_with_exactly_these_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {"policy",
                                       "jobs",
                                       "mean_wait_s",
                                       "mean_bounded_slowdown",
                                       "p95_wait_s",
                                       "max_wait_s",
                                       "utilisation",
                                       "makespan_s",
                                       "gpu_allocation_ratio",
                                       "promises_voided",
                                       "events",
                                       "wall_s",
                                       "bad_lines",
                                       "refused"};
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_drive_result_ struct drive_result result = {0};
    _cleanup_buf_ struct buf json = {0}, table = {0};
    trace_set_pool(&trace, 1);
    add(&trace, 0, 1, 1);
    run(&trace, &result);
    struct metrics_report report = {.policy = "fcfs", .trace = &trace, .result = &result};
    metrics_of(&trace, &result, &report.metrics);
    metrics_write_json(&report, &json);
    _cleanup_json_ cJSON *o = json_parse(json.data, json.len, NULL);
    assert_non_null(o);
    assert_int_equal(cJSON_GetArraySize(o), sizeof keys / sizeof *keys);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_non_null(json_get(o, keys[i]));
    metrics_write_table(&report, &table);
    assert_non_null(strstr(table.data, "mean bounded slowdown"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_head_of_the_queue_blocks_under_fcfs),
        cmocka_unit_test(ends_come_before_submits_of_the_same_instant),
        cmocka_unit_test(jobs_that_take_no_time_end_when_they_start),
        cmocka_unit_test(a_job_larger_than_the_pool_is_refused_and_holds_nobody_up),
        cmocka_unit_test(nodes_hold_cpus_memory_and_gpus),
        cmocka_unit_test(a_trace_without_nodes_is_an_error_and_one_without_jobs_is_not),
        cmocka_unit_test(unknown_policies_are_named_with_those_that_there_are),
        cmocka_unit_test(the_same_trace_gives_the_same_schedule),
        cmocka_unit_test(run_times_are_not_known_before_the_end),
        cmocka_unit_test(figures_follow_their_definitions),
        cmocka_unit_test(the_95th_percentile_is_at_floor_of_95_hundredths),
        cmocka_unit_test(the_report_is_one_json_object_with_exactly_these_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
