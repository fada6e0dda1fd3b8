/* Owners of blobs and the sweep of what nothing refers to, in a daemon of its own. */
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fs.h"
#include "scheduler/daemon.h"
#include "scheduler/sweep_blobs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static char folder[64];
static struct daemon d;

static int begin(void **state)
{
    static char socket[96], logs[96], outputs[96];
    struct error err = {0};
    (void)state;
    strcpy(folder, "/tmp/berth-owners-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(socket, sizeof socket, "%s/sock", folder);
    snprintf(logs, sizeof logs, "%s/logs", folder);
    snprintf(outputs, sizeof outputs, "%s/outputs", folder);
    struct daemon_options o = {.state_dir = folder,
                               .socket_path = socket,
                               .socket_mode = 0600,
                               .log_dir = logs,
                               .outputs_dir = outputs,
                               .parent_fd = -1,
                               .may_sleep = 0};
    return daemon_init(&d, &o, &err) ? 0 : -1;
}

static int finish(void **state)
{
    struct error err = {0};
    (void)state;
    d.stopping = true;
    daemon_finish(&d);
    return fs_remove_tree(AT_FDCWD, folder, &err) ? 0 : -1;
}

static void settle(void)
{
    while (!journal_quiet(d.journal) || d.owners.sweeping || d.pool_work)
        uv_run(&d.loop, UV_RUN_ONCE);
}

/* A blob whose digits are all `digit`, of this size; its file is two hours old. */
static const char *put(char digit, const char *text)
{
    static char sha[BLOB_SHA_TEXT + 1];
    struct error err = {0};
    memset(sha, digit, BLOB_SHA_TEXT);
    _cleanup_free_ char *path = blob_path(folder, sha);
    assert_true(fs_write_atomic(AT_FDCWD, path, text, strlen(text), 0400, &err));
    struct timespec old = {.tv_sec = (time_t)(clock_wall_ms() / 1000) - 7200};
    struct timespec times[2] = {old, old};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    return sha;
}

static void own(uint32_t principal, const char *sha, int64_t age_ms)
{
    struct journal_blob blob = {.principal = principal, .bytes = 1, .used_ms = clock_wall_ms() - age_ms};
    blob_sha_to_bytes(sha, blob.sha);
    journal_add_blob(d.journal, &blob);
    settle();
}

static bool there(char digit)
{
    char sha[BLOB_SHA_TEXT + 1] = {0};
    memset(sha, digit, BLOB_SHA_TEXT);
    return blob_exists(folder, sha);
}

static void sweep(void)
{
    sweep_blobs_start(&d, OWNERS_KEEP_MS, SWEEP_BLOBS_FILE_AGE_MS);
    settle();
}

static void what_nothing_refers_to_goes_after_its_time(void **state)
{
    (void)state;
    own(1, put('a', "young"), OWNERS_KEEP_MS - 60000);
    own(1, put('b', "old"), OWNERS_KEEP_MS + 60000);
    own(1, put('c', "shared"), OWNERS_KEEP_MS + 60000);
    own(2, put('c', "shared"), 0);
    put('d', "nobody's");
    sweep();
    assert_false(there('d'));
    assert_true(there('b')); /* its entry has gone, its file goes next */
    sweep();
    assert_true(there('a'));
    assert_false(there('b'));
    assert_true(there('c'));
}

static void file_that_has_just_come_is_kept_without_an_entry(void **state)
{
    (void)state;
    const char *sha = put('d', "nobody's");
    _cleanup_free_ char *path = blob_path(folder, sha);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    sweep();
    assert_true(there('d'));
}

static void code_of_a_live_job_is_kept(void **state)
{
    (void)state;
    char text[256];
    struct job *job = job_create(7, "live");
    job->principal = 1;
    memset(job->manifest, 'e', BLOB_SHA_TEXT);
    snprintf(text, sizeof text, "berth-tree 1\n100644 1 %s a\n", put('a', "x"));
    own(1, put('a', "x"), 2 * OWNERS_KEEP_MS);
    own(1, put('e', text), 2 * OWNERS_KEEP_MS);
    jobs_add(&d.jobs, job);
    sweep();
    sweep();
    assert_true(there('a'));
    assert_true(there('e'));
    jobs_remove(&d.jobs, job);
    sweep();
    sweep();
    assert_false(there('a'));
    assert_false(there('e'));
}

static void blob_that_comes_into_use_during_a_sweep_is_kept(void **state)
{
    (void)state;
    struct owner_upload upload = {.principal = 1};
    char sha[BLOB_SHA_TEXT + 1];
    snprintf(sha, sizeof sha, "%s", put('b', "old"));
    own(1, sha, OWNERS_KEEP_MS + 60000);
    put('d', "nobody's yet");
    memset(upload.sha, 'd', BLOB_SHA_TEXT);
    owners_begin_upload(&d.owners, &upload);
    sweep_blobs_start(&d, OWNERS_KEEP_MS, SWEEP_BLOBS_FILE_AGE_MS);
    struct journal_blob blob = {.principal = 1, .bytes = 1, .used_ms = 0};
    blob_sha_to_bytes(sha, blob.sha);
    owners_touch(&d, &blob);
    settle();
    owners_end_upload(&d.owners, &upload);
    sweep();
    assert_true(there('b'));
    assert_false(there('d')); /* the upload brought none */
}

static void sums_are_those_of_the_journal(void **state)
{
    (void)state;
    char sha[BLOB_SHA_TEXT + 1] = {0};
    memset(sha, 'a', BLOB_SHA_TEXT);
    owners_add(&d, 1, sha, 100);
    settle();
    owners_add(&d, 1, sha, 100); /* once more */
    owners_add(&d, 2, sha, 100);
    memset(sha, 'b', BLOB_SHA_TEXT);
    owners_add(&d, 1, sha, 11);
    settle();
    assert_int_equal(owners_use(&d.owners, 1)->bytes, 111);
    assert_int_equal(owners_use(&d.owners, 1)->count, 2);
    assert_int_equal(owners_use(&d.owners, 2)->bytes, 100);
    owners_finish(&d.owners);
    owners_init(&d.owners);
    struct error err = {0};
    assert_true(owners_load(&d, &err));
    assert_int_equal(owners_use(&d.owners, 1)->bytes, 111);
    assert_int_equal(owners_use(&d.owners, 2)->count, 1);
}

static void removal_of_an_entry_makes_its_manifests_be_checked_again(void **state)
{
    (void)state;
    char sha[BLOB_SHA_TEXT + 1] = {0};
    memset(sha, 'a', BLOB_SHA_TEXT);
    owners_set_checked(&d.owners, 1, sha);
    assert_true(owners_checked(&d.owners, 1, sha));
    assert_false(owners_checked(&d.owners, 2, sha));
    struct journal_blob blob = {.principal = 1};
    uint64_t before = d.owners.generation;
    owners_remove(&d, &blob);
    assert_false(owners_checked(&d.owners, 1, sha));
    assert_true(d.owners.generation > before);
    for (unsigned i = 0; i <= OWNERS_CHECKED_MAX; i++)
        owners_set_checked(&d.owners, i, sha);
    assert_true(d.owners.checked.count <= OWNERS_CHECKED_MAX);
    assert_true(owners_checked(&d.owners, OWNERS_CHECKED_MAX, sha));
}

static void files_of_a_user_are_bounded_in_number_and_bytes(void **state)
{
    struct error err = {0};
    (void)state;
    uint32_t id = principals_ensure(&d.principals, d.journal, "alice");
    struct owner_use *use = owners_use(&d.owners, id);
    use->count = SHARES_BLOBS_COUNT - 1;
    assert_true(shares_admit_blob(&d, id, 1, &err));
    use->count = SHARES_BLOBS_COUNT;
    assert_false(shares_admit_blob(&d, id, 1, &err));
    assert_int_equal(err.code, ERROR_NO_SPACE);
    use->count = 1;
    use->bytes = SHARES_BLOBS_BYTES - 10;
    use->arriving_bytes = 4;
    assert_true(shares_admit_blob(&d, id, 6, &err));
    assert_false(shares_admit_blob(&d, id, 7, &err));
    assert_false(shares_admit_blob(&d, id, UINT64_MAX, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_nothing_refers_to_goes_after_its_time, begin, finish),
        cmocka_unit_test_setup_teardown(file_that_has_just_come_is_kept_without_an_entry, begin, finish),
        cmocka_unit_test_setup_teardown(code_of_a_live_job_is_kept, begin, finish),
        cmocka_unit_test_setup_teardown(blob_that_comes_into_use_during_a_sweep_is_kept, begin, finish),
        cmocka_unit_test_setup_teardown(sums_are_those_of_the_journal, begin, finish),
        cmocka_unit_test_setup_teardown(files_of_a_user_are_bounded_in_number_and_bytes, begin, finish),
        cmocka_unit_test_setup_teardown(removal_of_an_entry_makes_its_manifests_be_checked_again, begin,
                                        finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
