/* executor: what the next attempt finds in ./outputs, its own rank's files ahead of the others'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/fs.h"
#include "executor/outputs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct place {
    char folder[64];
    int root;
};

static int set_up(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    strcpy(p->folder, "/tmp/berth-seed-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    p->root = open(p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    close(p->root);
    fs_remove_tree(AT_FDCWD, p->folder, NULL);
    free(p);
    return 0;
}

static void put(struct place *p, const char *path, const char *text)
{
    struct error err;
    _cleanup_free_ char *full = xasprintf("%s/%s", p->folder, path), *above = xstrdup(full);
    *strrchr(above, '/') = '\0';
    assert_true(fs_mkdirs(above, 0755, &err));
    _cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && fs_write_all(fd, text, strlen(text)));
}

/* NULL where there is no such file. The caller frees it. */
static char *text_of(struct place *p, const char *path)
{
    struct buf text = {0};
    if (!fs_read_file(p->root, path, 1 << 10, &text, NULL))
        return NULL;
    buf_add_char(&text, '\0');
    return buf_take(&text);
}

#define assert_text(p, path, text)                                                                           \
    do {                                                                                                     \
        _cleanup_free_ char *got_ = text_of(p, path);                                                        \
        assert_non_null(got_);                                                                               \
        assert_string_equal(got_, text);                                                                     \
    } while (0)

/* The working directory of ATTEMPT.RANK, with its ./outputs as it is when the task starts. */
static struct outputs_seed begin(struct place *p, uint32_t attempt, uint32_t rank)
{
    static atomic_bool never;
    struct error err;
    _cleanup_free_ char *work = xasprintf("%s/work%u.%u/outputs", p->folder, attempt, rank);
    _cleanup_free_ char *stored = xasprintf("%s/stored/%u.%u", p->folder, attempt, rank);
    assert_true(fs_mkdirs(work, 0755, &err));
    _cleanup_close_ int outputs = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *strrchr(work, '/') = '\0';
    _cleanup_close_ int task = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct outputs_seed seed = {.stored = stored,
                                .id = {{7}, attempt, rank},
                                .task_fd = task,
                                .outputs_fd = outputs,
                                .uid = geteuid(),
                                .gid = getegid(),
                                .cancelled = &never};
    if (!outputs_seed_run(&seed, &err))
        fail_msg("%s", err.message);
    return seed;
}

static void end(struct place *p, uint32_t attempt, uint32_t rank)
{
    struct error err;
    struct outputs_seeded seeded;
    _cleanup_free_ struct outputs_report *report = xcalloc(1, sizeof *report);
    _cleanup_free_ char *work = xasprintf("%s/work%u.%u", p->folder, attempt, rank);
    _cleanup_free_ char *stored = xasprintf("%s/stored/%u.%u", p->folder, attempt, rank);
    _cleanup_close_ int fd = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    outputs_seeded_read(&seeded, fd);
    struct outputs_request request = {.work_fd = fd,
                                      .to = stored,
                                      .uid = geteuid(),
                                      .seeded = &seeded,
                                      .work_max_bytes = OUTPUTS_WORK_MAX_BYTES};
    assert_true(outputs_collect(&request, report, &err));
    assert_false(report->incomplete);
    outputs_supersede(stored, (struct task_id){{7}, attempt, rank});
    outputs_seeded_finish(&seeded);
    outputs_report_finish(report);
}

static void each_rank_finds_its_own_files_first_and_keeps_only_those(void **state)
{
    struct place *p = *state;
    for (uint32_t rank = 0; rank < 2; rank++)
        begin(p, 1, rank);
    put(p, "work1.0/outputs/model", "of 0, first");
    put(p, "work1.0/outputs/shard", "of 0");
    put(p, "work1.1/outputs/shard", "of 1");
    end(p, 1, 0);
    end(p, 1, 1);
    assert_int_equal(begin(p, 2, 0).attempt, 1);
    assert_int_equal(begin(p, 2, 1).files, 2);
    assert_text(p, "work2.0/outputs/shard", "of 0");
    assert_text(p, "work2.1/outputs/shard", "of 1");
    assert_text(p, "work2.1/outputs/model", "of 0, first");
    put(p, "work2.0/outputs/model", "of 0, second");
    end(p, 2, 0);
    end(p, 2, 1);
    assert_null(text_of(p, "stored/2.1/outputs/model"));
    assert_null(text_of(p, "stored/1.0/outputs/model"));
    begin(p, 3, 1); /* not the one that it was given before */
    assert_text(p, "work3.1/outputs/model", "of 0, second");
    put(p, "work3.1/outputs/model", "of 1");
    end(p, 3, 1);
    assert_text(p, "stored/3.1/outputs/model", "of 1");
}

static void an_attempt_that_left_nothing_behind_is_passed_over(void **state)
{
    struct place *p = *state;
    begin(p, 1, 0);
    put(p, "work1.0/outputs/ck/a", "first");
    end(p, 1, 0);
    assert_int_equal(begin(p, 2, 0).files, 1); /* its node is lost: nothing of it is collected */
    put(p, "work2.0/outputs/ck/b", "lost");
    assert_int_equal(begin(p, 3, 0).attempt, 1);
    assert_text(p, "work3.0/outputs/ck/a", "first");
    assert_null(text_of(p, "work3.0/outputs/ck/b"));
}

static void what_the_snapshot_has_under_the_same_name_gives_way(void **state)
{
    struct place *p = *state;
    put(p, "stored/1.0/outputs/file", "the job's");
    put(p, "stored/1.0/outputs/was-file/x", "x");
    put(p, "stored/1.0/outputs/was-directory", "y");
    put(p, "work2.0/outputs/file", "the snapshot's");
    put(p, "work2.0/outputs/was-file", "the snapshot's");
    put(p, "work2.0/outputs/was-directory/z", "the snapshot's");
    assert_int_equal(begin(p, 2, 0).files, 3);
    assert_text(p, "work2.0/outputs/file", "the job's");
    assert_text(p, "work2.0/outputs/was-file/x", "x");
    assert_text(p, "work2.0/outputs/was-directory", "y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_rank_finds_its_own_files_first_and_keeps_only_those, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_attempt_that_left_nothing_behind_is_passed_over, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_the_snapshot_has_under_the_same_name_gives_way, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
