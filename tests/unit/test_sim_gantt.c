/* The drawing: every piece is there, at its place, and nothing of a title gets out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scheduler/sim/gantt.h"
#include "scheduler/sim/generate.h"

#include <string.h>

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        n++;
    return n;
}

static void draw(const struct trace *trace, const char *title, struct buf *out)
{
    struct error err = {0};
    struct drive_result result;
    _cleanup_gantt_ struct gantt *gantt = gantt_create(trace);
    struct drive_watch watch = gantt_watch(gantt);
    struct drive_options options = {.watch = &watch};
    if (!drive_policy("fcfs", &options.policy, &err) || !drive_run(trace, &options, &result, &err))
        fail_msg("%s", err.message);
    gantt_draw(gantt, &result, title, out);
    drive_result_finish(&result);
}

static void make(const char *text, struct trace *trace)
{
    struct error err = {0};
    struct generate_spec spec;
    if (!generate_parse(text, &spec, &err) || !generate_trace(&spec, trace, &err))
        fail_msg("%s", err.message);
}

static struct trace_job job_of(uint64_t id, uint64_t submit_s, uint64_t run_s, uint32_t procs, uint32_t user)
{
    return (struct trace_job){.id = id,
                              .submit_ms = submit_s * 1000,
                              .run_ms = run_s * 1000,
                              .limit_ms = run_s * 1000,
                              .cpu_milli = procs * 1000,
                              .user = user,
                              .tasks = 1,
                              .priority = TRACE_MEDIUM};
}

static void few_jobs_are_drawn_one_by_one(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_buf_ struct buf svg = {0};
    struct trace_job jobs[] = {job_of(11, 0, 100, 5, 1), job_of(12, 0, 50, 5, 2), job_of(13, 10, 40, 5, 2)};
    trace_set_pool(&trace, 10);
    for (size_t i = 0; i < 3; i++)
        assert_true(trace_add_job(&trace, &jobs[i], NULL));
    draw(&trace, "a <b> & \"c\"", &svg);
    assert_true(strncmp(svg.data, "<svg ", 5) == 0);
    assert_non_null(strstr(svg.data, "a &#60;b&#62; &#38; &#34;c&#34;"));
    assert_int_equal(count(svg.data, "<title>"), 3);
    assert_non_null(strstr(svg.data, "<title>job 11, user 1: 0 s to 100 s</title>"));
    assert_non_null(strstr(svg.data, "<title>job 13, user 2: 50 s to 90 s</title>"));
    /* the lower half is the first job's all the time, the upper one the others' */
    assert_non_null(strstr(svg.data, "<rect x=\"76.00\" y=\"248.00\" width=\"1100.00\" height=\"200.00\""));
    assert_non_null(strstr(svg.data, "<rect x=\"626.00\" y=\"48.00\" width=\"440.00\" height=\"200.00\""));
    assert_non_null(strstr(svg.data, "user 2 (47.4 %)"));
    assert_non_null(strstr(svg.data, "processors"));
}

static void a_job_without_one_gap_that_is_wide_enough_is_drawn_in_parts(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_buf_ struct buf svg = {0};
    struct trace_job jobs[] = {job_of(1, 0, 10, 4, 1), job_of(2, 0, 100, 2, 1), job_of(3, 0, 100, 4, 1),
                               job_of(4, 0, 100, 2, 2), job_of(5, 10, 50, 6, 2)};
    jobs[2].run_ms = 10000;
    trace_set_pool(&trace, 12);
    for (size_t i = 0; i < 5; i++)
        assert_true(trace_add_job(&trace, &jobs[i], NULL));
    draw(&trace, "parts", &svg); /* after 10 s two gaps of four are free, and job 5 wants six */
    assert_int_equal(count(svg.data, "<title>job 5,"), 2);
}

static void many_jobs_are_added_up_to_pixels(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_buf_ struct buf svg = {0};
    make("lublin,jobs=8000,procs=100,load=heavy", &trace);
    draw(&trace, "many", &svg);
    assert_int_equal(count(svg.data, "<title>"), 0);
    assert_true(svg.len < 1u << 20);
    assert_non_null(strstr(svg.data, " others ("));
    assert_int_equal(count(svg.data, "<svg"), count(svg.data, "</svg>"));
    assert_int_equal(count(svg.data, "<g "), count(svg.data, "</g>"));
}

static void a_pool_with_gpus_is_drawn_by_gpus_and_an_empty_trace_is_no_problem(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0}, empty = {0};
    _cleanup_buf_ struct buf svg = {0}, nothing = {0};
    make("cluster,jobs=300,nodes=5,gangs=0,shares=0", &trace);
    draw(&trace, "gpus", &svg);
    assert_non_null(strstr(svg.data, ">GPUs</text>"));
    assert_true(count(svg.data, "<title>") >= 300);
    trace_set_pool(&empty, 1);
    draw(&empty, "nothing", &nothing);
    assert_non_null(strstr(nothing.data, "</svg>"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_jobs_are_drawn_one_by_one),
        cmocka_unit_test(a_job_without_one_gap_that_is_wide_enough_is_drawn_in_parts),
        cmocka_unit_test(many_jobs_are_added_up_to_pixels),
        cmocka_unit_test(a_pool_with_gpus_is_drawn_by_gpus_and_an_empty_trace_is_no_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
