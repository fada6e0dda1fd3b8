/* The Standard Workload Format: what is taken, what is refused by name, and that nothing is guessed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "scheduler/sim/swf.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REST " -1 -1 -1 -1 -1 -1"
#define LINE(job, submit, run, allocated, procs, declared, status, user)                                     \
    job " " submit " 0 " run " " allocated " -1 -1 " procs " " declared " -1 " status " " user REST "\n"
/* Job 7 of user 3: submitted at 10, ran for 50 on 4 processors, declared 60. */
#define GOOD LINE("7", "10", "50", "4", "4", "60", "1", "3")

static void read_bytes(struct trace *trace, const char *bytes, size_t len)
{
    struct error err = {0};
    _cleanup_lines_ struct lines *lines = lines_memory(bytes, len);
    if (!swf_read(lines, trace, &err))
        fail_msg("%s", err.message);
}

static void read_text(struct trace *trace, const char *text)
{
    read_bytes(trace, text, strlen(text));
}

static void a_line_becomes_a_job(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    read_text(&trace, "; MaxNodes: 50\n; MaxProcs: 100\n;\n\n" GOOD);
    assert_int_equal(trace.bad_count, 0);
    assert_int_equal(trace.job_count, 1);
    const struct trace_job *job = &trace.jobs[0];
    assert_int_equal(job->id, 7);
    assert_int_equal(job->submit_ms, 10000);
    assert_int_equal(job->run_ms, 50000);
    assert_int_equal(job->limit_ms, 60000);
    assert_int_equal(job->cpu_milli, 4000);
    assert_int_equal(job->user, 3);
    assert_int_equal(job->tasks, 1);
    assert_int_equal(trace.node_count, 1);
    assert_true(trace.nodes[0].pool);
    assert_int_equal(trace.nodes[0].cpu_milli, 100000);
}

static void a_log_without_a_size_has_no_nodes_and_maxnodes_stands_in_for_maxprocs(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace none = {0}, nodes = {0}, broken = {0};
    read_text(&none, GOOD);
    assert_int_equal(none.node_count, 0);
    read_text(&nodes, "; MaxNodes: 50\n" GOOD);
    assert_int_equal(nodes.nodes[0].cpu_milli, 50000);
    read_text(&broken, "; MaxProcs: many\n; MaxProcs: -4\n; MaxProcs: 99999999999999999999\n" GOOD);
    assert_int_equal(broken.node_count, 0);
}

static void requested_processors_go_before_allocated_ones(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    read_text(&trace,
              LINE("1", "0", "5", "8", "16", "60", "1", "1") LINE("2", "0", "5", "8", "-1", "60", "1", "1"));
    assert_int_equal(trace.jobs[0].cpu_milli, 16000);
    assert_int_equal(trace.jobs[1].cpu_milli, 8000);
}

static void declared_times_are_raised_to_the_run_time_and_missing_ones_counted(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    read_text(&trace,
              LINE("1", "0", "50", "8", "8", "20", "1", "1") LINE("2", "0", "50", "8", "8", "-1", "1", "1")
                  LINE("3", "0", "0", "8", "8", "0", "1", "-1"));
    assert_int_equal(trace.jobs[0].limit_ms, 50000);
    assert_int_equal(trace.jobs[1].limit_ms, 50000);
    assert_int_equal(trace.undeclared, 1);
    assert_int_equal(trace.jobs[2].run_ms, 0);
    assert_int_equal(trace.jobs[2].limit_ms, 1); /* 0 would mean none */
    assert_int_equal(trace.jobs[2].user, 0);
}

static void bad_lines_are_skipped_counted_and_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *reason;
    } bad[] = {
        {"1 2 3\n", "3 fields instead of 18"},
        {"garbage\n", "1 fields instead of 18"},
        {"1 0 0 5 1 -1 -1 1 60 -1 1 1 -1 -1 -1 -1 -1 -1 -1\n", "19 fields instead of 18"},
        {LINE("x", "0", "5", "1", "1", "60", "1", "1"), "the job number \"x\" is no number"},
        {LINE("0", "0", "5", "1", "1", "60", "1", "1"), "the job number is not positive"},
        {LINE("-4", "0", "5", "1", "1", "60", "1", "1"), "the job number is not positive"},
        {LINE("4.5", "0", "5", "1", "1", "60", "1", "1"), "the job number \"4.5\" is no number"},
        {LINE("4", "-1", "5", "1", "1", "60", "1", "1"), "the submit time is negative"},
        {LINE("4", "0", "-1", "1", "1", "60", "1", "1"), "the run time is negative"},
        {LINE("4", "0", "5", "-1", "-1", "60", "1", "1"), "it asks for no processor"},
        {LINE("4", "0", "5", "0", "0", "60", "1", "1"), "it asks for no processor"},
        {LINE("4", "0", "5", "1", "99999999", "60", "1", "1"),
         "the processors requested 99999999 is too large"},
        {LINE("4", "99999999999", "5", "1", "1", "60", "1", "1"), "the submit time 99999999999 is too large"},
        {LINE("4", "0", "99999999999999999999999", "1", "1", "60", "1", "1"),
         "the run time 99999999999999999999999 is too large"},
        {LINE("4", "0", "5", "1", "1", "0x10", "1", "1"), "the time requested \"0x10\" is no number"},
        {LINE("4", "0", "5", "1", "1", "60", "3", "1"), "a part of a job that another line sums up"},
        {LINE("7", "0", "5", "1", "1", "60", "1", "1"), "a job of that number was there before"},
        {"4 0 zzz 5 1 -1 -1 1 60 -1 1 1 -1 -1 -1 -1 -1 -1\n", "the wait time \"zzz\" is no number"},
        {"4 0 0 5 1 -1 -1 1 60 -1 1 1 - -1 -1 -1 -1 -1\n", "the group \"-\" is no number"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        _cleanup_trace_ struct trace trace = {0};
        _cleanup_buf_ struct buf text = {0};
        buf_printf(&text, "%s%s%s", GOOD, bad[i].line, LINE("9", "10", "5", "1", "1", "60", "1", "1"));
        read_text(&trace, text.data);
        assert_int_equal(trace.job_count, 2);
        assert_int_equal(trace.bad_count, 1);
        assert_int_equal(trace.skipped_count, 1);
        assert_int_equal(trace.bad[0].line, 2);
        assert_string_equal(trace.bad[0].reason, bad[i].reason);
    }
}

static void lines_out_of_order_take_their_place_and_are_named(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    read_text(&trace,
              LINE("2", "20", "5", "1", "1", "60", "1", "1") LINE("3", "10", "5", "1", "1", "60", "1", "1")
                  LINE("1", "20", "5", "1", "1", "60", "1", "1"));
    assert_int_equal(trace.job_count, 3);
    assert_int_equal(trace.jobs[0].id, 3);
    assert_int_equal(trace.jobs[1].id, 1); /* of one instant: by number */
    assert_int_equal(trace.jobs[2].id, 2);
    assert_int_equal(trace.bad_count, 1);
    assert_int_equal(trace.skipped_count, 0);
    assert_int_equal(trace.bad[0].line, 2);
}

static void the_first_bad_lines_are_kept_and_all_are_counted(void **state)
{
    (void)state;
    _cleanup_trace_ struct trace trace = {0};
    _cleanup_buf_ struct buf text = {0};
    for (int i = 0; i < TRACE_BAD_SAMPLES + 5; i++)
        buf_add_str(&text, "broken\n");
    read_text(&trace, text.data);
    assert_int_equal(trace.bad_count, TRACE_BAD_SAMPLES + 5);
    assert_int_equal(trace.bad[TRACE_BAD_SAMPLES - 1].line, TRACE_BAD_SAMPLES);
}

static void a_line_at_the_limit_is_read_and_one_past_it_is_bad(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        _cleanup_trace_ struct trace trace = {0};
        _cleanup_buf_ struct buf text = {0};
        buf_add(&text, GOOD, strlen(GOOD) - 1);
        while (text.len < LINES_LINE_MAX + (size_t)over)
            buf_add_char(&text, ' ');
        buf_add_str(&text, "\n" LINE("9", "10", "5", "1", "1", "60", "1", "1"));
        read_text(&trace, text.data);
        assert_int_equal(trace.job_count, over ? 1 : 2);
        assert_int_equal(trace.bad_count, over);
        if (over)
            assert_string_equal(trace.bad[0].reason, "the line is too long");
    }
}

static void nul_bytes_windows_line_ends_and_a_missing_last_one_are_met(void **state)
{
    (void)state;
    static const char text[] = "1 0 0 5 1 -1 -1 1 60 -1 1 1 -1 -1 -1 -1 -1 -1\r\n"
                               "2 0 0 5 1 -1 \0-1 1 60 -1 1 1 -1 -1 -1 -1 -1 -1\n"
                               "  3 0\t0 5 1 -1 -1 1 60 -1 1 1 -1 -1 -1 -1 -1 -1";
    _cleanup_trace_ struct trace trace = {0};
    read_bytes(&trace, text, sizeof text - 1);
    assert_int_equal(trace.job_count, 2);
    assert_int_equal(trace.bad_count, 1);
    assert_string_equal(trace.bad[0].reason, "a NUL byte");
    _cleanup_trace_ struct trace empty = {0};
    read_bytes(&empty, NULL, 0);
    assert_int_equal(empty.job_count, 0);
}

/* ---- files ---- */

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/berth-test-swf-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return fs_remove_tree(AT_FDCWD, folder, NULL) ? 0 : -1;
}

static const char *file(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void what_is_written_is_read_back_the_same_plain_and_compressed(void **state)
{
    (void)state;
    static const char *const names[] = {"log.swf", "log.swf.gz"};
    _cleanup_trace_ struct trace trace = {0};
    read_text(&trace, "; MaxProcs: 100\n" GOOD LINE("8", "11.5", "0.25", "4", "4", "60", "1", "-1"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct error err = {0};
        _cleanup_trace_ struct trace again = {0};
        assert_true(swf_write(&trace, file(names[i]), &err));
        _cleanup_lines_ struct lines *lines = lines_open(file(names[i]), &err);
        assert_non_null(lines);
        assert_true(swf_read(lines, &again, &err));
        assert_int_equal(again.bad_count, 0);
        assert_int_equal(again.job_count, 2);
        assert_memory_equal(again.jobs, trace.jobs, 2 * sizeof *trace.jobs);
        assert_int_equal(again.nodes[0].cpu_milli, 100000);
    }
    _cleanup_buf_ struct buf bytes = {0};
    assert_true(fs_read_file(AT_FDCWD, file("log.swf.gz"), 4096, &bytes, NULL));
    assert_int_equal((unsigned char)bytes.data[0], 0x1f); /* it is gzip */
}

static void jobs_with_gpus_are_not_written(void **state)
{
    (void)state;
    struct error err = {0};
    _cleanup_trace_ struct trace trace = {0};
    struct trace_job job = {.id = 1, .cpu_milli = 1000, .gpu_milli = 500, .tasks = 1};
    assert_true(trace_add_job(&trace, &job, &err));
    assert_false(swf_write(&trace, file("gpu.swf"), &err));
    assert_int_equal(err.code, ERROR_UNSUPPORTED);
}

static void a_damaged_archive_and_a_missing_file_are_errors(void **state)
{
    (void)state;
    struct error err = {0};
    _cleanup_trace_ struct trace trace = {0}, cut = {0};
    for (int i = 1; i < 200; i++) {
        struct trace_job job = {.id = (uint64_t)i,
                                .submit_ms = (uint64_t)i * 7919000 % 1000003000,
                                .run_ms = 5000,
                                .cpu_milli = 1000,
                                .tasks = 1};
        assert_true(trace_add_job(&trace, &job, &err));
    }
    trace_set_pool(&trace, 4);
    assert_true(swf_write(&trace, file("cut.swf.gz"), &err));
    _cleanup_buf_ struct buf bytes = {0};
    assert_true(fs_read_file(AT_FDCWD, file("cut.swf.gz"), 1 << 20, &bytes, &err));
    assert_int_equal(truncate(file("cut.swf.gz"), (off_t)bytes.len / 2), 0);
    struct lines *lines = lines_open(file("cut.swf.gz"), &err);
    assert_non_null(lines);
    assert_false(swf_read(lines, &cut, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_non_null(strstr(err.message, "damaged"));
    lines_close(lines);
    assert_null(lines_open(file("nothing.swf"), &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_null(lines_open(folder, &err));
    assert_non_null(strstr(err.message, "is a folder"));
}

static void numbers_are_exact_or_refused(void **state)
{
    (void)state;
    int64_t v = 0;
    assert_int_equal(lines_milli("12.3456", 1000, &v), NUMBER_OK);
    assert_int_equal(v, 12345);
    assert_int_equal(lines_milli("-0.5", 1000, &v), NUMBER_OK);
    assert_int_equal(v, -500);
    assert_int_equal(lines_milli("1000", 1000, &v), NUMBER_OK);
    assert_int_equal(lines_milli("1001", 1000, &v), NUMBER_HUGE);
    assert_int_equal(lines_whole("7.0", 1000, &v), NUMBER_OK);
    assert_int_equal(v, 7);
    assert_int_equal(lines_whole("7.1", 1000, &v), NUMBER_BROKEN);
    static const char *const broken[] = {"",    "-",   "+",   ".",   "1e5",  "0x1",
                                         "nan", "inf", "1 2", "--1", "1.2.3"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_int_equal(lines_milli(broken[i], 1000, &v), NUMBER_BROKEN);
}

static void a_trace_holds_as_many_jobs_and_nodes_as_it_says(void **state)
{
    (void)state;
    struct error err = {0};
    _cleanup_trace_ struct trace trace = {0};
    struct trace_node node = {.cpu_milli = 1000};
    for (uint32_t i = 0; i < TRACE_NODES_MAX; i++)
        assert_true(trace_add_node(&trace, &node, &err));
    assert_false(trace_add_node(&trace, &node, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    struct trace full = {.job_count = TRACE_JOBS_MAX};
    struct trace_job job = {.tasks = 1};
    assert_false(trace_add_job(&full, &job, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_becomes_a_job),
        cmocka_unit_test(a_log_without_a_size_has_no_nodes_and_maxnodes_stands_in_for_maxprocs),
        cmocka_unit_test(requested_processors_go_before_allocated_ones),
        cmocka_unit_test(declared_times_are_raised_to_the_run_time_and_missing_ones_counted),
        cmocka_unit_test(bad_lines_are_skipped_counted_and_named),
        cmocka_unit_test(lines_out_of_order_take_their_place_and_are_named),
        cmocka_unit_test(the_first_bad_lines_are_kept_and_all_are_counted),
        cmocka_unit_test(a_line_at_the_limit_is_read_and_one_past_it_is_bad),
        cmocka_unit_test(nul_bytes_windows_line_ends_and_a_missing_last_one_are_met),
        cmocka_unit_test(what_is_written_is_read_back_the_same_plain_and_compressed),
        cmocka_unit_test(jobs_with_gpus_are_not_written),
        cmocka_unit_test(a_damaged_archive_and_a_missing_file_are_errors),
        cmocka_unit_test(numbers_are_exact_or_refused),
        cmocka_unit_test(a_trace_holds_as_many_jobs_and_nodes_as_it_says),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
