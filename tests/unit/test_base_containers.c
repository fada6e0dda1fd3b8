/* base: the containers and files that everything else stands on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/list.h"
#include "base/map.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void map_keeps_what_was_put_through_growth_and_removal(void **state)
{
    (void)state;
    struct map m = {0};
    static int values[5000];
    for (uint64_t i = 0; i < 5000; i++)
        assert_null(map_put_num(&m, i * 64, &values[i]));
    for (uint64_t i = 0; i < 5000; i += 3)
        assert_ptr_equal(map_remove_num(&m, i * 64), &values[i]);
    for (uint64_t i = 0; i < 5000; i++)
        assert_ptr_equal(map_get_num(&m, i * 64), i % 3 ? &values[i] : NULL);
    size_t cursor = 0, seen = 0;
    while (map_next(&m, &cursor))
        seen++;
    assert_int_equal(seen, m.count);
    map_finish(&m);
}

static void map_of_strings_copies_its_keys(void **state)
{
    (void)state;
    struct map m = {0};
    char key[16] = "alpha";
    int one, two;
    map_put_str(&m, key, &one);
    strcpy(key, "beta");
    assert_ptr_equal(map_get_str(&m, "alpha"), &one);
    assert_null(map_get_str(&m, "beta"));
    assert_ptr_equal(map_put_str(&m, "alpha", &two), &one);
    assert_ptr_equal(map_remove_str(&m, "alpha"), &two);
    assert_int_equal(m.count, 0);
    map_finish(&m);
}

static void buffer_grows_consumes_and_stays_terminated(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(strlen(b.data), b.len);
    buf_consume(&b, 2);
    assert_memory_equal(b.data, "1,2,", 4);
    buf_consume(&b, b.len + 10);
    assert_string_equal(b.data, "");
    free(buf_take(&b));
    buf_finish(&b);
}

static void a_copy_ends_where_the_file_ended_when_it_began(void **state)
{
    (void)state;
    char path[] = "/tmp/berth-copy-XXXXXX";
    struct error err = {0};
    struct rlimit limit;
    int from = mkstemp(path), to = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(from >= 0 && to >= 0);
    unlink(path);
    assert_true(fs_write_all(from, "abc", 3));
    assert_int_equal(lseek(from, 0, SEEK_SET), 0);
    assert_int_equal(lseek(to, 0, SEEK_END), 3); /* the file grows by what is copied */
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, limit.rlim_max}), 0);
    assert_true(fs_copy_fd(from, to, &err));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(lseek(from, 0, SEEK_END), 6);
    close(from);
    close(to);
}

static void links_stay_only_with_leading_dots_within_the_tree(void **state)
{
    (void)state;
    static const struct {
        const char *path, *target;
        bool stays;
    } links[] = {
        {"l", "a", true},           {"l", "./a/b", true},
        {"l", "..", false},         {"l", "", false},
        {"l", "/a", false},         {"d/l", "../a", true},
        {"d/l", "..", true},        {"d/l", "../..", false},
        {"d/e/l", "../../a", true}, {"d/e/l", "../../../a", false},
        {"l", "a/..", false},       {"d/l", "a/../..", false},
        {"d/l", "./../a", true},    {"d/l", "..//a", true},
        {"l", "..a", true},         {"l", "a/...", true},
        {"d/l", ".././..", false},  {"l", ".", true},
    };
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (fs_link_stays(links[i].path, links[i].target) != links[i].stays)
            fail_msg("%s -> %s", links[i].path, links[i].target);
}

static void error_keeps_field_hint_and_context(void **state)
{
    (void)state;
    struct error err = {0};
    assert_false(error_field(&err, "resources.gpus", "must be at least 0, not %d", -1));
    error_hint(&err, "leave it out");
    error_wrap(&err, "job.yml");
    assert_string_equal(err.field, "resources.gpus");
    assert_string_equal(err.message, "job.yml: must be at least 0, not -1");
    assert_string_equal(err.hint, "leave it out");
    assert_int_equal(error_code_from_name(error_code_name(ERROR_NO_SPACE)), ERROR_NO_SPACE);
}

static void written_file_replaces_the_old_one_whole(void **state)
{
    (void)state;
    char folder[] = "/tmp/berth-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/f", folder);
    struct error err = {0};
    assert_true(fs_write_atomic(AT_FDCWD, path, "first, longer", 13, 0600, &err));
    assert_true(fs_write_atomic(AT_FDCWD, path, "second", 6, 0600, &err));
    struct buf b = {0};
    assert_true(fs_read_file(AT_FDCWD, path, 6, &b, &err));
    assert_string_equal(b.data, "second");
    assert_false(fs_read_file(AT_FDCWD, path, 5, &b, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    buf_finish(&b);
    assert_true(fs_remove_tree(AT_FDCWD, folder, &err));
}

static void tree_removal_takes_locked_folders_and_follows_no_link(void **state)
{
    (void)state;
    char folder[] = "/tmp/berth-test-XXXXXX", path[128], outside[] = "/tmp/berth-outside-XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_non_null(mkdtemp(outside));
    struct error err = {0};
    snprintf(path, sizeof path, "%s/a/b/c", folder);
    assert_true(fs_mkdirs(path, 0755, &err));
    snprintf(path, sizeof path, "%s/a/b/link", folder);
    assert_int_equal(symlink(outside, path), 0);
    snprintf(path, sizeof path, "%s/a/b", folder);
    assert_int_equal(chmod(path, 0), 0);
    assert_true(fs_remove_tree(AT_FDCWD, folder, &err));
    assert_int_equal(access(folder, F_OK), -1);
    assert_int_equal(access(outside, F_OK), 0);
    assert_true(fs_remove_tree(AT_FDCWD, folder, &err));
    rmdir(outside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_keeps_what_was_put_through_growth_and_removal),
        cmocka_unit_test(map_of_strings_copies_its_keys),
        cmocka_unit_test(buffer_grows_consumes_and_stays_terminated),
        cmocka_unit_test(a_copy_ends_where_the_file_ended_when_it_began),
        cmocka_unit_test(links_stay_only_with_leading_dots_within_the_tree),
        cmocka_unit_test(error_keeps_field_hint_and_context),
        cmocka_unit_test(written_file_replaces_the_old_one_whole),
        cmocka_unit_test(tree_removal_takes_locked_folders_and_follows_no_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
