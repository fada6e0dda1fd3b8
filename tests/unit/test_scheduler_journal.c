/* The journal: durable in order, recovered exactly, refused when it is newer or damaged, patient with a full
 * disk. */
#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "scheduler/core/row.h"
#include "scheduler/journal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    char folder[64];
    uv_loop_t loop;
    struct journal *journal;
    struct core *core;
    struct core_decisions *decisions;
    uint64_t now_ms, next_job;
    unsigned durable, failed; /* calls */
    unsigned order[64];
    uint32_t segment_rows;
};

static struct fixture fix;

static void on_durable(void *data)
{
    if (fix.durable < 64)
        fix.order[fix.durable] = (unsigned)(uintptr_t)data;
    fix.durable++;
}

static void on_failed(void *data, const struct error *err)
{
    (void)data;
    assert_int_equal(err->code, ERROR_NO_SPACE);
    assert_true(err->hint[0]);
    fix.failed++;
}

static void open_journal(void)
{
    struct error err = {0};
    struct journal_options options = {.folder = fix.folder, .segment_rows = fix.segment_rows};
    uv_loop_init(&fix.loop);
    fix.journal = journal_open(&options, &err);
    if (!fix.journal)
        fail_msg("%s", err.message);
    fix.core = journal_recover(fix.journal, &fix.next_job, &err);
    if (!fix.core)
        fail_msg("%s", err.message);
    assert_true(journal_start(fix.journal, &fix.loop, fix.core, NULL, NULL, NULL, &err));
}

static void close_journal(void)
{
    journal_stop(fix.journal);
    uv_run(&fix.loop, UV_RUN_DEFAULT);
    journal_close(fix.journal);
    fix.journal = NULL;
    core_destroy(fix.core);
    fix.core = NULL;
    assert_int_equal(uv_loop_close(&fix.loop), 0);
}

static int set_up(void **state)
{
    (void)state;
    memset(&fix, 0, sizeof fix);
    strcpy(fix.folder, "/tmp/berth-test-journal-XXXXXX");
    assert_non_null(mkdtemp(fix.folder));
    fix.decisions = core_decisions_create();
    fix.now_ms = 1000;
    fix.next_job = 1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    core_decisions_destroy(fix.decisions);
    return fs_remove_tree(AT_FDCWD, fix.folder, NULL) ? 0 : -1;
}

static void step(const struct core_event *event)
{
    static unsigned char bytes[65536];
    assert_null(core_event_check(event));
    assert_true(core_make_room(fix.core, event));
    fix.now_ms += 10;
    core_step(fix.core, fix.now_ms, event, fix.decisions);
    struct core_row row = {.now_ms = fix.now_ms,
                           .core_version = CORE_VERSION,
                           .state_hash = core_hash(fix.core),
                           .event = *event};
    size_t n = core_row_encode(&row, fix.decisions, bytes, sizeof bytes);
    assert_true(n <= sizeof bytes);
    journal_add_row(fix.journal, row.now_ms, row.state_hash, bytes, n);
}

static void submit(void)
{
    struct core_event event = {.kind = CORE_EVENT_JOB_SUBMIT};
    event.as.submit = (struct core_submit){.job = {fix.next_job},
                                           .principal = {1},
                                           .seq = fix.next_job,
                                           .priority_class = PRIORITY_MEDIUM,
                                           .request = {.cores = 1, .memory_bytes = 1 << 20},
                                           .instance_count = 1};
    char name[32];
    snprintf(name, sizeof name, "job-%llu", (unsigned long long)fix.next_job);
    struct journal_job job = {.id = fix.next_job,
                              .name = name,
                              .principal = 1,
                              .state = JOB_QUEUED,
                              .submitted_ms = 1,
                              .fixed = "{}",
                              .doc = "{}"};
    step(&event);
    journal_add_job(fix.journal, &job);
    fix.next_job++;
}

/* Turns the loop until `count` batches were reported durable. */
static void wait_durable(unsigned count)
{
    journal_flush(fix.journal);
    while (fix.durable < count)
        uv_run(&fix.loop, UV_RUN_ONCE);
}

static void change(const char *sql)
{
    char path[128];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/journal.sqlite", fix.folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void callbacks_come_after_the_commit_and_in_order(void **state)
{
    (void)state;
    open_journal();
    for (unsigned i = 0; i < 40; i++) {
        submit();
        journal_then(fix.journal, on_durable, NULL, (void *)(uintptr_t)i);
        if (i % 7 == 0)
            journal_flush(fix.journal);   /* some while one is in flight */
        assert_int_equal(fix.durable, 0); /* nothing before the loop has turned */
    }
    wait_durable(40);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(fix.order[i], i);
    close_journal();
}

static void state_is_recovered_with_the_same_hash(void **state)
{
    (void)state;
    open_journal();
    for (int i = 0; i < 30; i++)
        submit();
    step(&(struct core_event){.kind = CORE_EVENT_JOB_CANCEL, .as.cancel = {.job = {3}}});
    uint64_t hash = core_hash(fix.core);
    journal_then(fix.journal, on_durable, NULL, NULL);
    wait_durable(1);
    close_journal();
    open_journal();
    assert_true(core_hash(fix.core) == hash);
    assert_int_equal(fix.next_job, 31);
    close_journal();
}

static void recovery_starts_at_the_last_checkpoint(void **state)
{
    (void)state;
    fix.segment_rows = 10;
    open_journal();
    for (int i = 0; i < 55; i++) {
        submit();
        journal_then(fix.journal, on_durable, NULL, NULL);
        wait_durable((unsigned)i + 1);
    }
    uint64_t hash = core_hash(fix.core);
    close_journal();
    change("DELETE FROM rows WHERE seq <= 50"); /* what is before the last checkpoint isn't needed */
    open_journal();
    assert_true(core_hash(fix.core) == hash);
    submit();
    journal_then(fix.journal, on_durable, NULL, NULL);
    wait_durable(56);
    close_journal();
    open_journal();
    assert_int_equal(fix.next_job, 57);
    close_journal();
}

static void refused(const char *sql, enum error_code code, const char *word)
{
    struct error err = {0};
    struct journal_options options = {.folder = fix.folder};
    change(sql);
    struct journal *j = journal_open(&options, &err);
    struct core *core = j ? journal_recover(j, &fix.next_job, &err) : NULL;
    assert_null(core);
    assert_int_equal(err.code, code);
    if (!strstr(err.message, word))
        fail_msg("'%s' does not say '%s'", err.message, word);
    journal_close(j);
}

static void damaged_missing_and_newer_rows_are_named(void **state)
{
    (void)state;
    open_journal();
    for (int i = 0; i < 5; i++)
        submit();
    close_journal();
    refused("UPDATE rows SET hash = hash + 1 WHERE seq = 4", ERROR_INTERNAL, "row 4");
    refused("UPDATE rows SET bytes = CAST(substr(bytes, 1, 1) || x'01' || substr(bytes, 3) AS BLOB) "
            "WHERE seq = 4",
            ERROR_VERSION, "row 4 was decided by version 1 of the core");
    refused("UPDATE rows SET hash = hash - 1 WHERE seq = 4; UPDATE rows SET bytes = x'ff00' WHERE seq = 2",
            ERROR_INTERNAL, "row 2");
    refused("DELETE FROM rows WHERE seq = 2", ERROR_INTERNAL, "row 2 is missing");
    refused("UPDATE meta SET value = 7 WHERE key = 'format'", ERROR_VERSION, "format 7");
}

static void epoch_grows_with_each_lead(void **state)
{
    (void)state;
    struct error err = {0};
    for (uint64_t expected = 1; expected < 4; expected++) {
        struct journal_options options = {.folder = fix.folder};
        struct journal *j = journal_open(&options, &err);
        uint64_t epoch = 0;
        assert_true(journal_lead(j, &epoch, &err));
        assert_int_equal(epoch, expected);
        journal_close(j);
    }
}

static void second_journal_on_one_folder_is_refused(void **state)
{
    (void)state;
    struct error err = {0};
    open_journal();
    struct journal_options options = {.folder = fix.folder};
    assert_null(journal_open(&options, &err));
    assert_int_equal(err.code, ERROR_EXISTS);
    close_journal();
}

static void full_disk_is_told_once_and_nothing_is_lost(void **state)
{
    (void)state;
    struct error why = {0};
    open_journal();
    submit();
    journal_then(fix.journal, on_durable, on_failed, NULL);
    wait_durable(1);
    journal_limit_pages(fix.journal, 1); /* the smallest that SQLite takes is what it has */
    char *big = xcalloc(1, 1 << 20);
    memset(big, 'b', (1 << 20) - 1);
    journal_add_spec(fix.journal, 1, big);
    submit();
    journal_then(fix.journal, on_durable, on_failed, NULL);
    journal_flush(fix.journal);
    while (journal_healthy(fix.journal, NULL))
        uv_run(&fix.loop, UV_RUN_ONCE);
    assert_false(journal_healthy(fix.journal, &why));
    assert_int_equal(why.code, ERROR_NO_SPACE);
    assert_int_equal(fix.failed, 1);
    assert_int_equal(fix.durable, 1);
    submit(); /* what comes meanwhile waits behind it, and is told at once */
    journal_then(fix.journal, on_durable, on_failed, NULL);
    assert_int_equal(fix.failed, 2);
    uint64_t hash = core_hash(fix.core);
    journal_limit_pages(fix.journal, 0);
    wait_durable(3);
    assert_true(journal_healthy(fix.journal, NULL));
    assert_int_equal(fix.failed, 2);
    close_journal();
    open_journal();
    assert_true(core_hash(fix.core) == hash);
    close_journal();
    free(big);
}

static void count_jobs(void *data, const struct journal_job *job)
{
    (void)job;
    ++*(unsigned *)data;
}

static void readers_see_what_is_committed(void **state)
{
    (void)state;
    struct error err = {0};
    unsigned found = 0;
    _cleanup_buf_ struct buf spec = {0};
    open_journal();
    submit();
    journal_add_spec(fix.journal, 1, "{\"command\":\"x\"}");
    journal_then(fix.journal, on_durable, NULL, NULL);
    wait_durable(1);
    struct journal_reader *r = journal_reader_open(fix.folder, &err);
    assert_non_null(r);
    assert_true(journal_read_job(r, 1, count_jobs, &found, &err));
    assert_int_equal(found, 1);
    assert_true(journal_read_spec(r, 1, &spec, &err));
    assert_string_equal(spec.data, "{\"command\":\"x\"}");
    assert_false(journal_read_job(r, 2, count_jobs, &found, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    journal_reader_close(r);
    close_journal();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(callbacks_come_after_the_commit_and_in_order),
        TEST(state_is_recovered_with_the_same_hash),
        TEST(recovery_starts_at_the_last_checkpoint),
        TEST(damaged_missing_and_newer_rows_are_named),
        TEST(epoch_grows_with_each_lead),
        TEST(second_journal_on_one_folder_is_refused),
        TEST(full_disk_is_told_once_and_nothing_is_lost),
        TEST(readers_see_what_is_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
