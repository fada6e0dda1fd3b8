/* Berth's own journal as a trace for the simulator. */
#include "base/cleanup.h"
#include "base/fs.h"
#include "proto/json.h"
#include "scheduler/jobs.h"
#include "scheduler/journal.h"
#include "scheduler/sim_journal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct {
    char folder[64];
    char journal_folder[80];
    uv_loop_t loop;
    struct journal *journal;
    struct core *core;
    bool durable;
} fix;

static void on_durable(void *data)
{
    (void)data;
    fix.durable = true;
}

static int set_up(void **state)
{
    (void)state;
    struct error err = {0};
    uint64_t next_job;
    memset(&fix, 0, sizeof fix);
    strcpy(fix.folder, "/tmp/berth-test-sim-journal-XXXXXX");
    assert_non_null(mkdtemp(fix.folder));
    snprintf(fix.journal_folder, sizeof fix.journal_folder, "%s/journal", fix.folder);
    struct journal_options options = {.folder = fix.journal_folder};
    uv_loop_init(&fix.loop);
    fix.journal = journal_open(&options, &err);
    assert_non_null(fix.journal);
    fix.core = journal_recover(fix.journal, &next_job, &err);
    assert_non_null(fix.core);
    assert_true(journal_start(fix.journal, &fix.loop, fix.core, NULL, NULL, NULL, &err));
    return 0;
}

static void commit(void)
{
    journal_then(fix.journal, on_durable, NULL, NULL);
    journal_flush(fix.journal);
    while (!fix.durable)
        uv_run(&fix.loop, UV_RUN_ONCE);
}

static int tear_down(void **state)
{
    (void)state;
    journal_stop(fix.journal);
    uv_run(&fix.loop, UV_RUN_DEFAULT);
    journal_close(fix.journal);
    core_destroy(fix.core);
    uv_loop_close(&fix.loop);
    return fs_remove_tree(AT_FDCWD, fix.folder, NULL) ? 0 : -1;
}

static void add_node(uint32_t id, const char *doc)
{
    char name[32];
    snprintf(name, sizeof name, "node-%u", id);
    struct journal_node node = {.id = id, .name = name, .instance_id = "", .doc = doc};
    journal_add_node(fix.journal, &node);
}

static void add_job(uint64_t id, int64_t submitted_ms, int64_t started_ms, int64_t ended_ms,
                    const char *fixed)
{
    char name[32];
    snprintf(name, sizeof name, "job-%llu", (unsigned long long)id);
    struct job *job = job_create(id, name);
    job->principal = 5;
    job->submitted_ms = submitted_ms;
    job->started_ms = started_ms;
    job->ended_ms = ended_ms;
    job->time_limit_ms = 60000;
    job->state = ended_ms ? JOB_COMPLETED : JOB_RUNNING;
    _cleanup_free_ char *doc = job_doc_write(job);
    struct journal_job row = {.id = id,
                              .name = name,
                              .principal = job->principal,
                              .state = (int)job->state,
                              .final = ended_ms != 0,
                              .submitted_ms = submitted_ms,
                              .ended_ms = ended_ms,
                              .fixed = fixed,
                              .doc = doc};
    journal_add_job(fix.journal, &row);
    job_destroy(job);
}

#define NODE                                                                                                 \
    "{\"inventory\":{\"memory_bytes\":1000000000,\"cores\":[{\"id\":0,\"cpus\":[0,1]},{\"id\":1,\"cpus\":["  \
    "2,3]}],"                                                                                                \
    "\"gpus\":[{\"uuid\":\"GPU-0\",\"memory_bytes\":1000}]}}"
#define FIXED                                                                                                \
    "{\"priority\":\"high\",\"resources\":{\"cpus\":4,\"cores\":2,\"memory_bytes\":1000,\"gpus\":1}}"

static void ended_jobs_become_a_trace_on_the_journals_nodes(void **state)
{
    (void)state;
    struct error err = {0};
    const char *const places[] = {fix.folder, fix.journal_folder};
    add_node(1, NODE);
    add_node(2, "{\"inventory\":null}"); /* never said hello */
    add_job(1, 50000, 51000, 60000, FIXED);
    add_job(2, 40000, 42000, 90000, FIXED);
    add_job(3, 41000, 0, 43000, FIXED);     /* canceled while it waited */
    add_job(4, 41000, 42000, 0, FIXED);     /* still runs */
    add_job(5, 41000, 40000, 43000, FIXED); /* a clock went back */
    add_job(6, 41000, 42000, 43000, "{\"resources\":{\"cores\":0}}");
    commit();
    for (size_t i = 0; i < 2; i++) {
        _cleanup_trace_ struct trace trace = {0};
        assert_true(sim_journal_is(places[i]));
        if (!sim_journal_read(places[i], &trace, &err))
            fail_msg("%s", err.message);
        assert_int_equal(trace.node_count, 1);
        assert_int_equal(trace.nodes[0].cpu_milli, 2000); /* whole cores */
        assert_int_equal(trace.nodes[0].gpus, 1);
        assert_int_equal(trace.nodes[0].memory_bytes, 900000000); /* what jobs may have */
        assert_int_equal(trace.job_count, 2);
        assert_int_equal(trace.jobs[0].id, 2);
        assert_int_equal(trace.jobs[0].submit_ms, 0); /* counted from the first */
        assert_int_equal(trace.jobs[0].run_ms, 48000);
        assert_int_equal(trace.jobs[1].id, 1);
        assert_int_equal(trace.jobs[1].submit_ms, 10000);
        assert_int_equal(trace.jobs[1].run_ms, 9000);
        assert_int_equal(trace.jobs[1].limit_ms, 60000);
        assert_int_equal(trace.jobs[1].cpu_milli, 2000);
        assert_int_equal(trace.jobs[1].gpu_milli, 1000);
        assert_int_equal(trace.jobs[1].memory_bytes, 1000);
        assert_int_equal(trace.jobs[1].user, 5);
        assert_int_equal(trace.jobs[1].priority, TRACE_HIGH);
        assert_int_equal(trace.left_out, 1);
        assert_int_equal(trace.bad_count, 2);
        assert_int_equal(trace.bad[0].line, 6);
        assert_int_equal(trace.bad[1].line, 5);
    }
}

static void more_than_one_page_of_jobs_is_read(void **state)
{
    (void)state;
    enum { JOBS = 10001 };
    struct error err = {0};
    _cleanup_trace_ struct trace trace = {0};
    add_node(1, NODE);
    for (uint64_t i = 1; i <= JOBS; i++)
        add_job(i, 1000 + (int64_t)i, 1000 + (int64_t)i, 20000 + (int64_t)i, FIXED);
    commit();
    assert_true(sim_journal_read(fix.folder, &trace, &err));
    assert_int_equal(trace.job_count, JOBS);
    assert_int_equal(trace.jobs[0].id, 1);
    assert_int_equal(trace.jobs[JOBS - 1].id, JOBS);
}

static void a_folder_without_a_journal_and_a_newer_format_are_refused(void **state)
{
    (void)state;
    struct error err = {0};
    _cleanup_trace_ struct trace trace = {0};
    char path[128];
    sqlite3 *db;
    assert_false(sim_journal_is("/"));
    assert_false(sim_journal_read("/", &trace, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    commit();
    snprintf(path, sizeof path, "%s/journal.sqlite", fix.journal_folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE meta SET value = 99 WHERE key = 'format'", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    assert_false(sim_journal_read(fix.folder, &trace, &err));
    assert_int_equal(err.code, ERROR_VERSION);
    assert_non_null(strstr(err.message, "format 99"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ended_jobs_become_a_trace_on_the_journals_nodes),
        TEST(more_than_one_page_of_jobs_is_read),
        TEST(a_folder_without_a_journal_and_a_newer_format_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
